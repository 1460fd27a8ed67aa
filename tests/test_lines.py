"""Lines in the log: which fields they have, who gets one, in what order; and that nobody waits for a reader."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest
import structlog
import yaml
from pydantic import SecretStr

from gateway import logs
from gateway.config.model import Logs
from gateway.errors import Malformed, TimedOut
from gateway.policies.failover import Attempt
from gateway.telemetry import writing
from gateway.telemetry.lines import Line, Lines
from gateway.telemetry.notes import Round, Served
from gateway.telemetry.sorts import Sorts
from gateway.telemetry.trace import Trace
from gateway.telemetry.writing import Writer
from tests.collector import until
from tests.doors import doors

SOURCES: Final = Path(logs.__file__).parent
LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical", "exception"})


class Page:
    """A log that can be read: a pipe, and what came out of it so far."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        self.writer = Writer(write)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def text(self) -> str:
        assert self.writer.flush(60)
        os.set_blocking(self._read, False)
        try:
            return os.read(self._read, 1 << 20).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page()
    logs.set_up(Logs(level="debug"), page.writer)
    yield page
    logs.end()


def served(status: int = 200, trace: Trace | None = None, **more: Any) -> Served:
    values = {"method": "POST", "route": "/v1/recommendations", "started": 1.0, "ended": 1.25, "call": None}
    return Served(**{**values, "status": status, "trace": trace or Trace(), **more})


def lines_of(page: Page, *notes: Any, **settings: Any) -> list[dict[str, Any]]:
    Lines(lambda: Logs.model_validate(settings), Sorts()).read(notes)
    return page.lines


# --- a line for each request ------------------------------------------------------------------------------------


def test_what_stands_in_a_requests_line(page: Page) -> None:
    trace = Trace()
    (line,) = lines_of(page, served(503, trace, problem="unavailable"))
    said = datetime.fromisoformat(line.pop("timestamp"))
    assert abs((datetime.now(UTC) - said).total_seconds()) < 10**7
    assert line == {
        "level": "info", "event": "request", "method": "POST", "route": "/v1/recommendations", "status": 503,
        "ms": 250.0, "trace_id": trace.trace_id, "problem": "unavailable",
    }  # fmt: skip


def test_its_time_is_when_it_ended(page: Page) -> None:
    now = time.monotonic()
    (line,) = lines_of(page, served(started=now - 3, ended=now - 2))
    ago = (datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])).total_seconds()
    assert 1.9 < ago < 60


def test_a_method_of_the_callers_own_making_is_not_repeated(page: Page) -> None:
    (line,) = lines_of(page, served(405, method="HUNTER2"))
    assert line["method"] == "_OTHER"


@pytest.mark.parametrize(("requests", "wanted"), [("all", [200, 404, 499, 503]), ("errors", [404, 503])])
def test_which_requests_get_one(page: Page, requests: str, wanted: list[int]) -> None:
    """Who hangs up made no error."""
    found = lines_of(page, *(served(status) for status in (200, 404, 499, 503)), requests=requests)
    assert [line["status"] for line in found] == wanted


def test_a_share_is_one_of_traces(page: Page) -> None:
    traces = [Trace() for _ in range(1000)]
    found = lines_of(page, *(served(trace=trace) for trace in traces), requests="20%")
    assert {line["trace_id"] for line in found} == {trace.trace_id for trace in traces if trace.within(0.2)}
    assert 120 < len(found) < 280


def test_a_level_above_it_has_none(page: Page) -> None:
    assert lines_of(page, served(503), level="warning") == []


def test_answers_that_are_not_as_documented_are_told_once_a_place(page: Page) -> None:
    def round_(*errors: Any) -> Round:
        attempts = tuple(Attempt("xayn", error, 0.1) for error in errors)
        return Round("home", "for_you", None, 5, attempts, None, (), 0.1, trace=Trace())

    drifted = [round_(Malformed("unexpected answer (KeyError at x.py:3)"), TimedOut()) for _ in range(5)]
    (line,) = lines_of(page, *drifted, round_(TimedOut()))
    assert (line["event"], line["provider"], line["count"]) == ("malformed", "xayn", 5)
    assert line["trace_id"] == (drifted[0].trace or Trace()).trace_id and "x.py:3" in line["detail"]


def test_what_nobody_waits_for_is_told_with_the_trace_that_caused_it(page: Page) -> None:
    """A renewal of an answer that went out stale: no request's own, and one that it can be found by."""
    renewed, cause = Attempt("xayn", Malformed("unexpected answer (KeyError at x.py:3)"), 0.1), Trace()
    (line,) = lines_of(page, Round("home", "for_you", None, 5, (renewed,), None, (), 0.1, cause=cause))
    assert (line["event"], line["trace_id"]) == ("malformed", cause.trace_id)


async def test_of_a_running_gateway(tmp_path: Path, page: Page) -> None:
    async with doors(tmp_path, {}) as gateway:
        trace = "1" * 32
        await gateway.ask({"traceparent": f"00-{trace}-{'2' * 16}-00"}, placement="home", user={"id": "pl4nted"})
        await gateway.request("GET", "/v1/users/pl4nted?secret=pl4nted")
        gateway.runtime.notes.read()
        text = page.text
    first, second = (json.loads(line) for line in text.splitlines() if '"request"' in line)
    assert (first["trace_id"], first["placement"], first["cache"]) == (trace, "home", "miss")
    assert second["route"] == "/v1/users/{id}" and "pl4nted" not in text


async def test_logs_follow_a_reload(tmp_path: Path, page: Page) -> None:
    log = structlog.get_logger("gateway")
    async with doors(tmp_path, {"telemetry": {"logs": {"level": "debug"}}}) as gateway:
        log.debug("before")
        await gateway.reload({"telemetry": {"logs": {"level": "error", "format": "console"}}})
        log.info("meanwhile")
        log.error("after")
        await gateway.ask(count=0)
        gateway.runtime.notes.read()
    text = page.text
    assert '"before"' in text and "meanwhile" not in text and "request" not in text
    assert "after" in text and '"after"' not in text


# --- fields -----------------------------------------------------------------------------------------------------


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger in the sources, with its place."""
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name("log"), attr=attr)) if attr in LEVELS:
                    yield f"{path.relative_to(SOURCES)}:{node.lineno}", node


def test_every_field_is_listed() -> None:
    """Or it would be left out in silence."""
    found = list(calls())
    assert len(found) > 20
    unknown = {
        (place, word.arg)
        for place, call in found
        for word in call.keywords
        if word.arg is not None and word.arg not in logs.FIELDS
    }
    assert unknown == set()
    assert {field.name for field in msgspec.structs.fields(Line)} <= logs.FIELDS


def test_what_happens_is_said_in_words_that_stand_in_the_source() -> None:
    """An event made of values would be a way around the list."""
    made = [place for place, call in calls() if not _constant(call.args[0])]
    assert [place for place in made if not place.startswith("server/runtime.py")] == []


def _constant(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.IfExp():
            return _constant(node.body) and _constant(node.orelse)
        case ast.Call():  # `fields.pop("event")` of a Line
            return ast.unparse(node) == "fields.pop('event')"
    return False


def test_no_other_field_and_no_secret_gets_through(page: Page) -> None:
    structlog.get_logger().info(
        "x", user="pl4nted", provider=SecretStr("pl4nted"), detail={"a": "pl4nted"}, error=ValueError("pl4nted"),
        why="y" * 5000, changes=["a"] * 500,
    )  # fmt: skip
    (line,) = page.lines
    assert line.keys() == {"event", "level", "timestamp", "provider", "detail", "error", "why", "changes"}
    assert (line["provider"], line["detail"], line["error"]) == ("[secret]", "[dict]", "[ValueError]")
    assert len(line["why"]) == 1001 and len(line["changes"]) == 100


@pytest.mark.parametrize("format_", ["json", "console"])
def test_an_exception_says_no_secret_and_no_variable(format_: Any) -> None:
    page = Page()
    logs.set_up(Logs(format=format_), page.writer)
    logs.never_say(lambda: ["pl4nted secret", "x"])
    try:
        held = "in-a-variable"
        try:
            raise ValueError(f'"pl4nted secret" is {len(held)} ' + "z" * 5000)
        except ValueError:
            structlog.get_logger().exception("internal")
        text = page.text
    finally:
        logs.never_say(tuple)
        logs.end()
    assert "ValueError" in text and "[secret]" in text and "test_lines.py" in text
    assert "pl4nted" not in text and "in-a-variable" not in text
    assert format_ == "console" or "z" * 1001 not in text


def test_what_libraries_say(page: Page) -> None:
    library = logging.getLogger("some.library")
    library.info("nobody needs this")
    library.warning("took %s of %s", 1, 2)
    logs._ours.library.emit(logging.LogRecord("x", 30, "x", 1, "does not fit %s %s", (1,), None))
    first, second = page.lines
    assert (first["event"], first["logger"], first["detail"]) == ("library", "some.library", "took 1 of 2")
    assert second["detail"] == "does not fit %s %s"


# --- on their way out -------------------------------------------------------------------------------------------


def test_order_is_kept_between_both_ways(page: Page) -> None:
    log = structlog.get_logger()
    for n in range(50):
        log.info("x", count=n)
        logs.put(b'{"count": %d, "put": 1}\n' % n)
    assert [line["count"] for line in page.lines] == [n for n in range(50) for _ in (1, 2)]


def test_lines_go_out_whole() -> None:
    """So that those of several processes into one pipe do not mix."""
    lines = b"".join(b"%04d" % n + b"x" * (n % 300) + b"\n" for n in range(500)) + b"y" * 9000 + b"\nlast\n"
    chunks = list(writing._chunks(lines, writing.AT_ONCE))
    assert b"".join(chunks) == lines and all(chunk.endswith(b"\n") for chunk in chunks)
    assert all(len(chunk) <= writing.AT_ONCE or chunk.count(b"\n") == 1 for chunk in chunks)
    assert len(chunks) < 30


@pytest.mark.parametrize(
    ("into", "alone", "most"), [("pipe", False, 4096), ("pipe", True, 65536), ("file", False, 65536)]
)
def test_into_a_pipe_that_others_have_too_lines_go_in_small_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, into: str, alone: bool, most: int
) -> None:
    written: list[int] = []
    write_, read, write = os.write, -1, -1
    if into == "pipe":
        read, write = os.pipe()
        threading.Thread(target=lambda: io.FileIO(read).readall(), daemon=True).start()
    else:
        write = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)

    def noting(to: int, chunk: bytes) -> int:
        written.append(len(chunk))
        return write_(to, chunk)

    monkeypatch.setattr(os, "write", noting)
    writer = Writer(write)
    writer.alone = alone
    writer.put((b"x" * 63 + b"\n") * 4096)
    assert writer.flush(60) and writer.lost == 0
    os.close(write)
    assert max(written) == most


def test_a_reader_that_stops_costs_lines_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST", 200_000)
    read, write = os.pipe()
    told: list[int] = []
    writer = Writer(write, told.append)
    line, put = b"x" * 999 + b"\n", 2000
    began, worked = time.monotonic(), time.thread_time()
    for _ in range(put):
        writer.put(line)
    assert time.thread_time() - worked < 1 and time.monotonic() - began < 30 and writer.lost > 1000
    assert writer.flush(0.05) is False
    got = bytearray()

    def reads() -> None:
        while chunk := os.read(read, 65536):
            got.extend(chunk)

    thread = threading.Thread(target=reads, daemon=True)
    thread.start()
    assert writer.flush(60)
    until(lambda: told and len(got) == (put - writer.lost) * 1000)
    assert sum(told) == writer.lost
    os.close(write)
    thread.join(60)
    os.close(read)


def test_a_descriptor_that_does_not_wait_or_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BROKEN", 0.0)
    read, write = os.pipe()
    os.set_blocking(write, False)
    writer = Writer(write)
    for _ in range(200):
        writer.put(b"x" * 999 + b"\n")
    thread = threading.Thread(target=lambda: io.FileIO(read, closefd=False).readall(), daemon=True)
    thread.start()
    assert writer.flush(60) and writer.lost == 0
    os.close(write)
    writer.put(b"a\nb\n")
    assert writer.flush(60) and writer.lost == 2
    thread.join(60)
    os.close(read)


def test_the_last_lines_of_a_crash_are_written() -> None:
    script = (
        "from gateway import logs; from gateway.config.model import Logs; import structlog\n"
        "logs.set_up(Logs()); log = structlog.get_logger()\n"
        "for n in range(2000): log.info('x', count=n)\n"
        "raise SystemError('crash')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=60)
    assert done.returncode == 1 and b"crash" in done.stderr
    assert [json.loads(line)["count"] for line in done.stdout.splitlines()] == list(range(2000))


async def test_a_gateway_whose_log_nobody_reads_answers_and_ends(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    written = {
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain": "1s"},
        "state": {"url": "sqlite::memory:"},
        "providers": {"local": {"adapter": "local"}},
        "placements": {"default": {"providers": ["local"]}},
    }
    file.write_text(yaml.safe_dump(written))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(file)]
    process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    try:
        said = b""
        while not (found := re.search(rb'"listen": ?"127.0.0.1:(\d+)', said)):
            said = await asyncio.to_thread(process.stdout.readline)
            assert said, "it ended"
        url = f"http://127.0.0.1:{int(found[1])}/v1/recommendations"
        slowest = 0.0
        async with aiohttp.ClientSession() as session:
            for _ in range(1200):  # some 300 bytes each, and a pipe takes 64 KiB
                began = time.monotonic()
                async with session.post(url, json={}) as answer:
                    assert answer.status == 200
                slowest = max(slowest, time.monotonic() - began)
        assert slowest < 20  # nobody reads: who waited for that would wait for ever
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

"""The benchmarks run, find no error and write what they found. Nothing here is about speed."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from ssl import create_default_context
from xml.etree import ElementTree

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from gateway.config import load as configured
from tests.benchmarks import (
    certificate,
    collector,
    configuration,
    figures,
    load,
    plot,
    processes,
    report,
    subjects,
)
from tests.benchmarks.configuration import OFF, ON, Places, Setup
from tests.benchmarks.figures import Found, Pairs
from tests.benchmarks.lone import DIRECT, Lone
from tests.benchmarks.memory import Memory
from tests.benchmarks.rounds import Measured
from tests.benchmarks.stages import BARE, FEATURES, GATEWAY, SIZES
from tests.benchmarks.witness import ask
from tests.ports import free_port

ROOT = Path(__file__).parent.parent
PRESENT = all(shutil.which(program) for program in ("nginx", "wrk", "taskset"))
INSTALLABLE = os.geteuid() == 0 and shutil.which("apt-get") is not None
PLACES = Places(port=1, admin=2, stub=3, secured=4, collector=5)


def measured(case: str, server: str, rate: float, cpu: float) -> Measured:
    return Measured(
        case, server, rate, 1.0, 2000 / rate, cpu, 0.5, requests=100, witnessed=3, logged=100, spans=10
    )


BESIDE = [
    measured("hit", "nginx", 1000, 10), measured("hit", GATEWAY, 100, 100), measured("hit", BARE, 500, 9),
    measured("hit", BARE, 500, 9), measured("hit", GATEWAY, 300, 80), measured("hit", "nginx", 1000, 10),
    measured("hit", "nginx", 2000, 10), measured("hit", GATEWAY, 400, 90), measured("hit", BARE, 500, 9),
]  # fmt: skip
LONE = [
    Lone("hit", "nginx", 60, 9), Lone("hit", GATEWAY, 68, 9),
    Lone("miss", DIRECT, 50, 9), Lone("miss", GATEWAY, 99, 9),
]  # fmt: skip
ALL = Found(
    BESIDE,
    LONE,
    Memory(entries=9, entry=1400, body=776, said=1300, worker=9e7, own=6e7),
    [measured(case, size.name, 100, 50 + 5 * n) for case in ("hit", "miss") for n, size in enumerate(SIZES)],
    [measured("hit", feature.name, 100, 50 + n) for n, feature in enumerate(FEATURES)],
    [measured("1 a request", GATEWAY, 100, 50), measured("100 a request", GATEWAY, 10, 900)],
)


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_the_table_has_medians_and_the_ratios_are_of_pairs() -> None:
    assert rows(report.beside(BESIDE))[:2] == [
        ["hit", "nginx", "1,000", "1.00", "2.00", "10", "50%", "0"],
        ["hit", "gateway", "300", "1.00", "6.67", "90", "50%", "0"],
    ]
    first, tail = rows(report.summary(Found(BESIDE)))
    assert first == ["hits a second ÷ nginx's", "≥ 0.80", "0.20", "0.10 to 0.30", "**no**"]  # 10 %, 30 % and 20 %
    assert tail == ["p99 of hits ÷ nginx's", "≤ 2.00", "5.00", "3.33 to 10.00", "**no**"]


def test_all_that_is_wanted_is_told_with_what_was_measured() -> None:
    said = {row[0]: row[1:] for row in rows(report.summary(ALL))}
    assert said["a lone hit later than nginx's"] == ["≤ 10 µs", "8 µs", "8 µs to 8 µs", "yes"]
    assert said["a lone miss later than the vendor's"] == ["≤ 45 µs", "49 µs", "49 µs to 49 µs", "**no**"]
    assert said["memory of a cached answer over its own bytes"][1] == "624 bytes"
    assert said["CPU of a hit with 100 placements, in turn ÷ one of each"][1] == "1.10"
    assert said["CPU of a miss with 20 arms ÷ 2 arms"][1:4:2] == ["1.07", "**no**"]
    assert len(said) == len(figures.figures(ALL)) == 2 + 2 + 1 + 10


def test_a_feature_costs_what_it_adds_to_what_it_is_counted_over() -> None:
    key, rate, line, tenth, each = rows(report.features(ALL.features))[1:]
    assert key == ["an API key", "1", "+1.0", "+1.0 to +1.0", ""]
    assert rate[0] == "… and its rate (over an API key)" and rate[2] == "+1.0"
    assert (line[2], line[4]) == ("+3.0", "100%")
    assert (tenth[4], each[4]) == ("100%", "10%")  # ten spans came of a hundred requests


def test_nothing_compares_what_did_not_run_in_the_same_rounds() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        Pairs(BESIDE[:5], "rate").ratio("hit", GATEWAY, "nginx")


def test_the_picture_is_one_and_its_bars_are_as_long_as_what_was_reached() -> None:
    found = figures.figures(Found(BESIDE, LONE))
    image = ElementTree.fromstring(plot.svg(found))  # noqa: S314  # our own
    _, *bars = image.iter("{http://www.w3.org/2000/svg}rect")
    assert [int(bar.attrib["width"]) for bar in bars] == [round(min(2, one.reached) * plot.FULL) for one in found]
    assert [bar.attrib["fill"] == plot.GOOD for bar in bars] == [False, False, True, False]


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed, whose version is written")
def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    setting = report.Setting("server here", rounds=3, seconds=1, connections=64, load_before=0.1)
    readme = tmp_path / "README.md"
    for text, kept in (("no markers\n", True), (f"a\n{report.BEGIN}\nold\n{report.END}\nz\n", False)):
        readme.write_text(text)
        report.write(tmp_path / "RESULTS.md", readme, ALL, setting)
        assert (readme.read_text() == text) is kept
    assert re.fullmatch(rf"a\n{report.BEGIN}\n.*\| hit \|.*{report.END}\nz\n", readme.read_text(), re.DOTALL)
    assert "old" not in readme.read_text() and "(results.svg)" in readme.read_text()
    results = (tmp_path / "RESULTS.md").read_text()
    assert "3,100 answers" in results and results.count("\n## ") == 8
    assert (tmp_path / "results.svg").read_text() == plot.svg(figures.figures(ALL))


def test_a_machine_with_other_work_is_said_to_be_one() -> None:
    calm, busy = (
        report.Setting("here", 1, 1, 64, load_before=each * (os.cpu_count() or 1)) for each in (0.4, 0.6)
    )
    assert report.warning(calm) == ""
    assert "measure again" in report.warning(busy)


# --- what is sent -----------------------------------------------------------------------------------------------


def test_a_script_says_the_request_as_it_is(tmp_path: Path) -> None:
    request = load.Request(f'POST /{load.UNIQUE} HTTP/1.1\r\nX: {load.UNIQUE}\r\n\r\n{{"a":"ü"}}')
    script = load.write_script(tmp_path / "x.lua", request, first=41).read_text()
    assert 'part = {"POST /", " HTTP/1.1\\r\\nX: ", "\\r\\n\\r\\n{\\"a\\":\\"' in script
    assert "return (part[1] .. unique .. part[2] .. unique .. part[3])" in script and "local n = 41" in script
    assert "local turn" not in script


def test_every_request_is_another_and_as_long_as_it_says() -> None:
    tried = [
        subjects.of_gateway("hit", "x", 1, Setup(keys=3), varies="key", turns=3),
        subjects.of_gateway("hit", "x", 1, varies="user", turns=3),
        subjects.of_gateway("hit", "x", 1, varies="placement", turns=3),
        subjects.of_gateway("miss", "x", 1, ON),
        subjects.of_gateway("TLS", "x", 1, ON),
        subjects.of_vendor("miss", "x", 1),
        subjects.events(1, ON, 100),
    ]
    for subject in tried:
        said = [subject.request.number(n) for n in range(40)]
        traces = {re.findall(r"traceparent: (00-\w{32}-\w{16})-0[01]\r\n", one)[0] for one in said}
        assert len(traces) == 40 and sum("-01\r\n" in one for one in said) == 4
        for one in said:
            head, _, body = one.partition("\r\n\r\n")
            assert f"Content-Length: {len(body)}\r\n" in head and "@" not in one
            assert msgspec.json.decode(body)
    keys = {re.findall(r"Bearer (\S+)", tried[0].request.number(n))[0] for n in range(9)}
    assert keys == {configuration.key(n) for n in range(3)}


def test_an_answer_that_is_not_right_is_told() -> None:
    check = subjects.of_gateway("hit", "x", 1, ON).check
    items = [{"id": item, "rank": n, "score": subjects.DOCUMENTS[n - 1]["score"]}
             for n, item in enumerate(subjects.ITEMS, 1)]  # fmt: skip
    right = {"items": items, "source": {"provider": "vendor"}, "warnings": []}
    headers = {"cache-status": "gateway; hit; ttl=9", "ratelimit": "1"}
    assert check(200, headers, msgspec.json.encode(right)) is None
    assert "not what" in (check(200, headers, msgspec.json.encode({**right, "items": items[1:]})) or "")
    assert "not a hit" in (
        check(200, {**headers, "cache-status": "x; fwd=miss"}, msgspec.json.encode(right)) or ""
    )
    assert "limit" in (check(200, {"cache-status": "; hit;"}, msgspec.json.encode(right)) or "")
    assert "no answer" in (check(503, headers, b"") or "")
    assert "0 of 1" in (subjects.events(1, OFF, 1).check(202, {}, b'{"accepted": []}') or "")


SETUPS = dict.fromkeys([*(size.setup for size in SIZES), *(each.setup for each in FEATURES), ON])


@pytest.mark.parametrize("setup", SETUPS, ids=repr)
def test_the_configurations_are_taken(tmp_path: Path, setup: Setup) -> None:
    few = msgspec.structs.replace(setup, keys=min(setup.keys, 20))  # reading 10,000 takes seconds
    *_, file = configuration.command(tmp_path, "x", few, PLACES)
    found = configured(Path(file), {}).configuration
    assert len(found.auth.api_keys if found.auth else ()) == few.keys
    assert len(found.placements) == 2 * few.placements + 1 and len(found.providers) == few.providers + 1
    *_, file = configuration.command(tmp_path, "x", setup, PLACES)
    assert Path(file).stat().st_size < 1 << 20  # more would not be read


# --- servers ----------------------------------------------------------------------------------------------------


@pytest.fixture
def collecting() -> Iterator[int]:
    port = free_port()
    server = collector.Collector(port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield port
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_collector_counts_spans_packed_or_not(collecting: int) -> None:
    told = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(), Span()])])]
    )
    body = told.SerializeToString()
    connection = HTTPConnection("127.0.0.1", collecting, timeout=10)
    for headers, sent in (({}, body), ({"Content-Encoding": "gzip"}, gzip.compress(body))):
        connection.request("POST", "/v1/traces", sent, headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    connection.close()
    assert collector.spans(collecting) == 4


def test_the_certificate_is_its_own_authority(tmp_path: Path) -> None:
    made, _ = certificate.write(tmp_path)
    (known,) = create_default_context(cafile=str(made)).get_ca_certs()
    assert known["subjectAltName"] == (("DNS", "localhost"), ("IP Address", "127.0.0.1"))


def test_memory_is_that_of_the_process() -> None:
    before, _ = processes.memory(os.getpid())
    held = bytearray(os.urandom(32 << 20))
    after, own = processes.memory(os.getpid())
    assert after - before > 0.9 * len(held) and own <= after


def test_cpu_time_is_counted_with_that_of_children(tmp_path: Path) -> None:
    port = free_port()
    burn = (
        "import os, socket, time\n"
        "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "child = os.fork() == 0\n"
        "while time.process_time() < (0.2 if child else 0.1): pass\n"
        f"child or (s.bind(('127.0.0.1', {port})), s.listen())\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", burn]
    core = min(os.sched_getaffinity(0))
    with processes.running(command, core=core, port=port, log=tmp_path / "log") as server:
        until = time.monotonic() + 20
        while server.cpu() < 0.25 and time.monotonic() < until:  # neither alone gets there
            time.sleep(0.01)
        assert server.cpu() >= 0.25
    with pytest.raises(FileNotFoundError):  # it has ended, and its child with it
        server.cpu()


def test_a_server_that_does_not_start_is_reported(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    with (
        pytest.raises(processes.Broken, match="no such luck"),
        processes.running(command, core=min(os.sched_getaffinity(0)), port=1, log=tmp_path / "log"),
    ):
        pass


def test_nobody_answering_is_an_error_and_no_answer() -> None:
    def never(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        raise AssertionError("there was no answer to check")

    port = free_port()
    with pytest.raises(processes.Broken, match="GET /x"):
        ask(port, load.Request("GET /x HTTP/1.1\r\nX-Request-Id: 1\r\n\r\n"), never)


def test_a_part_that_there_is_not_is_refused() -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--only", "hit,mis"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2 and "mis is none of hit, miss, TLS," in run.stderr


@pytest.mark.more("nginx")
@pytest.mark.timeout(600)
@pytest.mark.skipif(not PRESENT and not INSTALLABLE, reason="nginx, wrk or taskset is not installed")
def test_the_benchmarks_run(tmp_path: Path) -> None:
    results, readme = tmp_path / "RESULTS.md", tmp_path / "README.md"
    command = [sys.executable, "-m", "tests.benchmarks", "--quick"]
    command += ["--results", str(results), "--readme", str(readme)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=590, check=False)
    assert run.returncode == 0, run.stderr
    found = re.findall(r"^\| (hit|miss|TLS) \| ([a-z, ]+) \| [\d,]+ .*\| 0 \|$", run.stdout, re.MULTILINE)
    assert found == [(case, server) for case in ("hit", "miss", "TLS") for server in ("nginx", GATEWAY, BARE)]
    assert run.stdout.count("\n## ") == 7
    assert not readme.exists() and not results.exists()  # of one short round

"""The command line: what is printed where, exit codes, and that no mistake of a user's ends in a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway.cli import main
from gateway.config import effective, json_schema, load

FILE = """
providers:
  a: {adapter: local}
placements:
  default: {providers: [a]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(FILE)
    return path


def test_check_says_that_all_is_well(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(file)]) == 0
    said = capsys.readouterr()
    assert said.out == f"{file}: ok: 1 provider, 1 placement, 0 warnings\n"
    assert said.err == ""


def test_check_warns_and_succeeds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(FILE + "cache: {shared: true}\n")
    assert main(["check", "--config", str(file)]) == 0
    said = capsys.readouterr()
    assert said.out.endswith("1 warning\n")
    assert said.err.startswith(f"{file}:6: warning: cache.shared: ")


def test_check_says_all_mistakes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(FILE + "cache: {shard: true}\nserver: {workers: none}\n")
    assert main(["check", "--config", str(file)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"{file}:6: cache.shard: is not a known key; did you mean shared?",
        f"{file}:7: server.workers: must be a whole number",
        "2 mistakes",
    ]


def test_check_of_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(tmp_path / "absent.yaml")]) == 2
    assert "cannot be read: No such file or directory" in capsys.readouterr().err


def test_check_takes_values_from_the_environment(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(FILE + "revision: ${CLI_TEST_REVISION}\n")
    monkeypatch.delenv("CLI_TEST_REVISION", raising=False)
    assert main(["check", "--config", str(file)]) == 2
    monkeypatch.setenv("CLI_TEST_REVISION", "r1")
    assert main(["check", "--config", str(file)]) == 0
    assert "CLI_TEST_REVISION is not set" in capsys.readouterr().err


# --- check --against --------------------------------------------------------------------------------------------


@contextmanager
def gateway(status: int, body: bytes, heard: list[Any]) -> Iterator[str]:
    """Something that answers GET like a running gateway."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append((self.path, self.headers.get("Authorization")))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_check_against_a_running_gateway(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "k1")
    running = json.dumps(effective(load(file, {}))).encode()
    heard: list[Any] = []
    with gateway(200, running, heard) as url:
        assert main(["check", "--config", str(file), "--against", url + "/"]) == 0
        assert capsys.readouterr().out.splitlines()[0] == "nothing would change"
        file.write_text(FILE.replace("{adapter: local}", "{adapter: local, timeout: 100ms}"))
        assert main(["check", "--config", str(file), "--against", url]) == 0
        assert capsys.readouterr().out.splitlines()[0] == "provider a: changed: timeout"
    assert heard == [("/v1/config", "Bearer k1")] * 2


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"{}", "wants a key with the scope ops, in $GATEWAY_KEY"),
        (403, b"{}", "wants a key with the scope ops, in $GATEWAY_KEY"),
        (404, b"{}", "/v1/config answered 404"),
        (302, b"{}", "/v1/config answered 302"),
        (200, b"<html>", "cannot be asked"),
        (200, b"\xff", "cannot be asked"),
        (200, b"[]", "answered no configuration"),
    ],
)
def test_check_against_something_else(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    words: str,
) -> None:
    monkeypatch.delenv("GATEWAY_KEY", raising=False)
    heard: list[Any] = []
    with gateway(status, body, heard) as url:
        assert main(["check", "--config", str(file), "--against", url]) == 1
    assert words in capsys.readouterr().err
    assert heard == [("/v1/config", None)]


def test_check_against_nobody(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(file), "--against", "http://127.0.0.1:1"]) == 1
    assert "http://127.0.0.1:1 cannot be asked" in capsys.readouterr().err


# --- the others -------------------------------------------------------------------------------------------------


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nothing"],
        ["check"],
        ["serve"],
        ["serve", "--config", "f", "--listen", "8080"],
        ["serve", "--config", "f", "--workers", "two"],
        ["check", "--config", "f", "--against", "localhost:8080"],
        ["sandbox", "--port", "x"],
    ],
)
def test_usage_mistakes_end_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    assert "usage: gateway" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "module", "function", "expected"),
    [
        (
            ["serve", "--config", "f.yaml", "--listen", "[::]:80", "--workers", "2"],
            "gateway.server.run", "serve",
            {"config": Path("f.yaml"), "overrides": {("server", "listen"): "[::]:80", ("server", "workers"): 2}},
        ),
        (
            ["try", "--config", "f.yaml", "xayn", "r.json"], "gateway.trying", "try_",
            {"config": Path("f.yaml"), "provider": "xayn", "request": Path("r.json")},
        ),
        (["demo", "--port", "0"], "gateway.demo", "main", {"port": 0, "admin_port": 9090, "sandbox_port": 9100}),
    ],
)  # fmt: skip
def test_commands_that_live_elsewhere_are_called_with_their_arguments(
    argv: list[str], module: str, function: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []
    elsewhere = ModuleType(module)

    def command(args: Any) -> int:
        called.append(args)
        return 7

    setattr(elsewhere, function, command)
    monkeypatch.setitem(sys.modules, module, elsewhere)
    parent, _, child = module.rpartition(".")
    monkeypatch.setattr(sys.modules.setdefault(parent, ModuleType(parent)), child, elsewhere, raising=False)
    assert main(argv) == 7
    (args,) = called
    assert expected.items() <= vars(args).items()


def test_a_sandbox_that_nobody_emulates_is_a_usage_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "nobody"]) == 2
    assert "no emulated vendor is called nobody" in capsys.readouterr().err


def test_a_port_that_is_taken_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with gateway(200, b"", []) as url:
        taken = int(url.rpartition(":")[2])
        assert main(["sandbox", "--port", str(taken - 1), "recomendo"]) == 1
    assert "the port is taken" in capsys.readouterr().err


def test_it_runs_as_a_module_and_survives_a_closed_pipe(file: Path) -> None:
    python = [sys.executable, "-m", "gateway"]
    checked = subprocess.run(
        [*python, "check", "--config", str(file)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    command = " ".join(python)
    piped = subprocess.run(f"{command} schema | head -c 1", shell=True, capture_output=True, check=False)  # noqa: S602  # a pipe is what is tested
    assert piped.stderr == b""

"""The benchmarks run, find no error and write what they found. Nothing here is about speed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.benchmarks import load, processes, report
from tests.benchmarks.rounds import Measured
from tests.benchmarks.witness import ask

ROOT = Path(__file__).parent.parent
PRESENT = all(shutil.which(program) for program in ("nginx", "wrk", "taskset"))
INSTALLABLE = os.geteuid() == 0 and shutil.which("apt-get") is not None


def measured(case: str, server: str, rate: float, cpu: float) -> Measured:
    return Measured(case, server, rate, 1.0, 2.0, cpu, 0.5, requests=100, witnessed=3, logged=7)


FOUND = [
    measured("hit", "nginx", 1000, 10), measured("hit", "gateway", 100, 100),
    measured("hit", "gateway", 300, 80), measured("hit", "nginx", 1000, 10),
    measured("hit", "nginx", 2000, 10), measured("hit", "gateway", 400, 90),
]  # fmt: skip


def test_the_table_has_medians_and_the_ratios_are_of_pairs() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report.table(FOUND).splitlines()]
    assert rows[2][:3] == ["hit", "nginx", "1,000"]
    assert rows[3] == ["hit", "gateway", "300", "1.00", "2.00", "90", "50%", "0"]
    assert "20.0% of nginx's" in report.ratios(FOUND)  # of 10 %, 30 % and 20 %
    assert "10.0% to 30.0%" in report.ratios(FOUND) and " 9.0 times" in report.ratios(FOUND)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed, whose version is written")
def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    setting = report.Setting("server here", rounds=3, seconds=1, connections=64, load_before=0.1)
    readme = tmp_path / "README.md"
    for text, kept in (("no markers\n", True), (f"a\n{report.BEGIN}\nold\n{report.END}\nz\n", False)):
        readme.write_text(text)
        report.write(tmp_path / "RESULTS.md", readme, FOUND, setting)
        assert (readme.read_text() == text) is kept
    assert re.fullmatch(rf"a\n{report.BEGIN}\n.*\| hit \|.*{report.END}\nz\n", readme.read_text(), re.DOTALL)
    assert "old" not in readme.read_text()
    assert "600 answers" in (tmp_path / "RESULTS.md").read_text()


def test_a_machine_with_other_work_is_said_to_be_one() -> None:
    calm, busy = (
        report.Setting("here", 1, 1, 64, load_before=each * (os.cpu_count() or 1)) for each in (0.4, 0.6)
    )
    assert report.warning(calm) == ""
    assert "measure again" in report.warning(busy)


def test_a_script_says_the_request_as_it_is(tmp_path: Path) -> None:
    request = f'POST /{load.UNIQUE} HTTP/1.1\r\nX: {load.UNIQUE}\r\n\r\n{{"a":"ü"}}'
    script = load.write_script(tmp_path / "x.lua", request, first=41).read_text()
    assert 'part = {"POST /", " HTTP/1.1\\r\\nX: ", "\\r\\n\\r\\n{\\"a\\":\\"' in script
    assert "return part[1] .. unique .. part[2] .. unique .. part[3]" in script and "local n = 41" in script


def test_cpu_time_is_counted_with_that_of_children(tmp_path: Path) -> None:
    (port,) = processes.free_ports(1)
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

    (port,) = processes.free_ports(1)
    with pytest.raises(processes.Broken, match="GET /x"):
        ask(port, "GET /x HTTP/1.1\r\nX-Request-Id: 1\r\n\r\n", never)


@pytest.mark.more("nginx")
@pytest.mark.skipif(not PRESENT and not INSTALLABLE, reason="nginx, wrk or taskset is not installed")
def test_the_benchmarks_run(tmp_path: Path) -> None:
    results, readme = tmp_path / "RESULTS.md", tmp_path / "README.md"
    command = [sys.executable, "-m", "tests.benchmarks", "--seconds", "2", "--rounds", "1"]
    command += ["--results", str(results), "--readme", str(readme)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=115, check=False)
    assert run.returncode == 0, run.stderr
    rows = re.findall(r"^\| (hit|miss) \| (nginx|gateway) \| ([\d,]+) .*\| 0 \|$", run.stdout, re.MULTILINE)
    assert [row[:2] for row in rows] == [
        ("hit", "nginx"), ("hit", "gateway"), ("miss", "nginx"), ("miss", "gateway")
    ]  # fmt: skip
    assert "were right" in results.read_text()
    assert not readme.exists()

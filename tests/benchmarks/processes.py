"""Servers as child processes: pinned to a core, awaited, ended whatever happens; what CPU and memory they take."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""Where the packages are."""
START: Final = 60.0
"""Seconds within which a server must listen."""
END: Final = 10.0
"""Seconds that a server has to end by itself."""
GLANCE: Final = 0.1
"""Seconds of which a server that is idle works less than a tenth."""
CPUCLOCK_SCHED: Final = 2
"""The kind of a process' CPU clock (Linux, include/linux/posix-timers.h)."""


class Broken(Exception):
    """A server that does not run, or an answer that is not right: there is nothing to measure."""


class Server:
    """One running server: a process and what it forked."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self._log = log
        self._read = 0
        self._lines = 0

    def cpu(self) -> float:
        """Seconds of CPU time, user and system, of the process, its threads and its children that live."""
        return sum(time.clock_gettime(_cpu_clock(pid)) for pid in family(self.pid))

    def lines(self) -> int:
        """How many it has written to its log; only what is new is read."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        self._read += len(new)
        self._lines += new.count(b"\n")
        return self._lines

    def rest(self, most: float) -> None:
        """Wait until it has nothing left to do, for so many seconds at most."""
        until, before = time.monotonic() + most, self.cpu()
        while time.monotonic() < until:
            time.sleep(GLANCE)
            now = self.cpu()
            if now - before < GLANCE / 10:
                return
            before = now


@contextmanager
def running(
    command: Sequence[str], *, core: int, port: int, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a server on one core until the end of the block. Raises Broken where it does not listen on `port`."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            stdout=out, stderr=out, start_new_session=True, cwd=ROOT, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        try:
            _await_port(process, port, log)
            yield Server(process.pid, log)
        finally:
            _end(process)


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise Broken(f"{process.args!r} does not listen: {log.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole group, as nginx has children."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sign)
            try:
                process.wait(END)
            except subprocess.TimeoutExpired:
                continue


def family(pid: int) -> list[int]:
    """The process and all that it forked, the eldest first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def _cpu_clock(pid: int) -> int:
    """clock_getcpuclockid(3), which Python does not have: /proc/PID/stat counts in hundredths of a second."""
    return (~pid << 3) | CPUCLOCK_SCHED


def memory(pid: int) -> tuple[int, int]:
    """Bytes that are resident, and of these what no other process shares (proc(5), smaps_rollup)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}
    return kib["Rss"] * 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) * 1024


class Core:
    """How busy one core was between two moments."""

    def __init__(self, number: int) -> None:
        self._name = f"cpu{number}"
        self._idle, self._all = self._read()

    def busy(self) -> float:
        """The share of its time, since this object was made, in which the core did something."""
        idle, all_ = self._read()
        return 1 - (idle - self._idle) / max(1, all_ - self._all)

    def _read(self) -> tuple[int, int]:
        for line in Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name == self._name:
                spent = [int(one) for one in ticks[:8]]  # guest time is counted in user time already
                return spent[3] + spent[4], sum(spent)
        raise Broken(f"/proc/stat does not know {self._name}")

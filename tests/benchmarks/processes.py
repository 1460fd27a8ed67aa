"""Servers as child processes: pinned to a core, awaited, ended whatever happens, and what CPU time they took."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds of one unit in /proc/PID/stat (proc(5))."""
START: Final = 20.0
"""Seconds within which a server must listen."""
END: Final = 10.0
"""Seconds that a server has to end by itself."""


class Broken(Exception):
    """A server that does not run, or an answer that is not right: there is nothing to measure."""


class Server:
    """One running server: a process and what it forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu(self) -> float:
        """Seconds of CPU time, user and system, of the process, its threads and its children that live."""
        return sum(_ticks(pid) for pid in _family(self.pid)) * TICK


@contextmanager
def running(command: Sequence[str], *, core: int, port: int, log: Path) -> Iterator[Server]:
    """Run a server on one core until the end of the block. Raises Broken where it does not listen on `port`."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command], stdout=out, stderr=out, start_new_session=True
        )
        try:
            _await_port(process, port, log)
            yield Server(process.pid)
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


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _ticks(pid: int) -> int:
    """utime + stime: fields 14 and 15, counted after the name, which may hold anything but ends with `)`."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


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

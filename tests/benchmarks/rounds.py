"""A run: servers up, one round after the other, each measuring every subject once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import msgspec

from tests.benchmarks import load, nginx, subjects
from tests.benchmarks.processes import Broken, Core, Server, free_ports, running
from tests.benchmarks.subjects import Subject
from tests.benchmarks.witness import Witness, ask

WARM: Final = 1
"""Seconds of load before anything is counted."""
OWN: Final = 1
"""Requests to the stub that are the benchmark's own: its question for the count."""
PAUSE: Final = 0.1
"""Seconds in which the stub must not be asked before anything is counted …"""
SETTLES: Final = 50
"""… and how often that is tried."""


class Measured(msgspec.Struct, frozen=True):
    """One subject in one round."""

    case: str
    server: str
    rate: float
    """Requests per second."""
    p50: float
    """Milliseconds, as is p99."""
    p99: float
    cpu: float
    """Microseconds of the server's CPU time for each request."""
    load_busy: float
    """Share of the time in which the core of load and stub was busy; at 100 % it, too, is a limit."""
    requests: int
    witnessed: int
    """Answers that were read and found right while the load ran."""
    logged: int
    """Lines that the server wrote meanwhile."""


class Cores(msgspec.Struct, frozen=True):
    """Where the measured server runs, and where everything else."""

    server: int
    load: int

    @classmethod
    def first_two(cls) -> Cores:
        """Of those that this process may use; one for both where there is only one."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[min(1, len(usable) - 1)])


class Arena:
    """All servers, running, and the subjects to measure on them."""

    def __init__(self, folder: Path, cores: Cores, stack: ExitStack) -> None:
        self._folder = folder
        self._cores = cores
        self._stack = stack
        self._counted = 0
        stub, rival, port, admin = free_ports(4)
        self._stub = stub
        self._run("stub", nginx.stub(folder, stub, subjects.VENDOR_ANSWER), stub, cores.load)
        gateway = self._run("gateway", subjects.gateway(folder, port, admin, stub), port, cores.server)
        hit = subjects.hit_of_gateway(port)
        ask(port, hit.request, lambda *_: None)  # the first one comes from the vendor, the others from the cache
        answer = ask(port, hit.request, hit.check)
        (folder / "answer.json").write_bytes(answer)
        other = self._run("nginx", nginx.rival(folder, rival, stub), rival, cores.server)
        ask(rival, hit.request, lambda *_: None)
        self.pairs: tuple[tuple[Subject, Subject], ...] = (
            (subjects.hit_of_nginx(rival, answer), hit),
            (subjects.miss_of_nginx(rival), subjects.miss_of_gateway(port)),
        )
        self._servers = {"nginx": other, "gateway": gateway}

    def _run(self, name: str, command: list[str], port: int, core: int) -> Server:
        return self._stack.enter_context(running(command, core=core, port=port, log=self._folder / f"{name}.log"))

    def measure(self, subject: Subject, seconds: float, connections: int) -> Measured:
        """One run of the load. Raises Broken where an answer was wrong, or anything failed."""
        server = self._servers[subject.server]
        length = len(ask(subject.port, subject.request, subject.check))
        script = load.write_script(self._folder / "load.lua", subject.request, self._counted)
        asked, logged, cpu, core = self._settled(), self._lines(subject), server.cpu(), Core(self._cores.load)
        with Witness(subject.port, subject.request, subject.check) as witness:
            found = load.run(script, subject.port, core=self._cores.load, connections=connections, seconds=seconds)
        busy, cpu, asked = core.busy(), server.cpu() - cpu, self._asked_of_stub() - asked
        self._counted += found.requests + connections
        _check(subject, found, length, asked)
        return Measured(
            case=subject.case,
            server=subject.server,
            rate=found.requests / found.us * 1e6,
            p50=found.p50_us / 1000,
            p99=found.p99_us / 1000,
            cpu=cpu / found.requests * 1e6,
            load_busy=busy,
            requests=found.requests,
            witnessed=witness.seen,
            logged=self._lines(subject) - logged,
        )

    def _lines(self, subject: Subject) -> int:
        return (self._folder / f"{subject.server}.log").read_bytes().count(b"\n")

    def _settled(self) -> int:
        """The stub's count once nobody asks it any more: what one run left unanswered belongs to no other."""
        before = self._asked_of_stub()
        for _ in range(SETTLES):
            time.sleep(PAUSE)
            now = self._asked_of_stub()
            if now == before + 1:  # this very question
                return now
            before = now
        raise Broken("the stub is asked though there is no load")

    def _asked_of_stub(self) -> int:
        """The requests that the stub has had: the last number of stub_status' third line."""
        connection = HTTPConnection("127.0.0.1", self._stub, timeout=10)
        try:
            connection.request("GET", "/status")
            return int(connection.getresponse().read().splitlines()[2].split()[2])
        finally:
            connection.close()


def _check(subject: Subject, found: load.Load, length: int, asked: int) -> None:
    who = f"{subject.server}, {subject.case}"
    if not found.requests or found.errors:
        raise Broken(f"{who}: {found.errors} errors in {found.requests} requests")
    if found.bytes < found.requests * length:
        raise Broken(f"{who}: {found.bytes} bytes are too few for {found.requests} answers of {length}")
    if subject.case == "hit" and asked > OWN:
        raise Broken(f"{who}: the stub was asked {asked - OWN} times")
    if subject.case == "miss" and asked < found.requests:
        raise Broken(f"{who}: {found.requests} answers, and the stub was asked {asked} times")


def measured(
    folder: Path, cores: Cores, *, rounds: int, seconds: float, connections: int, tell: Callable[[str], None]
) -> Iterator[Measured]:
    """Every subject in every round; in odd rounds the gateway comes first. Raises Broken."""
    with ExitStack() as stack:
        arena = Arena(folder, cores, stack)
        for pair in arena.pairs:
            for subject in pair:
                tell(f"warming {subject.server}, {subject.case}")
                arena.measure(subject, min(WARM, seconds), connections)
        for number in range(rounds):
            for pair in arena.pairs:
                for subject in pair if number % 2 == 0 else reversed(pair):
                    tell(f"round {number + 1} of {rounds}: {subject.server}, {subject.case}")
                    yield arena.measure(subject, seconds, connections)

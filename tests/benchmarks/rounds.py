"""Servers up, and rounds: each measures every subject once, so that what else the machine does falls on all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import msgspec

from tests.benchmarks import certificate, collector, configuration, load, nginx, subjects
from tests.benchmarks.configuration import Places, Setup
from tests.benchmarks.processes import Broken, Core, Server, running
from tests.benchmarks.subjects import Subject
from tests.benchmarks.witness import Witness, ask
from tests.ports import free_port, free_ports

WARM: Final = 1
"""Seconds of load before anything is counted."""
OWN: Final = 1
"""Requests to the stub that are the benchmark's own: its question for the count."""
PAUSE: Final = 0.1
"""Seconds in which the stub must not be asked before anything is counted …"""
SETTLES: Final = 50
"""… and how often that is tried."""
REST: Final = 10
"""Seconds that a server may go on working after the load: telling, learning, writing. It is counted."""

Tell = Callable[[str], None]


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
    """Microseconds of the server's CPU time for each request, user and system."""
    load_busy: float
    """Share of the time in which the core of load and stub was busy; at 100 % it, too, is a limit."""
    requests: int
    witnessed: int
    """Answers that were read and found right while the load ran."""
    logged: int
    """Lines that the server wrote meanwhile."""
    spans: int = 0
    """Spans that the collector got meanwhile."""


class Cores(msgspec.Struct, frozen=True):
    """Where the measured server runs, and where everything else."""

    server: int
    load: int

    @classmethod
    def first_two(cls) -> Cores:
        """Of those that this process may use; one for both where there is only one."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[min(1, len(usable) - 1)])


class Way(msgspec.Struct, frozen=True):
    """How it is measured."""

    rounds: int
    seconds: float
    connections: int
    tell: Tell


class Arena:
    """The stub of a vendor, a collector, and the servers that are measured, until the stack is closed."""

    def __init__(self, folder: Path, cores: Cores, stack: ExitStack, vendor: int) -> None:
        self.folder = folder
        self.cores = cores
        self._stack = stack
        self._counted = 0
        self.stub, self.secured, self.collector = free_ports(3)
        self.servers: dict[str, Server] = {}
        certificate.write(folder)
        command = nginx.stub(folder, "stub", self.stub, self.secured, subjects.VENDOR_ANSWER)
        self.run("stub", command, self.stub, vendor)
        command = collector.command(self.collector)
        self.run("collector", command, self.collector, cores.load)

    def run(
        self, name: str, command: Sequence[str], port: int, core: int, environment: Mapping[str, str] | None = None
    ) -> Server:
        """One more server."""
        log = self.folder / f"{name}.log"
        started = running(command, core=core, port=port, log=log, environment=environment)
        self.servers[name] = self._stack.enter_context(started)
        return self.servers[name]

    def gateway(self, name: str, setup: Setup, *more: str) -> Places:
        """A gateway on the server's core; `more`: arguments of its own."""
        port, admin = free_ports(2)
        places = Places(port, admin, self.stub, self.secured, self.collector)
        trusted = {"SSL_CERT_FILE": str(self.folder / "certificate.pem")}
        command = configuration.command(self.folder, name, setup, places, *more)
        self.run(name, command, port, self.cores.server, trusted)
        return places

    def rival(self, hit: Subject) -> int:
        """nginx on the server's core: its port, and what it has in its cache is what this subject answers."""
        port = free_port()
        ask(hit.port, hit.request, lambda *_: None)  # the first comes from the vendor, the others from the cache
        (self.folder / "answer.json").write_bytes(ask(hit.port, hit.request, hit.check))
        self.run("nginx", nginx.rival(self.folder, port, self.stub, self.secured), port, self.cores.server)
        ask(port, hit.request, lambda *_: None)
        return port

    def warm(self, subject: Subject, connections: int) -> None:
        """Load that is not counted, and fills caches."""
        ask(subject.port, subject.request, lambda *_: None)
        self._load(subject, WARM, connections)
        self.servers[subject.server].rest(REST)

    def measure(self, subject: Subject, way: Way) -> Measured:
        """One run of the load. Raises Broken where an answer was wrong, or anything failed."""
        server = self.servers[subject.server]
        length = len(ask(subject.port, subject.request, subject.check))
        asked, logged, told = self._settled(), server.lines(), collector.spans(self.collector)
        cpu, core = server.cpu(), Core(self.cores.load)
        with Witness(subject.port, subject.request, subject.check) as witness:
            found = self._load(subject, way.seconds, way.connections)
        busy = core.busy()
        server.rest(REST)
        cpu, asked = server.cpu() - cpu, self._asked_of_stub() - asked
        _check(subject, found, length, asked)
        handled = found.requests + witness.seen + way.connections  # wrk leaves when each has asked once more
        return Measured(
            case=subject.case,
            server=subject.server,
            rate=found.requests / found.us * 1e6,
            p50=found.p50_us / 1000,
            p99=found.p99_us / 1000,
            cpu=cpu / handled * 1e6,
            load_busy=busy,
            requests=found.requests,
            witnessed=witness.seen,
            logged=server.lines() - logged,
            spans=collector.spans(self.collector) - told,
        )

    def _load(self, subject: Subject, seconds: float, connections: int) -> load.Load:
        script = load.write_script(self.folder / "load.lua", subject.request, self._counted)
        found = load.run(script, subject.port, core=self.cores.load, connections=connections, seconds=seconds)
        self._counted += found.requests + connections
        return found

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
        connection = HTTPConnection("127.0.0.1", self.stub, timeout=10)
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
    if subject.reaches != "vendor" and asked > OWN:
        raise Broken(f"{who}: the stub was asked {asked - OWN} times")
    if subject.reaches == "vendor" and asked < found.requests:
        raise Broken(f"{who}: {found.requests} answers, and the stub was asked {asked} times")


def measured(arena: Arena, all_of_them: Sequence[Subject], way: Way) -> Iterator[Measured]:
    """Every subject in every round, in odd rounds the last one first. Raises Broken."""
    for subject in all_of_them:
        way.tell(f"warming {subject.server}, {subject.case}")
        arena.warm(subject, way.connections)
    for number in range(way.rounds):
        for subject in all_of_them if number % 2 == 0 else reversed(all_of_them):
            way.tell(f"round {number + 1} of {way.rounds}: {subject.server}, {subject.case}")
            yield arena.measure(subject, way)

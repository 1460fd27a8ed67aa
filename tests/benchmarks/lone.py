"""One request after the other on one connection, nothing else at work: how much later an answer comes.

    client (core 1) ⇄ the vendor (core 0)
    client (core 1) ⇄ nginx (core 0) [⇄ the vendor (core 0)]
    client (core 1) ⇄ gateway (core 0) [⇄ the vendor (core 0)]

Blocks of requests alternate between them. The vendor is on the server's core here, so that each way wakes a
sleeping core once there and once back: how long a virtual machine takes for that is no property of what is asked.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from statistics import median
from typing import Final

import msgspec

from tests.benchmarks.configuration import OFF, ON
from tests.benchmarks.processes import Broken
from tests.benchmarks.rounds import Arena, Cores, Way
from tests.benchmarks.stages import BARE, GATEWAY, arena
from tests.benchmarks.subjects import Subject, hit_of_nginx, of_gateway, of_vendor
from tests.benchmarks.witness import ask

DIRECT: Final = "the vendor itself"
BLOCK: Final = 100
"""Requests before it is another server's turn."""
BLOCKS: Final = 8
"""Of each server in one round."""
FORGOTTEN: Final = 10
"""Requests at the beginning of a block that are not counted: caches are another server's yet."""


class Lone(msgspec.Struct, frozen=True):
    """One server in one round."""

    case: str
    server: str
    us: float
    """Microseconds from the first byte out to the last one in (median)."""
    requests: int


class Line:
    """One kept connection of a client that waits for each answer."""

    def __init__(self, subject: Subject, first: int) -> None:
        self.subject = subject
        self._length = len(ask(subject.port, subject.request, subject.check))
        self._number = first
        self._socket = socket.create_connection(("127.0.0.1", subject.port), 10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.took: list[int] = []

    def block(self) -> None:
        """So many requests, one after the other. Raises Broken where an answer is none."""
        requests = [self.subject.request.number(self._number + n).encode() for n in range(BLOCK)]
        self._number += BLOCK
        took = [self._once(request) for request in requests]
        self.took += took[FORGOTTEN:]

    def _once(self, request: bytes) -> int:
        here, length, clock = self._socket, self._length, time.perf_counter_ns
        began = clock()
        here.sendall(request)
        answer = here.recv(65536)
        while not answer.endswith(b"}") or len(answer) - answer.find(b"\r\n\r\n") - 4 < length:
            more = here.recv(65536)
            if not more:
                raise Broken(f"{self.subject.server}, {self.subject.case}: hung up after {answer[:300]!r}")
            answer += more
        took = clock() - began
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise Broken(f"{self.subject.server}, {self.subject.case}: answered {answer[:300]!r}")
        return took

    def close(self) -> None:
        self._socket.close()


def alone(cores: Cores, way: Way) -> list[Lone]:
    """Every round, every server in every case. Raises Broken."""
    found = []
    with arena(cores, vendor=cores.server) as here:
        lines = [Line(subject, n << 32) for n, subject in enumerate(_subjects(here), 1)]
        for number in range(way.rounds + 1):
            way.tell(f"lone requests, round {number} of {way.rounds}" if number else "warming lone requests")
            for _ in range(BLOCKS):
                for line in lines:
                    line.block()
            for line in lines:
                if number:  # the first round warms
                    name, took = line.subject, line.took
                    found.append(Lone(name.case, name.server, median(took) / 1000, len(took)))
                line.took = []
        for line in lines:
            line.close()
            ask(line.subject.port, line.subject.request, line.subject.check)
    return found


def _subjects(here: Arena) -> Sequence[Subject]:
    on, off = here.gateway(GATEWAY, ON).port, here.gateway(BARE, OFF).port
    hit = of_gateway("hit", BARE, off)
    rival = here.rival(hit)
    ask(on, of_gateway("hit", GATEWAY, on, ON).request, lambda *_: None)
    return (
        hit_of_nginx(rival, (here.folder / "answer.json").read_bytes()),
        of_gateway("hit", GATEWAY, on, ON),
        hit,
        of_vendor("miss", DIRECT, here.stub),
        of_vendor("miss", "nginx", rival),
        of_gateway("miss", GATEWAY, on, ON),
        of_gateway("miss", BARE, off),
    )

"""What is resident: one more cached answer, and a worker that has nothing to do.

A cached answer is measured as growth of the whole process, from some thousand answers to many more, after misses
have filled whatever else is bounded and remembers requests. Its own bytes (the body that goes out) are no
overhead.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from statistics import median
from typing import Final

import msgspec

from tests.benchmarks.configuration import OFF, ON
from tests.benchmarks.load import UNIQUE
from tests.benchmarks.processes import Broken, family, memory
from tests.benchmarks.rounds import Arena, Cores, Way
from tests.benchmarks.stages import BARE, GATEWAY, arena
from tests.benchmarks.subjects import NONE, Subject, of_gateway
from tests.benchmarks.witness import ask

BEFORE: Final = 5000
"""Answers that are cached, and misses that were not, before the first look."""
WORKERS: Final = 2
PATIENCE: Final = 60
"""Runs of the load, each a second or more, within which so many must be cached."""
STARTS: Final = 3.0
"""Seconds after its first answer in which a worker comes to rest."""


class Memory(msgspec.Struct, frozen=True):
    """Bytes."""

    entries: int
    """Answers that came in between the two looks."""
    entry: float
    """Of each: what the process has grown by."""
    body: int
    """… and of these the answer itself."""
    said: float
    """… what the gateway's own account says of each (`gateway_cache_bytes`), by which `cache.max_bytes` holds."""
    worker: float
    """Resident, of one that waits (median)."""
    own: float
    """… and of these not shared with others."""

    @property
    def over(self) -> float:
        """For each answer, beside its own bytes."""
        return self.entry - self.body


def resident(cores: Cores, entries: int, way: Way) -> Memory:
    """Raises Broken."""
    with arena(cores) as here:
        found = _cached(here, entries, way)
        workers = _workers(here, way)
    worker, own = (median(one[n] for one in workers) for n in (0, 1))
    return Memory(*found, worker, own)


def _cached(here: Arena, entries: int, way: Way) -> tuple[int, float, int, float]:
    places = here.gateway(BARE, OFF)
    server, miss = here.servers[BARE], of_gateway("miss", BARE, places.port)
    kept = _everybody_kept(places.port)
    body = len(ask(places.port, kept.request, kept.check))
    way.tell("memory: filling what remembers requests")
    for _ in range(2):
        here.warm(miss, way.connections)
    _fill(here, kept, places.admin, BEFORE, way)
    first, before = _told(places.admin, "entries"), memory(server.pid)[0]
    _fill(here, kept, places.admin, first + entries, way)
    last, after = _told(places.admin, "entries"), memory(server.pid)[0]
    return last - first, (after - before) / (last - first), body, _told(places.admin, "bytes") / last


def _everybody_kept(port: int) -> Subject:
    """Every answer is another user's, and is cached."""
    hit, miss = of_gateway("hit", BARE, port), of_gateway("miss", BARE, port)
    text = hit.request.text.replace(f"user-{NONE}", f"user-{UNIQUE}")
    length = len(text.partition("\r\n\r\n")[2]) - len(UNIQUE) + 16
    text = re.sub(r"Content-Length: \d+", f"Content-Length: {length}", text)
    request = msgspec.structs.replace(hit.request, text=text)
    return msgspec.structs.replace(hit, request=request, check=miss.check, reaches="vendor")


def _fill(here: Arena, kept: Subject, admin: int, entries: int, way: Way) -> None:
    for _ in range(PATIENCE):
        found = _told(admin, "entries")
        way.tell(f"memory: {found:,} of {entries:,} answers are cached")
        if found >= entries:
            return
        here.warm(kept, way.connections)
    raise Broken(f"{found} answers were cached, not {entries}")


def _told(admin: int, what: str) -> int:
    """Of the cache, at /metrics."""
    connection = HTTPConnection("127.0.0.1", admin, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    found = re.search(rf"^gateway_cache_{what} (\S+)$", text, re.MULTILINE)
    if found is None:
        raise Broken(f"/metrics does not say gateway_cache_{what}")
    return int(float(found[1]))


def _workers(here: Arena, way: Way) -> Sequence[tuple[int, int]]:
    way.tell(f"memory: {WORKERS} workers that wait")
    places = here.gateway(GATEWAY, ON, "--workers", str(WORKERS))
    miss = of_gateway("miss", GATEWAY, places.port, ON)
    ask(places.port, miss.request, miss.check)
    time.sleep(STARTS)
    _, *workers = (memory(pid) for pid in family(here.servers[GATEWAY].pid))
    if len(workers) != WORKERS:
        raise Broken(f"{len(workers)} processes run, not {WORKERS} workers")
    return workers

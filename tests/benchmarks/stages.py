"""What is measured, part by part: each has its own servers, and no others run meanwhile.

beside     hits, translated misses, misses over TLS: nginx, the gateway with all on, with all off
features   a hit with one feature after the other switched on
flat       hits and misses with one of each, and with many
told       events that are accepted
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from tests.benchmarks.configuration import OFF, ON, Setup
from tests.benchmarks.processes import Broken
from tests.benchmarks.rounds import Arena, Cores, Measured, Way, measured
from tests.benchmarks.subjects import Subject, Varies, events, hit_of_nginx, of_gateway, of_vendor

GATEWAY: Final = "gateway"
BARE: Final = "gateway, all off"
BATCHES: Final = (1, 100)
"""Events in one request."""
USERS: Final = 64
"""Who take turns where an experiment deals them to arms."""


class Feature(msgspec.Struct, frozen=True):
    """Something that can be switched on, and over what its cost is counted."""

    name: str
    setup: Setup
    over: str = "all off"
    budget: float = 0
    """Microseconds of CPU for each hit."""
    sampled: int = 10


FEATURES: Final = (
    Feature("all off", OFF),
    Feature("an API key", Setup(keys=1), budget=1),
    Feature("… and its rate", Setup(keys=1, limited=True), "an API key", budget=2),
    Feature("a log line each", Setup(logged=True), budget=3),
    Feature("a span of 1 in 10", Setup(traced=True), budget=0.5),
    Feature("a span each", Setup(traced=True), budget=3, sampled=1),
)


class Size(msgspec.Struct, frozen=True):
    """Much of something, and what the same with one of it is called."""

    name: str
    setup: Setup
    over: str = ""
    varies: Varies = ""
    turns: int = 1


ONE: Final = "one of each"
SIZES: Final = (
    Size(ONE, Setup(keys=1)),
    Size("100 placements, in turn", Setup(keys=1, placements=100), ONE, "placement", 100),
    Size("10,000 keys, one used", Setup(keys=10_000), ONE),
    Size("10,000 keys, in turn", Setup(keys=10_000), ONE, "key", 10_000),
    Size("20 providers", Setup(keys=1, providers=20), ONE),
    Size("2 arms", Setup(keys=1, arms=2), "", "user", USERS),
    Size("20 arms", Setup(keys=1, arms=20), "2 arms", "user", USERS),
)


@contextmanager
def arena(cores: Cores, vendor: int | None = None) -> Iterator[Arena]:
    """Servers, until the end of the block; `vendor`: the stub's core, if not that of the load."""
    with TemporaryDirectory(prefix="gateway-benchmarks-") as folder, ExitStack() as stack:
        yield Arena(Path(folder), cores, stack, cores.load if vendor is None else vendor)


def beside(cores: Cores, cases: Iterable[str], way: Way) -> list[Measured]:
    """Each case on nginx and on two gateways. Raises Broken."""
    with arena(cores) as here:
        on, off = here.gateway(GATEWAY, ON).port, here.gateway(BARE, OFF).port
        hit = of_gateway("hit", BARE, off)
        rival = here.rival(hit)
        theirs: dict[str, Callable[[], Subject]] = {
            "hit": lambda: hit_of_nginx(rival, (here.folder / "answer.json").read_bytes()),
            "miss": lambda: of_vendor("miss", "nginx", rival),
            "TLS": lambda: of_vendor("TLS", "nginx", rival),
        }
        subjects = [
            subject
            for case in cases
            for subject in (theirs[case](), of_gateway(case, GATEWAY, on, ON), of_gateway(case, BARE, off))
        ]
        found = [*measured(here, subjects, way)]
    unlogged = [one for one in found if one.server == GATEWAY and one.logged < one.requests]
    if unlogged:
        raise Broken(f"{unlogged[0].logged} lines were logged of {unlogged[0].requests} requests")
    return found


def features(cores: Cores, way: Way) -> list[Measured]:
    """A hit with each feature. Raises Broken."""
    with arena(cores) as here:
        subjects = []
        for feature in FEATURES:
            port = here.gateway(feature.name, feature.setup).port
            subjects.append(of_gateway("hit", feature.name, port, feature.setup, sampled=feature.sampled))
        found = [*measured(here, subjects, way)]
    for feature in FEATURES:
        if feature.setup.traced and not any(one.spans for one in found if one.server == feature.name):
            raise Broken(f"{feature.name}: no span has arrived")
    return found


def flat(cores: Cores, way: Way) -> list[Measured]:
    """Hits and misses with each size. Raises Broken."""
    with arena(cores) as here:
        started: dict[Setup, tuple[str, int]] = {}
        ports: dict[str, int] = {}
        for size in SIZES:
            if size.setup not in started:
                started[size.setup] = size.name, here.gateway(size.name, size.setup).port
            same, ports[size.name] = started[size.setup]
            here.servers[size.name] = here.servers[same]
        subjects = [
            of_gateway(case, size.name, ports[size.name], size.setup, varies=size.varies, turns=size.turns)
            for case in ("hit", "miss")
            for size in SIZES
        ]
        return [*measured(here, subjects, way)]


def told(cores: Cores, way: Way) -> list[Measured]:
    """Events, one and many in a request, all on: `local` is told and learns meanwhile. Raises Broken."""
    setup = msgspec.structs.replace(ON, local=True)
    with arena(cores) as here:
        port = here.gateway(GATEWAY, setup).port
        subjects = {events(port, setup, batch): batch for batch in BATCHES}
        found = [*measured(here, [*subjects], way)]
        logged: int = _only(here.folder / f"{GATEWAY}.db", "SELECT count(*) FROM events")
    batches = {subject.case: batch for subject, batch in subjects.items()}
    accepted = sum(batches[one.case] * one.requests for one in found)
    if logged < accepted:
        raise Broken(f"{accepted} events were accepted, and {logged} are in the log")
    return found


def _only(file: Path, query: str) -> int:
    connection = sqlite3.connect(file)
    try:
        number: int = connection.execute(query).fetchone()[0]
    finally:
        connection.close()
    return number

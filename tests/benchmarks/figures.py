"""What was found, and what is wanted of it: medians of what was compared within a round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final, Literal, Protocol

import msgspec

from tests.benchmarks.lone import DIRECT, Lone
from tests.benchmarks.memory import Memory
from tests.benchmarks.rounds import Measured
from tests.benchmarks.stages import FEATURES, GATEWAY, SIZES, Feature

TOLERATED: Final = 1.05
"""How much worse `no worse` may look before it is: what measuring twice differs by."""
CASES: Final = {"hit": "hits", "miss": "translated misses", "TLS": "translated misses over TLS"}
SHARES: Final = {"hit": 0.8, "miss": 0.5, "TLS": 0.7}
"""Of nginx's requests a second, on the same core."""


class Found(msgspec.Struct):
    """Everything that was measured; empty is what was not asked for."""

    beside: list[Measured] = []
    lone: list[Lone] = []
    memory: Memory | None = None
    flat: list[Measured] = []
    features: list[Measured] = []
    told: list[Measured] = []


class Figure(msgspec.Struct, frozen=True):
    """One number, as it was in each round, and its bound."""

    name: str
    rounds: tuple[float, ...]
    bound: Literal["≥", "≤"]
    wanted: float
    unit: Literal["×", "µs", "bytes"]

    @property
    def measured(self) -> float:
        """The median."""
        return median(self.rounds)

    @property
    def reached(self) -> float:
        """How much of what is wanted: 1 and more is enough."""
        if self.bound == "≥":
            return self.measured / self.wanted
        return self.wanted / self.measured if self.measured > self.wanted / 100 else 100.0


class Round(Protocol):
    """What a round found of one server in one case."""

    @property
    def case(self) -> str: ...
    @property
    def server(self) -> str: ...


class Pairs:
    """What was found, by case and server, a value for each round."""

    def __init__(self, found: Sequence[Round], of: str) -> None:
        self._found = found
        self._of = of

    def of(self, case: str, server: str) -> list[float]:
        """In the rounds' order."""
        return [getattr(one, self._of) for one in self._found if (one.case, one.server) == (case, server)]

    def ratio(self, case: str, ours: str, theirs: str) -> tuple[float, ...]:
        """Round by round."""
        both = zip(self.of(case, ours), self.of(case, theirs), strict=True)
        return tuple(one / max(other, 1e-9) for one, other in both)

    def more(self, case: str, ours: str, theirs: str) -> tuple[float, ...]:
        """Round by round."""
        return tuple(one - other for one, other in zip(self.of(case, ours), self.of(case, theirs), strict=True))


def cases(found: Sequence[Round]) -> list[str]:
    """In the order in which they were measured first."""
    return [*dict.fromkeys(one.case for one in found)]


def figures(found: Found) -> list[Figure]:
    """All that something is wanted of."""
    return [*_beside(found.beside), *_lone(found.lone), *_memory(found.memory), *_flat(found.flat)]


def _beside(found: list[Measured]) -> Iterator[Figure]:
    rate, p99 = Pairs(found, "rate"), Pairs(found, "p99")
    for case in cases(found):
        name = f"{CASES[case]} a second ÷ nginx's"
        yield Figure(name, rate.ratio(case, GATEWAY, "nginx"), "≥", SHARES[case], "×")
    for case in cases(found):
        yield Figure(f"p99 of {CASES[case]} ÷ nginx's", p99.ratio(case, GATEWAY, "nginx"), "≤", 2, "×")


def _lone(found: list[Lone]) -> Iterator[Figure]:
    if found:
        us = Pairs(found, "us")
        yield Figure("a lone hit later than nginx's", us.more("hit", GATEWAY, "nginx"), "≤", 10, "µs")
        yield Figure("a lone miss later than the vendor's", us.more("miss", GATEWAY, DIRECT), "≤", 45, "µs")


def _memory(found: Memory | None) -> Iterator[Figure]:
    if found is not None:
        yield Figure("memory of a cached answer over its own bytes", (found.over,), "≤", 600, "bytes")


def _flat(found: list[Measured]) -> Iterator[Figure]:
    cpu = Pairs(found, "cpu")
    for case in cases(found):
        for size in SIZES:
            if size.over:
                name = f"CPU of a {case} with {size.name} ÷ {size.over}"
                yield Figure(name, cpu.ratio(case, size.name, size.over), "≤", TOLERATED, "×")


def costs(found: list[Measured]) -> list[tuple[Feature, Figure]]:
    """What each feature adds to a hit."""
    cpu = Pairs(found, "cpu")
    return [
        (each, Figure(each.name, cpu.more("hit", each.name, each.over), "≤", each.budget, "µs"))
        for each in FEATURES
        if found and each.budget
    ]

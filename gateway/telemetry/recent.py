"""What is told of the last five minutes: of one process (`lately.py`), and of all that share the port together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

MOST: Final = 100
"""Sorts of problems that are remembered; and unanswered rounds whose problem has not been read yet."""
LEAST: Final = 0.1
"""Milliseconds: what took less is not told apart."""
STEP: Final = 1.15
"""Each step of the durations is so much longer than the one before: they are told to within 7 %."""
ENDS: Final = [LEAST * STEP**step / 1000 for step in range(150)]
"""Seconds that belong to each step, at most."""


class Flow(msgspec.Struct):
    """What became of the requests of one arm."""

    answered: dict[str, int] = {}
    """By provider; under the empty name what nobody had an answer for."""
    stood_in: dict[str, int] = {}
    """Of these: answers of a provider because those before it did not answer."""
    failed: int = 0
    """Requests that ended in 500, 503 or 504."""
    cache: dict[str, int] = {}
    """By what the cache did: hit, stale, miss, collapsed, bypass, off."""
    steps: dict[int, int] = {}
    """How long they took."""
    missed: dict[str, dict[str, int]] = {}
    """By provider and error: how often it did not answer."""

    @property
    def requests(self) -> int:
        """Answered or failed."""
        return sum(self.answered.values()) + self.failed

    def add(self, other: Flow) -> None:
        """Count that too."""
        self.failed += other.failed
        for mine, its in ((self.answered, other.answered), (self.stood_in, other.stood_in)):
            _sum(mine, its)
        _sum(self.cache, other.cache)
        _sum(self.steps, other.steps)
        for provider, errors in other.missed.items():
            _sum(self.missed.setdefault(provider, {}), errors)

    def ms(self, part: int) -> float | None:
        """The duration that so many of 100 did not exceed, in milliseconds; None without any."""
        count = sum(self.steps.values())
        rank, seen = min(count - 1, count * part // 100), 0
        for step in sorted(self.steps):
            seen += self.steps[step]
            if seen > rank:
                return round(LEAST * STEP ** (step - 0.5), 2) if step else LEAST
        return None


class Shade(msgspec.Struct):
    """What became of the shadow requests of one placement."""

    outcomes: dict[str, int] = {}
    """`answered`, `empty`, or the error's name."""
    compared: int = 0
    overlap: float = 0.0
    """Summed over those that were compared."""

    def add(self, other: Shade) -> None:
        """Count that too."""
        _sum(self.outcomes, other.outcomes)
        self.compared += other.compared
        self.overlap += other.overlap


class Fault(msgspec.Struct):
    """One sort of error of one provider."""

    now: int = 0
    lately: int = 0
    at: float = 0.0
    """Unix seconds: when it was last."""
    detail: str = ""
    """Of the last one, redacted."""
    trace_id: str | None = None
    """Of the last request that met it."""


class Trouble(msgspec.Struct):
    """Problems of one sort: the same in method, route, placement, status and slug."""

    method: str
    route: str
    """The path with names for ids."""
    status: int
    slug: str
    placement: str | None
    first_at: float
    """Unix seconds."""
    at: float
    """Of the last one."""
    trace_id: str
    times: int = 1
    attempts: list[dict[str, Any]] = []
    """Providers that did not answer the last one, as the problem lists them."""

    @property
    def sort(self) -> tuple[Any, ...]:
        """What makes two the same."""
        return (self.method, self.route, self.status, self.slug, self.placement)


class Recent(msgspec.Struct):
    """What one process tells of its last five minutes, or several together."""

    now: dict[str, dict[str, Flow]] = {}
    """By placement and arm (empty where there is no experiment), in the last minute."""
    lately: dict[str, dict[str, Flow]] = {}
    """Likewise, in all five."""
    pace: dict[str, list[list[int]]] = {}
    """By placement, for each bucket, the oldest first: requests, and those that did not go the first way."""
    calls: dict[str, list[int]] = {}
    """By provider: operations in the last minute, in all five."""
    faults: dict[str, dict[str, Fault]] = {}
    """By provider and the error's name."""
    shadows: dict[str, dict[str, Shade]] = {}
    """By placement and provider."""
    problems: list[Trouble] = []
    """The latest first."""


def together(told: Iterable[Recent]) -> Recent:
    """Of all processes."""
    whole, troubles = Recent(), dict[tuple[Any, ...], Trouble]()
    for one in told:
        for mine, its in ((whole.now, one.now), (whole.lately, one.lately)):
            for placement, arms in its.items():
                for arm, flow in arms.items():
                    mine.setdefault(placement, {}).setdefault(arm, Flow()).add(flow)
        for placement, pace in one.pace.items():
            before = whole.pace.get(placement) or [[0, 0] for _ in pace]
            whole.pace[placement] = [[a + c, b + d] for (a, b), (c, d) in zip(before, pace, strict=True)]
        for provider, calls in one.calls.items():
            now, lately = whole.calls.get(provider, (0, 0))
            whole.calls[provider] = [now + calls[0], lately + calls[1]]
        for provider, faults in one.faults.items():
            for name, fault in faults.items():
                known = whole.faults.setdefault(provider, {})
                known[name] = _fault(known.get(name), fault)
        for placement, shades in one.shadows.items():
            for provider, shade in shades.items():
                whole.shadows.setdefault(placement, {}).setdefault(provider, Shade()).add(shade)
        for trouble in one.problems:
            troubles[trouble.sort] = _trouble(troubles.get(trouble.sort), trouble)
    whole.problems = sorted(troubles.values(), key=lambda one: one.at, reverse=True)[:MOST]
    return whole


def _fault(before: Fault | None, other: Fault) -> Fault:
    if before is None:
        return other
    last = max(before, other, key=lambda one: one.at)
    now, lately, trace_id = before.now + other.now, before.lately + other.lately, last.trace_id
    return Fault(now, lately, last.at, last.detail, trace_id or before.trace_id or other.trace_id)


def _trouble(before: Trouble | None, other: Trouble) -> Trouble:
    if before is None:
        return other
    last = max(before, other, key=lambda one: one.at)
    first = min(before.first_at, other.first_at)
    return msgspec.structs.replace(last, times=before.times + other.times, first_at=first)


def _sum(mine: dict[Any, int], its: dict[Any, int]) -> None:
    for key, count in its.items():
        mine[key] = mine.get(key, 0) + count

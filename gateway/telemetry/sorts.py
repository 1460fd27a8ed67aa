"""Requests of one sort: the same in all that is told of them, but for when they were and whose trace they are of.

    Served ─▸ Sorts.of ─▸ Sort ─┬▸ PerSort: what a reader made for it once (the text of a line, a span's values)
                                └▸ Took: how long its requests took, until somebody asks

There are few sorts and many requests: whoever reads notes makes words for a sort and adds numbers for a request.
Names in a sort are those of the configuration, and templates: so there is a bound, and one (MOST) for surprises.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from gateway.answering.delivery import Call
from gateway.telemetry.notes import Served
from gateway.telemetry.outcomes import METHODS, OTHER_METHOD, counted_outcome

MOST: Final = 4096
"""Sorts that are remembered. Beyond them all are forgotten and found again."""

GATHERED: Final = 2048
"""Notes whose durations wait until somebody asks."""

T = TypeVar("T")


class Told(msgspec.Struct, frozen=True):
    """What is told of one question: of a request's own, or of a part of a batch."""

    provider: str | None
    """Who answered."""
    cache: str | None
    """What the cache did; None where nobody got as far."""
    answered: bool
    answerer: str | None
    """Whose answer it is; None for nobody's."""
    fallback: bool
    placement: str | None = None
    """None: not even that is known."""
    kind: str | None = None
    arm: str | None = None
    cached: bool = False
    """Does the placement keep answers?"""
    experiment: str | None = None
    """The one that the answer counts for."""
    phase: str | None = None
    ops: bool = False
    """Asked by those who look for something (`Gateway-Explain`, `Gateway-Provider`): no traffic."""


class Sort(msgspec.Struct, frozen=True, eq=False):
    """All that is told of a request but its time and its trace. The same of one `Sorts` is the same object."""

    method: str
    """`_OTHER` for one that nobody knows."""
    route: str
    status: int
    problem: str | None
    epoch: str
    told: Told | None
    """None where no operation was reached."""
    batch: bool
    """Its parts are looked at one by one."""


class Sorts:
    """Those of one process, whichever reader comes upon them first."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Sort] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, served: Served) -> Sort:
        """Found once for each request."""
        sort = served.sort
        if sort is None:
            call, method = served.call, served.method
            if method not in METHODS:
                method = OTHER_METHOD
            told, batch = (None, False) if call is None else (_told(call), call.parts != ())
            key = (method, served.route, served.status, served.problem, served.epoch, told, batch)
            served.sort = sort = self._known.get(key) or self._new(key)
        return sort

    def _new(self, key: tuple[Any, ...]) -> Sort:
        of_another_epoch = next(iter(self._known), key)[4] != key[4]
        if len(self._known) >= MOST or of_another_epoch:  # what an epoch said is not said again when it is over
            self._known.clear()
        method, route, status, problem, epoch, told, batch = key
        sort = Sort(method, route, status, problem, epoch, None if told is None else Told(*told), batch)
        self._known[key] = sort
        return sort


def told_of(call: Call) -> Told:
    """What is told of it."""
    return Told(*_told(call))


def _told(call: Call) -> tuple[Any, ...]:
    """The fields of a `Told`."""
    asked, answer, status = call.asked, call.answer, call.cache_status
    cache = counted_outcome(status) if status else None
    answered, answerer, fallback = False, None, False
    if answer is not None:
        answered, answerer, fallback = True, answer.provider, answer.fallback
    if asked is None:
        return (call.provider, cache, answered, answerer, fallback)
    placement, experiment, phase = asked.placement, None, None
    if call.exposed and placement.phase is not None:
        experiment, phase = placement.phase.experiment, placement.phase.name
    cached, name = placement.caching is not None, placement.name
    kind, arm, ops = asked.kind, asked.arm.name, call.explain or call.pinned is not None
    return (call.provider, cache, answered, answerer, fallback, name, kind, arm, cached, experiment, phase, ops)


class Took(defaultdict[Sort, list[float]]):
    """Seconds that requests took, by their sort, over several readings: a sort is looked at once for all of them.

    With a hundred placements a hundred sorts are in each reading, and looking at each would be most of its cost.
    """

    def __init__(self, tell: Callable[[Sort, list[float]], None]) -> None:
        super().__init__(list)
        self._tell = tell
        self._notes = 0

    def noted(self, notes: int) -> None:
        """So many more notes were read: told of once there are enough, though nobody asks."""
        self._notes += notes
        if self._notes >= GATHERED:
            self.tell()

    def tell(self) -> None:
        """Of all of them, and nothing is left."""
        taken = list(self.items())
        self.clear()
        self._notes = 0
        for sort, seconds in taken:
            self._tell(sort, seconds)


class PerSort(dict[Sort, T]):
    """What `make` made for each sort, once."""

    def __init__(self, make: Callable[[Sort], T]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, sort: Sort) -> T:
        if len(self) >= MOST:
            self.clear()
        made = self[sort] = self._make(sort)
        return made

"""What happened in the last five minutes, for the page that people look at (`GET /ui`).

    notes ─▸ Lately: 30 buckets of 10 s ─▸ Recent, of this process ─▸ together, of all that share the port
      Served   ▸ flows: who answered, what the cache did, how long it took; problems
      Round    ▸ flows: who did not answer, and why
      Called   ▸ faults: how often a provider was asked, what went wrong
      Shadowed ▸ shadows

Here it is counted; what is told of it: recent.py.

Memory is bounded by the configuration: placements, arms, providers and names of errors; and by MOST problems.
What ops ask for (`Gateway-Explain`, `Gateway-Provider`) is no traffic, though what it meets at vendors is told.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.answering.explaining import attempt_told
from gateway.deadline import Clock
from gateway.telemetry.notes import Called, Note, Round, Served, Shadowed
from gateway.telemetry.outcomes import HUNG_UP, cache_word, known_method
from gateway.telemetry.recent import ENDS, MOST, Fault, Flow, Recent, Shade, Trouble
from gateway.telemetry.sorts import Sort, Sorts, Told, Took, told_of

WIDTH: Final = 10
"""Seconds of one bucket."""
BUCKETS: Final = 30
NOW: Final = 6
"""Buckets that are called the present: the last minute."""

BROKEN: Final = frozenset({200, 500, 503, 504})
"""Statuses without an answer that the gateway or its vendors are to blame for (200: a part of a batch)."""


class _Bucket:
    """What was counted in one of them."""

    __slots__ = ("calls", "faults", "flows", "shadows", "tick")

    def __init__(self, tick: int) -> None:
        self.tick = tick
        self.flows: dict[tuple[str, str], Flow] = {}
        self.calls: dict[str, int] = {}
        self.faults: dict[tuple[str, str], int] = {}
        self.shadows: dict[tuple[str, str], Shade] = {}


class Lately:
    """Of one process. `clock`: monotonic, and the same for all processes of the machine."""

    def __init__(self, sorts: Sorts, clock: Clock = time.monotonic, wall: Clock = time.time) -> None:
        self._sorts = sorts
        self.clock = clock
        self._wall = wall
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS)
        self._took = Took(self._count_served)
        self._last: dict[tuple[str, str], tuple[float, str, str | None]] = {}
        self._troubles: OrderedDict[tuple[Any, ...], Trouble] = OrderedDict()
        self._unanswered: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        """Attempts of rounds that nobody answered, by trace, until their request ends."""
        self._readers: dict[type, Callable[[_Bucket, Any], None]] = {
            Round: self._round,
            Called: self._called,
            Shadowed: self._shadowed,
        }

    def read(self, notes: Sequence[Note]) -> None:
        """Count what happened. What is the same of many requests is looked at once, before it is told."""
        bucket, readers, took = self._bucket(), self._readers, self._took
        for note in notes:
            if type(note) is Served:
                sort = note.sort or self._sorts.of(note)
                took[sort].append(note.ended - note.started)
                if sort.batch or sort.problem is not None:
                    self._look_closer(bucket, note, sort)
            elif (reader := readers.get(type(note))) is not None:
                reader(bucket, note)
        took.noted(len(notes))

    def _tick(self) -> int:
        return int(self.clock() // WIDTH)

    def _bucket(self) -> _Bucket:
        tick = self._tick()
        if not self._buckets or self._buckets[-1].tick < tick:
            self._took.tell()
            self._buckets.append(_Bucket(tick))
        return self._buckets[-1]

    # --- requests of callers
    def _count_served(self, sort: Sort, seconds: list[float]) -> None:
        """So many of one sort, which are of the last bucket."""
        if sort.told is not None and not sort.batch and sort.status != HUNG_UP:
            _answered(self._buckets[-1], sort.told, seconds, sort.status)

    def _look_closer(self, bucket: _Bucket, served: Served, sort: Sort) -> None:
        """What is not of the sort: the parts of a batch, and whose trace a problem is of."""
        if sort.problem is not None:
            self._trouble(served, sort.problem)
        if served.call is not None and sort.status != HUNG_UP:
            for part in served.call.parts:
                _answered(bucket, told_of(part), [served.ended - served.started], sort.status)

    def _trouble(self, served: Served, slug: str) -> None:
        at, asked = self._wall(), served.call.asked if served.call is not None else None
        trouble = Trouble(
            known_method(served.method),
            served.route,
            served.status,
            slug,
            asked.placement.name if asked is not None else None,
            at,
            at,
            served.trace.trace_id,
            attempts=self._unanswered.pop(served.trace.trace_id, []),
        )
        before = self._troubles.pop(trouble.sort, None)
        if before is not None:
            trouble.first_at, trouble.times = before.first_at, before.times + 1
        self._troubles[trouble.sort] = trouble
        if len(self._troubles) > MOST:
            self._troubles.popitem(last=False)

    # --- what providers did
    def _round(self, bucket: _Bucket, round_: Round) -> None:
        if not round_.attempts:
            return
        flow, at = _flow(bucket, round_.placement, round_.arm), self._wall()
        trace_id = round_.trace.trace_id if round_.trace is not None else None
        for attempt in round_.attempts:
            errors = flow.missed.setdefault(attempt.provider, {})
            name = attempt.error.name
            errors[name] = errors.get(name, 0) + 1
            self._last[attempt.provider, name] = (at, str(attempt.error), trace_id)
        if round_.provider is None and trace_id is not None:
            self._unanswered[trace_id] = [attempt_told(one) for one in round_.attempts]
            if len(self._unanswered) > MOST:
                self._unanswered.popitem(last=False)

    def _called(self, bucket: _Bucket, called: Called) -> None:
        provider, error = called.provider, called.error
        if error is None or error.asked:
            bucket.calls[provider] = bucket.calls.get(provider, 0) + 1
        if error is not None:
            fault = (provider, error.name)
            bucket.faults[fault] = bucket.faults.get(fault, 0) + 1
            self._last[fault] = (self._wall(), str(error), None)

    def _shadowed(self, bucket: _Bucket, shadowed: Shadowed) -> None:
        shade = bucket.shadows.setdefault((shadowed.placement, shadowed.provider), Shade())
        shade.outcomes[shadowed.outcome] = shade.outcomes.get(shadowed.outcome, 0) + 1
        if shadowed.overlap is not None:
            shade.compared += 1
            shade.overlap += shadowed.overlap

    # --- telling
    def told(self) -> Recent:
        """What is known at this moment."""
        self._took.tell()
        tick, recent = self._tick(), Recent(problems=[*reversed(self._troubles.values())])
        for bucket in self._buckets:
            age = tick - bucket.tick
            if age < BUCKETS:
                self._tell(bucket, age, recent)
        return recent

    def _tell(self, bucket: _Bucket, age: int, recent: Recent) -> None:
        for (placement, arm), flow in bucket.flows.items():
            for flows in (recent.lately, *((recent.now,) if age < NOW else ())):
                flows.setdefault(placement, {}).setdefault(arm, Flow()).add(flow)
            pace = recent.pace.setdefault(placement, [[0, 0] for _ in range(BUCKETS)])[BUCKETS - 1 - age]
            pace[0] += flow.requests
            pace[1] += flow.failed + flow.answered.get("", 0) + sum(flow.stood_in.values())
        for provider, count in bucket.calls.items():
            calls = recent.calls.setdefault(provider, [0, 0])
            calls[0] += count if age < NOW else 0
            calls[1] += count
        for (provider, name), count in bucket.faults.items():
            fault = recent.faults.setdefault(provider, {}).setdefault(name, Fault())
            fault.now += count if age < NOW else 0
            fault.lately += count
            fault.at, fault.detail, fault.trace_id = self._last[provider, name]
        for (placement, provider), shade in bucket.shadows.items():
            recent.shadows.setdefault(placement, {}).setdefault(provider, Shade()).add(shade)


def _flow(bucket: _Bucket, placement: str, arm: str | None) -> Flow:
    key = (placement, arm or "")
    flow = bucket.flows.get(key)
    if flow is None:
        flow = bucket.flows[key] = Flow()
    return flow


def _answered(bucket: _Bucket, told: Told, seconds: list[float], status: int) -> None:
    """So many questions of which the same is told."""
    if told.placement is None or told.ops:
        return
    flow, times = _flow(bucket, told.placement, told.arm), len(seconds)
    if not told.answered:
        if status in BROKEN:
            flow.failed += times
        return
    provider = told.answerer or ""
    flow.answered[provider] = flow.answered.get(provider, 0) + times
    if told.fallback and provider:
        flow.stood_in[provider] = flow.stood_in.get(provider, 0) + times
    outcome = cache_word(told.cache or "miss") if told.cached else "off"
    flow.cache[outcome] = flow.cache.get(outcome, 0) + times
    steps = flow.steps
    for one in seconds:
        step = bisect_left(ENDS, one)
        steps[step] = steps.get(step, 0) + 1

"""Answers that went out, noted as they go and written to the store in batches.

    note    plain synchronous code: one small tuple onto a bounded list
    write   at most every `EVERY` seconds: summed by arm, units as marks, one change of the store

A writing that failed may have been done all the same, so it is repeated as it was, by its number: the store counts
each once. Where the store cannot write for long the oldest notes are kept and newer ones dropped, counted: an
experiment may lose counts, never a request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final
from uuid import uuid4

import structlog

from gateway.deadline import Clock
from gateway.experiments.counts import Shown
from gateway.experiments.phase import Phase, unit_mark
from gateway.state.store import Store, StoreError

EVERY: Final = 0.5
"""Seconds between two writings: what was shown is durable within a second."""
MOST: Final = 50_000
"""Notes that wait at once."""

Note = tuple[Phase, str, str, bool, bool]
"""Phase, arm, unit; was the answer empty, and did a stand-in give it?"""

log = structlog.get_logger("gateway.experiments")


class Exposures:
    """One process's."""

    def __init__(self, store: Store, key: bytes, wall: Clock = time.time) -> None:
        self._store = store
        self._key = key
        self._wall = wall
        self._notes: list[Note] = []
        self._under_way: list[Note] = []
        """Those whose writing has begun, and may have failed."""
        self._writer, self._number = uuid4().hex, 0
        self._writing = asyncio.Lock()
        self.dropped = 0
        """Notes that found no place."""

    def note(self, phase: Phase, arm: str, unit: str, *, empty: bool, fallback: bool) -> None:
        """An answer of this arm goes out to this unit."""
        if len(self._notes) + len(self._under_way) < MOST:
            self._notes.append((phase, arm, unit, empty, fallback))
        else:
            self.dropped += 1

    async def open(self, phases: Iterable[Phase]) -> None:
        """These phases are in force now. Raises StoreError."""
        await self._store.open_phases(list(phases), self._wall())

    async def write(self) -> None:
        """All that was noted is in the store when this returns. Raises StoreError; then it waits for the next."""
        async with self._writing:
            while self._under_way or self._notes:
                if not self._under_way:
                    self._number += 1
                    self._under_way, self._notes = self._notes, []
                shown = list(self._summed(self._under_way))
                await self._store.note_shown(shown, self._wall(), (self._writer, self._number))
                self._under_way = []

    def _summed(self, notes: Iterable[Note]) -> Iterable[Shown]:
        by_arm: dict[tuple[str, str, str], list[Note]] = {}
        for note in notes:
            phase, arm, *_ = note
            by_arm.setdefault((phase.experiment, phase.name, arm), []).append(note)
        for of_arm in by_arm.values():
            phase, arm, *_ = of_arm[0]
            yield Shown(
                phase,
                arm,
                units=tuple(unit_mark(self._key, unit) for unit in dict.fromkeys(note[2] for note in of_arm)),
                exposures=len(of_arm),
                empty=sum(note[3] for note in of_arm),
                fallback=sum(note[4] for note in of_arm),
            )

    async def run(self, phases: Callable[[], Iterable[Phase]]) -> None:
        """Write until cancelled. `phases`: those in force, which are opened as they come."""
        opened: set[tuple[str, str]] = set()
        while True:
            try:
                new = [phase for phase in phases() if (phase.experiment, phase.name) not in opened]
                if new:
                    await self.open(new)
                    opened = {(phase.experiment, phase.name) for phase in phases()}
                await self.write()
            except StoreError as error:
                log.warning("what experiments showed cannot be written now", error=str(error))
            await asyncio.sleep(EVERY)

    async def close(self) -> None:
        """Write what is left, if that can be."""
        try:
            await self.write()
        except StoreError as error:
            log.warning("what experiments showed last is lost", notes=len(self._notes), error=str(error))

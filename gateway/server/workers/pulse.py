"""Signs of life of workers: one whose event loop hangs lives, and would keep its callers waiting for ever.

    worker      beat, about each second that its loop turns ─▸ channel ┐
    supervisor  a turn each second: who said nothing for SILENT? ◂─────┘ ─▸ log ▸ its frames on stderr ▸ SIGKILL

Not watched, whatever it does: one whose doors are not yet open or shut again, and one that takes another
configuration. One that drains or has much to do beats all the same: its loop turns, if slowly.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from gateway.deadline import Clock
from gateway.server.workers.channel import Up

BEAT: Final = 1.0
"""Seconds between two signs of life, and between two looks at who has given one."""
LATE: Final = 2 * BEAT
"""Seconds after which a look came late, because the supervisor itself was stopped or found no time to run."""
SILENT: Final = 30.0
"""Seconds without a sign of life after which a worker hangs: far more than any request may take."""
FRAMES: Final = signal.SIGUSR2
"""Makes a worker print where each of its threads is (`faulthandler`, on standard error): no values, so no data."""
PRINTING: Final = 2.0
"""Seconds that it has for that. One that is itself stopped prints nothing."""


class Pulse:
    """Of one worker. `say`: to its supervisor, at once, and without waiting."""

    def __init__(self, say: Callable[[Up], None]) -> None:
        self._say = say
        self._excuses = 0

    @contextmanager
    def beating(self) -> Iterator[None]:
        """For the time of the block, in the running event loop; what comes after may take its time."""
        beats = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beats.cancel()
            self._excuse()

    @contextmanager
    def excused(self) -> Iterator[None]:
        """What is done in this block may take its time."""
        self._excuse()
        try:
            yield
        finally:
            self._excuses -= 1
            self._tell()

    def _excuse(self) -> None:
        self._excuses += 1
        self._tell()

    async def _beat(self) -> None:
        while True:
            self._tell()
            await asyncio.sleep(BEAT)

    def _tell(self) -> None:
        self._say(Up(watched=not self._excuses))


class Silences:
    """How long each of a supervisor's workers, by slot, has said nothing.

    Only time that the supervisor was awake for counts, so neither a machine that was suspended nor a supervisor
    that was stopped makes anybody silent: what was said meanwhile is read before the next look.
    """

    def __init__(self, clock: Clock, limit: float) -> None:
        self._clock = clock
        self._limit = limit
        self._looked = clock()
        self._silent: dict[int, float] = {}

    def heard(self, slot: int, *, watched: bool) -> None:
        """It says something. `watched`: and should soon say more."""
        if watched:
            self._silent[slot] = 0.0
        else:
            self.forget(slot)

    def forget(self, slot: int) -> None:
        """It need say no more, or is dead."""
        self._silent.pop(slot, None)

    def look(self) -> list[int]:
        """Whoever has now been silent for too long, each once. To be called every BEAT seconds."""
        now = self._clock()
        passed, self._looked = now - self._looked, now
        if passed >= LATE:
            return []
        for slot in self._silent:
            self._silent[slot] += passed
        hanging = [slot for slot, silent in self._silent.items() if silent >= self._limit]
        for slot in hanging:
            self.forget(slot)
        return hanging

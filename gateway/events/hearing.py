"""What this process hears through the store: whose cached answers hold no more, who was erased, what is hidden.

Looked for every half second, so that what another process accepted has effect here within a second; and at once
where the store rings (Valkey, by publish/subscribe). One process of all sweeps what the retention has ended for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

import structlog

from gateway.answering.asked import subject_of
from gateway.deadline import Clock
from gateway.events.hidden import Hidden
from gateway.memory import Memory
from gateway.plan import Plan
from gateway.policies.cache import AnswerCache
from gateway.state.kept import Queue, StoreError
from gateway.state.ledger import Ledger

log = structlog.get_logger("gateway.events")

LOOK: Final = 0.5
COUNT: Final = 5.0
"""Seconds between two counts of what is queued, for the metrics …"""
SHARE: Final = 10
"""… or so many times what the last took: a very long queue is counted more rarely."""
SWEEP: Final = 60.0
SWEEPING: Final = 600.0
"""Seconds for which a process has the right to sweep."""


class Hearing:
    """Starts with `start`."""

    def __init__(
        self,
        plan: Plan,
        store: Ledger,
        cache: AnswerCache,
        hidden: Hidden,
        memory: Memory,
        *,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.plan = plan
        self.queues: dict[str, Queue] = {}
        """As they were counted last."""
        self.heard_at = wall()
        """Unix seconds: when the store last said what is new; at first, when this began."""
        self.failures = 0
        """How often it could not."""
        self._store, self._cache, self._hidden, self._memory = store, cache, hidden, memory
        self._clock, self._wall, self._sleep = clock, wall, sleep
        self._event = self._forgotten = -1
        self._counted = self._swept = float("-inf")
        self._holder = uuid4().hex

    async def run(self) -> None:
        """Until cancelled."""
        bell = self._store.bell()
        while True:
            try:
                await self.hear()
                await self._by_the_clock()
            except StoreError as error:
                self.failures += 1
                log.warning("no news from the store", error=str(error))
                await self._sleep(LOOK)  # however often it rings
            else:
                await bell.wait(LOOK)

    async def hear(self) -> None:
        """All there is to be heard now. Raises StoreError."""
        news = await self._store.news(self._event, self._forgotten)
        if news.hidden != self._hidden.version:
            await self._look_what_is_hidden(news.hidden)
        if news.users is None:
            self._cache.drop()
        for user in news.users or ():
            self._cache.drop_subject(subject_of(user))
        for user in news.erased:
            self._memory.forget_user(user)
        self._event, self._forgotten = news.event, news.forgotten
        self.heard_at = self._wall()

    async def _look_what_is_hidden(self, version: int) -> None:
        """What this process hid or showed meanwhile may not be in what was read: then the next look will do."""
        changes = self._hidden.changes
        items = await self._store.hidden_items()
        if self._hidden.changes == changes:
            self._hidden.items, self._hidden.version = items, version

    async def _by_the_clock(self) -> None:
        now = self._clock()
        if now - self._counted >= COUNT:
            self._counted = now
            self.queues = await self._store.queues()
            self._counted += max(0.0, SHARE * (self._clock() - now) - COUNT)
        if now - self._swept >= SWEEP:
            self._swept = now
            if await self._store.lease("sweeper", self._holder, SWEEPING, self._wall()):
                await self._sweep()

    async def _sweep(self) -> None:
        wall = self._wall()
        before = wall - self.plan.configuration.state.retention
        while await self._store.sweep(before, list(self.plan.providers), wall):
            await self._sleep(0)

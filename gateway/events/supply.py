"""Where one courier's errands come from: what waits in the store, a part at a time; before that a replay's.

waiting runs low, or somebody calls, or `LOOK` has passed ─▸ a replay? its next part is queued ─▸ read on
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
from msgspec.structs import replace

from gateway.adapter import Adapter
from gateway.deadline import Clock
from gateway.events.lease import Lease
from gateway.events.routes import keeps, objection
from gateway.events.waiting import Waiting
from gateway.policies.rate import Rate
from gateway.state.kept import Errand, Replay
from gateway.state.ledger import Ledger

log = structlog.get_logger("gateway.events")

WINDOW: Final = 1000
"""Errands at hand, at most; the rest stays in the store, so that a backlog costs no memory."""
LOOK: Final = 0.5
"""Seconds between two looks at the store where nobody calls: other processes accept events too."""
PART: Final = 200
"""Things of a replay that are queued at once."""


class Supply:
    """Of one courier. `busy`: is anything under way?"""

    def __init__(
        self,
        provider: str,
        store: Ledger,
        waiting: Waiting,
        lease: Lease,
        busy: Callable[[], bool],
        *,
        clock: Clock,
        wall: Clock,
    ) -> None:
        self.rate: Rate | None = None
        """How fast a replay may go; None while there is none."""
        self.put_off_at_most = float("inf")
        """Seconds. What is put off longer was so before the machine's clock was set back."""
        self._provider, self._store = provider, store
        self._waiting, self._lease, self._busy = waiting, lease, busy
        self._clock, self._wall = clock, wall
        self._last = 0
        self._all_at_hand = False
        self._looked = float("-inf")
        self._replay: Replay | None = None
        self._begun = 0
        """How often reading began at the beginning."""

    def called(self) -> None:
        """There is something new."""
        self._all_at_hand = False

    def start_over(self) -> None:
        """Nothing is at hand any more: read all of it anew."""
        self._waiting.clear()
        self._last, self._all_at_hand, self._looked = 0, False, float("-inf")
        self._begun += 1

    async def refill(self, adapter: Adapter) -> None:
        """Have enough at hand, if there is any. Raises StoreError."""
        due = self._clock() - self._looked >= LOOK
        if due:
            self._looked = self._clock()
            await self._look_for_replay()
        if len(self._waiting) > WINDOW // 2 or (self._all_at_hand and not due):
            return
        if self._replay is not None and self._replay.stage != "done" and len(self._waiting) < PART:
            await self._go_on(adapter)
        begun = self._begun
        self._all_at_hand = True  # unless there is more, or somebody calls meanwhile
        errands = await self._store.errands(
            self._provider, self._last, self._room(), replayed=self.rate is not None
        )
        if begun != self._begun:
            return  # these follow what is no longer at hand
        self._waiting.add(map(self._in_time, errands))
        if errands:
            self._last, self._all_at_hand = errands[-1].seq, False

    def _room(self) -> int:
        """Without the lease just a look at whether there is anything."""
        return WINDOW - len(self._waiting) if self._lease.held else 1

    def _in_time(self, errand: Errand) -> Errand:
        return errand if errand.due <= self._wall() + self.put_off_at_most else replace(errand, due=0.0)

    async def _look_for_replay(self) -> None:
        """A replay begins, or all of one has been told."""
        self._replay = replay = await self._store.replay(self._provider)
        if replay is None or (self.rate is not None and (self._waiting or self._busy())):
            return
        left = replay.stage != "done" or await self._store.replayed_left(self._provider) > 0
        if left != (self.rate is not None):
            log.info("replay begins" if left else "replay told", provider=self._provider)
            self.rate = Rate(replay.rate) if left else None
            self.start_over()

    async def _go_on(self, adapter: Adapter) -> None:
        """The next part of a replay, by whoever holds the lease."""
        if await self._lease.hold():
            now = self._wall()
            self._replay = await self._store.go_on(
                self._provider, keeps(adapter), lambda event: objection(adapter, event, now) is None, PART, now
            )

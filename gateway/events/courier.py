"""Brings one provider what waits for it: one courier a provider, one at work among all processes.

    lease? ─no─▸ look again later
      │yes
      ▾
    refill from the store ─▸ loads ─▸ up to LANES at once: tell ─▸ settle (told, dead letters) or postpone
                                          order is kept within a subject: gateway.events.waiting

What fails waits, alone with its subject, longer each time up to `retry.max`; the rest goes on. When nothing goes
at all the provider is down (gateway.events.pace): then one errand at a time finds out whether it is back, and as
soon as it is, everything is due again, the oldest first. A replay (gateway.state.sqlite.replays) comes before what
waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from gateway.config.traffic import Events
from gateway.deadline import Clock
from gateway.errors import ProviderError, Throttled
from gateway.events.lease import Lease
from gateway.events.pace import Pace
from gateway.events.routes import keeps, objection
from gateway.events.telling import REJECTED, Credits, Teller, Told
from gateway.events.waiting import Waiting
from gateway.policies.rate import Rate
from gateway.provider import Provider
from gateway.state.kept import Errand, Replay, StoreError
from gateway.state.ledger import Ledger

log = structlog.get_logger("gateway.events")

LANES: Final = 8
"""Loads of one provider under way at once: some vendors take one thing a call."""
WINDOW: Final = 1000
"""Errands at hand, at most; the rest stays in the store, so that a backlog costs no memory."""
LOOK: Final = 0.5
"""Seconds between two looks at the store where nobody calls: other processes accept events too."""
SETTLED: Final = 5
"""Further tries to note what was told."""
PART: Final = 200
"""Things of a replay that are queued at once."""


class Hash(Protocol):
    """What stands for a user in receipts."""

    def __call__(self, user: str) -> str: ...


class Courier:
    """See the module. `wall`: Unix seconds; `clock`: monotonic."""

    def __init__(
        self,
        provider: Provider,
        store: Ledger,
        settings: Events,
        credits_of: Credits,
        hash_of: Hash,
        *,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
        rng: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = provider.name
        self.settings = settings
        self._store = store
        self._teller = Teller(provider, credits_of, wall)
        self._hash_of = hash_of
        self._clock, self._wall, self._sleep = clock, wall, sleep
        self._pace = Pace(settings.retry, clock, rng or Random())  # noqa: S311  # jitter, no secret
        self._lease = Lease(f"courier {self.name}", store, clock, wall)
        self._waiting = Waiting()
        self._last = 0
        self._all_at_hand = False
        self._looked = float("-inf")
        self._replay: Replay | None = None
        self._replaying = False
        self._replay_rate: Rate | None = None
        self._again_in: float | None = None
        self._called = asyncio.Event()
        self._lanes: set[asyncio.Task[None]] = set()
        self._stopping = False

    # --- from outside
    def call(self) -> None:
        """There is something new."""
        self._all_at_hand = False
        self._called.set()

    def takes_over(self, provider: Provider, settings: Events) -> None:
        """The same account, configured anew."""
        self._teller.provider = provider
        self.settings = settings
        self._pace.retry = settings.retry

    def forget(self, subject: str) -> None:
        """What waits for this subject was dropped from the store."""
        self._waiting.drop(subject)
        self.call()

    def stop(self) -> None:
        """Begin nothing more; `run` ends when what is under way has."""
        self._stopping = True
        self._called.set()

    async def close(self, seconds: float) -> None:
        """After `stop`: wait that long for what is under way, then break it off; let another take the lease."""
        if self._lanes:
            await asyncio.wait(self._lanes, timeout=seconds)
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        try:
            await self._lease.hand_back()
        except StoreError as error:
            log.warning("lease not handed back", provider=self.name, error=str(error))

    # --- the loop
    async def run(self) -> None:
        """Until stopped."""
        while not self._stopping:
            self._called.clear()
            try:
                await self._at_work()
            except StoreError as error:
                log.warning("courier waits for the store", provider=self.name, error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK, self._again_in or LOOK)):
                    await self._called.wait()

    async def _at_work(self) -> None:
        """Look for work, and begin as much of it as may be."""
        await self._refill()
        self._again_in = None
        if (self._waiting or self._lanes) and await self._holds():
            self._launch()

    async def _holds(self) -> bool:
        """Is this the process that may tell this provider?"""
        held_before = self._lease.held
        if not await self._lease.hold():
            self._start_over()  # another is at work: what is at hand here is his
            return False
        if not held_before:
            self.call()  # so far only a look was taken at what there is
        return True

    def _start_over(self) -> None:
        self._waiting.clear()
        self._last, self._all_at_hand, self._looked = 0, False, float("-inf")

    # --- what is at hand
    async def _refill(self) -> None:
        due = self._clock() - self._looked >= LOOK
        if due:
            self._looked = self._clock()
            await self._look_for_replay()
        if len(self._waiting) > WINDOW // 2 or (self._all_at_hand and not due):
            return
        if self._replaying and self._replay is not None and self._replay.stage != "done":
            await self._go_on_with_replay()
        room = WINDOW - len(self._waiting) if self._lease.held else 1
        errands = await self._store.errands(self.name, self._last, room, replayed=self._replaying)
        self._waiting.add(map(self._not_put_off_too_long, errands))
        self._all_at_hand = not errands
        if errands:
            self._last = errands[-1].seq

    def _not_put_off_too_long(self, errand: Errand) -> Errand:
        """The machine's clock may have been set back since."""
        return errand if errand.due <= self._wall() + self.settings.retry.max else replace(errand, due=0.0)

    async def _look_for_replay(self) -> None:
        """A replay begins, or all of one has been told."""
        self._replay = replay = await self._store.replay(self.name)
        if replay is None or (self._replaying and (self._waiting or self._lanes)):
            return
        replaying = replay.stage != "done" or bool(await self._store.errands(self.name, 0, 1, replayed=True))
        if replaying != self._replaying:
            log.info("replay begins" if replaying else "replay told", provider=self.name)
            self._replaying, self._replay_rate = replaying, Rate(replay.rate) if replaying else None
            self._start_over()

    async def _go_on_with_replay(self) -> None:
        """The next part, by whoever holds the lease."""
        if len(self._waiting) >= PART or not await self._holds():
            return
        adapter, now = self._teller.provider.adapter, self._wall()
        self._replay = await self._store.go_on(
            self.name, keeps(adapter), lambda event: objection(adapter, event, now) is None, PART, now
        )

    # --- loads
    def _launch(self) -> None:
        while len(self._lanes) < self._most_lanes() and not self._stopping:
            probe = self._pace.down
            load = self._next_load()
            if not load:
                return
            lane = asyncio.get_running_loop().create_task(self._deliver(load, probe))
            self._lanes.add(lane)
            lane.add_done_callback(self._lane_is_free)

    def _lane_is_free(self, lane: asyncio.Task[None]) -> None:
        self._lanes.discard(lane)
        self._called.set()

    def _most_lanes(self) -> int:
        """Below the provider's bound of writes, so that no lane of ours is passed over for another's sake."""
        return 1 if self._pace.down else min(LANES, max(1, self._teller.provider.settings.max_in_flight // 2))

    def _next_load(self) -> list[Errand]:
        now = self._wall()
        if pause := self._pace.wait():
            self._again_in = pause
            return []
        if self._pace.down:
            return self._waiting.take_one()
        most = min(self.settings.batch, max(1, self._teller.provider.adapter.events_per_call))
        load = self._waiting.take(most, now)
        if not load:
            due = self._waiting.next_due(now)
            self._again_in = None if due is None else due - now
            return []
        self._again_in = self._too_early(load, most, now)
        if self._again_in is None:
            return load
        self._waiting.over(load, load)
        return []

    def _too_early(self, load: Sequence[Errand], most: int, now: float) -> float | None:
        """In how many seconds a load may go that could become fuller, or that a replay's rate holds back."""
        fills_in = load[0].accepted_at + self.settings.linger - now
        if len(load) < most and not load[0].attempts and 0 < fills_in <= self.settings.linger:
            return fills_in
        if self._replay_rate is not None and (wait := self._replay_rate.admit(self._clock(), len(load))):
            return wait
        return None

    async def _deliver(self, load: list[Errand], probe: bool) -> None:
        """One load; what is left of it waits again."""
        back: list[Errand] = []
        try:
            queued = await self._store.still_queued([errand.seq for errand in load])
            here = [errand for errand in load if errand.seq in queued]
            if here:
                back = await self._told(here, probe)
        except StoreError as error:
            log.warning("delivery waits for the store", provider=self.name, error=str(error))
            self._pace.pause(self._pace.delay(1))
            self._start_over()  # whatever was settled or not stands there
        except BaseException:
            self._start_over()
            raise
        finally:
            self._waiting.over(load, back)

    async def _told(self, load: list[Errand], probe: bool) -> list[Errand]:
        """Tell and settle; those that wait again."""
        if load[0].kind == "erase_user":
            return await self._erase(load[0], probe)
        told = await self._teller.tell(load)
        for errand, reason in told.refused:
            log.warning("dead letter", provider=self.name, kind=errand.kind, id=errand.ref, reason=reason)
        await self._settle(told)
        if told.error is None:
            self._works()
            return []
        return await self._put_off(told, probe)

    async def _settle(self, told: Told) -> None:
        """Several times where the store cannot: what is not settled is told again."""
        if not told.told and not told.refused:
            return
        for again in range(SETTLED, -1, -1):
            try:
                await self._store.settle(self.name, told.told, told.refused, self._wall())
                return
            except StoreError:
                if not again:
                    raise
                await self._sleep(LOOK)

    async def _erase(self, errand: Errand, probe: bool) -> list[Errand]:
        hash_ = self._hash_of(errand.ref)
        try:
            status = await self._teller.erase(errand.ref)
        except ProviderError as error:
            if error.outcome not in REJECTED:
                return await self._put_off(Told(left=[errand], error=error), probe)
            reason = error.vendor_message or str(error)
            await self._store.erasure_failed(self.name, errand, hash_, reason, self._wall())
        else:
            await self._store.erased(self.name, errand, hash_, status)  # type: ignore[arg-type]  # an Erased
        self._works()
        return []

    # --- when it fails
    def _works(self) -> None:
        if self._pace.works():
            self._waiting.all_due()

    async def _put_off(self, told: Told, probe: bool) -> list[Errand]:
        """What is left of a load: later, and later each time."""
        error = told.error
        if isinstance(error, Throttled):
            self._pace.pause(error.retry_after)
            return told.left
        if isinstance(error, StoreError):
            self._pace.pause(self._pace.delay(1))
            return told.left
        if error is not None and not error.asked:
            self._pace.is_down()
            return told.left
        log.warning("delivery failed", provider=self.name, kind=told.left[0].kind, error=str(error))
        self._pace.failed(probe=probe)
        now = self._wall()
        left = [
            replace(errand, attempts=errand.attempts + 1, due=now + self._pace.delay(errand.attempts + 1))
            for errand in told.left
        ]
        await self._store.postpone(left)
        return left

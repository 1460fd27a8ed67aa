"""Brings one provider what waits for it: one courier a provider, one at work among all processes.

    lease? ─no─▸ look again later
      │yes
      ▾
    refill from the store ─▸ loads ─▸ some calls at once ──▸ settle (told, dead letters) or postpone:
                                                                on disk while the next calls are under way
                   order is kept within a subject until then: gateway.events.waiting

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
from typing import Protocol

import structlog
from msgspec.structs import replace

from gateway.config.traffic import Events
from gateway.deadline import Clock
from gateway.errors import ProviderError, Throttled
from gateway.events.lease import Lease
from gateway.events.pace import Pace
from gateway.events.settling import Settling
from gateway.events.supply import LOOK, Supply
from gateway.events.telling import REJECTED, Credits, Teller, Told
from gateway.events.waiting import Waiting
from gateway.provider.account import Provider
from gateway.state.kept import Errand, StoreError
from gateway.state.store import Store

log = structlog.get_logger("gateway.events")


class Hash(Protocol):
    """What stands for a user in receipts."""

    def __call__(self, user: str) -> str: ...


class Courier:
    """See the module. `wall`: Unix seconds; `clock`: monotonic."""

    def __init__(
        self,
        provider: Provider,
        store: Store,
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
        self._hash_of = hash_of
        self._clock, self._wall, self._sleep = clock, wall, sleep
        self._pace = Pace(settings.retry, clock, rng or Random())  # noqa: S311  # jitter, no secret
        self._lease = Lease(f"courier {self.name}", store, clock, wall)
        self._teller = Teller(provider, credits_of, wall, lambda: self._lease.held)
        self._waiting = Waiting()
        self._supply = Supply(
            self.name, store, self._waiting, self._lease, lambda: bool(self._lanes), clock=clock, wall=wall
        )
        self._again_in: float | None = None
        self._called = asyncio.Event()
        self._settling = Settling(self.name, store, wall, sleep)
        self._lanes: set[asyncio.Task[None]] = set()
        self._calls = 0
        self._stopping = False

    # --- from outside
    def call(self) -> None:
        """There is something new."""
        self._supply.called()
        self._called.set()

    def takes_over(self, provider: Provider, settings: Events) -> None:
        """The same account, configured anew."""
        self._teller.provider = provider
        self.settings = settings
        self._pace.retry = settings.retry

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
        await self._settling.close()
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
        self._supply.put_off_at_most = self.settings.retry.max
        await self._supply.refill(self._teller.provider.adapter)
        self._again_in = None
        if (self._waiting or self._lanes) and await self._holds():
            self._launch()

    async def _holds(self) -> bool:
        """Is this the process that may tell this provider?"""
        held_before = self._lease.held
        if not await self._lease.hold():
            self._supply.start_over()  # another is at work: what is at hand here is his
            return False
        if not held_before:
            self.call()  # so far only a look was taken at what there is
        return True

    # --- loads
    def _launch(self) -> None:
        while self._calls < self._most_calls() and not self._settling.full and not self._stopping:
            probe = self._pace.down
            load = self._next_load()
            if not load:
                return
            self._calls += 1
            lane = asyncio.get_running_loop().create_task(self._deliver(load, probe))
            self._lanes.add(lane)
            lane.add_done_callback(self._lane_is_free)

    def _lane_is_free(self, lane: asyncio.Task[None]) -> None:
        self._lanes.discard(lane)
        self._called.set()

    def _most_calls(self) -> int:
        """Below the provider's bound of writes, so that no call of ours is passed over for another's sake."""
        return min(self._pace.calls, max(1, self._teller.provider.settings.max_in_flight // 2))

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
        rate = self._supply.rate
        if rate is not None and (wait := rate.admit(self._clock(), len(load))):
            return wait
        return None

    async def _deliver(self, load: list[Errand], probe: bool) -> None:
        """One load; what is left of it waits again. Its subjects are busy until what became of it is on disk."""
        back: list[Errand] = []
        try:
            told = await self._one_call(load, probe)
            await self._settling.settle(told, counts=type(self._teller.provider.adapter).has("train") is not None)
            back = await self._put_off(told)
        except StoreError as error:
            log.warning("delivery waits for the store", provider=self.name, error=str(error))
            self._pace.pause(self._pace.delay(1))
            self._supply.start_over()  # whatever was settled or not stands there
        except BaseException:
            self._supply.start_over()
            raise
        finally:
            self._waiting.over(load, back)

    async def _one_call(self, load: list[Errand], probe: bool) -> Told:
        """When it is over the next may begin: what is left to do here is the store's."""
        began = self._clock()
        try:
            queued = await self._store.still_queued([errand.seq for errand in load])
            here = [errand for errand in load if errand.seq in queued]
            told = await self._tell(here) if here else None
        finally:
            self._calls -= 1
            self._called.set()
        if told is not None:
            self._learn(told, began, probe)
        return told or Told()

    async def _tell(self, load: list[Errand]) -> Told:
        if load[0].kind == "erase_user":
            return await self._erase(load[0])
        told = await self._teller.tell(load)
        for errand, _ in told.refused:  # the reason may be in the vendor's words, which may name a person
            log.warning("dead letter", provider=self.name, kind=errand.kind)
        return told

    async def _erase(self, errand: Errand) -> Told:
        hash_ = self._hash_of(errand.ref)
        try:
            status = await self._teller.erase(errand.ref)
        except ProviderError as error:
            if error.outcome not in REJECTED:
                return Told(left=[errand], error=error)
            reason = error.vendor_message or str(error)
            await self._store.erasure_failed(self.name, errand, hash_, reason, self._wall())
        else:
            await self._store.erased(self.name, errand, hash_, status)  # type: ignore[arg-type]  # an Erased
        return Told()

    # --- when it fails
    def _learn(self, told: Told, began: float, probe: bool) -> None:
        """What this says of the provider."""
        error = told.error
        if error is None:
            self._pace.took(self._clock() - began)
            if self._pace.works():
                self._waiting.all_due()
        elif isinstance(error, Throttled):
            self._pace.pause(error.retry_after)
        elif isinstance(error, StoreError):
            self._pace.pause(self._pace.delay(1))
        elif not error.asked:
            self._pace.is_down()
        else:
            log.warning("delivery failed", provider=self.name, kind=told.left[0].kind, error=str(error))
            self._pace.failed(probe=probe)

    async def _put_off(self, told: Told) -> list[Errand]:
        """What is left of a load: later, and later each time, where the provider was asked and failed.

        What was erased meanwhile does not wait again: the erasure, and what follows it, would wait behind it.
        """
        error = told.error
        if not isinstance(error, ProviderError) or isinstance(error, Throttled) or not error.asked:
            return told.left
        now = self._wall()
        left = [
            replace(errand, attempts=errand.attempts + 1, due=now + self._pace.delay(errand.attempts + 1))
            for errand in told.left
        ]
        await self._store.postpone(left)
        queued = await self._store.still_queued([errand.seq for errand in left])
        return [errand for errand in left if errand.seq in queued]

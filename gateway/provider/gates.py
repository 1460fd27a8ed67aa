"""May a vendor be asked at all, and what each call says of it.

throttle ▸ bulkhead ▸ breaker ▸ rate ─▸ the call ─▸ verdict: breaker, throttle, health
    │          └──────────┴ PassedOver
    └ and a spent rate: Throttled; the last provider of a list waits for its end where that fits the deadline
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from gateway.deadline import LEAST, MARGIN, Clock, Deadline, Hurried
from gateway.errors import ProviderError, Throttled, TimedOut
from gateway.place import Place
from gateway.policies.breaker import Breaker, BreakerSettings, Permit
from gateway.policies.bulkhead import Bulkhead
from gateway.policies.pace import Pace
from gateway.policies.throttle import Throttle
from gateway.provider.health import Health
from gateway.provider.settings import ProviderSettings

T = TypeVar("T")


class Gates:
    """Of one provider."""

    def __init__(
        self,
        settings: ProviderSettings,
        clock: Clock,
        rng: Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        place: Place,
        longest_pause: float | None = None,
    ) -> None:
        """`longest_pause`: seconds for which the breaker of writes may stay open; a backlog waits behind it.

        `place`: among the processes that divide its rate.
        """
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self.reads = Breaker(settings.breaker, settings.timeout, clock, rng)
        self.writes = Breaker(_at_most(settings.breaker, longest_pause), settings.write_timeout, clock, rng)
        self.bulkhead = Bulkhead(settings.max_in_flight)
        self.throttle = Throttle(clock)
        self.pace = Pace(place.rate(settings.rate)) if settings.rate else None
        """Its own rate, where one is set."""
        self.health = Health(clock)

    async def through(self, write: bool, deadline: Deadline, call: Callable[[], Awaitable[T]]) -> T:
        """What the call returns. Raises what it raises; PassedOver or Throttled where it may not be made."""
        while True:
            try:
                return await self._admitted(write, deadline, call)
            except Throttled as error:
                wait = error.retry_after
                if deadline.after or wait + LEAST + MARGIN > deadline.left():
                    raise
            await self._sleep(wait)

    async def _admitted(self, write: bool, deadline: Deadline, call: Callable[[], Awaitable[T]]) -> T:
        """A caller that hangs up leaves the permit without a verdict: that is nobody's fault."""
        self._not_throttled()
        self.bulkhead.enter(write)
        try:
            breaker = self.writes if write else self.reads
            with breaker.admit() as permit:
                deadline.breaker = breaker.state
                self._within_rate()  # last, because it is spent: a call that is refused elsewhere costs none of it
                started = self._clock()
                try:
                    result = await call()
                except ProviderError as error:
                    self._judge(error, permit, deadline, self._clock() - started)
                    raise
                seconds = self._clock() - started
                permit.succeeded(seconds)
                self.health.note(seconds, None)
                return result
        finally:
            self.bulkhead.leave(write)

    def _not_throttled(self) -> None:
        """Raises Throttled while the vendor asked to be left alone."""
        wait = self.throttle.wait()
        if wait > 0:
            raise Throttled("was throttled", retry_after=wait)

    def _within_rate(self) -> None:
        """Raises Throttled while our own rate is spent."""
        if self.pace is not None and (wait := self.pace.admit(self._clock())) > 0:
            raise Throttled("the rate set for it is spent", retry_after=wait)

    def _judge(self, error: ProviderError, permit: Permit, deadline: Deadline, seconds: float) -> None:
        if not error.asked or self._too_hurried(error, deadline, seconds):
            return
        self.health.note(seconds, error)
        if error.counts:
            permit.failed(seconds)
        else:
            permit.ignored()
        if isinstance(error, Throttled):
            self.throttle.note(error.retry_after)

    def _too_hurried(self, error: ProviderError, deadline: Deadline, seconds: float) -> bool:
        """Did it time out because the caller left it less than half of the time that is configured?"""
        hurried = isinstance(error, TimedOut) and isinstance(deadline, Hurried)
        return hurried and seconds < self._settings.timeout / 2

    def have_room(self) -> bool:
        """May it be asked what nobody waits for? Not where that could keep out a question that somebody does.

        Half of the places and of the rate stay free. A breaker that is not closed refuses by itself.
        """
        pace = self.pace
        spared = pace is None or pace.remaining(self._clock()) > (pace.burst + 1) // 2
        return spared and self.bulkhead.in_flight < self._settings.max_in_flight // 2


def _at_most(settings: BreakerSettings, longest: float | None) -> BreakerSettings:
    if longest is None:
        return settings
    bounds = {"open": min(settings.open, longest), "max_open": min(settings.max_open, longest)}
    return settings.model_copy(update=bounds)

"""Trainings: at most one in the vendor's interval, for the whole deployment and across restarts.

    begin ─▸ the store's lock ─▸ the vendor ─▸ scheduled
                 │ too early          │ failed
                 ▼                    ▼
              TooEarly          may it have begun?  yes, or nobody knows: the lock stays
                                                    no: it is given back

Whether a training may have begun is read from the exchanges themselves: one that never left and one that the
vendor refused have begun nothing, and a failed login is no exchange of the training's. Where the store fails, a
lock that it may have kept all the same is given back as soon as it is there again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from gateway import addressing
from gateway.deadline import Clock, Deadline
from gateway.errors import GatewayError
from gateway.provider.account import Provider
from gateway.state.store import Store, StoreError
from gateway.telemetry.notes import Exchange

MAYBE_DONE: Final = frozenset({408, 425})
"""Refusals that say nothing of what became of the request."""
LOOK: Final = 10.0
"""Seconds between two looks at who is to be trained by itself."""
PAUSE: Final = 300.0
"""Seconds that a provider is left alone after a training of its own accord that failed."""

log = structlog.get_logger("gateway")


class TooEarly(Exception):  # an outcome before it is an error
    """The interval is not over."""

    def __init__(self, next_allowed_at: float) -> None:
        super().__init__(next_allowed_at)
        self.next_allowed_at = next_allowed_at
        """Unix seconds."""


class Standing(msgspec.Struct, frozen=True):
    """How it stands with one provider's trainings; moments are Unix seconds."""

    last_started_at: float | None
    next_allowed_at: float | None
    """None: it was never trained, so now."""
    new_events: int


class Trainer:
    """Begins trainings. `clock` gives Unix seconds: the interval outlives the process."""

    def __init__(self, store: Store, clock: Clock = time.time) -> None:
        self._store = store
        self._clock = clock
        self._left_alone: dict[str, float] = {}
        self._owed: set[tuple[str, float]] = set()
        """Locks that stand for nothing, of which the store could not be told: provider, and when it was."""

    async def begin(self, provider: Provider, deadline: Deadline) -> float:
        """Ask for a training; the moment of the next. Raises TooEarly, GatewayError, StoreError."""
        await self._pay()
        interval = provider.adapter.train_interval() or 0.0
        now = self._clock()
        next_allowed_at = await self._taken(provider.name, now, interval)
        if next_allowed_at is not None:
            raise TooEarly(next_allowed_at)
        trail: list[Exchange] = []
        deadline.trail = trail
        try:
            await addressing.call(provider, "train", deadline=deadline)
        except GatewayError:
            if not may_have_begun(trail):
                self._owed.add((provider.name, now))
                with suppress(StoreError):
                    await self._pay()
            raise
        return now + interval

    async def _taken(self, name: str, now: float, interval: float) -> float | None:
        """As the store's. An answer that was lost may have been a yes."""
        try:
            return await self._store.begin_training(name, now, interval)
        except StoreError:
            self._owed.add((name, now))
            raise

    async def _pay(self) -> None:
        """Give back what stands for nothing. Raises StoreError."""
        for name, began in [*self._owed]:
            await self._store.give_back_training(name, began)
            self._owed.discard((name, began))

    async def standing(self, provider: Provider) -> Standing:
        """When it was last trained, and what it has been told since. Raises StoreError."""
        record = await self._store.training(provider.name)
        interval = provider.adapter.train_interval() or 0.0
        next_allowed_at = None if record.started_at is None else record.started_at + interval
        return Standing(record.started_at, next_allowed_at, record.new_events)

    async def look(self, providers: Iterable[Provider]) -> None:
        """Train those that are to be by themselves, have been told something, and may be. Raises StoreError."""
        await self._pay()
        for provider in providers:
            if provider.adapter.trains_by_itself() and await self._is_due(provider):
                await self._train(provider)

    async def _is_due(self, provider: Provider) -> bool:
        if self._clock() < self._left_alone.get(provider.name, 0.0):
            return False
        standing = await self.standing(provider)
        return standing.new_events > 0 and self._clock() >= (standing.next_allowed_at or 0.0)

    async def _train(self, provider: Provider) -> None:
        deadline = Deadline.within(provider.clock, addressing.seconds(provider))
        try:
            await self.begin(provider, deadline)
        except TooEarly:  # another process was first
            return
        except GatewayError as error:
            self._left_alone[provider.name] = self._clock() + PAUSE
            log.warning("training failed", provider=provider.name, problem=error.slug, detail=error.detail)
        else:
            log.info("training scheduled", provider=provider.name)


def may_have_begun(trail: Sequence[Exchange]) -> bool:
    """Did anything leave that was not refused?"""
    return any(_unsettled(one.outcome) for one in trail)


def _unsettled(outcome: int | str) -> bool:
    if isinstance(outcome, str):
        return outcome != "not_connected"
    return not 400 <= outcome < 500 or outcome in MAYBE_DONE


def moment(seconds: float | None) -> datetime | None:
    """Unix seconds as a moment, in whole seconds rounded up: whoever comes then is not too early."""
    return None if seconds is None else datetime.fromtimestamp(-(-seconds // 1), UTC)

"""What callers tell the gateway, taken in: kept and queued in one commit, and then everybody concerned hears.

    events, records, erasures ─▸ routes ─▸ store: durable ─▸ couriers are called
                                                         └─▸ the user's cached answers leave

A caller that hangs up changes nothing of this: what was begun is ended.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from gateway.adapter import Entity
from gateway.answering.asked import subject_of
from gateway.deadline import Clock
from gateway.events import routes
from gateway.events.dispatcher import Dispatcher
from gateway.events.hidden import Hidden
from gateway.experiments.counts import Earned
from gateway.experiments.earnings import Earnings
from gateway.experiments.phase import unit_mark
from gateway.memory import Memory
from gateway.model.activity import Event
from gateway.plan import Plan
from gateway.policies.cache import AnswerCache
from gateway.provider.account import Provider
from gateway.state.kept import Edit, Entry, ErasureReceipt, Routes
from gateway.state.store import Store

T = TypeVar("T")

NO_HEADERS: Final[Mapping[str, str]] = {}


class Intake:
    """One for each process. `plan` is swapped at a reload. Every method may raise StoreError."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        dispatcher: Dispatcher,
        cache: AnswerCache,
        hidden: Hidden,
        memory: Memory,
        key: bytes,
        wall: Clock = time.time,
        earnings: Earnings | None = None,
    ) -> None:
        self.plan = plan
        self.store = store
        self._dispatcher = dispatcher
        self._cache = cache
        self._hidden = hidden
        self._memory = memory
        self._key = key
        self._wall = wall
        self._earnings = earnings
        self.told_all: Callable[[], Awaitable[None]] = _nobody_else
        """Has the other processes on this machine look at the store's news, and waits until they have."""

    def hash_of(self, user: str) -> str:
        """What stands for a user in receipts: says nothing to whoever has not the id."""
        return hash_of(self._key, user)

    # --- events
    async def accept(self, events: Sequence[Event], headers: Mapping[str, str] = NO_HEADERS) -> None:
        """They are on disk, and on their way, when this returns.

        `headers`: of the request that brought them; experiments may count units by one of them.
        """
        now = self._wall()
        providers = self._named(self.plan.configuration.events.providers)
        entries = [
            Entry(event, routes.of_event(event, providers, now), self._earned(event, headers)) for event in events
        ]
        await _to_the_end(self._accept(entries, now))

    async def _accept(self, entries: Sequence[Entry], now: float) -> None:
        await self.store.accept(entries, now)
        for user in {entry.event.user for entry in entries}:
            self._cache.drop_subject(subject_of(user))
        self._dispatcher.wake()

    def _earned(self, event: Event, headers: Mapping[str, str]) -> Earned | None:
        return self._earnings.of(event, self.plan, headers) if self._earnings else None

    # --- records
    async def edit(self, entity: Entity, edits: Sequence[Edit]) -> Routes:
        """Who is told of it. Raises Deleted for a merge into an item that was deleted."""
        told = routes.of_change(routes.PUTS[entity], self._named(self.plan.configuration.catalog.providers))
        await _to_the_end(self._edit(entity, edits, told))
        return told

    async def _edit(self, entity: Entity, edits: Sequence[Edit], told: Routes) -> None:
        await self.store.edit(entity, edits, told, self._wall())
        if entity == "item":
            self._hidden.show(edit.id for edit in edits)
        self._dispatcher.wake()

    async def remove_item(self, item: str) -> Routes:
        """Hidden from now on; who is told of it."""
        told = routes.of_change("delete_item", self._named(self.plan.configuration.catalog.providers))
        await _to_the_end(self._remove_item(item, told))
        return told

    async def _remove_item(self, item: str, told: Routes) -> None:
        await self.store.remove_item(item, told, self._wall())
        self._hidden.hide(item)
        self._dispatcher.wake()
        await self.told_all()  # hidden from this moment on, whoever is asked

    # --- erasure
    async def erase(self, user: str) -> ErasureReceipt:
        """What waits for the user is dropped, what is known here is gone, and the vendors are on their way."""
        return await _to_the_end(self._erase(user))

    async def _erase(self, user: str) -> ErasureReceipt:
        told = routes.of_erasure(self.plan.providers.values())
        now = self._wall()
        await self.store.erase(user, self.hash_of(user), told, now, unit_mark(self._key, user))
        self._cache.drop_subject(subject_of(user))
        self._memory.forget_user(user)
        self._dispatcher.wake()
        await self.told_all()
        return ErasureReceipt(now, told)

    def _named(self, names: Sequence[str]) -> list[Provider]:
        return [self.plan.providers[name] for name in names]


async def _nobody_else() -> None:
    """There is one process, or the others hear by themselves."""


def hash_of(key: bytes, user: str) -> str:
    """A keyed hash of a user's id (RFC 2104)."""
    return hmac.digest(key, b"erased\0" + user.encode(), "sha256").hex()


async def _to_the_end(work: Awaitable[T]) -> T:
    """Though the caller hangs up meanwhile."""
    return await asyncio.shield(asyncio.ensure_future(work))

"""The right to be the one of many processes: taken where there is work, renewed while there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import uuid4

from gateway.deadline import Clock, Deadline
from gateway.state.ledger import Ledger

LEASE: Final = 5.0
"""Seconds for which it is held; so long others wait after a kill."""
RENEW: Final = 1.5
SAFE: Final = 1.0
"""Seconds before its end in which nothing more is begun."""


class Lease:
    """One process's hold on one name. `wall` is what processes have in common; `clock` cannot be set back."""

    def __init__(self, name: str, store: Ledger, clock: Clock, wall: Clock) -> None:
        self._name = name
        self._store = store
        self._clock, self._wall = clock, wall
        self._holder = uuid4().hex
        self._until = self._asked = float("-inf")

    @property
    def held(self) -> bool:
        """May something be begun?"""
        return self._clock() < self._until - SAFE

    async def hold(self) -> bool:
        """Take it or keep it, if it may be had. Raises StoreError."""
        now = self._clock()
        if now < self._asked + RENEW:
            return self.held
        self._asked = now
        ours = await self._store.lease(self._name, self._holder, LEASE, self._wall())
        self._until = now + LEASE if ours else float("-inf")
        return ours

    async def hand_back(self) -> None:
        """Let another take it at once. Raises StoreError."""
        if self._until > self._clock():
            await self._store.hand_back(self._name, self._holder)


class WhileHeld(Deadline):
    """A deadline within which nothing more is begun once another process may be at work.

    What is told in several calls may wait between two of them for as long as the store is away; by then another
    may hold the lease, and tell the same.
    """

    __slots__ = ("_held",)

    def __init__(self, clock: Clock, seconds: float, held: Callable[[], bool]) -> None:
        super().__init__(clock, clock() + seconds, after=1)
        self._held = held

    def worth_trying(self) -> bool:
        return self._held() and super().worth_trying()

"""The interface of the state store: small, so that another store is one more module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from gateway.adapter import Entity
from gateway.answering.second_level import Shelf
from gateway.experiments.counts import Earned, Shown, Tally
from gateway.experiments.phase import Phase
from gateway.state.kept import StoreError
from gateway.state.learned import Learned, Position
from gateway.state.ledger import Ledger

__all__ = ["Store", "StoreError"]


class Store(Ledger, Protocol):
    """Durable state. Every method may raise `StoreError`; none blocks the event loop."""

    async def close(self) -> None:
        """Finish what runs and let go of files and connections."""

    def shelf(self) -> Shelf | None:
        """Where processes share answers; None: it is no place for that."""

    # --- keys
    async def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """A secret kept under this name: made once for the whole deployment."""

    # --- vendors' access tokens: sealed before they come here. `now` is Unix seconds
    async def keep_token(self, name: str, sealed: bytes, seconds: float, now: float) -> None:
        """Keep it for so many seconds, in place of what was kept under this name."""

    async def kept_token(self, name: str, now: float) -> tuple[bytes, float] | None:
        """What is kept under this name, and the seconds that are left of it."""

    # --- id maps: the caller's ids and a provider's own
    async def lookup(self, provider: str, entity: Entity, ids: Iterable[str]) -> dict[str, str]:
        """`{caller's id: vendor's id}` of those known."""

    async def owners(self, provider: str, entity: Entity, vendor_ids: Iterable[str]) -> dict[str, str]:
        """`{vendor's id: caller's id}` of those known."""

    async def bind(self, provider: str, entity: Entity, pairs: Mapping[str, str]) -> None:
        """Remember `{caller's id: vendor's id}`; what is already bound stays."""

    def claim(self, provider: str, entity: Entity, id_: str) -> AbstractAsyncContextManager[str | None]:
        """The sole right to create this id at the vendor; holds the vendor's id if somebody already did."""

    # --- records of items
    async def items(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """`{id: properties}` of those on record and not deleted."""

    # --- what users did, as far as answers need it: kept by whoever accepts, edits, erases, in the same commit
    async def seen(self, users: Iterable[str], limit: int) -> dict[str, tuple[str, ...]]:
        """For each of these users the last `limit` items that they have seen (`SEEN_TYPES`), oldest first."""

    async def learned_since(self, position: Position, limit: int) -> Learned:
        """At most `limit` of what users did and at most `limit` changed records after this position."""

    # --- counts of experiments
    async def open_phases(self, phases: Sequence[Phase], now: float) -> None:
        """These phases are in force from now (Unix seconds) on, where they were not before."""

    async def note_shown(self, shown: Sequence[Shown], now: float, batch: tuple[str, int] | None = None) -> None:
        """Count answers that went out. `batch`: who writes, and a number that grows; told again it counts once."""

    async def credit(self, earned: Sequence[Earned]) -> None:
        """Count what events earned, once for each unit and item.

        Whoever accepts events does it in the same transaction, for events that are new: with SQLite
        `gateway.state.sqlite.experiments.credit(db, earned)`; `earned` is had from `gateway.experiments.earnings`.
        """

    async def tallies(self, experiment: str | None = None) -> list[Tally]:
        """The counts of every phase (of one experiment), in the order in which phases began."""

    # --- trainings: at most one in an interval, in the whole deployment. Moments are Unix seconds
    async def begin_training(self, provider: str, now: float, interval: float) -> float | None:
        """None: it has begun, and nobody else may for so many seconds. Else the moment from which one may."""

    async def give_back_training(self, provider: str, began: float) -> None:
        """The training begun at that moment never took place; one begun since stays."""

    async def count_told(self, provider: str, events: int) -> None:
        """So many events more have been delivered to this provider."""

    async def training(self, provider: str) -> TrainingRecord:
        """How it stands."""


class TrainingRecord(msgspec.Struct, frozen=True):
    """When a provider was last trained, and how much it has been told since."""

    started_at: float | None = None
    """Unix seconds; None: never."""
    new_events: int = 0
    """Delivered since, or ever where it was never trained."""

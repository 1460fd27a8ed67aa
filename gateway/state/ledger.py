"""What the store promises of events, records and what providers are still to be told: the write side's part.

Times are Unix seconds. A method that changes something has it on disk when it returns; every one may raise
`StoreError` (`Full` where the bound is reached), and then nothing of it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from gateway.adapter import Entity
from gateway.model.activity import Event
from gateway.state.kept import (
    DeadLetter,
    Edit,
    Entry,
    Erased,
    ErasureReceipt,
    Errand,
    EventFilter,
    Logged,
    Queue,
    Record,
    Replay,
    Routes,
)
from gateway.state.news import Bell, News

Position = tuple[float, int]
"""Time and number of the event with which a page of the log ended."""


class Ledger(Protocol):
    """The part of the store that events and records go through."""

    # --- events
    async def accept(self, entries: Sequence[Entry], now: float) -> None:
        """Keep events, and queue each for the providers that it goes to; an id that is known changes nothing."""

    async def events(
        self, wanted: EventFilter, limit: int, after: Position | None = None
    ) -> tuple[list[Logged], Position | None]:
        """A page of the log, newest first, and where the next one begins."""

    # --- records
    async def edit(self, entity: Entity, edits: Sequence[Edit], routes: Routes, now: float) -> None:
        """Change records, in order, and queue each change. Raises Deleted for a merge into a deleted item."""

    async def remove_item(self, id_: str, routes: Routes, now: float) -> None:
        """Hide an item until it is put again, and queue its removal."""

    async def record(self, entity: Entity, id_: str) -> Record | None:
        """One user or item; None where there is none."""

    async def records(self, entity: Entity, after: str, limit: int) -> list[Record]:
        """Those whose ids follow, by id."""

    async def hidden_items(self) -> frozenset[str]:
        """Items that were deleted and not put again."""

    # --- what providers are still to be told
    async def errands(self, provider: str, after: int, limit: int, *, replayed: bool = False) -> list[Errand]:
        """What waits for a provider after this number, in order; of a replay, or of what comes by itself."""

    async def still_queued(self, seqs: Sequence[int]) -> set[int]:
        """Which of these errands are still to be done: others may have been erased meanwhile."""

    async def settle(
        self, provider: str, told: Sequence[Errand], refused: Sequence[tuple[Errand, str]], now: float
    ) -> None:
        """These are done: told for good, or never to be taken, for a reason."""

    async def postpone(self, errands: Iterable[Errand]) -> None:
        """Remember the attempts of these, and when they are due."""

    async def queues(self) -> dict[str, Queue]:
        """What waits, by provider."""

    async def dead_letters(self, provider: str | None, limit: int, before: int | None = None) -> list[DeadLetter]:
        """What was refused, newest first; of all providers where none is named, and before this number alone."""

    async def retry(self, provider: str | None, ref: str | None) -> int:
        """Queue dead letters again (of one provider, of one event, user or item); how many those were."""

    # --- one of many processes
    async def lease(self, name: str, holder: str, seconds: float, now: float) -> bool:
        """Take, renew or take over a lease; is it this holder's now?"""

    async def hand_back(self, name: str, holder: str) -> None:
        """Let another take the lease at once."""

    async def news(self, event: int, forgotten: int) -> News:
        """What happened since the event and the erasure of these numbers; negative: only where we are."""

    def bell(self) -> Bell:
        """Rung when there are news, where the store can; a ring may be lost, so look by the clock too."""

    # --- erasure
    async def erase(self, user: str, hash_: str, routes: Mapping[str, Erased], now: float, unit: bytes) -> None:
        """Drop what is queued for a user and all that is known of them, and queue the erasure at the providers.

        `unit`: the mark under which experiments have counted the user; the counts stay, without it.
        """

    async def erased(self, provider: str, errand: Errand, hash_: str, status: Erased) -> None:
        """A provider has done what it can: forget its ids of the user, and note it in the receipt."""

    async def erasure_failed(self, provider: str, errand: Errand, hash_: str, reason: str, now: float) -> None:
        """A provider refuses to erase: a dead letter keeps it, and the receipt says so."""

    async def erasure(self, hash_: str) -> ErasureReceipt | None:
        """The receipt; None where there is none."""

    # --- replay
    async def begin_replay(self, provider: str, since: float, rate: float, now: float) -> Replay:
        """Feed a provider from the records and the log; the replay under way where there is one already."""

    async def replay(self, provider: str) -> Replay | None:
        """The one under way, or the last."""

    async def replayed_left(self, provider: str) -> int:
        """How much of a replay is queued and not told yet."""

    async def go_on(
        self, provider: str, keeps: frozenset[Entity], takes: Callable[[Event], bool], limit: int, now: float
    ) -> Replay:
        """Queue the next part of a replay."""

    # --- the clock
    async def sweep(self, before: float, providers: Sequence[str], now: float) -> int:
        """Forget what is older and waits for none of these providers; how many events those were."""

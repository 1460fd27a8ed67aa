"""What the store takes in and hands out, as values.

Entry    an event and where it goes         Edit    a change of a record and where it goes
Errand   one of these on its way to one provider            DeadLetter   … that will never be taken
Logged   an event as it stands in the log   Record  a user or an item, and who has it
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.experiments.counts import Earned
from gateway.model.activity import Change, Event

ErrandKind = Literal["event", "put_user", "put_item", "delete_item", "erase_user"]
Route = Literal["queued", "unsupported"]
Routes = Mapping[str, Route]
"""By provider: is it to be told, or can it not take this? Anything but a failure follows from it."""
Delivered = Literal["delivered", "queued", "dead", "unsupported"]
Synced = Literal["synced", "queued", "failed", "unsupported"]
Erased = Literal["queued", "erased", "partial", "unsupported", "failed"]


class Entry(msgspec.Struct, frozen=True):
    """An event to be accepted."""

    event: Event
    routes: Routes
    earned: Earned | None = None
    """What it is worth to the arm of an experiment whose answer it names."""


class Edit(msgspec.Struct, frozen=True):
    """A change of a user's or an item's record."""

    id: str
    properties: dict[str, Any]
    merge: bool = False
    """Keep what is not named, and remove what is null; else replace all."""


class Errand(msgspec.Struct, frozen=True):
    """One thing that one provider is to be told."""

    seq: int
    """The order in which things are told within one `subject`."""
    kind: ErrandKind
    ref: str
    """The id of the event, user or item."""
    subject: str
    accepted_at: float
    """Unix seconds."""
    attempts: int
    due: float
    """Unix seconds; not before then."""
    replayed: bool
    body: bytes
    """An `Event` or a `Change`, as JSON; empty where the id says it all."""

    def event(self) -> Event:
        """The event that is to be told."""
        return _event.decode(self.body)

    def change(self) -> Change:
        """The record that is to be told."""
        return _change.decode(self.body)


class DeadLetter(msgspec.Struct, frozen=True):
    """What a provider will never take."""

    seq: int
    provider: str
    kind: ErrandKind
    ref: str
    reason: str
    attempts: int
    died_at: float
    """Unix seconds."""


class EventFilter(msgspec.Struct, frozen=True):
    """Which events of the log. Times are Unix seconds; `since` is within, `until` is not."""

    user: str | None = None
    item: str | None = None
    type: str | None = None
    since: float | None = None
    until: float | None = None


class Logged(msgspec.Struct, frozen=True):
    """An event of the log."""

    seq: int
    event: Event
    received_at: float
    """Unix seconds."""
    deliveries: dict[str, Delivered]


class Record(msgspec.Struct, frozen=True):
    """A user or an item as callers last put it."""

    id: str
    properties: dict[str, Any]
    created_at: float | None
    """Unix seconds; None where it was learned and never put."""
    updated_at: float | None
    providers: dict[str, Synced]


class Queue(msgspec.Struct, frozen=True):
    """What waits for one provider."""

    queued: int = 0
    oldest: float | None = None
    """Unix seconds at which what has waited longest was accepted."""
    dead_letters: int = 0


class ErasureReceipt(msgspec.Struct, frozen=True):
    """What became of a user's erasure."""

    requested_at: float
    """Unix seconds."""
    providers: dict[str, Erased]


class Replay(msgspec.Struct, frozen=True):
    """The feeding of one provider from the records and the log."""

    provider: str
    since: float
    """Unix seconds: older events are not told."""
    upto: int
    """The last event of the log when it began; later ones come by themselves."""
    rate: float
    """Things a second, at most."""
    stage: Literal["items", "users", "events", "done"]
    position: str
    """Where the stage has come to: an id, or an event's number."""
    total: int
    """Things to be looked at in all, as they were counted at the start."""
    queued: int
    left_out: int
    """Things that the provider cannot take: too old, or of a type that it does not know."""
    started_at: float
    done_at: float | None = None


class StoreError(Exception):
    """The store cannot serve this now: a full disk, a locked file, a lost connection."""


class Full(StoreError):
    """Nothing more can be kept: the bound is reached, and all that is there is still to be delivered."""


class Deleted(Exception):
    """The item was deleted, and has not been put again."""


_event = msgspec.json.Decoder(Event)
_change = msgspec.json.Decoder(Change)


def subject(kind: ErrandKind, id_: str) -> str:
    """Whose order is kept: a user's (events and records alike) or an item's."""
    return ("i" if kind in ("put_item", "delete_item") else "u") + id_


def user_of(subject_: str) -> str | None:
    """The user that a subject is; None for an item."""
    return subject_[1:] if subject_.startswith("u") else None

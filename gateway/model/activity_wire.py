"""What stands in the HTTP bodies of API.md §5 and §6: events, users, items.

The docstrings and constraints here are the OpenAPI document's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.model.wire import Id
from gateway.state.kept import Delivered, Erased, Synced

Moment = Annotated[datetime, Meta(tz=True)]
Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...]
PropertyName = Annotated[str, Meta(min_length=1, max_length=256)]
Properties = Annotated[dict[PropertyName, Value], Meta(description="Scalars and lists of scalars, by name.")]


class WireEventUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who did it."""

    id: Id
    """As your systems know the user: 1..256 bytes of UTF-8 without control characters."""


class WireEventItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item of an event, with what is known of it there."""

    id: Id
    """As your systems know the item."""
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """How many."""
    price: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    """Of one."""


class EventRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that a user did."""

    id: Id | None = None
    """Yours, so that the event can be sent again: a known id is accepted and stored once. Absent: one is made."""
    type: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
    """`view` `click` `add_to_cart` `purchase` `rating` `like` `dislike` `search`, or a word of yours."""
    user: WireEventUser | None = None
    """Needed, unless the credentials speak for one user alone."""
    items: Annotated[tuple[Id | WireEventItem, ...], Meta(max_length=100)] = ()
    """What it was about: ids, or objects with `id`, `quantity`, `price`."""
    value: Annotated[float, Meta(ge=-1e12, le=1e12)] | None = None
    """Of a rating: 0..5, and needed. Elsewhere the event's total in `currency`."""
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    """ISO 4217."""
    time: Moment | None = None
    """RFC 3339 with an offset. Absent: now. More than 5 minutes ahead becomes now, with a warning."""
    recommendation_id: Annotated[str, Meta(max_length=4096)] | None = None
    """Of the answer that led to it: gives credit to whoever recommended."""
    properties: dict[str, Any] = {}
    """Whatever else is known."""


class EventsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /v1/events` takes; each event is judged for itself."""

    events: Annotated[tuple[Any, ...], Meta(min_length=1, max_length=1000)]
    """1..1000 of them."""


class EventBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same where every event is as it should be: read in one step."""

    events: Annotated[tuple[EventRequest, ...], Meta(min_length=1, max_length=1000)]
    """1..1000 of them."""


class Rejection(msgspec.Struct, frozen=True):
    """One that was not accepted."""

    index: int
    """Its place in the request, 0-based."""
    problem: dict[str, Any]
    """Why, as any other problem; pointers are into the whole body."""


class Accepted(msgspec.Struct, frozen=True):
    """What became of a batch. What is accepted is on disk."""

    accepted: tuple[str, ...]
    """Ids, in the order of the request."""
    rejected: tuple[Rejection, ...]
    """Those that break a rule; they stopped none of the others."""
    warnings: tuple[str, ...] = ()
    """What could not be done quite as asked."""


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the gateway's own log."""

    id: str
    """The caller's, or the one that was made."""
    type: str
    """What happened."""
    user: WireEventUser
    """Who did it."""
    items: tuple[WireEventItem, ...]
    """What it was about."""
    value: float | None = None
    """Of a rating 0..5, elsewhere the total."""
    currency: str | None = None
    """ISO 4217."""
    time: datetime
    """When it happened."""
    recommendation_id: str | None = None
    """Of the answer that led to it."""
    properties: dict[str, Any] = {}
    """Whatever else is known."""
    received_at: datetime
    """When the gateway accepted it."""
    deliveries: dict[str, Delivered]
    """By provider: whether it has it, will get it, refused it (`dead`), or cannot take it."""


class EventPage(msgspec.Struct, frozen=True):
    """One page of events, newest first."""

    events: tuple[Any, ...]
    """Those on this page: of the gateway's own log, or as a vendor has them."""
    next_cursor: str | None
    """For the next page; null at the end."""


class RecordRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole record: what it does not name is gone after it."""

    properties: Properties = {}


class RecordPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a record: what it does not name stays."""

    properties: Annotated[
        dict[PropertyName, Value | None],
        Meta(description="Scalars and lists of scalars, by name; null removes."),
    ]


class UserRecord(RecordRequest, frozen=True, forbid_unknown_fields=True):
    """A user's whole record: what it does not name is gone after it."""


class UserPatch(RecordPatch, frozen=True, forbid_unknown_fields=True):
    """A part of a user's record: what it does not name stays."""


class ItemRecord(RecordRequest, frozen=True, forbid_unknown_fields=True):
    """An item's whole record: what it does not name is gone after it."""


class ItemPatch(RecordPatch, frozen=True, forbid_unknown_fields=True):
    """A part of an item's record: what it does not name stays."""


class ItemRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item's whole record."""

    id: Id
    """As your systems know the item: 1..256 bytes of UTF-8 without control characters."""
    properties: Properties = {}


class ItemsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /v1/items` takes; each item is judged for itself."""

    items: Annotated[tuple[Any, ...], Meta(min_length=1, max_length=1000)]
    """1..1000 of them."""


class Told(msgspec.Struct, frozen=True):
    """A change that is on disk and on its way."""

    id: str
    """Whose record."""
    providers: dict[str, Literal["queued", "unsupported"]]
    """Who is told of it."""


class RecordAt(msgspec.Struct, frozen=True):
    """One provider's part in a record."""

    id: str | None
    """As this provider knows it; null while it does not."""
    status: Synced
    """Does it have the record as it is here?"""


class RecordAnswer(msgspec.Struct, frozen=True):
    """A user or an item as it was last put."""

    id: str
    """As your systems know it."""
    properties: dict[str, Any]
    """By name."""
    created_at: datetime | None
    """When it was put first; null where it was learned and never put."""
    updated_at: datetime | None
    """When it was put last."""
    providers: dict[str, RecordAt]
    """Who has it."""


class UserPage(msgspec.Struct, frozen=True):
    """One page of users."""

    users: tuple[Any, ...]
    """Those on this page: the gateway's own records by id, or as a vendor has them."""
    next_cursor: str | None
    """For the next page; null at the end."""


class ItemPage(msgspec.Struct, frozen=True):
    """One page of items."""

    items: tuple[Any, ...]
    """Those on this page: the gateway's own records by id, or as a vendor has them."""
    next_cursor: str | None
    """For the next page; null at the end."""


class Erasure(msgspec.Struct, frozen=True):
    """The receipt of a user's erasure."""

    requested_at: datetime
    """When it was asked for; here everything was gone from that moment."""
    providers: dict[str, Erased]
    """What became of it at each."""


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""

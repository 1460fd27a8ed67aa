"""What users did, and what is known of users and items: the write side, as an adapter gets it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from gateway.model.query import Snippet

SEEN_TYPES = frozenset({"view", "click", "add_to_cart", "purchase", "rating", "like"})
"""The event types that make an item "seen" (API.md §3)."""
LEARNED_TYPES = SEEN_TYPES | {"dislike"}
"""The event types that say what a user wants, or does not want."""


class EventItem(msgspec.Struct, frozen=True):
    """One item of an event."""

    id: str
    quantity: int | None = None
    price: float | None = None


class Credit(msgspec.Struct, frozen=True):
    """The answer of this very provider that led to the event."""

    query_id: str | None = None
    positions: dict[str, int] = {}
    """1-based rank of each of the event's items in that answer."""
    snippets: tuple[Snippet, ...] = ()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a user did."""

    id: str
    type: str
    user: str
    items: tuple[EventItem, ...] = ()
    value: float | None = None
    """Of a rating: 0..5. Elsewhere: the event's total in `currency`."""
    currency: str | None = None
    time: datetime
    credit: Credit | None = None
    """For one provider: filled in as the event is delivered to it."""
    recommendation_id: str | None = None
    """The answer that led to the event, as the caller names it."""
    properties: dict[str, Any] = {}


class Change(msgspec.Struct, frozen=True):
    """A user's or an item's record as it now is."""

    id: str
    properties: dict[str, Any] = {}
    """All of them, after the change."""
    unset: tuple[str, ...] = ()
    """Names that the change removed."""


class Receipt(msgspec.Struct, frozen=True):
    """What became of a batch of events or changes at one provider."""

    done: tuple[str, ...] = ()
    refused: dict[str, str] = {}
    """Id → the vendor's reason: these will never be taken."""


class Activity(msgspec.Struct, frozen=True):
    """One entry of a vendor's own list of events. Ids are the vendor's spelling until the dialect reads them.

    A user or item of None beside a `provider_user` or `provider_item` is one that the gateway does not know.
    """

    id: str
    user: str | None = None
    item: str | None = None
    provider_user: str | None = None
    """The vendor's own id of the user, where it has ids of its own."""
    provider_item: str | None = None
    """The vendor's own id of the item, where it has ids of its own."""
    type: str | None = None
    time: datetime | None = None
    value: float | None = None
    properties: dict[str, Any] = {}


class Listed(msgspec.Struct, frozen=True):
    """One object of a vendor's list."""

    id: str | None
    provider_id: str
    properties: dict[str, Any] = {}


class Listing(msgspec.Struct, frozen=True):
    """A vendor's list of users or items. An id of None: the vendor's object is unknown to the gateway."""

    entries: tuple[Listed, ...] = ()


ErasureStatus = Literal["erased", "partial"]

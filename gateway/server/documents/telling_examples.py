"""What the operations that tell answer, for the documents: values of the real types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from gateway.errors import InvalidRequest, Mistake
from gateway.model.activity_wire import (
    Accepted,
    Erasure,
    EventPage,
    ItemPage,
    LoggedEvent,
    RecordAnswer,
    RecordAt,
    Rejection,
    Told,
    UserPage,
    WireEventItem,
    WireEventUser,
)
from gateway.server.problems import problem

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
_WHEN: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)
_TOLD: Final[dict[str, Any]] = {"vendor-a": "queued", "vendor-b": "unsupported"}
_BAD: Final = problem(
    InvalidRequest([Mistake("/events/1/type", "is missing")]), instance="/v1/events#/events/1", trace_id=TRACE
)
_USER: Final = RecordAnswer(
    "u1",
    {"country": "at", "newsletter": True},
    _WHEN,
    _WHEN,
    {"vendor-a": RecordAt("u1", "synced"), "vendor-b": RecordAt(None, "unsupported")},
)
_ITEM: Final = RecordAnswer(
    "1953",
    {"title": "The Apartment", "genre": ["Comedy", "Drama"], "year": 1960},
    _WHEN,
    _WHEN,
    {"vendor-a": RecordAt("3", "synced"), "vendor-b": RecordAt(None, "queued")},
)
_EVENT: Final = LoggedEvent(
    id="order-7-confirmed",
    type="purchase",
    user=WireEventUser("u1"),
    items=(WireEventItem("1953", 2, 9.95),),
    value=19.9,
    currency="EUR",
    time=_WHEN,
    received_at=_WHEN,
    deliveries={"vendor-a": "delivered", "vendor-b": "queued", "vendor-c": "unsupported"},
)

TELLING: Final[dict[str, Any]] = {
    "accept_events": Accepted(("order-7-confirmed",), (Rejection(1, _BAD),)),
    "events": EventPage((_EVENT,), "WzE3OTUzNDE2MDAuMCw3XQ"),
    "put_user": Told("u1", _TOLD),
    "patch_user": Told("u1", _TOLD),
    "user": _USER,
    "users": UserPage((_USER,), None),
    "erase_user": Erasure(_WHEN, {"vendor-a": "queued", "vendor-b": "unsupported"}),
    "erasure": Erasure(_WHEN, {"vendor-a": "erased", "vendor-b": "unsupported"}),
    "put_items": Accepted(("1953",), ()),
    "put_item": Told("1953", _TOLD),
    "patch_item": Told("1953", _TOLD),
    "item": _ITEM,
    "items": ItemPage((_ITEM,), "MTk1Mw"),
    "delete_item": Told("1953", _TOLD),
}
"""By the operation's name."""

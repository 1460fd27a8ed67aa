"""Events as Algolia's Insights API takes them, and the erasure of a user there.

    view ▸ view      click ▸ click, credited with queryID and positions      everything else ▸ conversion

Source: FACTS.md §2 and the table of §6; https://www.algolia.com/doc/rest-api/insights.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from gateway.adapter import Flow, Request, Response, quoted
from gateway.adapters.algolia_recommend.calls import asked, decoded, post
from gateway.adapters.algolia_recommend.deliver import Parcel, deliver
from gateway.adapters.algolia_recommend.options import EVENTS, Options
from gateway.model.activity import Credit, ErasureStatus, Event, EventItem

MAX_AGE: Final = 30 * 86_400.0
"""Seconds; older events are refused."""
MOST_EVENTS: Final = 1000
MOST_BYTES: Final = 1_999_000
"""Of events in one call; the whole body has to stay below 2 MB."""
MOST_OBJECTS: Final = 20
"""Objects in one event."""
UNKNOWN: Final = frozenset({"dislike", "search"})
SUBTYPES: Final = {"add_to_cart": "addToCart", "purchase": "purchase"}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Accepted(msgspec.Struct):
    status: int


ACCEPTED: Final = msgspec.json.Decoder(_Accepted)


def takes(event: Event) -> str | None:
    """Why Insights cannot take an event; None if it can."""
    if event.type in UNKNOWN:
        return f"has no word for `{event.type}`"
    return None if event.items else "takes only events about items"


def track(options: Options, events: Sequence[Event]) -> Flow[None]:
    """Deliver events, a thousand or 2 MB a call. All or nothing there: a bad one is isolated and refused."""
    return deliver(
        [Parcel(event.id, _entries(options, event)) for event in events],
        _call,
        "search",
        _accepted,
        most=MOST_EVENTS,
        most_bytes=MOST_BYTES,
    )


def erase(user: str) -> Flow[ErasureStatus]:
    """Delete a user's events. The key needs the ACL `deleteObject`, so it is the admin key's work.

    Profiles at Algolia Personalization are another provider's (`algolia-personalization`).
    """
    path = f"/1/usertokens/{quoted(user)}"
    yield from asked(Request("DELETE", path, hosts="insights", route="/1/usertokens/{user}"), "deleteObject")
    return "erased"


def _call(entries: list[dict[str, Any]]) -> Request:
    return post(EVENTS, {"events": entries}, hosts="insights", route=EVENTS)


def _accepted(answer: Response) -> None:
    decoded(ACCEPTED, answer.body)


def _entries(options: Options, event: Event) -> tuple[dict[str, Any], ...]:
    """An event, in parts where it has more objects than one may have."""
    starts = range(0, len(event.items), MOST_OBJECTS)
    return tuple(_entry(options, event, event.items[n : n + MOST_OBJECTS], first=n == 0) for n in starts)


def _entry(options: Options, event: Event, items: Sequence[EventItem], *, first: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "eventType": event.type if event.type in ("view", "click") else "conversion",
        "eventName": options.event_names.get(event.type, event.type),
        "index": options.index,
        "userToken": event.user,
        "timestamp": (event.time - EPOCH) // timedelta(milliseconds=1),
        "objectIDs": [item.id for item in items],
    }
    if event.type == "click":
        entry.update(_click_credit(event, items))
    elif event.type != "view":
        entry.update(_conversion(event, items, first=first))
    return entry


def _click_credit(event: Event, items: Sequence[EventItem]) -> dict[str, Any]:
    """`queryID` and `positions`: both for all objects of the event, or neither."""
    credit = event.credit or Credit()
    if credit.query_id is None or any(item.id not in credit.positions for item in event.items):
        return {}
    return {"queryID": credit.query_id, "positions": [credit.positions[item.id] for item in items]}


def _conversion(event: Event, items: Sequence[EventItem], *, first: bool) -> dict[str, Any]:
    """What was bought, for how much. A total belongs to the first part alone, or it would count several times."""
    said: dict[str, Any] = {}
    if event.type in SUBTYPES:
        said["eventSubtype"] = SUBTYPES[event.type]
    if event.credit and event.credit.query_id is not None:
        said["queryID"] = event.credit.query_id
    if any(item.price is not None or item.quantity is not None for item in event.items):
        said["objectData"] = [_object_data(item) for item in items]
    if event.currency is not None:
        said["currency"] = event.currency
    if event.value is not None and (first or event.type == "rating"):
        said["value"] = event.value
    return said


def _object_data(item: EventItem) -> dict[str, Any]:
    said = {"price": item.price, "quantity": item.quantity}
    return {name: value for name, value in said.items() if value is not None}

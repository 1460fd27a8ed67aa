"""The vendor's own events: listed, and deleted one by one.

Both are PredictionIO's; Recomendo's own document does not show them (FACTS.md §1).
"""

from __future__ import annotations

from typing import Final

from gateway.adapter import Flow, Request, quoted
from gateway.adapters.recomendo import post, wire
from gateway.errors import Misconfigured

ERASED_AT_ONCE: Final = 500
"""Events listed in one call while a user is erased: their answer stays far below any `max_answer`."""


def events(*asked: tuple[str, str]) -> Flow[tuple[wire.StoredEvent, ...]]:
    """Those that fit what is asked, by parameter of the vendor's; none is its 404."""
    try:
        answer = yield Request("GET", post.EVENTS, query=asked, hosts="events")
    except Misconfigured as error:
        if error.status == 404 and error.vendor_message == "Not Found":  # PredictionIO's word for "none"
            return ()
        raise
    return wire.stored_events(answer)


def delete_events_of(user: str) -> Flow[bool]:
    """Delete until none is listed any more. False where the vendor lists on what it says is deleted."""
    deleted: set[str] = set()
    while True:
        stored = yield from events(("entityType", "user"), ("entityId", user), ("limit", str(ERASED_AT_ONCE)))
        left = [one.event_id for one in stored if one.event_id not in deleted]
        if not left:
            return not stored
        for event_id in left:
            yield from _delete_event(event_id)
        deleted.update(left)


def _delete_event(event_id: str) -> Flow[None]:
    path = f"/v1/events/{quoted(event_id)}.json"
    try:
        yield Request("DELETE", path, hosts="events", route="/v1/events/{id}.json")
    except Misconfigured as error:
        if error.status != 404:  # gone already
            raise

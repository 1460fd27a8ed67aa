"""A vendor's own users, items and events, with ids translated, paged here: `?provider=` of the lists (API.md §2).

    cursor = base64url( JSON [how many have been listed, the last one's own id] )

A vendor lists everything, or its newest; the next page begins after the last one listed, wherever that stands by
then, and where it is gone after as many as have been listed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET

from gateway.adapter import EventQuery
from gateway.answering.delivery import Call, Delivery
from gateway.errors import Forbidden, Mistake
from gateway.model.activity import Activity, Listed, Listing
from gateway.model.control_wire import (
    EventList,
    EventListQuery,
    ItemList,
    ListedEvent,
    ListedObject,
    ListQuery,
    UserList,
)
from gateway.model.ids import id_complaint
from gateway.server.handlers.parts import Part, answered

T = TypeVar("T")

NEWER: Final = 100
"""Events that may have come since the last page without moving what is on the next."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where the next page begins."""

    listed: int = 0
    last: str = ""


class VendorLists(Part):
    """Handlers."""

    async def users(self, request: web.Request, call: Call) -> Delivery:
        if call.caller is not None and call.caller.user is not None:
            raise Forbidden("these credentials speak for one user alone")
        entries, next_cursor = await self._page(request, call, "list_users")
        return answered(200, UserList(entries, next_cursor))

    async def items(self, request: web.Request, call: Call) -> Delivery:
        entries, next_cursor = await self._page(request, call, "list_items")
        return answered(200, ItemList(entries, next_cursor))

    async def _page(
        self, request: web.Request, call: Call, operation: Literal["list_users", "list_items"]
    ) -> tuple[tuple[ListedObject, ...], str | None]:
        asking = self.ask(request, call, ListQuery)
        place = _place(request.query.get("cursor"), asking.mistakes)
        listing: Listing = await asking.call(asking.able(operation), operation)
        page, next_cursor = paged(listing.entries, place, asking.query.limit, lambda one: one.provider_id)
        return tuple(map(_object, page)), next_cursor

    async def events(self, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, EventListQuery)
        for name in ("user", "item"):
            if complaint := id_complaint(request.query.get(name, "-")):
                asking.mistakes.append(Mistake(f"?{name}", complaint))
        place = _place(request.query.get("cursor"), asking.mistakes)
        provider = asking.able("list_events")
        query = asking.query
        user = query.user if call.caller is None else call.caller.user_for(query.user)
        most = place.listed + query.limit + 1 + (NEWER if place.listed else 0)
        wanted = EventQuery(user, query.item, query.type, query.since, query.until, most)
        found: list[Activity] = await asking.call(provider, "list_events", wanted)
        page, next_cursor = paged(found, place, query.limit, lambda one: one.id)
        return answered(200, EventList(tuple(map(_event, page)), next_cursor))


def paged(
    entries: Sequence[T], place: Place, limit: int, own_id: Callable[[T], str]
) -> tuple[Sequence[T], str | None]:
    """The entries of one page, and the cursor of the next; None at the end."""
    start = place.listed
    if place.last:
        after = (index for index, one in enumerate(entries, 1) if own_id(one) == place.last)
        start = next(after, start)
    page = entries[start : start + limit]
    if start + limit >= len(entries):
        return page, None
    packed = msgspec.json.encode(Place(place.listed + len(page), own_id(page[-1])))
    return page, base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _place(cursor: str | None, mistakes: list[Mistake]) -> Place:
    if cursor is None:
        return Place()
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=Place)
        if 0 <= place.listed < 2**31:
            return place
    except ValueError:
        pass
    mistakes.append(Mistake("?cursor", "is not a `next_cursor` of this list"))
    return Place()


def _object(one: Listed) -> ListedObject:
    return ListedObject(one.id, one.provider_id, one.properties or UNSET)


def _event(one: Activity) -> ListedEvent:
    return ListedEvent(
        id=one.id,
        type=one.type,
        user=_party(one.user, one.provider_user),
        items=tuple(item for item in (_party(one.item, one.provider_item),) if item is not None),
        value=one.value,
        time=one.time,
        properties=one.properties,
    )


def _party(id_: str | None, provider_id: str | None) -> ListedObject | None:
    """A user or an item of an event; None where the event names none."""
    if id_ is None and provider_id is None:
        return None
    return ListedObject(id_, UNSET if provider_id is None else provider_id)

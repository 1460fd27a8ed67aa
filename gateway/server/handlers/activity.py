"""`/v1/events`: what users did, accepted for good; and the gateway's own log of it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from gateway.answering.delivery import Call, Delivery
from gateway.errors import Mistake, UnsupportedMediaType
from gateway.events.attribution import Attribution
from gateway.model.activity_wire import (
    Accepted,
    EventBatch,
    EventPage,
    EventsRequest,
    LoggedEvent,
    Rejection,
    WireEventItem,
    WireEventUser,
)
from gateway.model.control_wire import EventListQuery
from gateway.model.ids import id_complaint
from gateway.server import bodies, problems
from gateway.server.handlers import taking
from gateway.server.handlers.parts import Part, answered
from gateway.server.handlers.taking import Taken
from gateway.server.handlers.vendor_lists import VendorLists
from gateway.server.mistakes import decode
from gateway.state.kept import EventFilter, Logged
from gateway.state.ledger import Position

TYPES: Final = bodies.JSON_TYPES | {"text/plain"}
"""A browser's `sendBeacon` calls a string text/plain; JSON it is all the same."""


class Activity(Part):
    """Handlers."""

    async def accept_events(self, request: web.Request, call: Call) -> Delivery:
        """202 means: on disk. Whoever hangs up meanwhile does not stop it."""
        if request.content_type not in TYPES:
            raise UnsupportedMediaType(f"send application/json or text/plain, not {request.content_type}")
        body = await bodies.read(request, self.runtime.configuration.server.max_body)
        user_for = call.caller.user_for if call.caller is not None else lambda named: named
        taken = taking.events(_values(body), user_for, datetime.now(UTC))
        taken.check()
        attribution = Attribution(self.runtime.pipeline.signer)
        for event in taken.good:
            if warning := attribution.warning(event):
                taken.warnings.append(f"event `{event.id}`: {warning}")
        await self.runtime.writes.intake.accept(taken.good, request.headers)
        return accepted(request, call, taken, "events", [event.id for event in taken.good])

    async def events(self, request: web.Request, call: Call) -> Delivery:
        """The log; with `?provider=` what that vendor has."""
        if "provider" in request.query:
            return await VendorLists(self.runtime).events(request, call)
        asking = self.ask(request, call, EventListQuery)
        asking.check_time()
        for name in ("user", "item"):
            if complaint := id_complaint(request.query.get(name, "-")):
                asking.mistakes.append(Mistake(f"?{name}", complaint))
        after = position(request.query.get("cursor"), asking.mistakes)
        query = asking.query
        user = query.user if call.caller is None else call.caller.user_for(query.user)
        since, until = (None if at is None else at.timestamp() for at in (query.since, query.until))
        wanted = EventFilter(user, query.item, query.type, since, until)
        found, following = await self.runtime.writes.intake.store.events(wanted, query.limit, after)
        return answered(200, EventPage(tuple(map(_told, found)), None if following is None else cursor(following)))


def _values(body: bytes) -> Sequence[Any]:
    """In one step where all of it is as it should be, else as they are. Raises InvalidRequest for the whole."""
    try:
        return msgspec.json.decode(body, type=EventBatch).events
    except (ValueError, RecursionError):
        return decode(body, EventsRequest).events


def accepted(request: web.Request, call: Call, taken: Taken[Any], kind: str, ids: Sequence[str]) -> Delivery:
    """What became of a batch."""
    trace = call.trace.trace_id
    rejected = tuple(
        Rejection(
            index,
            problems.problem(error, instance=request.path + taking.place(kind, index), trace_id=trace),
        )
        for index, error in taken.bad
    )
    return answered(202, Accepted(tuple(ids), rejected, tuple(taken.warnings)))


def _told(logged: Logged) -> LoggedEvent:
    event = logged.event
    return LoggedEvent(
        id=event.id,
        type=event.type,
        user=WireEventUser(event.user),
        items=tuple(WireEventItem(item.id, item.quantity, item.price) for item in event.items),
        value=event.value,
        currency=event.currency,
        time=event.time,
        recommendation_id=event.recommendation_id,
        properties=event.properties,
        received_at=datetime.fromtimestamp(logged.received_at, UTC),
        deliveries=logged.deliveries,
    )


def cursor(place: Position) -> str:
    """Where the next page begins: opaque to callers."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def position(written: str | None, mistakes: list[Mistake]) -> Position | None:
    """What `cursor` said; what is no cursor is a mistake."""
    if written is None:
        return None
    try:
        padded = written.encode("ascii") + b"=" * (-len(written) % 4)
        packed = base64.b64decode(padded, altchars=b"-_", validate=True)
        return msgspec.json.decode(packed, type=tuple[float, int])
    except (ValueError, RecursionError):
        mistakes.append(Mistake("?cursor", "is not a `next_cursor` of this list"))
        return None

"""A body of events or items read entry by entry: the good are taken, and of the bad every mistake is named.

body ─▸ all good? one step                        ─▸ Taken
     └▸ each by itself, pointers into the whole   ─▸ Taken, with the mistakes of each
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from uuid import uuid4

import msgspec

from gateway.errors import Forbidden, GatewayError, InvalidRequest, Mistake
from gateway.model.activity import Event, EventItem
from gateway.model.activity_wire import EventRequest, ItemRequest, WireEventItem
from gateway.model.ids import id_complaint
from gateway.server.mistakes import convert, pointer
from gateway.state.kept import Edit

T = TypeVar("T")

AHEAD: Final = timedelta(minutes=5)
"""Clocks differ; what is further ahead than this becomes now."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
BEST_RATING: Final = 5

UserFor = Callable[[str | None], str | None]
"""The user that an event is about, by its credentials. Raises Forbidden for another's."""


class Taken(msgspec.Struct, Generic[T]):
    """What of a batch can be accepted, and what not."""

    good: list[T] = []
    bad: list[tuple[int, GatewayError]] = []
    """By place in the request."""
    warnings: list[str] = []

    def check(self) -> None:
        """Raises what is wrong where nothing is good: all of it."""
        if self.good:
            return
        mistakes = [one for _, error in self.bad if isinstance(error, InvalidRequest) for one in error.mistakes]
        raise InvalidRequest(mistakes) if mistakes else self.bad[0][1]


def events(values: Sequence[Any], user_for: UserFor, now: datetime) -> Taken[Event]:
    """The events of `/events`; each value is decoded JSON, or an `EventRequest` already."""
    taken: Taken[Event] = Taken()
    for index, value in enumerate(values):
        where = f"/events/{index}"
        try:
            request = value if isinstance(value, EventRequest) else _converted(value, EventRequest, where)
            taken.good.append(_event(request, where, user_for, now, taken.warnings))
        except (InvalidRequest, Forbidden) as error:
            taken.bad.append((index, error))
    return taken


def items(values: Sequence[Any]) -> Taken[Edit]:
    """The items of `/items`."""
    taken: Taken[Edit] = Taken()
    for index, value in enumerate(values):
        where = f"/items/{index}"
        try:
            item = _converted(value, ItemRequest, where)
            if complaint := id_complaint(item.id):
                raise InvalidRequest([Mistake(f"{where}/id", complaint)])
            taken.good.append(Edit(item.id, dict(item.properties)))
        except InvalidRequest as error:
            taken.bad.append((index, error))
    return taken


def _converted(value: Any, type_: type[T], where: str) -> T:
    try:
        return convert(value, type_)
    except InvalidRequest as error:
        raise InvalidRequest([Mistake(where + one.pointer, one.message) for one in error.mistakes]) from None


def _event(request: EventRequest, where: str, user_for: UserFor, now: datetime, warnings: list[str]) -> Event:
    user = user_for(request.user.id if request.user else None)
    found = tuple(_item(one) for one in request.items)
    mistakes = [*_mistakes(request, where, user, found)]
    if mistakes:
        raise InvalidRequest(mistakes)
    assert user is not None  # noqa: S101  # or that would be a mistake
    time = request.time or now
    if time > now + AHEAD:
        warnings.append(f"{where}/time: more than 5 minutes ahead: taken as now")
        time = now
    return Event(
        id=request.id or uuid4().hex,
        type=request.type,
        user=user,
        items=found,
        value=request.value,
        currency=request.currency,
        time=time.astimezone(UTC),
        recommendation_id=request.recommendation_id,
        properties=request.properties,
    )


def _item(one: str | WireEventItem) -> EventItem:
    return EventItem(one) if isinstance(one, str) else EventItem(one.id, one.quantity, one.price)


def _mistakes(request: EventRequest, where: str, user: str | None, found: Sequence[EventItem]) -> list[Mistake]:
    """What the schema cannot see."""
    mistakes: list[Mistake] = []
    ids = [("/id", request.id), *((f"/items/{n}", item.id) for n, item in enumerate(found))]
    if request.user is not None:
        ids.append(("/user/id", request.user.id))
    elif user is None:
        mistakes.append(Mistake(f"{where}/user", "is missing"))
    for step, id_ in ids:
        if id_ is not None and (complaint := id_complaint(id_)):
            mistakes.append(Mistake(where + step, complaint))
    if request.type == "rating" and (request.value is None or not 0 <= request.value <= BEST_RATING):
        mistakes.append(Mistake(f"{where}/value", "must be 0..5 for a rating"))
    if request.time is not None and request.time < EARLIEST:
        mistakes.append(Mistake(f"{where}/time", "must not be before 1970"))
    return mistakes


def place(kind: str, index: int) -> str:
    """Of one entry: the fragment of its problem's `instance`."""
    return "#" + pointer([kind, index])

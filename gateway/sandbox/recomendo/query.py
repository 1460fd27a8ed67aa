"""The query language of the Universal Recommender, as Recomendo speaks it."""

from typing import Any, Final

import msgspec

from gateway.sandbox.recomendo.events import BadEvent, instant

NUM: Final = 20


class BadQuery(ValueError):
    """A query that the engine refuses; the text is the answer, as text/plain."""


class Field(msgspec.Struct, frozen=True):
    """Values of a property. Its bias boosts (> 0), includes only (< 0) or excludes (0)."""

    name: str
    values: list[str]
    bias: float


class DateRange(msgspec.Struct, frozen=True):
    """Items whose date `name` lies between the two, both exclusive and both optional."""

    name: str
    before: str | None = None
    after: str | None = None


class Query(msgspec.Struct, frozen=True, rename="camel"):
    """A query; every member is optional, and `{}` asks for what is popular."""

    user: str | None = None
    user_bias: float | None = None
    item: str | None = None
    item_bias: float | None = None
    item_set: list[str] | None = None
    item_set_bias: float | None = None
    fields: list[Field] | None = None
    current_date: str | None = None
    date_range: DateRange | None = None
    blacklist_items: list[str] | None = None
    return_self: bool | None = None
    num: int | None = None
    skip: int | None = msgspec.field(name="from", default=None)
    event_names: list[str] | None = None
    with_ranks: bool | None = None


def parse(body: bytes) -> Query:
    """The query in a request's body. Raises BadQuery."""
    try:
        query = msgspec.json.decode(body, type=Query)
    except msgspec.MsgspecError as wrong:
        raise BadQuery(str(wrong)) from None
    if (query.num or 0) < 0 or (query.skip or 0) < 0:
        raise BadQuery("num and from must not be negative")
    dates = [query.current_date]
    if query.date_range:
        dates += [query.date_range.before, query.date_range.after]
    for date in dates:
        if date is not None and moment(date) is None:
            raise BadQuery(f"failed to parse date field [{date}]")
    return query


def moment(value: Any) -> int | None:
    """A date in ms since the epoch, None for what is no ISO date."""
    try:
        return instant(value) if isinstance(value, str) else None
    except BadEvent:
        return None

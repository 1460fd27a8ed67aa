"""Filters in the vendor's words, and which of a filter's parts have words there.

    {property: {"$eq": boolean or string}}      {property: {"$in": [≤ 500 strings]}}
    {property: {"$gt" "$gte" "$lt" "$lte": number or RFC 3339}}
    {"$ids": [≤ 500]}      {"$and": [≤ 10]}      {"$or": [≤ 10]}

A number, and a date, equals by `$gte` and `$lte` together. A string equals by `$in`: of a property that holds
arrays one element suffices, and such a one (indexed as `keyword[]`) the vendor compares by `$in` alone, a plain
string by either (its own tests of the filter's types). There is no negation. Combinators nest twice at most,
and the `$and` that joins the parts of a whole filter is one of them. `$ids` is exact only where documents are
not split (vendor's document, "Request Body schema", and FACTS.md §5).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from gateway.errors import Unsupported
from gateway.model.filters import All, AnyOf, Compare, Filter, Ids, conjuncts, instant

MOST_COMBINED: Final = 10
MOST_NESTED: Final = 2
MOST_VALUES: Final = 500
STRING_BYTES: Final = 2048
EXACT_INTEGERS: Final = 2**53
"""The vendor's numbers are floats of 64 bits."""

PROPERTY_ID: Final = re.compile(r"[a-zA-Z0-9\-:@][a-zA-Z0-9\-:@_]{0,255}")
"""The vendor's DocumentPropertyId: no dots, and no `$` that could be taken for an operator."""

Said = dict[str, Any]


def expressible(parts: Sequence[Filter], split: bool) -> list[bool]:
    """Which of these parts can be said at once. The flat ones first: a nested one leaves no room for others."""
    said = [_said(part, split) for part in parts]
    order = sorted((i for i, one in enumerate(said) if one is not None), key=lambda i: _depth(said[i]))
    taken: list[Said | None] = []
    fits = [False] * len(parts)
    for i in order:
        if _combined("$and", [*taken, said[i]]) is not None:
            taken.append(said[i])
            fits[i] = True
    return fits


def native(tree: Filter, split: bool) -> Said:
    """The filter as the vendor reads it. Raises Unsupported where `expressible` would have said no."""
    said = _combined("$and", [_said(part, split) for part in conjuncts(tree)])
    if said is None:
        raise Unsupported("filter beyond the vendor's words")
    return said


def _said(part: Filter, split: bool) -> Said | None:
    match part:
        case Compare():
            return _compare(part) if PROPERTY_ID.fullmatch(part.property) else None
        case Ids(ids):
            return None if split or len(ids) > MOST_VALUES else {"$ids": list(ids)}
        case All(of):
            return _combined("$and", [_said(one, split) for one in of])
        case AnyOf(of):
            return _combined("$or", [_said(one, split) for one in of])
    return None


def _combined(word: str, parts: Sequence[Said | None]) -> Said | None:
    """The parts joined by `$and` or `$or`, flattened into one list where they are joined by it themselves."""
    flat: list[Said] = []
    for part in parts:
        if part is None:
            return None
        flat += part.get(word, [part])
    if len(flat) == 1:
        return flat[0]
    whole = {word: flat}
    return whole if len(flat) <= MOST_COMBINED and _depth(whole) <= MOST_NESTED else None


def _depth(said: Said | None) -> int:
    parts = said and (said.get("$and") or said.get("$or"))
    return 1 + max(_depth(part) for part in parts) if parts else 0


def _compare(leaf: Compare) -> Said | None:
    if leaf.op == "in":
        return _one_of(leaf.property, leaf.value) if isinstance(leaf.value, tuple) else None
    if leaf.op == "eq":
        return _equal(leaf.property, leaf.value)
    bound = _bound(leaf.value)
    return None if bound is None else {leaf.property: {f"${leaf.op}": bound}}


def _equal(name: str, value: object) -> Said | None:
    if isinstance(value, bool):
        return {name: {"$eq": value}}
    if _keyword(value):
        return {name: {"$in": [value]}}
    bound = _bound(value)
    return None if bound is None else {"$and": [{name: {"$gte": bound}}, {name: {"$lte": bound}}]}


def _one_of(name: str, values: tuple[object, ...]) -> Said | None:
    """Strings by `$in`; others, if few, by `$or`. A property is indexed as one type: a mixture is not said."""
    if all(_keyword(value) for value in values):
        return {name: {"$in": list(values)}} if len(values) <= MOST_VALUES else None
    if len({_sort(value) for value in values}) > 1:
        return None
    return _combined("$or", [_equal(name, value) for value in dict.fromkeys(values)])


def _sort(value: object) -> str:
    """What a property would have to be indexed as to equal this."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "date" if instant(value) else "keyword"


def _keyword(value: object) -> bool:
    """A string that equals as text. A date-time equals as a moment, whatever its offset."""
    return (
        isinstance(value, str)
        and 1 <= len(value.encode()) <= STRING_BYTES
        and "\0" not in value
        and instant(value) is None
    )


def _bound(value: object) -> float | str | None:
    """A number, or a date in the vendor's form; None where the vendor's precision would not do."""
    moment = instant(value)
    if moment is not None:
        return _timestamp(moment)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    exact = abs(value) <= EXACT_INTEGERS if isinstance(value, int) else math.isfinite(value)
    return value if exact else None


def _timestamp(moment: datetime) -> str | None:
    # "sub-second resolution is not guaranteed"
    return None if moment.microsecond else moment.isoformat().replace("+00:00", "Z")

"""Filters over item properties: a small frozen tree, parsed with every mistake named.

    Filter = Compare(property, op, value) | Ids(ids) | All(of) | AnyOf(of) | Not(of)

Meaning (API.md §3): a property that an item lacks matches nothing, so `not` of it matches; of an array
property one element suffices; numbers, strings and booleans never equal each other; dates are RFC 3339
and compare as instants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from gateway.errors import Mistake

Scalar = str | int | float | bool
Op = Literal["eq", "in", "gt", "gte", "lt", "lte"]
OPS: Final[tuple[Op, ...]] = ("eq", "in", "gt", "gte", "lt", "lte")
MAX_DEPTH: Final = 3
"""Combinators within combinators."""
MAX_LEAVES: Final = 100


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """One property against a value; `in` has a tuple of them."""

    property: str
    op: Op
    value: Scalar | tuple[Scalar, ...]


class Ids(msgspec.Struct, frozen=True, tag="ids"):
    """The item is one of these."""

    ids: tuple[str, ...]


class All(msgspec.Struct, frozen=True, tag="all"):
    """Every part matches."""

    of: tuple[Filter, ...]


class AnyOf(msgspec.Struct, frozen=True, tag="any"):
    """At least one part matches."""

    of: tuple[Filter, ...]


class Not(msgspec.Struct, frozen=True, tag="not"):
    """The part does not match."""

    of: Filter


Filter = Compare | Ids | All | AnyOf | Not

Properties = Mapping[str, Any]
"""An item's properties: scalars and arrays of scalars."""


def instant(value: object) -> datetime | None:
    """The moment that an RFC 3339 date-time names, or None for anything else."""
    if not isinstance(value, str) or len(value) < 20 or value[10] not in "Tt ":
        return None
    try:
        moment = datetime.fromisoformat(value.upper())
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):  # year 1 and year 9999 have no moment in every time zone
        return None


def parse(value: object, pointer: str, mistakes: list[Mistake]) -> Filter | None:
    """The filter that a decoded JSON value says, or None with what is wrong appended to `mistakes`."""
    before = len(mistakes)
    tree = _parse(value, pointer, mistakes, 0)
    if tree is not None and sum(1 for _ in leaves(tree)) > MAX_LEAVES:
        mistakes.append(Mistake(pointer, f"has more than {MAX_LEAVES} leaves"))
    return tree if len(mistakes) == before else None


def _parse(value: object, pointer: str, mistakes: list[Mistake], depth: int) -> Filter | None:
    if not isinstance(value, dict):
        mistakes.append(Mistake(pointer, 'must be an object such as {"property": "genre", "eq": "Drama"}'))
        return None
    if "property" in value:
        return _parse_compare(value, pointer, mistakes)
    if len(value) == 1:
        (word,) = value
        if word == "ids":
            return _parse_ids(value["ids"], f"{pointer}/ids", mistakes)
        if word in ("all", "any", "not"):
            return _parse_combinator(word, value[word], f"{pointer}/{word}", mistakes, depth + 1)
    mistakes.append(
        Mistake(pointer, "must have `property` and one comparison, or one of `ids`, `all`, `any`, `not`")
    )
    return None


def _parse_combinator(
    word: str, value: object, pointer: str, mistakes: list[Mistake], depth: int
) -> Filter | None:
    if depth > MAX_DEPTH:
        mistakes.append(Mistake(pointer, f"is nested deeper than {MAX_DEPTH}"))
        return None
    if word == "not":
        part = _parse(value, pointer, mistakes, depth)
        return None if part is None else Not(part)
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LEAVES:
        mistakes.append(Mistake(pointer, f"must be a list of 1..{MAX_LEAVES} filters"))
        return None
    parts = [_parse(part, f"{pointer}/{i}", mistakes, depth) for i, part in enumerate(value)]
    whole = tuple(part for part in parts if part is not None)
    if len(whole) < len(parts):
        return None
    return All(whole) if word == "all" else AnyOf(whole)


def _parse_ids(value: object, pointer: str, mistakes: list[Mistake]) -> Filter | None:
    if not isinstance(value, list) or not value or not all(isinstance(i, str) and i for i in value):
        mistakes.append(Mistake(pointer, "must be a non-empty list of item ids"))
        return None
    return Ids(tuple(value))


def _parse_compare(value: dict[str, Any], pointer: str, mistakes: list[Mistake]) -> Filter | None:
    before = len(mistakes)
    name = value["property"]
    if not isinstance(name, str) or not 1 <= len(name) <= 256:
        mistakes.append(Mistake(f"{pointer}/property", "must be a name of 1..256 characters"))
    ops = [op for op in OPS if op in value]
    for extra in value.keys() - {"property", *OPS}:
        mistakes.append(Mistake(f"{pointer}/{_escape(extra)}", "is not a member of a filter"))
    if len(ops) != 1:
        mistakes.append(Mistake(pointer, f"must have exactly one of {', '.join(f'`{op}`' for op in OPS)}"))
        return None
    op, operand = ops[0], value[ops[0]]
    if complaint := _operand_complaint(op, operand):
        mistakes.append(Mistake(f"{pointer}/{op}", complaint))
    if len(mistakes) > before:
        return None
    return Compare(name, op, tuple(operand) if op == "in" else operand)


def _operand_complaint(op: Op, operand: object) -> str | None:
    if op == "in":
        if isinstance(operand, list) and 1 <= len(operand) <= 500 and all(map(_is_scalar, operand)):
            return None
        return "must be a list of 1..500 strings, numbers or booleans"
    if op == "eq":
        return None if _is_scalar(operand) else "must be a string, number or boolean"
    if isinstance(operand, int | float) and not isinstance(operand, bool):
        return None
    return None if instant(operand) else "must be a number or an RFC 3339 date-time with an offset"


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _escape(member: str) -> str:
    return member.replace("~", "~0").replace("/", "~1")


def leaves(tree: Filter) -> Iterator[Compare | Ids]:
    """The comparisons and id lists of a filter, from left to right."""
    if isinstance(tree, All | AnyOf):
        for part in tree.of:
            yield from leaves(part)
    elif isinstance(tree, Not):
        yield from leaves(tree.of)
    else:
        yield tree


def conjuncts(tree: Filter | None) -> tuple[Filter, ...]:
    """The parts that must all match: what can be divided between a vendor and the gateway."""
    if tree is None:
        return ()
    if isinstance(tree, All):
        return tuple(part for whole in tree.of for part in conjuncts(whole))
    return (tree,)


def conjunction(parts: tuple[Filter, ...] | list[Filter]) -> Filter | None:
    """The filter that `conjuncts` would take apart into these parts."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def names(tree: Filter | None) -> frozenset[str]:
    """The properties that a filter reads."""
    if tree is None:
        return frozenset()
    return frozenset(leaf.property for leaf in leaves(tree) if isinstance(leaf, Compare))


def matches(tree: Filter, item: str, properties: Properties) -> bool:
    """Does an item with these properties match?"""
    match tree:
        case Compare():
            return _compare(tree, properties.get(tree.property))
        case Ids():
            return item in tree.ids
        case All():
            return all(matches(part, item, properties) for part in tree.of)
        case AnyOf():
            return any(matches(part, item, properties) for part in tree.of)
        case Not():
            return not matches(tree.of, item, properties)


def _compare(leaf: Compare, found: object) -> bool:
    if found is None:
        return False
    if isinstance(found, list | tuple):
        return any(_compare(leaf, one) for one in found)
    if leaf.op == "in":
        assert isinstance(leaf.value, tuple)  # noqa: S101  # the parser made it so
        return any(_equal(found, one) for one in leaf.value)
    if leaf.op == "eq":
        return _equal(found, leaf.value)
    return _ordered(leaf.op, found, leaf.value)


def _family(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string"


def _equal(found: object, wanted: object) -> bool:
    if _family(found) != _family(wanted):
        return False
    if found == wanted:
        return True
    moment = instant(wanted)
    return moment is not None and moment == instant(found)


def _ordered(op: Op, found: object, wanted: object) -> bool:
    left: Any
    right: Any
    if _family(found) == "number" and _family(wanted) == "number":
        left, right = found, wanted
    else:
        left, right = instant(found), instant(wanted)
        if left is None or right is None:
            return False
    if op == "gt":
        return bool(left > right)
    if op == "gte":
        return bool(left >= right)
    return bool(left < right) if op == "lt" else bool(left <= right)


def to_json(tree: Filter) -> dict[str, Any]:
    """The filter as API.md writes it: what `parse` reads back to an equal tree."""
    match tree:
        case Compare():
            value = list(tree.value) if isinstance(tree.value, tuple) else tree.value
            return {"property": tree.property, tree.op: value}
        case Ids():
            return {"ids": list(tree.ids)}
        case All():
            return {"all": [to_json(part) for part in tree.of]}
        case AnyOf():
            return {"any": [to_json(part) for part in tree.of]}
        case Not():
            return {"not": to_json(tree.of)}

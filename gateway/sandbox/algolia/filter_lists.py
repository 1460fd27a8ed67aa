"""Filters written as JSON: `facetFilters`, `numericFilters`, `tagFilters` and `optionalFilters`.

The outer array is an AND of its entries, an inner one an OR; a lone string is one entry
(https://www.algolia.com/doc/api-reference/api-parameters/facetFilters). Here, unlike in `filters`, a minus before
the value negates, and `\\-` is a minus that belongs to the value.
"""

import re
from collections.abc import Callable

from gateway.sandbox.algolia.conditions import Clause, Conjunction, Facet
from gateway.sandbox.algolia.filters import FilterError, number, one_kind

_Read = Callable[[str], Facet]

SCORED = re.compile(r"(?P<rest>.*)<score=(?P<score>\d+)>", re.DOTALL)


def facet_filters(value: object) -> Conjunction:
    """Read `facetFilters`: `"genre:Comedy"`, `"genre:-Comedy"`, also with quoted names and values."""
    return _conjunction(value, "facetFilters", lambda text: _facet(text, quotes=True))


def optional_filters(value: object) -> Conjunction:
    """Read `optionalFilters`: as facet filters, scored by `<score=3>`; quotes belong to the value here."""
    return _conjunction(value, "optionalFilters", _scored)


def tag_filters(value: object) -> Conjunction:
    """Read `tagFilters`: bare tags."""
    return _conjunction(value, "tagFilters", lambda text: _valued("_tags", text))


def numeric_filters(value: object) -> Conjunction:
    """Read `numericFilters`: `"price > 3"`, `"price:1 TO 5"`."""
    groups = _groups(value, "numericFilters")
    return Conjunction(
        tuple(
            one_kind(tuple(condition for text in group for condition in number(text).conditions))
            for group in groups
        )
    )


def scored(text: str) -> tuple[str, int]:
    """`genre<score=5>` → `("genre", 5)`; 1 where no score is given."""
    match = SCORED.fullmatch(text)
    return (match["rest"], int(match["score"])) if match else (text, 1)


def _conjunction(value: object, where: str, read: _Read) -> Conjunction:
    return Conjunction(tuple(Clause(tuple(read(text) for text in group)) for group in _groups(value, where)))


def _groups(value: object, where: str) -> list[list[str]]:
    if isinstance(value, str):
        return [[value]]
    if not isinstance(value, list):
        raise FilterError(f"{where} must be a string or an array")
    groups = [[entry] if isinstance(entry, str) else entry for entry in value]
    for group in groups:
        if not isinstance(group, list) or any(not isinstance(text, str) for text in group):
            raise FilterError(f"{where}: an AND inside an OR is not allowed, only arrays of strings")
    return [group for group in groups if group]


def _scored(text: str) -> Facet:
    rest, score = scored(text)
    return _facet(rest, quotes=False, score=score)


def _facet(text: str, *, quotes: bool, score: int = 1) -> Facet:
    quoted = re.match(r'"([^"]*)":(.*)', text, re.DOTALL) if quotes else None
    name, colon, value = (quoted[1], ":", quoted[2]) if quoted else text.partition(":")
    if not colon or not name or not value:
        raise FilterError(f"facetFilters: '{text}' is not of the form facet_name:facet_value")
    if quotes and len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return _valued(name, value, score)


def _valued(name: str, value: str, score: int = 1) -> Facet:
    if value.startswith("-"):
        return Facet(name, value[1:], negative=True, score=score)
    return Facet(name, value.removeprefix("\\") if value.startswith("\\-") else value, score=score)

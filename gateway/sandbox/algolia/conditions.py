"""What a filter of Algolia's is made of, and how it judges a record.

    Conjunction = Clause AND Clause AND …        Clause = Facet OR Facet … | Number OR Number … | Tag OR Tag …

Facet values are compared without regard to case, tags and objectIDs with it
(https://www.algolia.com/doc/api-reference/api-parameters/filters); dates are numbers. A filter on an attribute
that holds an array matches if any of its elements does.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]

COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


def values(record: object, path: str) -> Iterator[str | int | float | bool]:
    """Every scalar that an attribute of a record holds; `authors.main` steps into nested objects."""
    if not isinstance(record, Mapping):
        return
    if path in record:
        yield from _scalars(record[path])
        return
    head, dot, rest = path.partition(".")
    if dot and head in record:
        inner = record[head]
        for one in inner if isinstance(inner, list) else [inner]:
            yield from values(one, rest)


def _scalars(value: object) -> Iterator[str | int | float | bool]:
    if isinstance(value, list):
        for one in value:
            yield from _scalars(one)
    elif isinstance(value, str | int | float):
        yield value


def text_of(value: str | int | float | bool) -> str:
    """A record's value as the facet value it makes: `true`, `1995`, `Comedy`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


@dataclass(frozen=True, slots=True)
class Facet:
    """`attribute:value`, perhaps negated, perhaps scored; `_tags` and a bare word are tags."""

    attribute: str
    value: str
    negative: bool = False
    score: int = 1

    @property
    def kind(self) -> str:
        return "tag" if self.attribute == "_tags" else "facet"

    def matches(self, record: Record) -> bool:
        return self._found(record) is not self.negative

    def _found(self, record: Record) -> bool:
        if self.attribute in {"objectID", "_tags"}:
            return any(text_of(value) == self.value for value in values(record, self.attribute))
        wanted = self.value.casefold()
        return any(text_of(value).casefold() == wanted for value in values(record, self.attribute))


@dataclass(frozen=True, slots=True)
class Number:
    """`attribute < 3`, or `attribute:1 TO 5` with both ends within; strings are never compared as numbers."""

    attribute: str
    tests: tuple[tuple[str, float], ...]
    negative: bool = False
    score: int = 0
    kind: str = "numeric"

    def matches(self, record: Record) -> bool:
        return self._found(record) is not self.negative

    def _found(self, record: Record) -> bool:
        return any(
            all(COMPARE[sign](value, bound) for sign, bound in self.tests)
            for value in values(record, self.attribute)
            if not isinstance(value, str | bool)
        )


Condition = Facet | Number


@dataclass(frozen=True, slots=True)
class Clause:
    """Conditions of one kind of which one has to hold."""

    conditions: tuple[Condition, ...]

    def matches(self, record: Record) -> bool:
        return any(condition.matches(record) for condition in self.conditions)

    def points(self, record: Record, *, summed: bool = False) -> int:
        """The best score among the conditions that hold; their sum under `sumOrFiltersScores`."""
        scores = [condition.score for condition in self.conditions if condition.matches(record)]
        return sum(scores) if summed else max(scores, default=0)


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Clauses that all have to hold; of none, everything matches."""

    clauses: tuple[Clause, ...] = ()

    def __add__(self, other: "Conjunction") -> "Conjunction":
        return Conjunction(self.clauses + other.clauses)

    @property
    def scored(self) -> bool:
        """Whether some filter carries a score other than the usual one, so that records can differ by it."""
        return any(
            isinstance(condition, Facet) and condition.score != 1
            for clause in self.clauses
            for condition in clause.conditions
        )

    def matches(self, record: Record) -> bool:
        return all(clause.matches(record) for clause in self.clauses)

    def points(self, record: Record, *, summed: bool = False) -> int:
        """What the clauses that hold are worth together."""
        return sum(clause.points(record, summed=summed) for clause in self.clauses)

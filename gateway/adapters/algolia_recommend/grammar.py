"""Algolia's `filters` string read back: into its clauses, and into our tree where that says the same.

    conjunction := disjunction ("AND" disjunction)*
    disjunction := operand ("OR" operand)*               OR binds tighter: of the two readings only this is legal
    operand     := "(" conjunction ")" | term            one level of parentheses
    term        := anything up to the next keyword or parenthesis

A rule's filter that does not come back letter for letter when the tree is printed stays a string
(`gateway.adapters.algolia_recommend.rules`): nothing that Algolia has is respelled by passing through.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.adapters.algolia_recommend.filters import clauses, join, printed
from gateway.errors import Mistake, Unsupported
from gateway.model.filters import AnyOf, Compare, Filter, Ids, Not, conjunction, parse, to_json

TOKEN: Final = re.compile(r"""\s*("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[()]|[^\s()"']+)""")
FACET: Final = re.compile(r'(?P<name>[^\s:<>=!"]+):(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s:<>=!"]+))')
NUMERIC: Final = re.compile(r"(?P<name>[^\s:<>=!\"]+) (?P<sign><=|>=|=|<|>) (?P<number>-?\d+(?:\.\d+)?)")
OPS: Final = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "=": "eq"}


def tree_of(text: str) -> Filter | None:
    """The tree that prints as exactly this string and that our API can carry; None if there is none."""
    try:
        tree = conjunction([_any_of([_leaf(term) for term in clause]) for clause in clauses_of(text)])
        if tree is None or printed(clauses(tree)) != text:
            return None
    except (ValueError, Unsupported):
        return None
    mistakes: list[Mistake] = []
    return parse(to_json(tree), "", mistakes)


def conjoined(text: str, more: Sequence[Sequence[str]]) -> str:
    """A `filters` string and more clauses, all of which must match."""
    return join([*clauses_of(text), *more])


def clauses_of(text: str) -> list[list[str]]:
    """The terms of a `filters` string as an AND of ORs. ValueError where it is not of that form."""
    if not text.strip():
        return []
    reader = _Reader(text)
    said = reader.conjunction(nested=False)
    reader.end()
    return said


class _Reader:
    """Recursive descent over the tokens, which it takes from the front."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def _peek(self) -> str:
        found = TOKEN.match(self._text, self._at)
        return found[1] if found else ""

    def _take(self, wanted: str) -> bool:
        found = TOKEN.match(self._text, self._at)
        if not found or found[1] != wanted:
            return False
        self._at = found.end()
        return True

    def end(self) -> None:
        if self._text[self._at :].strip():
            raise ValueError(f"filters: unexpected text at {self._at}")

    def conjunction(self, *, nested: bool) -> list[list[str]]:
        said = self._disjunction(nested=nested)
        while self._take("AND"):
            said += self._disjunction(nested=nested)
        return said

    def _disjunction(self, *, nested: bool) -> list[list[str]]:
        operands = [self._operand(nested=nested)]
        while self._take("OR"):
            operands.append(self._operand(nested=nested))
        if len(operands) == 1:
            return operands[0]
        if any(len(operand) > 1 for operand in operands):
            raise ValueError("filters: an OR may hold no AND")
        return [[term for (clause,) in operands for term in clause]]

    def _operand(self, *, nested: bool) -> list[list[str]]:
        if not self._take("("):
            return [[self._term()]]
        if nested:
            raise ValueError("filters: only one level of parentheses")
        said = self.conjunction(nested=True)
        if not self._take(")"):
            raise ValueError(f"filters: no closing parenthesis at {self._at}")
        return said

    def _term(self) -> str:
        start = self._at
        while self._peek() not in ("", "AND", "OR", "(", ")"):
            self._take(self._peek())
        term = self._text[start : self._at].strip()
        if term in ("", "NOT"):
            raise ValueError(f"filters: a term is missing at {start}")
        return term


def _leaf(term: str) -> Filter:
    """One term. ValueError where it has no word of ours."""
    if term.startswith("NOT "):
        return Not(_leaf(term[4:]))
    if found := NUMERIC.fullmatch(term):
        number = found["number"]
        op = OPS[found["sign"]]
        return Compare(found["name"], op, float(number) if "." in number else int(number))  # type: ignore[arg-type]  # OPS has nothing but Op
    if not (found := FACET.fullmatch(term)):
        raise ValueError("filters: a term that our filters have no word for")
    if found["name"] == "objectID":
        return Ids((found["bare"] or found["quoted"],))
    if found["bare"] in ("true", "false"):
        return Compare(found["name"], "eq", found["bare"] == "true")
    return Compare(found["name"], "eq", found["bare"] or found["quoted"])


def _any_of(leaves: list[Filter]) -> Filter:
    """Several leaves, one of which must match, in the shortest words."""
    if len(leaves) == 1:
        return leaves[0]
    if all(isinstance(leaf, Ids) for leaf in leaves):
        return Ids(tuple(id_ for leaf in leaves if isinstance(leaf, Ids) for id_ in leaf.ids))
    equals = [leaf for leaf in leaves if isinstance(leaf, Compare) and leaf.op == "eq"]
    if len(equals) == len(leaves) and len({leaf.property for leaf in equals}) == 1:
        return Compare(equals[0].property, "in", tuple(leaf.value for leaf in equals))  # type: ignore[misc]  # eq has scalars
    return AnyOf(tuple(leaves))

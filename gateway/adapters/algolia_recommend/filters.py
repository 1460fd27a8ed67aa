"""The filter tree as Algolia's `filters` string, exactly or not at all.

    tree ─▸ clauses: AND of (OR of terms) ─▸ `genre:Drama AND (year < 1950 OR year > 1990) AND NOT objectID:i5`

    term   = name:value                  a facet: text, true, false
           | name < 3                    a number; also <= = >= >
           | NOT term

An OR may hold no AND and terms of one sort only (FACTS.md §2), so a tree that has no such form is `Unsupported`.
Two things follow from how Algolia indexes facets, as text: values are compared without regard to case, which is
taken as the same value here; and the text `1990` is also found where the number 1990 is stored, which is not
(`Term.exact`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, Literal

import msgspec

from gateway.errors import Unsupported
from gateway.model.filters import All, AnyOf, Compare, Filter, Ids, Not, Scalar, instant

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
"""Attributes that need no quotes, nested ones (`categories.lvl0`) too; not Algolia's own (`_tags`)."""
BARE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "TO"})
UNQUOTABLE: Final = re.compile(r'["\\\x00-\x1f\x7f]')
NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
SIGNS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
MOST_EXACT: Final = 2**53
"""Algolia keeps numbers as doubles: whole ones beyond this are not told apart."""


class Term(msgspec.Struct, frozen=True):
    """One comparison as Algolia writes it."""

    text: str
    sort: Literal["facet", "numeric"]
    exact: bool = True
    """False where it also matches values of another type than the filter's."""


Clause = tuple[Term, ...]
"""Terms of which one has to match."""


def clauses(tree: Filter | None, negated: bool = False) -> tuple[Clause, ...]:
    """The AND of ORs that says the same as a tree, or as its opposite. Raises Unsupported where there is none."""
    match tree:
        case None:
            return ()
        case Compare():
            return _either(_compare(tree), negated)
        case Ids():
            return _either([identity(id_) for id_ in tree.ids], negated)
        case Not():
            return clauses(tree.of, not negated)
        case All() | AnyOf():
            parts = [clauses(part, negated) for part in tree.of]
            if isinstance(tree, All) is not negated:
                return tuple(clause for part in parts for clause in part)
            return (_or(parts),)


def printed(said: Iterable[Clause]) -> str:
    """Clauses as one `filters` string; empty when there are none."""
    return join([[term.text for term in clause] for clause in said])


def join(said: Sequence[Sequence[str]]) -> str:
    """An AND of ORs of terms; a single OR needs no parentheses."""
    texts = [" OR ".join(clause) for clause in said]
    if len(said) == 1:
        return texts[0]
    return " AND ".join(f"({text})" if len(clause) > 1 else text for clause, text in zip(said, texts, strict=True))


def expressible(part: Filter) -> bool:
    """Can this be said so that Algolia matches what `gateway.model.filters.matches` does?"""
    try:
        return all(term.exact for clause in clauses(part) for term in clause)
    except Unsupported:
        return False


def without(ids: Iterable[str]) -> tuple[Clause, ...]:
    """Clauses that exclude items; those whose ids cannot be written are left to whoever reads the answer."""
    return tuple((_negative(identity(id_)),) for id_ in ids if sayable(id_))


def sayable(text: str) -> bool:
    """Can this text stand in a filter? Escapes inside quotes are in no document of Algolia's."""
    return bool(text) and text == text.strip() and not UNQUOTABLE.search(text)


def identity(id_: str) -> Term:
    """The item is this one."""
    return Term(f"objectID:{_word(id_)}", "facet")


def _either(terms: Sequence[Term], negated: bool) -> tuple[Clause, ...]:
    if negated:
        return tuple((_negative(term),) for term in terms)
    return (_or([(tuple(terms),)]),)


def _negative(term: Term) -> Term:
    return msgspec.structs.replace(term, text=f"NOT {term.text}")


def _or(parts: Sequence[tuple[Clause, ...]]) -> Clause:
    if any(len(part) != 1 for part in parts):
        raise Unsupported("cannot filter by an OR that holds an AND")
    terms = tuple(term for (clause,) in parts for term in clause)
    if len({term.sort for term in terms}) > 1:
        raise Unsupported("cannot filter by an OR of numbers and other values")
    return terms


def _compare(leaf: Compare) -> list[Term]:
    name = leaf.property
    if not NAME.fullmatch(name) or name.upper() in KEYWORDS or name == "objectID":
        raise Unsupported(f"cannot filter by a property called `{name}`")
    if isinstance(leaf.value, tuple):
        return [_equal(name, value) for value in leaf.value]
    if leaf.op == "eq":
        return [_equal(name, leaf.value)]
    if isinstance(leaf.value, str | bool):
        raise Unsupported(f"cannot order `{name}` by dates that are stored as text")
    return [Term(f"{name} {SIGNS[leaf.op]} {_number(leaf.value)}", "numeric")]


def _equal(name: str, value: Scalar) -> Term:
    if isinstance(value, bool):
        return Term(f"{name}:{'true' if value else 'false'}", "facet")
    if not isinstance(value, str):
        return Term(f"{name} = {_number(value)}", "numeric")
    if instant(value):
        raise Unsupported(f"cannot compare `{name}` with moments that are stored as text")
    looks_typed = NUMBER.fullmatch(value) or value.casefold() in ("true", "false")
    return Term(f"{name}:{_word(value)}", "facet", exact=not looks_typed)


def _word(text: str) -> str:
    if not sayable(text):
        raise Unsupported("cannot filter by a text that its filters cannot quote")
    bare = BARE.fullmatch(text) and text.upper() not in KEYWORDS and text.casefold() not in ("true", "false")
    return text if bare else f'"{text}"'


def _number(value: float) -> str:
    if abs(value) > MOST_EXACT:
        raise Unsupported("cannot tell numbers beyond 2^53 apart")
    return str(value) if isinstance(value, int) else format(Decimal(repr(value)), "f")

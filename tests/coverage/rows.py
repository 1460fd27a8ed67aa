"""What a row is, and how one says where its evidence is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Where = Literal["sent", "header", "answered", "status"]


@dataclass(frozen=True)
class Sign:
    """What an exchange of a case must have, for the case to show a row."""

    where: Where
    what: str
    """A member of the JSON, the query or the form; a header; a status. With `=` also its value."""


@dataclass(frozen=True)
class Test:
    """A test: `module::function`."""

    name: str


@dataclass(frozen=True)
class Case:
    """A case by its name."""

    name: str


@dataclass(frozen=True)
class Because:
    """Why nothing is to be shown here."""

    reason: str


Evidence = Sign | Test | Case | Because


@dataclass(frozen=True)
class Row:
    """One thing that a document says. Each piece of its evidence must be there."""

    what: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Section:
    """One endpoint, or what a document says of all of them (`path` empty)."""

    title: str
    over: tuple[str, ...]
    """The operations of ours that lead there: `POST /v1/search`."""
    rows: tuple[Row, ...]
    method: str = ""
    path: str = ""
    """A regular expression that the URL's path must match from its beginning."""


@dataclass(frozen=True)
class Document:
    """One of the five."""

    title: str
    file: str
    adapter: str
    sections: tuple[Section, ...]


def sent(*members: str) -> tuple[Evidence, ...]:
    """Members of the request: JSON at any depth, query or form."""
    return tuple(Sign("sent", member) for member in members)


def header(*names: str) -> tuple[Evidence, ...]:
    """Headers of the request."""
    return tuple(Sign("header", name) for name in names)


def answered(*members: str) -> tuple[Evidence, ...]:
    """Members of the answer's JSON, at any depth."""
    return tuple(Sign("answered", member) for member in members)


def status(number: int) -> tuple[Evidence, ...]:
    """An answer with this status."""
    return (Sign("status", str(number)),)


def test(*names: str) -> tuple[Evidence, ...]:
    """Tests, as `module::function`."""
    return tuple(map(Test, names))


def case(*names: str) -> tuple[Evidence, ...]:
    """Cases by name."""
    return tuple(map(Case, names))


def because(reason: str) -> tuple[Evidence, ...]:
    """Nothing to show."""
    return (Because(reason),)


def row(what: str, *evidence: tuple[Evidence, ...]) -> Row:
    """A row with everything that shows it."""
    return Row(what, tuple(one for some in evidence for one in some))

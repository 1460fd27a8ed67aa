"""Does a vendor's answer have members that its documents do not name? Then its API is changing.

    answer ─▸ every 64th ─▸ its members' paths − those that are documented ─▸ noted, if any are left

What is documented the adapter says (`Adapter.documented`); one that says nothing is not looked at. The other half
of drift, members that are missing or of another type, shows by itself: the adapter finds nothing there, and the
dialogue makes `Malformed` of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from gateway.adapter import Request, Response
from gateway.telemetry.notes import Notes, Unknown

EVERY: Final = 64
"""One answer of so many is looked at, the first among them: drift stays, so it is found soon all the same."""
ELEMENTS: Final = 3
"""Elements of an array that are looked at; they are alike."""
DEEPEST: Final = 6
"""Levels."""
MOST: Final = 20
"""Paths that are told of one answer: objects whose members are ids would have no end of them."""


class Drift:
    """Of one provider."""

    __slots__ = ("_adapter", "_answers", "_known", "_notes", "_provider")

    def __init__(
        self, provider: str, adapter: str, documented: Mapping[str, frozenset[str]], notes: Notes
    ) -> None:
        self._provider = provider
        self._adapter = adapter
        self._known = {route: known(paths) for route, paths in documented.items()}
        self._notes = notes
        self._answers = dict.fromkeys(documented, 0)

    def look(self, request: Request, answer: Response) -> None:
        """At this answer, if it is its turn."""
        route = request.route or request.path
        answers = self._answers.get(route)
        if answers is None:
            return
        self._answers[route] = answers + 1
        if answers % EVERY:
            return
        try:
            found = unknown(answer.json, self._known[route])
        except ValueError:  # no JSON: the adapter will find that out
            return
        if found:
            self._notes.note(Unknown(self._provider, self._adapter, route, found))


def known(documented: Iterable[str]) -> frozenset[str]:
    """The paths themselves and all that lead to them."""
    return frozenset(path[:end] for path in documented for end in (*_joints(path), len(path)))


def _joints(path: str) -> Iterator[int]:
    return (at for at, letter in enumerate(path) if letter in ".[")


def unknown(value: Any, known: frozenset[str]) -> tuple[str, ...]:
    """The paths that are not known, each once; within an unknown member it is not looked further."""
    return tuple(islice(dict.fromkeys(_strange(value, "", known, DEEPEST)), MOST))


def _strange(value: Any, at: str, known: frozenset[str], levels: int) -> Iterator[str]:
    if not levels or f"{at}.*" in known:
        return
    if isinstance(value, list):
        for element in value[:ELEMENTS]:
            yield from _strange(element, f"{at}[]", known, levels - 1)
    elif isinstance(value, dict):
        for name, member in value.items():
            path = f"{at}.{name}" if at else name
            if path in known:
                yield from _strange(member, path, known, levels - 1)
            else:
                yield path

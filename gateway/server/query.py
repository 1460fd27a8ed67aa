"""The URL form of a request for recommendations: the same members, written as query parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from gateway.errors import InvalidRequest, Mistake
from gateway.model.wire import RecommendationRequest
from gateway.server.mistakes import all_mistakes, check_depth, convert

T = TypeVar("T")

REPEATED: Final = {"item": "items", "exclude": "exclude_items", "context": "context"}
WORDS: Final = {"true": True, "false": False, "1": True, "0": False}


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None


def _truth(text: str) -> Any:
    if text not in WORDS:
        raise ValueError("must be true or false")
    return WORDS[text]


def _json(text: str) -> Any:
    try:
        check_depth(text.encode())
        return msgspec.json.decode(text)
    except (ValueError, RecursionError, InvalidRequest):
        raise ValueError('must be JSON, such as {"property": "genre", "eq": "Drama"}') from None


SINGLE: Final[dict[str, tuple[tuple[str, ...], Callable[[str], Any]]]] = {
    "placement": (("placement",), str),
    "kind": (("kind",), str),
    "user": (("user", "id"), str),
    "facet_name": (("facet", "name"), str),
    "facet_value": (("facet", "value"), str),
    "count": (("count",), _number),
    "filter": (("filter",), _json),
    "exclude_seen": (("exclude_seen",), _truth),
    "include": (("include",), lambda text: [one for one in text.split(",") if one]),
    "recommendation_id": (("recommendation_id",), str),
}


def from_query(query: Sequence[tuple[str, str]], type_: type[RecommendationRequest]) -> RecommendationRequest:
    """The request that the parameters say. Raises InvalidRequest naming every mistake as `?name`."""
    mistakes: list[Mistake] = []
    members: dict[str, Any] = {}
    once: set[str] = set()
    for name, text in query:
        if name in REPEATED:
            members.setdefault(REPEATED[name], []).append(text)
        elif name not in SINGLE:
            known = ", ".join(sorted((*REPEATED, *SINGLE)))
            mistakes.append(Mistake(f"?{name}", f"is not a parameter here; the parameters are {known}"))
        elif name in once:
            mistakes.append(Mistake(f"?{name}", "must be given once"))
        else:
            once.add(name)
            _put(members, name, text, mistakes)
    try:
        request = convert(members, type_)
    except InvalidRequest as invalid:
        mistakes += as_parameters(invalid.mistakes)
    if mistakes:
        raise InvalidRequest(mistakes)
    return request


def parameters(query: Mapping[str, str], type_: type[T], mistakes: list[Mistake]) -> T | None:
    """The parameters of a type, each once, in the type's own names; None with what is wrong appended."""
    before = len(mistakes)
    members: dict[str, Any] = {}
    fields = {field.name: field for field in msgspec.structs.fields(type_)}  # type: ignore[arg-type]  # a struct
    counts = Counter(name for name, _ in query.items())
    for name, text in query.items():
        if name not in fields:
            known = ", ".join(sorted(fields)) or "none"
            mistakes.append(Mistake(f"?{name}", f"is not a parameter here; the parameters are {known}"))
        elif counts[name] > 1:
            mistakes.append(Mistake(f"?{name}", "must be given once"))
        else:
            _read(members, name, text, fields[name].type, mistakes)
    lacking = [name for name, field in fields.items() if field.required and name not in query]
    mistakes += [Mistake(f"?{name}", "is missing") for name in lacking]
    return msgspec.convert(members, type_) if len(mistakes) == before else None


def _read(members: dict[str, Any], name: str, text: str, type_: Any, mistakes: list[Mistake]) -> None:
    try:
        value = msgspec.convert(text, type_, strict=False)
        if value is None or isinstance(value, datetime):  # lax takes `null` for nothing, and numbers for times
            value = msgspec.convert(text, type_)
        members[name] = value
    except msgspec.ValidationError as error:
        meant = _meant(text) if "`int" in str(error) else text
        mistakes += [Mistake(f"?{name}", one.message) for one in all_mistakes(meant, type_, str(error))]


def _meant(text: str) -> Any:
    """The number that a text is, where it is one: then what is wrong with it is not its type."""
    try:
        return int(text)
    except ValueError:
        return text


def _put(members: dict[str, Any], name: str, text: str, mistakes: list[Mistake]) -> None:
    path, read = SINGLE[name]
    try:
        value = read(text)
    except ValueError as error:
        mistakes.append(Mistake(f"?{name}", str(error)))
        return
    for step in path[:-1]:
        members = members.setdefault(step, {})
    members[path[-1]] = value


def as_parameters(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """The same mistakes where they stand in the URL."""
    return [Mistake(_parameter(mistake.pointer), mistake.message) for mistake in mistakes]


def _parameter(pointer: str) -> str:
    """The parameter that a JSON pointer into the request means."""
    steps = pointer.strip("/").split("/")
    for name, (path, _) in SINGLE.items():
        shorter = min(len(path), len(steps))  # a mistake of the whole facet is one of its name
        if tuple(steps[:shorter]) == path[:shorter]:
            return f"?{name}"
    for name, member in REPEATED.items():
        if steps[0] == member:
            return f"?{name}"
    return pointer

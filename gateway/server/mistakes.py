"""Every mistake of a request at once, for people: where it is (a JSON pointer) and what would be right.

The fast way decodes and validates in one step and stops at the first mistake. Only when there is one is the
body held against the JSON Schema of the same type, which finds all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final, TypeVar

import jsonschema
import msgspec

from gateway.errors import InvalidRequest, Mistake

T = TypeVar("T")

DEPTH: Final = 64
"""How deeply lists or objects may be nested; alternating ones up to twice as deeply."""
_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_NO_MARKS: Final = bytes(sorted(set(range(256)) - set(b'[]{}"')))

WORDS = {
    "integer": "a whole number", "number": "a number", "string": "a string", "boolean": "true or false",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip


def decode(body: bytes, type_: type[T]) -> T:
    """The value of a body. Raises InvalidRequest: 400 if it is not JSON, 422 naming every mistake if not valid."""
    check_depth(body)
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        said = str(error)
    except (ValueError, RecursionError) as error:
        raise not_json(error) from None
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise not_json(error) from None
    raise InvalidRequest(all_mistakes(value, type_, said))


def check_depth(body: bytes) -> None:
    """Raises InvalidRequest (400) where lists and objects are nested deeper than DEPTH.

    What is decoded is walked by functions that call themselves, ours and libraries'. The innermost pairs of
    brackets are taken away until none is left, which costs a few passes at the speed of C.
    """
    if body.count(b"[") + body.count(b"{") <= DEPTH:
        return
    plain = _ESCAPED.sub(b"", body) if b"\\" in body else body
    marks = plain.translate(None, _NO_MARKS)
    brackets = b"".join(marks.split(b'"')[::2])  # what stands outside of strings
    for _ in range(DEPTH):
        fewer = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(fewer) == len(brackets):
            return  # nothing is left, or it is not JSON, which the decoder says better
        brackets = fewer
    if brackets:
        raise not_json(RecursionError())


def convert(value: Any, type_: type[T], *, strict: bool = True) -> T:
    """The same for a value that is decoded already."""
    try:
        return msgspec.convert(value, type_, strict=strict)
    except msgspec.ValidationError as error:
        raise InvalidRequest(all_mistakes(value, type_, str(error))) from None


def not_json(error: Exception) -> InvalidRequest:
    """What is said of a body that is not JSON."""
    what = "nested too deeply" if isinstance(error, RecursionError) else str(error).split(" (byte")[0]
    return InvalidRequest([Mistake("", f"the body is not JSON: {what}")], status=400)


@cache
def _validator(type_: Any) -> jsonschema.protocols.Validator:
    return jsonschema.Draft202012Validator(
        msgspec.json.schema(type_), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def all_mistakes(value: Any, type_: Any, fallback: str) -> list[Mistake]:
    """All that is wrong; `fallback` (the decoder's own words) where the schema sees nothing."""
    found = [m for error in _validator(type_).iter_errors(value) for m in _explain(error)]
    found = list(dict.fromkeys(found))
    return found or [_from_decoder(fallback)]


def _from_decoder(message: str) -> Mistake:
    what, _, where = message.partition(" - at `")
    steps = where.rstrip("`").lstrip("$").replace("[", ".").replace("]", "").split(".")[1:]
    return Mistake("".join(f"/{step}" for step in steps), what[:1].lower() + what[1:])


def pointer(path: Iterable[Any]) -> str:
    """The JSON pointer (RFC 6901) of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _explain(error: Any) -> Iterator[Mistake]:
    where = pointer(error.absolute_path)
    if error.validator == "anyOf":
        yield from _explain_any_of(error)
    elif error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        for extra in error.instance.keys() - set(known):
            message = f"is not a member here; the members are {', '.join(known)}"
            yield Mistake(where + pointer([extra]), message)
    elif error.validator == "required":
        lacking = [name for name in error.validator_value if name not in error.instance]
        yield from (Mistake(where + pointer([name]), "is missing") for name in lacking)
    else:
        yield Mistake(where, _sentence(error))


def _explain_any_of(error: Any) -> Iterator[Mistake]:
    """Of alternatives the one that was meant: `X or null` means X."""
    branches: dict[int, list[Any]] = {}
    for part in error.context or ():
        branches.setdefault(int(part.schema_path[0]), []).append(part)
    meant = [parts for index, parts in branches.items() if error.validator_value[index] != {"type": "null"}]
    if len(meant) == 1:
        for part in meant[0]:
            yield from _explain(part)
    else:
        yield Mistake(pointer(error.absolute_path), "has none of the forms that are allowed here")


def _sentence(error: Any) -> str:
    bound = error.validator_value
    match error.validator:
        case "type":
            return f"must be {WORDS.get(bound, bound)}"
        case "enum":
            return f"must be one of {', '.join(map(str, bound))}"
        case "minimum" | "maximum":
            return f"must be {_bounds(error.schema, 'imum')}"
        case "minLength" | "maxLength":
            return f"must have {_bounds(error.schema, 'Length')} characters"
        case "minItems" | "maxItems":
            return f"must have {_bounds(error.schema, 'Items')} entries"
        case "pattern":
            return f"must match {bound}"
        case "format":
            return "must be an RFC 3339 date-time with an offset" if bound == "date-time" else f"must be a {bound}"
        case _:
            return str(error.message)[:200]


def _bounds(schema: dict[str, Any], of: str) -> str:
    """`1..100`, `at least 1`, `at most 100`; what is counted has none less than 0."""
    low, high = schema.get(f"min{of}", None if of == "imum" else 0), schema.get(f"max{of}")
    if high is None:
        return f"at least {low}"
    return f"at most {high}" if low is None else f"{low}..{high}"

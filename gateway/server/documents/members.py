"""The members of a schema as rows for people: name, type with its bounds, default, what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.server.documents.html import Html, code, inline, join, tag
from gateway.server.documents.schemas import AT

Schema = dict[str, Any]
NULL: Final = {"type": "null"}
WORDS: Final = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "true or false",
    "object": "object", "array": "list",
}  # fmt: skip
FORMATS: Final = {"date-time": "RFC 3339 time"}


class Member(msgspec.Struct, frozen=True):
    """One row."""

    name: str
    """With the way to it: `user.history[].item`."""
    schema: Schema
    required: bool = False
    about: str = ""


def members(
    schema: Schema, named: dict[str, Schema], way: str = "", within: frozenset[str] = frozenset()
) -> Iterator[Member]:
    """Those of an object and of the objects in it. `named` are the components; one within itself is not opened."""
    name = _name(schema)
    if name in within:
        return
    opened = named.get(name, schema)
    for key, member in opened.get("properties", {}).items():
        core = meant(member)
        about = member.get("description") or core.get("description") or _about(core, named)
        yield Member(way + key, member, key in opened.get("required", ()), about)
        inner, step = (core.get("items", {}), "[].") if core.get("type") == "array" else (core, ".")
        if "$ref" in inner:
            yield from members(inner, named, way + key + step, within | {name})


def own(schema: Schema, named: dict[str, Schema]) -> Iterator[Member]:
    """Those of an object alone."""
    return (one for one in members(schema, named) if "." not in one.name)


def _name(schema: Schema) -> str:
    return str(schema.get("$ref", "")).removeprefix(AT)


def _about(schema: Schema, named: dict[str, Schema]) -> str:
    """What its type is for, where nothing is said of the member itself."""
    return str(named.get(_name(schema), {}).get("description", ""))


def meant(schema: Schema) -> Schema:
    """Of `X or null` the X; else the schema itself."""
    others = [one for one in schema.get("anyOf", ()) if one != NULL]
    return others[0] if len(others) == 1 else schema


def rows(listed: Iterator[Member], **attributes: str) -> Html | None:
    """The members as a list; None if there are none."""
    found = [_row(one) for one in listed]
    return tag("dl", *found, **attributes) if found else None


def _row(member: Member) -> Html:
    required = tag("span", "required", class_="tag") if member.required else None
    nullable = member.schema.get("default", ...) is not None and NULL in member.schema.get("anyOf", ())
    details = [kind(meant(member.schema)), Html(" or null") if nullable else None, _default(member.schema)]
    return tag(
        "div",
        tag("dt", code(member.name), required),
        tag("dd", tag("p", *details, class_="quiet"), tag("p", inline(member.about)) if member.about else None),
    )


def _default(schema: Schema) -> Html | None:
    if schema.get("default") in (None, [], {}):
        return None
    return join([", default ", code(msgspec.json.encode(schema["default"]).decode())])


def kind(schema: Schema) -> Html:
    """The type and its bounds."""
    if "$ref" in schema:
        return tag("a", _name(schema), href=f"#type-{_name(schema)}")
    if "anyOf" in schema:
        return _alternatives([one for one in schema["anyOf"] if one])
    if "enum" in schema:
        return _either([code(str(word)) for word in schema["enum"]])
    if schema.get("type") == "array":
        return join(["list", _bounds(schema, "Items", " entries"), ": ", kind(schema.get("items", {}))])
    word = FORMATS.get(schema.get("format", "")) or WORDS.get(schema.get("type", ""), "anything")
    pattern = join([", matching ", code(schema["pattern"])]) if "pattern" in schema else None
    return join([word, _bounds(schema, "imum", ""), _bounds(schema, "Length", " characters"), pattern])


def _alternatives(schemas: list[Schema]) -> Html:
    if all("enum" in one for one in schemas):
        return kind({"enum": [word for one in schemas for word in one["enum"]]})
    return _either([kind(one) for one in schemas])


def _either(said: list[Html]) -> Html:
    return join(part for index, one in enumerate(said) for part in ((" | ", one) if index else (one,)))


def _bounds(schema: Schema, of: str, unit: str) -> str | None:
    low, high = schema.get(f"min{of}"), schema.get(f"max{of}")
    if "exclusiveMinimum" in schema and of == "imum":
        return f", more than {schema['exclusiveMinimum']}"
    if low is None and high is None:
        return None
    if high is None:
        return f", at least {low}{unit}"
    return f", {low}..{high}{unit}" if low is not None else f", at most {high}{unit}"

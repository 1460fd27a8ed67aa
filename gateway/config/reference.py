"""docs/configuration.md, made from the schema: `python -m gateway.config.reference > docs/configuration.md`.

Configuration ─▸ a heading for each section ─▸ a table of its members, and below it those of what they hold
                                                 what it is: the field's docstring; default: the model's
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.config.schema import INTERPOLATED, Schema, json_schema

HEAD: Final = """\
# Configuration

Made by `python -m gateway.config.reference` from the models' own docstrings and defaults; a test compares.

One YAML file. [config/gateway.yaml](../config/gateway.yaml) shows all of it in one place, annotated; this page
is for looking things up. `gateway check --config FILE` says every mistake at once with its line, `gateway schema`
prints the JSON Schema ([config/schema.json](../config/schema.json)) that editors complete from:

```yaml
# yaml-language-server: $schema=https://…/config/schema.json
```

* `${NAME}` is replaced from the environment, `${file:/run/secrets/x}` by a file's content, within values; `$${` is
  a literal `${`. One that is not set is a mistake.
* **duration** `250ms` `30s` `5m` `24h` `30d` · **size** `64KiB` `1MiB` `10GiB` · **share** `50%` · **rate**
  `100/s` `90/m`. Zero may be written `0`.
* An unknown name is a mistake. *required*: there is no default. –: absent by default.
* A changed file is taken within 2 s, or at SIGHUP, without dropping a request, and a bad one changes nothing. What
  needs a restart says so.
"""
INHERITED: Final = "What `defaults` has, and:"
WORDS: Final = {"(ms|s|m|h|d)": "duration", "iB": "size", "(%)": "share", "(/m|/s)": "rate"}
"""What stands at the end of a pattern, and how that is called."""
KINDS: Final = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def page(schema: Schema | None = None) -> str:
    """The whole page."""
    return "\n".join([*_Reference(json_schema() if schema is None else schema).lines()]).rstrip() + "\n"


class _Reference:
    """Of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._top = schema
        self._definitions: Mapping[str, Schema] = schema["$defs"]

    def lines(self) -> Iterator[str]:
        yield HEAD
        for name, schema in self._top["properties"].items():
            yield f"## `{name}`"
            yield ""
            yield from self._section(name, schema)
        yield from self._adapters()

    def _section(self, path: str, schema: Schema) -> Iterator[str]:
        """What it is, the table of its members, and what they hold."""
        path, held = self._object(path, schema)
        told = (_told(one.get("description", "")) for one in (schema, held or {}))
        yield from (" ".join(dict.fromkeys(one for one in told if one)) or "It has none.", "")
        if held is None:
            return
        members = self._members(path, held)
        if path == "providers.NAME":
            yield from (INHERITED, "")
        yield from _table((f"`{name}`", *self._row(name, one, held)) for name, one in members.items())
        for name, one in members.items():
            inner, found = self._object(f"{path}.{name}", one)
            if found is not None:
                yield from (f"### `{inner}`", "")
                yield from self._section(f"{path}.{name}", one)

    def _members(self, path: str, held: Schema) -> dict[str, Schema]:
        """Those that are told of here: a provider's other settings are those of `defaults`."""
        members: dict[str, Schema] = held["properties"]
        if path == "providers.NAME":
            return {name: members[name] for name in ("adapter", "options")}
        return members

    def _object(self, path: str, schema: Schema) -> tuple[str, Schema | None]:
        """The object that a member is or holds under names of yours, and where; None: it is a plain value."""
        for one in self._ways(schema):
            for named in (*one.get("patternProperties", {}).values(), one.get("additionalProperties")):
                found = self._object(f"{path}.NAME", named) if isinstance(named, dict) else (path, None)
                if found[1] is not None:
                    return found
            if "properties" in one and one.get("properties"):
                return path, one
        return path, None

    def _ways(self, schema: Schema) -> Iterator[Schema]:
        """All that it may be, named definitions looked up."""
        if schema == INTERPOLATED:
            return
        if "$ref" in schema:
            yield from self._ways(self._definitions[schema["$ref"].rpartition("/")[2]])
        for way in (*schema.get("anyOf", ()), *(() if "properties" in schema else schema.get("oneOf", ()))):
            yield from self._ways(way)
        if not {"$ref", "anyOf"} & schema.keys():
            yield schema

    def _row(self, name: str, schema: Schema, held: Schema) -> tuple[str, str, str]:
        default = "*required*" if name in held.get("required", ()) else self._default(schema)
        said = schema.get("description") or (self._object("", schema)[1] or {}).get("description", "")
        return self._kind(schema), default, _told(said)

    def _default(self, schema: Schema) -> str:
        default = schema.get("default")
        if default is None or default in ([], {}, ""):
            return "–"
        return "below" if self._object("", schema)[1] is not None else f"`{_plain(default)}`"

    def _kind(self, schema: Schema) -> str:
        kinds = [self._word(one) for one in self._ways(schema)]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind))

    def _word(self, one: Schema) -> str:
        if one.get("type") == "null" or one.get("const") == 0:
            return ""
        if "enum" in one or "const" in one:
            return " ".join(f"`{_plain(value)}`" for value in one.get("enum", [one.get("const")]))
        if one.get("type") == "array":
            inner = self._kind(one.get("items", {})) or "text"
            return inner if "`" in inner and " " in inner and not inner.startswith("list") else f"list of {inner}"
        if one.get("type") == "object":
            named = one.get("patternProperties") or one.get("additionalProperties")
            return "by name" if "properties" not in one and named else "section"
        for end, word in WORDS.items():
            if end in one.get("pattern", ""):
                return word
        word = KINDS.get(one.get("type", ""), "")
        low, high = one.get("minimum"), one.get("maximum")
        return f"{word}, {low}..{high}" if word and high is not None else word

    def _adapters(self) -> Iterator[str]:
        """The options of each adapter."""
        branches = self._definitions["ConfiguredProvider"]["allOf"]
        yield from ("## Options, by adapter", "", "What `providers.NAME.options` takes.", "")
        for branch in branches:
            name = branch["if"]["properties"]["adapter"]["const"]
            yield from (f"### `{name}`", "")
            yield from self._section(name, branch["then"]["properties"]["options"])


def _table(rows: Iterator[tuple[str, str, str, str]]) -> Iterator[str]:
    made = [*rows]
    if not made:
        return
    yield "| member | is | default | what |"
    yield "|---|---|---|---|"
    yield from ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in made)
    yield ""


def _told(description: str) -> str:
    return " ".join(description.split())


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write(page())

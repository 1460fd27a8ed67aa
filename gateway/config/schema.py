"""The JSON Schema of the configuration as people write it: `config/schema.json`, for editors and for Helm.

pydantic's own schema, with three things changed that it cannot know:

* a provider's `options` are those of its `adapter`;
* `${NAME}` may stand for every text, number and truth value;
* what `gateway check` sees across sections (names, open doors) no schema can say: it accepts more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.adapter import Adapter
from gateway.config.installed import Find, adapters
from gateway.config.model import Configuration, ConfiguredProvider

Schema = dict[str, Any]

INTERPOLATED: Final = {"$ref": "#/$defs/Interpolated"}
LOOSE: Final = {"title", "description", "default", "examples", "type", "minLength", "writeOnly", "format"}
"""The members of a text's schema that `${NAME}` satisfies as it is."""


def json_schema(installed: Mapping[str, Find] | None = None) -> Schema:
    """JSON Schema 2020-12. `installed`: the adapters (default: those of this environment, all of them loaded)."""
    models = {name: find() for name, find in (adapters() if installed is None else installed).items()}
    by_model: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in models.values()]
    references, made = models_json_schema(
        [(Configuration, "validation"), (ConfiguredProvider, "validation"), *by_model], by_alias=True
    )
    definitions: Schema = made["$defs"]
    options = {name: references[model, "validation"] for name, model in models.items()}
    _by_adapter(definitions[_name(references[ConfiguredProvider, "validation"])], options, definitions)
    definitions.pop(Adapter.__name__, None)
    for schema in [*definitions.values()]:
        _let_in(schema, definitions)
    definitions["Interpolated"] = {
        "description": "A value from the environment, ${NAME}, or from a file, ${file:/path}.",
        "type": "string",
        "pattern": r"\$\{",
    }
    top = definitions.pop(_name(references[Configuration, "validation"]))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **top,
        "title": "The gateway's configuration",
        "$defs": dict(sorted(definitions.items())),
    }


def written(schema: Schema) -> str:
    """The text of `config/schema.json`."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _by_adapter(provider: Schema, options: Mapping[str, Any], definitions: Schema) -> None:
    """`options` are what the adapter named beside them takes. One adapter at a time, for errors that help."""
    properties = provider["properties"]
    properties["options"] = {"type": "object", "description": "The adapter's own: credentials, addresses."}
    properties["adapter"] = {"description": properties["adapter"]["description"], "enum": [*options]}
    provider["required"] = ["adapter"]
    provider["allOf"] = [
        {
            "if": {"properties": {"adapter": {"const": name}}, "required": ["adapter"]},
            "then": {
                "properties": {"options": reference},
                "required": ["options"] if definitions[_name(reference)].get("required") else [],
            },
        }
        for name, reference in options.items()
    ]


# --- ${NAME} ----------------------------------------------------------------------------------------------------


def _let_in(schema: Schema, definitions: Schema) -> None:
    """Let `${NAME}` stand wherever a single value does, here and below; and close mappings to other names."""
    if "patternProperties" in schema:
        schema.setdefault("additionalProperties", False)
    for branch in schema.get("anyOf", ()):
        _let_in(branch, definitions)
    for holder, key in _places(schema):
        inner = holder[key]
        _let_in(inner, definitions)
        if _is_single(inner, definitions) and not _takes_any_text(inner):
            said = {member: inner.pop(member) for member in ("description", "default") if member in inner}
            branches = inner["anyOf"] if [*inner] == ["anyOf"] else [inner]
            holder[key] = {**said, "anyOf": [*branches, INTERPOLATED]}


def _places(schema: Schema) -> Iterator[tuple[Any, Any]]:
    """Where a schema holds those of inner values."""
    for member in ("properties", "patternProperties"):
        for key in schema.get(member, {}):
            yield schema[member], key
    for member in ("items", "additionalProperties"):
        if isinstance(schema.get(member), dict):
            yield schema, member
    for index in range(len(schema.get("prefixItems", ()))):
        yield schema["prefixItems"], index


def _is_single(schema: Schema, definitions: Schema) -> bool:
    """May it be text, a number or a truth value?"""
    if "$ref" in schema:
        return _is_single(definitions.get(_name(schema), {}), definitions)
    if "anyOf" in schema or "oneOf" in schema:
        branches = schema.get("anyOf") or schema["oneOf"]
        return any(_is_single(branch, definitions) for branch in branches)
    return (
        "enum" in schema or "const" in schema or schema.get("type") in ("string", "integer", "number", "boolean")
    )


def _takes_any_text(schema: Schema) -> bool:
    branches = schema.get("anyOf", [schema])
    return any(one.get("type") == "string" and LOOSE.issuperset(one) for one in branches)

"""Parameters of paths and queries, from the tables and types that read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.errors import PROBLEMS
from gateway.model.query import KINDS
from gateway.model.wire import RecommendationRequest
from gateway.server.documents.schemas import AT
from gateway.server.query import REPEATED, SINGLE

Object = dict[str, Any]

IN_PATHS: Final[dict[str, Object]] = {
    "slug": {"type": "string", "enum": [error.slug for error in PROBLEMS]},
    "kind": {"type": "string", "enum": list(KINDS)},
    "task_id": {"type": "string", "minLength": 1, "description": "As the answer to the change says it."},
    "id": {"type": "string", "minLength": 1, "maxLength": 256, "description": "Percent-encoded, `%2F` too."},
}


def in_path(path: str) -> Iterator[Object]:
    """Those that stand in braces."""
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": IN_PATHS.get(name, {"type": "string"})}


def in_query(type_: type[msgspec.Struct], named: Object) -> Iterator[Object]:
    """The URL form of a type; `named` are the components. A question for recommendations has names of its own."""
    if type_ is RecommendationRequest:
        for name, (steps, _) in SINGLE.items():
            yield _parameter(name, steps, named, repeated=False)
        for name, member in REPEATED.items():
            yield _parameter(name, (member,), named, repeated=True)
    else:
        for name in type_.__struct_fields__:
            yield _parameter(name, (name,), named, repeated=False, of=type_.__name__)


def _parameter(
    name: str, steps: tuple[str, ...], named: Object, *, repeated: bool, of: str = RecommendationRequest.__name__
) -> Object:
    schema = _member(steps, of, named)
    parameter: Object = {"name": name, "in": "query", "required": steps[-1] in named[of].get("required", ())}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if schema.get("type") == "object":  # written as JSON
        return parameter | {"content": {"application/json": {"schema": schema}}}
    if schema.get("type") == "array":  # `?item=a&item=b`, but `?include=a,b`
        parameter |= {"style": "form", "explode": repeated}
    return parameter | {"schema": schema}


def _member(steps: tuple[str, ...], of: str, named: Object) -> Object:
    """The schema at the end of the way through the components. It is never null, as a parameter is left out."""
    schema: Object = {"$ref": AT + of}
    for step in steps:
        schema = named[schema["$ref"].removeprefix(AT)]["properties"][step]
        alternatives = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
        if len(alternatives) == 1:
            schema = alternatives[0] | {key: value for key, value in schema.items() if key != "anyOf"}
        if schema.get("default", 0) in (None, (), {}):
            schema = {key: value for key, value in schema.items() if key != "default"}
    return dict(schema)

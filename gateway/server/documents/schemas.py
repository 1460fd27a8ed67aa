"""The wire types as JSON Schema components, described by the docstrings that stand below their members."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Any, Final, get_args, get_type_hints

import msgspec

from gateway.errors import PROBLEMS

Schema = dict[str, Any]

AT: Final = "#/components/schemas/"


def ref(name: str) -> Schema:
    """A component by its name."""
    return {"$ref": AT + name}


BESIDE: Final[dict[tuple[str, str], Schema]] = {
    # A request of a batch that is not valid spoils no other: it becomes a problem in its place.
    ("BatchRequest", "requests"): {"items": {"anyOf": [ref("RecommendationRequest"), {}]}},
    ("BatchAnswer", "results"): {"items": {"anyOf": [ref("Answer"), ref("PartProblem")]}},
    ("EventsRequest", "events"): {"items": {"anyOf": [ref("EventRequest"), {}]}},
    ("ItemsRequest", "items"): {"items": {"anyOf": [ref("ItemRequest"), {}]}},
    ("Rejection", "problem"): ref("Problem"),
    # The gateway's own, or with `provider` that vendor's.
    ("EventPage", "events"): {"items": {"anyOf": [ref("LoggedEvent"), ref("ListedEvent")]}},
    ("UserPage", "users"): {"items": {"anyOf": [ref("RecordAnswer"), ref("ListedObject")]}},
    ("ItemPage", "items"): {"items": {"anyOf": [ref("RecordAnswer"), ref("ListedObject")]}},
    ("Problem", "type"): {"enum": [f"/problems/{error.slug}" for error in PROBLEMS]},
}
"""What the types cannot say, or may not because requests are decoded by them: component, member, what is added."""


def components(types: Iterable[Any]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schema of each type, and the components that they refer to."""
    types = list(dict.fromkeys(types))
    schemas, named = msgspec.json.schema_components(types, ref_template=AT + "{name}")
    described = {cls.__name__: _by_encoded_name(cls) for cls in structs(types)}
    for name, schema in named.items():
        for member, said in schema.get("properties", {}).items():
            if doc := described.get(name, {}).get(member):
                said["description"] = doc
            said.update(BESIDE.get((name, member), {}))
    public = {_public(name): tidy(schema) for name, schema in named.items()}
    return dict(zip(types, map(tidy, schemas), strict=True)), dict(sorted(public.items()))


def structs(types: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    """Every struct among the types and within them, once."""
    seen: set[Any] = set()
    waiting = list(types)
    while waiting:
        one = waiting.pop()
        if isinstance(one, type) and issubclass(one, msgspec.Struct) and one not in seen:
            seen.add(one)
            yield one
            waiting += get_type_hints(one).values()
        waiting += get_args(one)


def _by_encoded_name(cls: type[msgspec.Struct]) -> dict[str, str]:
    """The docstrings of all members, inherited ones too, as they are called in JSON."""
    docs = {name: doc for base in reversed(cls.__mro__) for name, doc in member_docs(base).items()}
    names = {field.name: field.encode_name for field in msgspec.structs.fields(cls)}
    return {names[name]: doc for name, doc in docs.items() if name in names}


@cache
def member_docs(cls: type) -> dict[str, str]:
    """The docstrings below a class's members; none where its source is not at hand."""
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):
        return {}
    [definition] = ast.parse(dedent(source)).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101  # it is a class's source
    docs = {}
    for member, below in pairwise(definition.body):
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name) and (doc := _text(below)):
            docs[member.target.id] = " ".join(doc.split())
    return docs


def _text(statement: ast.stmt) -> str | None:
    """What a statement says that is a text and nothing else."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return statement.value.value if isinstance(statement.value.value, str) else None
    return None


def tidy(node: Any) -> Any:
    """The schema in public names; words that are one of a list said to be strings, for generators of clients."""
    if isinstance(node, list):
        return [tidy(one) for one in node]
    if not isinstance(node, dict):
        return node
    said = {key: tidy(value) for key, value in node.items()}
    if isinstance(said.get("$ref"), str):
        said["$ref"] = AT + _public(said["$ref"].removeprefix(AT))
    if isinstance(said.get("title"), str):
        said["title"] = _public(said["title"])
    if isinstance(said.get("enum"), list) and all(isinstance(word, str) for word in said["enum"]):
        said["type"] = "string"
    return said


def _public(name: str) -> str:
    """What a type is called outside: `WireUser` is only the user."""
    return name.removeprefix("Wire")

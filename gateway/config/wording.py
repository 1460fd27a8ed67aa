"""pydantic's errors as mistakes in plain words: what is wrong, what would be right; never the value itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.mistakes import Path, Wrong
from gateway.config.words import RIGHT

Words = Callable[[dict[str, Any]], str]


def _bound(word: str, member: str) -> Words:
    return lambda ctx: f"must be {word} {ctx[member]:g}"


def _text(ctx: dict[str, Any]) -> str:
    return "must be text (a number or a truth value needs quotation marks)"


def _pattern(ctx: dict[str, Any]) -> str:
    return RIGHT.get(ctx["pattern"], f"must match the pattern {ctx['pattern']}")


def _length(ctx: dict[str, Any]) -> str:
    least = ctx["min_length"]
    return "must not be empty" if least == 1 else f"must be at least {least} long"


WORDS: Final[dict[str, Words]] = {
    "missing": lambda ctx: "is missing",
    "string_type": _text,
    "int_type": lambda ctx: "must be a whole number",
    "int_parsing": lambda ctx: "must be a whole number",
    "int_from_float": lambda ctx: "must be a whole number",
    "float_type": lambda ctx: "must be a number",
    "float_parsing": lambda ctx: "must be a number",
    "finite_number": lambda ctx: "must be a finite number",
    "bool_type": lambda ctx: "must be true or false",
    "bool_parsing": lambda ctx: "must be true or false",
    "dict_type": lambda ctx: "must be a mapping (key: value)",
    "mapping_type": lambda ctx: "must be a mapping (key: value)",
    "model_type": lambda ctx: "must be a mapping (key: value)",
    "model_attributes_type": lambda ctx: "must be a mapping (key: value)",
    "list_type": lambda ctx: "must be a list",
    "tuple_type": lambda ctx: "must be a list",
    "set_type": lambda ctx: "must be a list",
    "frozen_set_type": lambda ctx: "must be a list",
    "literal_error": lambda ctx: f"must be {ctx['expected'].replace(chr(39), '')}",
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "string_too_short": _length,
    "too_short": _length,
    "string_too_long": lambda ctx: f"must be at most {ctx['max_length']} characters long",
    "too_long": lambda ctx: f"must have at most {ctx['max_length']} entries",
    "string_pattern_mismatch": _pattern,
    "value_error": lambda ctx: str(ctx["error"]),
    "assertion_error": lambda ctx: str(ctx["error"]),
}
"""By pydantic's type of error; what is not here is said in pydantic's own words."""


def wrongs(error: ValidationError, model: type[BaseModel], written: Any, path: Path = ()) -> Iterator[Wrong]:
    """What pydantic found wrong with what was `written` at a path of the file, where a `model` should stand."""
    details = error.errors(include_url=False, include_input=False)
    for detail in details:
        if detail["type"] == "too_short" and any(_is_below(one["loc"], detail["loc"]) for one in details):
            continue  # pydantic counts the valid entries alone
        inner, at_key = _inside(written, detail)
        kind = detail["type"]
        if kind == "extra_forbidden":
            yield Wrong(path + inner, _unknown(str(inner[-1]), model, inner[:-1]), at_key=True)
        else:
            say = WORDS.get(kind)
            message = say(detail.get("ctx", {})) if say else detail["msg"]
            yield Wrong(path + inner, message, at_key)


def _is_below(inner: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _inside(written: Any, detail: ErrorDetails) -> tuple[Path, bool]:
    """pydantic's place without the names of a union's branches, which are in no file; and whether it is a key."""
    steps = detail["loc"]
    at_key = bool(steps) and steps[-1] == "[key]"
    path: Path = ()
    for step in steps[:-1] if at_key else steps:
        match written:
            case dict() if step in written:
                written = written[str(step)]
            case list() if isinstance(step, int) and step < len(written):
                written = written[step]
            case _:
                continue
        path = (*path, step)
    if detail["type"] == "missing":
        path = (*path, steps[-1])
    return path, at_key


# --- unknown keys -----------------------------------------------------------------------------------------------


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest of the known words as a question, else all of them.

    A slip of the pen first, then names that it is a part of (`admin`: `admin_listen`), then any likeness.
    """
    names = [*known]
    near = get_close_matches(word, names, n=1, cutoff=0.8)
    near = near or [name for name in names if word in name.split("_")]
    near = near or get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are {', '.join(names)}" if names else "there are none"


def _unknown(key: str, model: type[BaseModel], path: Path) -> str:
    fields = _fields(model, path)
    known = [field.alias or name for name, field in fields.items()]
    return f"is not a known key; {did_you_mean(key, known)}"


def _fields(model: type[BaseModel], path: Path) -> Mapping[str, Any]:
    """The fields of the model that stands at a path below another."""
    found: Any = model
    for step in path:
        found = _model(found)
        if isinstance(found, type) and issubclass(found, BaseModel):
            named = {field.alias or name: field for name, field in found.model_fields.items()}
            found = named[str(step)].annotation if str(step) in named else None
        else:
            found = [*get_args(found), None][0 if isinstance(step, int) else 1] if get_args(found) else None
    found = _model(found)
    return found.model_fields if isinstance(found, type) and issubclass(found, BaseModel) else {}


def _model(annotation: Any) -> Any:
    """The annotation without `Annotated` and `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return _model(next((one for one in get_args(annotation) if one is not type(None)), None))
    return annotation

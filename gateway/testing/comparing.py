"""What is expected beside what came: results as plain JSON, and every place where two of them differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.model import filters

LONGEST: Final = 400
"""Characters of one value that are shown."""


def differences(expected: Any, got: Any, where: str) -> Iterator[str]:
    """One line for each place where two JSON values differ: `json/items/0/score: expected 0.9, got 0.8`."""
    if expected == got:
        return
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in dict.fromkeys((*expected, *got)):
            yield from _member(expected, got, name, f"{where}/{name}")
    elif isinstance(expected, list) and isinstance(got, list):
        wanted, came = dict(enumerate(expected)), dict(enumerate(got))
        for index in range(max(len(expected), len(got))):
            yield from _member(wanted, came, index, f"{where}/{index}")
    else:
        yield f"{where}: expected {shown(expected)}, got {shown(got)}"


def _member(expected: dict[Any, Any], got: dict[Any, Any], name: Any, where: str) -> Iterator[str]:
    if name not in got:
        yield f"{where}: expected {shown(expected[name])}, got nothing"
    elif name not in expected:
        yield f"{where}: expected nothing, got {shown(got[name])}"
    else:
        yield from differences(expected[name], got[name], where)


def shown(value: Any) -> str:
    """A value in a message: as JSON, where it is that, and not without end."""
    try:
        text = msgspec.json.encode(value).decode()
    except TypeError:
        text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def plain(value: Any) -> Any:
    """A result as JSON without defaults, filters in API.md's form: what a case's `result` is compared with."""
    if isinstance(value, filters.Compare | filters.Ids | filters.All | filters.AnyOf | filters.Not):
        return filters.to_json(value)
    if isinstance(value, msgspec.Struct):
        fields = {f.encode_name: (getattr(value, f.name), f) for f in msgspec.structs.fields(value)}
        return {name: plain(one) for name, (one, f) in fields.items() if one != _default(f)}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return msgspec.to_builtins(value)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default

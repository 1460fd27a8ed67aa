"""Members of nested JSON objects by their path, and when two JSON values are the same."""

from __future__ import annotations

from typing import Any

import msgspec

Json = dict[str, Any]
Path = tuple[str, ...]


def same(one: object, other: object) -> bool:
    """The same JSON: unlike in Python, 1, 1.0 and true are three things."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def at(tree: Json, path: Path) -> Any:
    """What stands at a path; None where nothing does, and for the empty path."""
    found: Any = tree if path else None
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def has(tree: Json, path: Path) -> bool:
    """Does anything stand at a path, be it null?"""
    inner = at(tree, path[:-1]) if len(path) > 1 else tree
    return isinstance(inner, dict) and path[-1] in inner


def remove(tree: Json, path: Path) -> None:
    """Take a member away, and the objects around it that this leaves empty."""
    if not isinstance(tree, dict) or path[0] not in tree:
        return
    if len(path) == 1:
        del tree[path[0]]
        return
    inner = tree[path[0]]
    before = bool(inner)
    remove(inner, path[1:])
    if before and not inner:
        del tree[path[0]]


def put(tree: Json, path: Path, value: object) -> None:
    """Set a member, making the objects around it."""
    for name in path[:-1]:
        if not isinstance(tree.get(name), dict):
            tree[name] = {}
        tree = tree[name]
    tree[path[-1]] = value

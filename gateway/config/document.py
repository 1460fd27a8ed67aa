"""A YAML file as plain values, and where in the file each of them stands.

Plain YAML only: mappings with text keys, lists, text, numbers, true and false, null. Anchors and aliases work;
tags, merge keys and several documents are mistakes. Scalars are read as YAML 1.2 does (its core schema), so that
`no`, `12:30` and `2026-11-22` are text. All of it is bounded: bytes, depth, values after aliases are followed.
"""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Any, Final

import msgspec
import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from gateway.config.mistakes import ConfigError, Mistake, Path, Wrong, dotted

MAX_BYTES: Final = 2**20
MAX_DEPTH: Final = 40
MAX_VALUES: Final = 100_000

Place = tuple[int, int]
"""Line and column, from 1."""


class Document(msgspec.Struct, frozen=True):
    """What a file says. `value` is plain Python; the places are by path."""

    file: str
    value: Any
    keys: dict[Path, Place]
    values: dict[Path, Place]

    def place(self, path: Path, *, at_key: bool = False) -> Place:
        """Where the value at a path begins (or its key), else that of the nearest one that holds it."""
        if at_key and path in self.keys:
            return self.keys[path]
        while path:
            if path in self.values:
                return self.values[path]
            path = path[:-1]
        return self.values.get((), (1, 1))

    def mistake(self, wrong: Wrong) -> Mistake:
        """The same, with its place."""
        line, column = self.place(wrong.path, at_key=wrong.at_key)
        return Mistake(self.file, line, column, dotted(wrong.path), wrong.message)


def read(file: FilePath) -> tuple[Document, list[Mistake]]:
    """The file, and what is wrong with it though it can be read (duplicate keys, tags).

    Raises ConfigError where nothing can be made of it.
    """
    name = str(file)
    return parse(_bytes(file, name), name)


def parse(written: bytes, name: str) -> tuple[Document, list[Mistake]]:
    """As `read`, of bytes."""
    try:
        node = _Composed(written).get_single_node()
        reader = _Values(name)
        value = None if node is None else reader.value(node, (), 0)
    except yaml.YAMLError as error:
        raise ConfigError([_in_plain_words(error, name)]) from None
    if not isinstance(value, dict):
        raise ConfigError([Mistake(name, 1, 1, "", "must be a mapping with `providers` and `placements`")])
    return Document(name, value, reader.keys, reader.values), reader.mistakes


def _bytes(file: FilePath, name: str) -> bytes:
    try:
        with file.open("rb") as opened:
            written = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Mistake(name, 0, 0, "", f"cannot be read: {error.strerror}")]) from None
    if len(written) > MAX_BYTES:
        raise ConfigError([Mistake(name, 0, 0, "", "is larger than 1MiB")])
    return written


# --- YAML ▸ nodes ---------------------------------------------------------------------------------------------


class _Core(BaseResolver):
    """Which text is not text: the core schema of YAML 1.2 (§10.3.2), not YAML 1.1's yes, no, 12:30 and dates."""


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?[0-9]+", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class _TooDeep(yaml.MarkedYAMLError):
    """Nested beyond what a configuration needs; PyYAML itself would end in a RecursionError."""


class _Composed(Reader, Scanner, Parser, Composer, _Core):
    """PyYAML's own road from bytes to nodes, with a bound on depth."""

    def __init__(self, written: bytes) -> None:
        Reader.__init__(self, written)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _Core.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _too_deep(self.get_mark())
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _too_deep(mark: Any) -> _TooDeep:
    return _TooDeep(problem=f"is nested deeper than {MAX_DEPTH} levels", problem_mark=mark)


def _in_plain_words(error: yaml.YAMLError, name: str) -> Mistake:
    """A YAML mistake without the file's text, which may be a secret that lacks its quotation marks.

    PyYAML's problems name signs and tokens, but for those of aliases and tags; its snippets are left out.
    """
    if isinstance(error, ReaderError):
        return Mistake(name, 0, 0, "", f"is not UTF-8 text without control characters (at {error.position})")
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Mistake(name, 0, 0, "", "is not YAML")
    line, column = error.problem_mark.line + 1, error.problem_mark.column + 1
    said = error.problem or "cannot be understood"
    if "undefined alias" in said:
        said = "an alias (*…) without its anchor (&…); text that begins with * needs quotation marks"
    elif "tag" in said:
        said = "a tag (!…), which a configuration may not have; text that begins with ! needs quotation marks"
    elif "single document" in (error.context or ""):
        said = "a second document begins here (---); a configuration is one"
    return Mistake(name, line, column, "", said if isinstance(error, _TooDeep) else f"is not YAML: {said}")


# --- nodes ▸ values -------------------------------------------------------------------------------------------


class _Values:
    """Makes plain values of nodes and notes where each of them stands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self.mistakes: list[Mistake] = []

    def value(self, node: Node, path: Path, depth: int) -> Any:
        # An alias may lead back to what holds it, or double what it names again and again.
        if depth > MAX_DEPTH:
            raise _too_deep(node.start_mark)
        if len(self.values) >= MAX_VALUES:
            raise _TooDeep(problem=f"has more than {MAX_VALUES} values", problem_mark=node.start_mark)
        self.values[path] = _place(node)
        match node:
            case MappingNode():
                return self._mapping(node, path, depth)
            case SequenceNode():
                self._tag(node, "seq", path)
                return [self.value(one, (*path, index), depth + 1) for index, one in enumerate(node.value)]
            case _:
                return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path, depth: int) -> dict[str, Any]:
        self._tag(node, "map", path)
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._wrong(key, path, "a key must be text")
                continue
            name = str(key.value)
            inner = (*path, name)
            if name in mapping:
                first = self.keys[inner][0]
                self._wrong(key, inner, f"is given twice (first in line {first}); each key may stand once")
                continue
            self._tag(key, None, inner)
            if name == "<<":
                self._wrong(key, path, "merge keys (<<) are not supported; what is common goes into `defaults`")
                continue
            self.keys[inner] = _place(key)
            mapping[name] = self.value(value, inner, depth + 1)
        return mapping

    def _scalar(self, node: Node, path: Path) -> Any:
        text = str(node.value)
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text) if len(text) <= 30 else text
            case "float":
                return float(text)
            case _:
                self._tag(node, "str", path)
                return text

    def _tag(self, node: Node, kind: str | None, path: Path) -> None:
        """Only PyYAML's own tags of plain values may be there: an explicit one has no meaning here."""
        plain = {kind} if kind else {"str", "null", "bool", "int", "float"}
        if node.tag.removeprefix("tag:yaml.org,2002:") not in plain:
            self._wrong(node, path, "has a tag (!…), which a configuration may not have")

    def _wrong(self, node: Node, path: Path, message: str) -> None:
        line, column = _place(node)
        self.mistakes.append(Mistake(self.name, line, column, dotted(path), message))


def _place(node: Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1

"""Finds what shows a row: among the cases by what their exchanges hold, among the tests by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from gateway.testing import Case as Played
from gateway.testing import Exchange
from tests.coverage.rows import Because, Case, Evidence, Section, Sign, Test

TESTS: Final = Path(__file__).parent.parent


@cache
def cases(adapter: str) -> tuple[Played, ...]:
    """The cases of an adapter."""
    return tuple(Played.all(TESTS / "cases" / adapter))


@cache
def tests_of(module: str) -> frozenset[str]:
    """The functions of a module of tests; none where there is no such module."""
    file = TESTS / f"{module}.py"
    if not file.exists():
        return frozenset()
    tree = ast.parse(file.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def shown_by(adapter: str, section: Section, evidence: Evidence) -> list[str]:
    """The names of what shows it; empty: nothing does."""
    match evidence:
        case Because():
            return []
        case Test():
            module, _, function = evidence.name.partition("::")
            return [evidence.name] if function in tests_of(module) else []
        case Case():
            found = [played.file for played in cases(adapter)]
            return [evidence.name] if f"{adapter}/{evidence.name}" in found else []
        case Sign():
            return [
                played.file.partition("/")[2]
                for played in cases(adapter)
                if any(_has(exchange, evidence) for exchange in played.exchanges if _of(exchange, section))
            ]


def _of(exchange: Exchange, section: Section) -> bool:
    request = exchange.request
    if section.method and request.method != section.method:
        return False
    return re.search(section.path, unquote(urlsplit(request.url).path)) is not None


def _has(exchange: Exchange, sign: Sign) -> bool:
    name, _, value = sign.what.partition("=")
    match sign.where:
        case "status":
            return exchange.response.fails is None and exchange.response.status == int(name)
        case "header":
            found: Iterator[tuple[str, Any]] = iter(exchange.request.headers.items())
            name = name.lower()
        case "answered":
            found = _members(exchange.response.json)
        case "sent":
            found = _sent(exchange)
    return any(one == name and (not value or str(what) == value) for one, what in found)


def _sent(exchange: Exchange) -> Iterator[tuple[str, Any]]:
    request = exchange.request
    yield from parse_qsl(urlsplit(request.url).query)
    yield from parse_qsl(request.body or "")
    yield from _members(request.json)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from _members(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner)
    elif value is not msgspec.UNSET and isinstance(value, str):
        yield value, True

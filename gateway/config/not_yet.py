"""What the configuration may say and this version does not do. Nothing of it is ignored in silence.

What would be unsafe to ignore is refused; the rest is a warning. Whoever builds one of these deletes its line,
and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway.config.mistakes import Path, Wrong


class NotYet(msgspec.Struct, frozen=True):
    """One of them. `*` in the path stands for every name."""

    path: tuple[str, ...]
    asked: Callable[[Any], bool]
    """Does the value ask for what is not there yet?"""
    what: str
    refused: bool = False


def _given(value: Any) -> bool:
    return value is not None


NOT_YET: Final = (
    NotYet(
        ("telemetry", "traces", "exporter"), lambda value: value not in (None, "none"),
        "traces are not yet exported by this version",
    ),
)  # fmt: skip
"""The list."""


def asked_for(written: Mapping[str, Any], *, refused: bool) -> Iterator[Wrong]:
    """Those of the list that a configuration asks for."""
    for entry in NOT_YET:
        if entry.refused is refused:
            for path, value in _at(written, entry.path, ()):
                if entry.asked(value):
                    yield Wrong(path, entry.what)


def _at(written: Any, pattern: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Any]]:
    if not pattern:
        yield path, written
        return
    if not isinstance(written, dict):
        return
    step, *rest = pattern
    for name in written if step == "*" else [step]:
        if name in written:
            yield from _at(written[name], tuple(rest), (*path, name))

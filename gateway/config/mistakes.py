"""What is wrong with a configuration, in plain words: where it stands, what is wrong and what would be right.

A message never repeats a value from the environment or a file, nor one that stands where a secret belongs:
`Mistake`s go to logs, to `/readyz` and to terminals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path as FilePath
from typing import Final

import msgspec

Path = tuple[str | int, ...]
"""The way to a value from the top of the file: `("providers", "mine", "options", "url")`."""


class Mistake(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong. Line and column count from 1; 0 where there is none (a file that is not there)."""

    file: str
    line: int
    column: int
    path: str
    """In dots and brackets: `placements.home.providers[1]`; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used. `mistakes` holds all that is wrong with it, in the file's order."""

    def __init__(self, mistakes: Sequence[Mistake], files: Iterable[FilePath] = ()) -> None:
        self.mistakes = tuple(sorted(mistakes))
        self.files = frozenset(files)
        """The files that were named by `${file:…}`: a change of one may mend it."""
        super().__init__("\n".join(map(str, self.mistakes)))


class Wrong(msgspec.Struct, frozen=True):
    """A mistake before its place in the file was looked up."""

    path: Path
    message: str
    at_key: bool = False
    """Does the key itself offend, rather than its value?"""


PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")


def dotted(path: Path) -> str:
    """The path as people write it."""
    written = ""
    for step in path:
        if isinstance(step, int):
            written += f"[{step}]"
        elif PLAIN.fullmatch(step):
            written += f".{step}" if written else step
        else:
            written += f'["{step}"]'
    return written

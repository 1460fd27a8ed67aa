"""`${NAME}` from the environment and `${file:/path}` from a file, inside values and never in the YAML text.

    "key-${NAME}"        the variable's value
    "${file:/run/x}"     the file's text without the newline at its end; relative to the configuration
    "$${NAME}"           the literal ${NAME}

What is put in is not read again: a value may hold `${`. Keys are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from gateway.config.mistakes import Path, Wrong

MARK: Final = re.compile(r"\$(?P<literal>\$\{)|\$\{(?P<inside>[^{}]*)(?P<end>\}?)")
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_BYTES: Final = 2**20


class Interpolation:
    """Fills in one configuration's values and notes which came from outside, and from which files."""

    def __init__(self, environ: Mapping[str, str], directory: FilePath) -> None:
        self._environ = environ
        self._directory = directory
        self.filled: set[Path] = set()
        """The paths of the values that something was put into."""
        self.secrets: set[str] = set()
        """What was put in, for messages to leave out."""
        self.files: set[FilePath] = set()
        """The files that were named, whether they could be read or not."""
        self.wrongs: list[Wrong] = []

    def fill(self, value: Any, path: Path = ()) -> Any:
        """The value with everything in it put in; what cannot be is in `wrongs` and left as it is."""
        match value:
            case dict():
                return {key: self.fill(one, (*path, key)) for key, one in value.items()}
            case list():
                return [self.fill(one, (*path, index)) for index, one in enumerate(value)]
            case str() if "${" in value:
                return MARK.sub(lambda mark: self._put_in(mark, path), value)
            case _:
                return value

    def _put_in(self, mark: re.Match[str], path: Path) -> str:
        if mark["literal"]:
            return mark["literal"]
        self.filled.add(path)
        try:
            found = self._find(mark["inside"], closed=bool(mark["end"]))
        except ValueError as error:
            self.wrongs.append(Wrong(path, str(error)))
            return mark[0]
        self.secrets.add(found)
        return found

    def _find(self, inside: str, *, closed: bool) -> str:
        if closed and inside.startswith("file:") and inside != "file:":
            return self._text(self._directory / inside.removeprefix("file:"))
        if not closed or not NAME.fullmatch(inside):
            # Its text is not repeated: it may be a password with an unlucky `${` in it.
            raise ValueError("has a ${ that is neither ${NAME} nor ${file:/path}; a literal ${ is written $${")
        if inside not in self._environ:
            raise ValueError(f"the environment variable {inside} is not set")
        return self._environ[inside]

    def _text(self, file: FilePath) -> str:
        self.files.add(file)
        try:
            if not file.is_file():
                raise ValueError(f"the file {file} is not there")
            with file.open("rb") as opened:
                read = opened.read(MAX_BYTES + 1)
        except OSError as error:
            raise ValueError(f"the file {file} cannot be read: {error.strerror}") from None
        if len(read) > MAX_BYTES:
            raise ValueError(f"the file {file} is larger than 1MiB")
        try:
            return read.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ValueError(f"the file {file} is not UTF-8 text") from None

"""From a file to a configuration, or to everything that is wrong with it.

    YAML with places ▸ ${…} filled in ▸ `defaults` merged under each provider ▸ options ▸ sections ▸ consistency

Every step adds its mistakes and lets the next one go on with the rest, so that one run finds them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from gateway.adapter import Adapter, Unusable
from gateway.config import document as documents
from gateway.config.consistency import at, entries, inconsistencies
from gateway.config.document import Document
from gateway.config.installed import BROKEN, Find, adapters
from gateway.config.interpolation import Interpolation
from gateway.config.mistakes import ConfigError, Mistake, Path, Wrong, dotted
from gateway.config.model import Configuration
from gateway.config.wording import did_you_mean, wrongs
from gateway.masking import MASK

COMMAND_LINE: Final = "command line"


@dataclass(frozen=True)
class Loaded:
    """A configuration that can be used, and what is known of the file that it came from."""

    configuration: Configuration
    file: FilePath
    files: frozenset[FilePath]
    """The files that were named by `${file:…}`."""
    document: Document = field(repr=False)
    """Where everything stands."""
    written: Mapping[str, Any] = field(repr=False)
    """The file's plain values, resolved, secrets included."""
    filled: frozenset[Path] = frozenset()
    """The paths of the values that came from the environment or a file."""


def load(
    file: FilePath,
    environ: Mapping[str, str],
    *,
    overrides: Mapping[tuple[str, ...], Any] | None = None,
    installed: Mapping[str, Find] | None = None,
) -> Loaded:
    """The configuration in a file. Raises ConfigError with all mistakes.

    `overrides`, by path, stand above the file: `{("server", "listen"): "0.0.0.0:8080"}` from the command line.
    """
    document, mistakes = documents.read(file)
    filling = Interpolation(environ, file.parent)
    written: dict[str, Any] = filling.fill(document.value)
    overrides = overrides or {}
    for path, value in overrides.items():
        _put(written, path, value)
    reading = _Reading(written, adapters() if installed is None else installed)
    found = [*filling.wrongs, *_besides(reading.wrongs, filling.wrongs)]
    mistakes += [_placed(wrong, document, overrides) for wrong in found]
    if mistakes or reading.configuration is None:
        hidden = filling.secrets.union(_where_secrets_belong(document.value))
        raise ConfigError(list({_redacted(mistake, hidden) for mistake in mistakes}), filling.files)
    named, filled = frozenset(filling.files), frozenset(filling.filled)
    return Loaded(reading.configuration, file, named, document, written, filled)


class _Reading:
    """One reading of resolved values: the configuration, or None and what is wrong."""

    def __init__(self, written: Mapping[str, Any], installed: Mapping[str, Find]) -> None:
        self._written = written
        self._installed = installed
        self._broken: dict[str, str] = {}
        self.wrongs: list[Wrong] = []
        self.configuration = self._read(self._complete())
        self.wrongs += inconsistencies(written)

    def _read(self, complete: Mapping[str, Any]) -> Configuration | None:
        try:
            return Configuration.model_validate(complete)
        except ValidationError as error:
            found = wrongs(error, Configuration, complete)
            self.wrongs += [wrong for wrong in found if not self._inherited(wrong.path)]
            return None

    def _complete(self) -> dict[str, Any]:
        """The file with providers merged over `defaults`, their options read, and the lists that are default."""
        complete = dict(self._written)
        configured = {name: self._provider(name, one) for name, one in entries(self._written, "providers")}
        if isinstance(self._written.get("providers"), dict):
            complete["providers"] = configured
        options = {name: at(one, "options") for name, one in configured.items()}
        for section, operations in (("events", ["track"]), ("catalog", ["put_items", "put_users"])):
            takers = [name for name, one in options.items() if _has_any(one, operations)]
            given = complete.get(section, {})
            if isinstance(given, dict):
                complete[section] = {"providers": takers, **given}
        return complete

    def _provider(self, name: str, own: Any) -> Any:
        if not isinstance(own, dict):
            return own
        defaults = self._written.get("defaults")
        merged = merge(defaults if isinstance(defaults, dict) else {}, own)
        return {**merged, "adapter": own.get("adapter", ""), "options": self._options(name, own)}

    def _options(self, name: str, own: Mapping[str, Any]) -> Adapter:
        """What the adapter makes of the options; a mute stand-in where it cannot, so that the rest is read."""
        path = ("providers", name)
        options = own.get("options", {})
        try:
            return self._adapter(own).model_validate(options)
        except _NoAdapter as error:
            self.wrongs.append(Wrong((*path, "adapter"), str(error)))
        except ValidationError as error:
            model = self._adapter(own)
            self.wrongs += wrongs(error, model, options, (*path, "options"))
        except BROKEN as error:
            self.wrongs.append(Wrong((*path, "options"), f"broke the adapter: {type(error).__name__}"))
        return Adapter()

    def _adapter(self, own: Mapping[str, Any]) -> type[Adapter]:
        name = own.get("adapter")
        installed = ", ".join(self._installed)
        if name is None:
            raise _NoAdapter(f"is missing; installed are {installed}")
        if not isinstance(name, str) or name not in self._installed:
            hint = did_you_mean(str(name), self._installed)
            hint = f" ({hint})" if hint.startswith("did") else ""
            raise _NoAdapter(f"is not an installed adapter; installed are {installed}{hint}")
        try:
            return self._installed[name]()
        except BROKEN as error:
            kind = "" if isinstance(error, Unusable) else f"{type(error).__name__}: "
            why = str(error).partition("\n")[0]
            raise _NoAdapter(f"is installed, but cannot be loaded: {kind}{why}") from None

    def _inherited(self, path: Path) -> bool:
        """Does what is wrong in a provider stand in `defaults`, where it has been reported?"""
        if len(path) < 3 or path[0] != "providers":
            return False
        return _depth(self._written, ("defaults", *path[2:])) + 1 > _depth(self._written, path)


class _NoAdapter(Exception):
    """Why there is no adapter of that name."""


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Deeply: mappings are merged, everything else is taken from above where it stands there."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = merge(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _has_any(options: object, operations: Iterable[Any]) -> bool:
    return isinstance(options, Adapter) and any(type(options).has(operation) for operation in operations)


def _depth(written: Any, path: Path) -> int:
    """How many steps of a path can be taken."""
    for taken, step in enumerate(path):
        match written:
            case dict() if step in written:
                written = written[str(step)]
            case list() if isinstance(step, int) and step < len(written):
                written = written[step]
            case _:
                return taken
    return len(path)


def _put(written: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *above, last = path
    for step in above:
        inner = written.get(step, {})
        if not isinstance(inner, dict):
            return  # its section says what is wrong with it
        written[step] = written = dict(inner)
    written[last] = value


def _besides(later: Iterable[Wrong], earlier: Iterable[Wrong]) -> Iterator[Wrong]:
    """What follows from a value that could not be filled in is no mistake of its own."""
    broken = {wrong.path for wrong in earlier}
    return (wrong for wrong in later if wrong.path not in broken)


def _placed(wrong: Wrong, document: Document, overrides: Mapping[tuple[str, ...], Any]) -> Mistake:
    if wrong.path in overrides:
        return Mistake(COMMAND_LINE, 0, 0, dotted(wrong.path), wrong.message)
    return document.mistake(wrong)


# --- secrets ----------------------------------------------------------------------------------------------------

SECRET_KEY: Final = re.compile(r"(key|secret|password|token)s?$")


def _where_secrets_belong(written: Any, *, secret: bool = False) -> Iterator[str]:
    """The texts in the file that stand where a secret should: by key, because an adapter may be unknown."""
    match written:
        case dict():
            for key, value in written.items():
                yield from _where_secrets_belong(value, secret=bool(SECRET_KEY.search(key)))
        case list():
            for value in written:
                yield from _where_secrets_belong(value, secret=secret)
        case str() if secret:
            yield written


def _redacted(mistake: Mistake, hidden: Iterable[str]) -> Mistake:
    """The last line of defence: an adapter's own words may repeat what they should not."""
    message = mistake.message
    for text in sorted((one for one in hidden if len(one) > 3), key=len, reverse=True):
        message = message.replace(text, MASK)
    return msgspec.structs.replace(mistake, message=message)

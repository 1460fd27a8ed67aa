"""What no section can see alone: names that nothing is called, open doors, ports and keys that are given twice.

It looks at the plain values of the file, so that these mistakes are found beside those of the sections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from gateway.config.mistakes import Path, Wrong
from gateway.config.wording import did_you_mean
from gateway.config.words import SHA256, Address


def inconsistencies(written: Mapping[str, Any]) -> Iterator[Wrong]:
    """All of them."""
    yield from _providers(written)
    yield from _placements(written)
    yield from _experiments(written)
    yield from _listeners(written)
    yield from _state(written)
    yield from _keys(written)


def at(written: Any, *path: str) -> Any:
    """What stands at a path; None where nothing does."""
    for step in path:
        written = written.get(step) if isinstance(written, dict) else None
    return written


def entries(written: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """The entries of the mapping at a path; none where none is."""
    found = at(written, *path)
    if isinstance(found, dict):
        yield from found.items()


def lists(written: Mapping[str, Any]) -> Iterator[tuple[Path, list[Any]]]:
    """Every list of providers, by its path."""
    paths: list[tuple[str, ...]] = [("events", "providers"), ("catalog", "providers")]
    for name, placement in entries(written, "placements"):
        paths.append(("placements", name, "providers"))
        for arm, _ in entries(placement, "experiment", "arms"):
            paths.append(("placements", name, "experiment", "arms", arm, "providers"))
    for path in paths:
        found = at(written, *path)
        if isinstance(found, list):
            yield path, found


def _providers(written: Mapping[str, Any]) -> Iterator[Wrong]:
    configured = [name for name, _ in entries(written, "providers")]
    for path, name, at_key in _named_providers(written):
        if name not in configured:
            message = f"{name} is not a configured provider; {did_you_mean(name, configured)}"
            yield Wrong(path, message, at_key)
    for path, names in lists(written):
        for index, name in enumerate(names):
            if isinstance(name, str) and name in names[:index]:
                yield Wrong((*path, index), f"names {name} twice; once is enough")


def _named_providers(written: Mapping[str, Any]) -> Iterator[tuple[Path, str, bool]]:
    """Every place that names a provider, the name, and whether it is a key."""
    for path, names in lists(written):
        for index, name in enumerate(names):
            if isinstance(name, str):
                yield (*path, index), name, False
    for placement, settings in entries(written, "placements"):
        shadow = at(settings, "shadow", "provider")
        if isinstance(shadow, str):
            yield ("placements", placement, "shadow", "provider"), shadow, False
        for name, _ in entries(settings, "min_score"):
            yield ("placements", placement, "min_score", name), name, True


def _placements(written: Mapping[str, Any]) -> Iterator[Wrong]:
    configured = [name for name, _ in entries(written, "placements")]
    for key, settings in entries(written, "auth", "api_keys"):
        names = at(settings, "placements")
        for index, name in enumerate(names if isinstance(names, list) else []):
            if isinstance(name, str) and name not in configured:
                message = f"{name} is not a configured placement; {did_you_mean(name, configured)}"
                yield Wrong(("auth", "api_keys", key, "placements", index), message)


def _experiments(written: Mapping[str, Any]) -> Iterator[Wrong]:
    """/v1/experiments/{key} names one of them."""
    first: dict[str, str] = {}
    for name, placement in entries(written, "placements"):
        key = at(placement, "experiment", "key")
        if isinstance(key, str) and first.setdefault(key, name) != name:
            message = f"is the key of an experiment of the placement {first[key]} too; each needs its own"
            yield Wrong(("placements", name, "experiment", "key"), message)


def _listeners(written: Mapping[str, Any]) -> Iterator[Wrong]:
    listeners = {name: _address(written, name) for name in ("listen", "admin_listen")}
    public, admin = listeners["listen"], listeners["admin_listen"]
    # Bound to different hosts they may share a number, but for a host that stands for all of them.
    overlap = public and admin and (public.host == admin.host or {"0.0.0.0", "::"} & {public.host, admin.host})  # noqa: S104  # compared, not bound
    if public and admin and overlap and public.port == admin.port != 0:
        yield Wrong(("server", "admin_listen"), "has the port of `listen`; it must have its own")
    for name, address in listeners.items():
        if address and not address.loopback and at(written, "auth") is None:
            message = "listens beyond this machine, so `auth` must be configured (or listen on 127.0.0.1)"
            yield Wrong(("server", name), message)


def _state(written: Mapping[str, Any]) -> Iterator[Wrong]:
    workers = str(at(written, "server", "workers") or "")
    if at(written, "state", "url") == "sqlite::memory:" and workers.isdecimal() and int(workers) > 1:
        message = "keeps it in the memory of one process, and `server.workers` are several; name a file"
        yield Wrong(("state", "url"), message)


def _address(written: Mapping[str, Any], name: str) -> Address | None:
    try:
        return Address.read(at(written, "server", name))
    except ValueError:
        return None  # absent, or its section says what is wrong with it


def _keys(written: Mapping[str, Any]) -> Iterator[Wrong]:
    first: dict[str, str] = {}
    for name, settings in entries(written, "auth", "api_keys"):
        digest, key = at(settings, "sha256"), at(settings, "key")
        if isinstance(key, str):
            digest = sha256(key.encode()).hexdigest()
        if not isinstance(digest, str) or not re.fullmatch(SHA256, digest):
            continue  # its section says what is wrong with it
        if first.setdefault(digest.lower(), name) != name:
            yield Wrong(
                ("auth", "api_keys", name),
                f"is the same key as {first[digest.lower()]}; each caller needs its own",
            )

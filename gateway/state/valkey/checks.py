"""What "acknowledged" is worth at this server: its settings, looked at once at the start; each doubt is a warning.

    appendonly yes, appendfsync always    on disk before it is acknowledged; everysec: with ?waitaof=1
    maxmemory-policy noeviction           nothing leaves but by our own doing
    replicas                              copied before it is acknowledged: ?wait=1; on their disks: ?waitaof=1,1

Servers that others run often forbid CONFIG: then what cannot be seen is said. Sources:
https://valkey.io/topics/persistence/, https://valkey.io/commands/waitaof/, https://valkey.io/topics/replication/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.state.kept import StoreError
from gateway.state.valkey.connection import Server

NEEDED: Final = (6, 2)
"""Ranges that leave out their start, and XTRIM MINID."""
WITH_WAITAOF: Final = (7, 2)
SETTINGS: Final = ("appendonly", "appendfsync", "maxmemory-policy", "maxmemory")


async def hazards(server: Server) -> list[str]:
    """What may lose what was acknowledged. Raises StoreError where the server cannot be asked, or is too old."""
    said = await _info(server)
    version = _version(said)
    if version < NEEDED:
        raise StoreError(f"the state store is of version {said.get('redis_version')}; 6.2 or later is needed")
    found = [*_replicas(server, said)]
    if any(server.place.wait_aof) and version < WITH_WAITAOF:
        found.append("has no WAITAOF before version 7.2: with ?waitaof= every write will fail")
    try:
        settings = await _settings(server)
    except StoreError:
        found.append("hides its settings: whether it keeps what it acknowledges could not be checked")
    else:
        found += [*_file(server, settings), *_memory(server, settings)]
    return [f"the state store {one}" for one in found]


def _file(server: Server, settings: dict[str, str]) -> Iterator[str]:
    """Is it on disk?"""
    waits, replicas = server.place.wait_aof
    if settings["appendonly"] != "yes":
        if waits:
            yield "has appendonly no: with ?waitaof= every write will fail"
        elif not (replicas or server.place.wait):
            yield "has appendonly no: what was acknowledged is lost when it ends; set appendonly yes"
    elif settings["appendfsync"] == "no":
        yield "has appendfsync no: a power cut loses what was acknowledged; set it to always"
    elif settings["appendfsync"] == "everysec" and not waits:
        yield (
            "has appendfsync everysec: a power cut loses the last second or two of what was acknowledged; "
            "set it to always, or put ?waitaof=1 into state.url"
        )


def _memory(server: Server, settings: dict[str, str]) -> Iterator[str]:
    """Does anything leave but by our doing?"""
    maxmemory = int(settings["maxmemory"] or 0)
    policy = settings["maxmemory-policy"]
    if policy != "noeviction":
        yield f"has maxmemory-policy {policy}: it may throw away what was acknowledged; set it to noeviction"
    if maxmemory and server.max_bytes and maxmemory < server.max_bytes:
        yield (
            f"has a maxmemory of {maxmemory} bytes, less than state.max_bytes: it will refuse events "
            "before old ones leave; make state.max_bytes two thirds of it, or less"
        )


def _replicas(server: Server, said: dict[str, str]) -> Iterator[str]:
    """Do copies keep up with what is acknowledged?"""
    asked = max(server.place.wait, server.place.wait_aof[1])
    there = int(said.get("connected_slaves", "0"))
    if said.get("role") != "master":
        yield "is a replica: every write will fail"
    elif asked > there:
        yield f"has {there} replicas, fewer than the {asked} that state.url waits for: every write will fail"
    elif there and not asked:
        yield (
            "has replicas that nothing waits for: a failover may lose what was acknowledged last; "
            "put ?wait=1 or ?waitaof=1,1 into state.url"
        )


async def _info(server: Server) -> dict[str, str]:
    replies = await server.ask(("INFO", "server"), ("INFO", "replication"))
    lines = [line for reply in replies for line in reply.decode().splitlines() if ":" in line]
    return dict(line.split(":", 1) for line in lines)


async def _settings(server: Server) -> dict[str, str]:
    replies = await server.ask(*(("CONFIG", "GET", name) for name in SETTINGS))
    pairs = [reply for reply in replies if reply]
    if len(pairs) < len(SETTINGS):
        raise StoreError("some of the settings are hidden")
    return {name.decode(): value.decode() for name, value in pairs}


def _version(said: dict[str, str]) -> tuple[int, int]:
    """Of Redis, that a Valkey says it is compatible with too (`redis_version` 7.2.4)."""
    major, minor, *_ = f"{said.get('redis_version', '0.0')}.0".split(".")
    return int(major), int(minor)

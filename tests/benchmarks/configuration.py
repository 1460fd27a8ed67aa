"""The gateways that are measured: what is on in them, and how much of what they hold."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.benchmarks.nginx import TOKEN

COUNT: Final = 10
FIRST: Final = "vendor"
"""The provider that answers, first in every list."""


class Setup(msgspec.Struct, frozen=True):
    """What is another from gateway to gateway. As it stands here: all off, one of each."""

    keys: int = 0
    """API keys; 0: no credentials are asked for."""
    limited: bool = False
    """Has every key a rate, counted and told, and so high that none is ever refused?"""
    logged: bool = False
    """A line for each request, else for errors."""
    traced: bool = False
    """Spans of what its caller sampled go to the collector."""
    placements: int = 1
    providers: int = 1
    arms: int = 0
    """0: no experiment."""
    local: bool = False
    """`local` instead of the vendor, told of every event."""


OFF: Final = Setup()
ON: Final = Setup(keys=1, limited=True, logged=True, traced=True)


class Places(msgspec.Struct, frozen=True):
    """Ports of the loopback that a gateway has to do with."""

    port: int
    admin: int
    stub: int
    secured: int
    collector: int


def key(number: int | str) -> str:
    """An API key, by its number."""
    return f"key-{number:05d}-benchmark" if isinstance(number, int) else f"key-{number}-benchmark"


def command(folder: Path, name: str, setup: Setup, places: Places, *more: str) -> list[str]:
    """How to start it; its configuration is JSON, which is YAML."""
    file = folder / f"{name}.yaml"
    file.write_bytes(msgspec.json.encode(written(folder / f"{name}.db", setup, places)))
    return [sys.executable, "-m", "gateway", "serve", "--config", str(file), *more]


def written(state: Path, setup: Setup, places: Places) -> dict[str, Any]:
    """The configuration. `hit-N` are cached, `miss-N` are not, `secured` is asked over TLS."""
    names = ["local"] if setup.local else [FIRST, *(f"{FIRST}-{n}" for n in range(2, setup.providers + 1))]
    placements: dict[str, Any] = {}
    for n in range(setup.placements):
        for case, cache in (("hit", {"cache": {"ttl": "1d"}}), ("miss", {})):
            name = f"{case}-{n:05d}"
            placements[name] = {**_asking(names, setup.arms, name), "count": COUNT, **cache}
    providers: dict[str, Any] = {name: _vendor(f"http://127.0.0.1:{places.stub}") for name in names}
    if setup.local:
        providers = {"local": {"adapter": "local"}}
    else:
        providers["secured"] = _vendor(f"https://127.0.0.1:{places.secured}")
        placements["secured"] = {"providers": ["secured"], "count": COUNT}
    telemetry: dict[str, Any] = {"logs": {"requests": "all" if setup.logged else "errors"}}
    if setup.traced:
        telemetry["traces"] = {"exporter": "otlp", "endpoint": f"http://127.0.0.1:{places.collector}"}
    loopback = {"listen": f"127.0.0.1:{places.port}", "admin_listen": f"127.0.0.1:{places.admin}"}
    return {
        "server": {**loopback, "deadline": "5s"},
        "state": {"url": f"sqlite://{state}"},
        "defaults": {"timeout": "2s"},  # a machine with other work must not end in timeouts
        "providers": providers,
        "placements": placements,
        "telemetry": telemetry,
        **({"auth": {"api_keys": _keys(setup)}} if setup.keys else {}),
    }


def _vendor(url: str) -> dict[str, Any]:
    return {"adapter": "xayn", "options": {"url": f"{url}/vendor", "token": TOKEN}}


def _asking(names: list[str], arms: int, experiment: str) -> dict[str, Any]:
    if not arms:
        return {"providers": names}
    dealt = {f"arm-{n}": {"weight": 1, "providers": names} for n in range(arms)}
    return {"experiment": {"key": experiment, "arms": dealt}}


def _keys(setup: Setup) -> dict[str, Any]:
    """Given themselves: the digests of 10,000 would make the file larger than the 1 MiB that it may have."""
    held: dict[str, Any] = {"scopes": ["recommend", "events"]}
    if setup.limited:
        held["rate"] = "1000000/s"
    return {f"caller-{n}": {"key": key(n), **held} for n in range(setup.keys)}

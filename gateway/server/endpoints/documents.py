"""What needs no credentials: this API for machines and people, and the state of the process."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from gateway.errors import NotFound
from gateway.server.endpoints.endpoint import ANYBODY, Endpoint


class Alive(msgspec.Struct, frozen=True):
    """The process runs; nothing else is looked at."""

    alive: bool
    """Always true: a process that does not run answers nothing."""


class ConfigState(msgspec.Struct, frozen=True):
    """What became of the configuration file that was read last."""

    status: Literal["ok", "rejected"]
    """`rejected`: it was not taken, and what was in force before still is."""
    errors: tuple[str, ...]
    """All that is wrong with it."""


class Readiness(msgspec.Struct, frozen=True):
    """May requests be sent here? Only starting, draining or having no usable configuration speak against it."""

    ready: bool
    """With status 200 true, with 503 false."""
    epoch: str
    """Names the configuration in force."""
    config: ConfigState


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        name="openapi",
        method="GET",
        path="/openapi.json",
        scope=None,
        about="This API as OpenAPI 3.1.",
        answers=dict[str, Any],
        problems=ANYBODY,
    ),
    Endpoint(
        name="docs",
        method="GET",
        path="/docs",
        scope=None,
        about="This API for people.",
        media_type="text/html",
        problems=ANYBODY,
    ),
    Endpoint(
        name="problem",
        method="GET",
        path="/problems/{slug}",
        scope=None,
        about="What a problem means, and what to do about it.",
        media_type="text/html",
        problems=(NotFound, *ANYBODY),
        example={"slug": "deadline-exceeded"},
    ),
    Endpoint(
        name="livez",
        method="GET",
        path="/livez",
        scope=None,
        about="Does the process run? Depends on nothing.",
        answers=Alive,
        admin=True,
        problems=ANYBODY,
    ),
    Endpoint(
        name="readyz",
        method="GET",
        path="/readyz",
        scope=None,
        about="May requests be sent here? No vendor and no shared store that is down speaks against it.",
        answers=Readiness,
        statuses=(200, 503),
        admin=True,
        problems=ANYBODY,
    ),
    Endpoint(
        name="metrics",
        method="GET",
        path="/metrics",
        scope=None,
        about="What this process counts, for Prometheus.",
        media_type="text/plain",
        admin=True,
        problems=ANYBODY,
    ),
)

"""For those who run the gateway: providers, configuration, cache."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.errors import NotFound
from gateway.server.endpoints.endpoint import CALLS, Endpoint


class CacheQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which cached answers."""

    placement: str | None = None
    """Of this placement; absent: of all."""


class Dropped(msgspec.Struct, frozen=True):
    """What a change of the cache did."""

    dropped: int
    """How many answers were forgotten."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        name="providers",
        method="GET",
        path="/v1/providers",
        scope="ops",
        about="The state of the providers: breakers, latencies, errors.",
        answers=dict[str, Any],
        problems=CALLS[1:],
    ),
    Endpoint(
        name="effective_configuration",
        method="GET",
        path="/v1/config",
        scope="ops",
        about="The configuration in force, defaults filled in, without secrets.",
        answers=dict[str, Any],
        problems=CALLS[1:],
    ),
    Endpoint(
        name="drop_cache",
        method="DELETE",
        path="/v1/cache",
        scope="ops",
        about="Drop cached answers, of one placement or all.",
        in_query=CacheQuery,
        answers=Dropped,
        problems=(*CALLS, NotFound),
        example={"placement": "home"},
    ),
)

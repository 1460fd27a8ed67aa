"""Every operation: the one table that routes, scopes and the OpenAPI document are made from."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from gateway.errors import (
    DeadlineExceeded,
    Forbidden,
    GatewayError,
    Internal,
    InvalidRequest,
    NoProviderCan,
    NotFound,
    PayloadTooLarge,
    Rejected,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from gateway.model.wire import Answer, BatchRequest, RecommendationRequest, SearchRequest


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the API."""

    name: str
    """Also the name of its handler."""
    method: str
    path: str
    scope: str | None
    """None: needs no credentials."""
    about: str
    takes: Any = None
    """The type of the body; None: no body."""
    in_query: Any = None
    """The type whose members are given as query parameters."""
    answers: Any = None
    """The type of the answer; None: not JSON of ours."""
    statuses: tuple[int, ...] = (200,)
    """With which the answer comes."""
    media_type: str = "application/json"
    cached: bool = False
    """May answer 304, and carries caching headers."""
    problems: tuple[type[GatewayError], ...] = ()
    admin: bool = False
    """On the admin listener alone."""
    example: Any = None
    """A body that the demo answers; where there is no body, parameters by name."""


class BatchAnswer(msgspec.Struct, frozen=True):
    """The results in the order of the requests."""

    results: tuple[Any, ...]
    """Each is an answer, or the problem that its request ended in."""


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


class CacheQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which cached answers."""

    placement: str | None = None
    """Of this placement; absent: of all."""


class Dropped(msgspec.Struct, frozen=True):
    """What a change of the cache did."""

    dropped: int
    """How many answers were forgotten."""


_CALLS: Final = (InvalidRequest, Unauthorized, Forbidden, Internal)
_BODIES: Final = (PayloadTooLarge, UnsupportedMediaType)
_ANSWERS: Final = (NotFound, NoProviderCan, Rejected, Unavailable, DeadlineExceeded)

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        name="recommend",
        method="POST",
        path="/v1/recommendations",
        scope="recommend",
        about="Recommendations for a placement.",
        takes=RecommendationRequest,
        answers=Answer,
        cached=True,
        problems=(*_CALLS, *_BODIES, *_ANSWERS),
        example={"placement": "home", "user": {"id": "u1"}, "count": 3, "include": ["properties"]},
    ),
    Endpoint(
        name="recommend_by_url",
        method="GET",
        path="/v1/recommendations",
        scope="recommend",
        about="The same, for callers that prefer a URL.",
        in_query=RecommendationRequest,
        answers=Answer,
        cached=True,
        problems=(*_CALLS, *_ANSWERS),
        example={"placement": "home", "user": "u1", "count": 3, "include": ["properties"]},
    ),
    Endpoint(
        name="recommend_batch",
        method="POST",
        path="/v1/recommendations/batch",
        scope="recommend",
        about="Up to 50 requests at once, with one deadline for all.",
        takes=BatchRequest,
        answers=BatchAnswer,
        problems=(*_CALLS, *_BODIES),
        example={
            "requests": [{"placement": "home", "user": {"id": "u1"}}, {"kind": "trending_items", "count": 3}]
        },
    ),
    Endpoint(
        name="search",
        method="POST",
        path="/v1/search",
        scope="recommend",
        about="Semantic or keyword search, personalized where possible.",
        takes=SearchRequest,
        answers=Answer,
        cached=True,
        problems=(*_CALLS, *_BODIES, *_ANSWERS),
        example={"query": "comedy about a wedding", "count": 3, "include": ["properties"]},
    ),
    Endpoint(
        name="providers",
        method="GET",
        path="/v1/providers",
        scope="ops",
        about="The state of the providers: breakers, latencies, errors, in this process.",
        answers=dict[str, Any],
        problems=_CALLS[1:],
    ),
    Endpoint(
        name="effective_configuration",
        method="GET",
        path="/v1/config",
        scope="ops",
        about="The configuration in force, defaults filled in, without secrets.",
        answers=dict[str, Any],
        problems=_CALLS[1:],
    ),
    Endpoint(
        name="drop_cache",
        method="DELETE",
        path="/v1/cache",
        scope="ops",
        about="Drop cached answers, of one placement or all.",
        in_query=CacheQuery,
        answers=Dropped,
        problems=(*_CALLS, NotFound),
        example={"placement": "home"},
    ),
    Endpoint(
        name="openapi",
        method="GET",
        path="/openapi.json",
        scope=None,
        about="This API as OpenAPI 3.1.",
        answers=dict[str, Any],
        problems=(Internal,),
    ),
    Endpoint(
        name="docs",
        method="GET",
        path="/docs",
        scope=None,
        about="This API for people.",
        media_type="text/html",
        problems=(Internal,),
    ),
    Endpoint(
        name="problem",
        method="GET",
        path="/problems/{slug}",
        scope=None,
        about="What a problem means, and what to do about it.",
        media_type="text/html",
        problems=(NotFound, Internal),
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
        problems=(Internal,),
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
        problems=(Internal,),
    ),
    Endpoint(
        name="metrics",
        method="GET",
        path="/metrics",
        scope=None,
        about="What this process counts, for Prometheus.",
        media_type="text/plain",
        admin=True,
        problems=(Internal,),
    ),
)

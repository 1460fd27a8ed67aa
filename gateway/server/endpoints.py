"""Every operation: the one table that routes, scopes and the OpenAPI document are made from."""

from __future__ import annotations

from typing import Any, Final

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
    """The type of the 200 answer; None: not JSON of ours."""
    media_type: str = "application/json"
    cached: bool = False
    """May answer 304, and carries caching headers."""
    problems: tuple[type[GatewayError], ...] = ()
    example: Any = None


class BatchAnswer(msgspec.Struct, frozen=True):
    """The results in the order of the requests; each is an answer or `{"problem": …}`."""

    results: tuple[Answer | dict[str, Any], ...]


_CALLS: Final = (InvalidRequest, Unauthorized, Forbidden, NotFound, PayloadTooLarge, Internal)
_ANSWERS: Final = (NoProviderCan, Rejected, Unavailable, DeadlineExceeded)

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
        problems=(*_CALLS, UnsupportedMediaType, *_ANSWERS),
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
    ),
    Endpoint(
        name="recommend_batch",
        method="POST",
        path="/v1/recommendations/batch",
        scope="recommend",
        about="Up to 50 requests at once, with one deadline for all.",
        takes=BatchRequest,
        answers=BatchAnswer,
        problems=(*_CALLS, UnsupportedMediaType),
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
        problems=(*_CALLS, UnsupportedMediaType, *_ANSWERS),
        example={"query": "comedy about a wedding", "count": 3, "include": ["properties"]},
    ),
    Endpoint(
        name="openapi",
        method="GET",
        path="/openapi.json",
        scope=None,
        about="This API as OpenAPI 3.1.",
        answers=dict[str, Any],
    ),
    Endpoint(
        name="docs", method="GET", path="/docs", scope=None, about="This API for people.", media_type="text/html"
    ),
    Endpoint(
        name="problem",
        method="GET",
        path="/problems/{slug}",
        scope=None,
        about="What a problem means, and what to do about it.",
        media_type="text/html",
        problems=(NotFound,),
    ),
)

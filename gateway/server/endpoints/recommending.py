"""Recommendations and search."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.model.wire import Answer, BatchRequest, RecommendationRequest, SearchRequest
from gateway.server.endpoints.endpoint import ANSWERS, BODIES, CALLS, Endpoint


class BatchAnswer(msgspec.Struct, frozen=True):
    """The results in the order of the requests."""

    results: tuple[Any, ...]
    """Each is an answer, or the problem that its request ended in."""


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
        problems=(*CALLS, *BODIES, *ANSWERS),
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
        problems=(*CALLS, *ANSWERS),
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
        counts_itself=True,
        problems=(*CALLS, *BODIES),
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
        problems=(*CALLS, *BODIES, *ANSWERS),
        example={"query": "comedy about a wedding", "count": 3, "include": ["properties"]},
    ),
)

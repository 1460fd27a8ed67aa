"""What stands in the HTTP bodies of API.md §3 and §4: decoded and validated in one step.

The docstrings and constraints here are the OpenAPI document's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.model.query import Kind

Id = Annotated[
    str, Meta(min_length=1, max_length=256, description="1..256 bytes of UTF-8 without control characters")
]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Context = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$", max_length=256)]
Include = Literal["properties", "snippet"]
Count = Annotated[int, Meta(ge=1, le=100)]
FilterJson = Annotated[
    dict[str, Any],
    Meta(
        description='`{"property", "eq" | "in" | "gt" | "gte" | "lt" | "lte"}`, `{"ids": […]}`, or these '
        "combined by `all`, `any`, `not`; combinators nested ≤ 3, ≤ 100 leaves",
        extra_json_schema={"examples": [{"property": "genre", "in": ["Drama", "War"]}]},
    ),
]
Options = Annotated[
    dict[str, dict[str, Any]],
    Meta(
        description="by provider name: members passed on to that vendor; needs scope `ops` or `allow_options`"
    ),
]


class WireSeen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a history."""

    item: Id
    time: Annotated[datetime, Meta(tz=True)] | None = None


class WireUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who asks: `id` or `history` (oldest first) or both."""

    id: Id | None = None
    history: Annotated[tuple[WireSeen, ...], Meta(max_length=100)] = ()


class WireFacet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`trending_facets`: the name; `trending_items`: name and value, or no facet."""

    name: Name
    value: Name | None = None


class RecommendationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /v1/recommendations` takes."""

    placement: Name = "default"
    """The spot that asks."""
    kind: Kind | None = None
    """Default: the placement's, else by what is given."""
    user: WireUser | None = None
    items: Annotated[tuple[Id, ...], Meta(max_length=50)] = ()
    """Seeds, the most important last."""
    facet: WireFacet | None = None
    count: Count | None = None
    """Default: the placement's, else 10."""
    filter: FilterJson | None = None
    exclude_items: Annotated[tuple[Id, ...], Meta(max_length=1000)] = ()
    exclude_seen: bool | None = None
    """Absent: the vendor's habit."""
    include: tuple[Include, ...] = ()
    context: Annotated[tuple[Context, ...], Meta(max_length=10)] = ()
    recommendation_id: Annotated[str, Meta(max_length=4096)] | None = None
    """The answer that the seeds came from."""
    options: Options = {}


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /v1/search` takes: exactly one of `query` and `item`."""

    placement: Name = "search"
    query: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    item: Id | None = None
    user: WireUser | None = None
    count: Count | None = None
    filter: FilterJson | None = None
    hybrid: bool = False
    """A wish: a warning where a vendor has no such mode."""
    exclude_items: Annotated[tuple[Id, ...], Meta(max_length=1000)] = ()
    exclude_seen: bool | None = None
    include: tuple[Include, ...] = ()
    recommendation_id: Annotated[str, Meta(max_length=4096)] | None = None
    options: Options = {}


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /v1/recommendations/batch` takes; each request is judged for itself."""

    requests: Annotated[tuple[Any, ...], Meta(min_length=1, max_length=50)]


class AnswerItem(msgspec.Struct, frozen=True):
    """One recommended item."""

    id: str
    rank: int
    """1-based."""
    score: float | None
    """The vendor's raw score: not comparable between vendors."""
    properties: dict[str, Any] | UnsetType = UNSET
    snippet: str | UnsetType | None = UNSET


class AnswerFacet(msgspec.Struct, frozen=True):
    """One trending value of a facet."""

    name: str
    value: str
    rank: int
    score: float | None


class Source(msgspec.Struct, frozen=True):
    """What an answer was made from."""

    provider: str | None
    experiment: str | None
    arm: str | None
    fallback: bool
    """Another provider than the first of the list answered."""
    cold_start: bool
    """Nothing was known of the user or the seed."""


class Answer(msgspec.Struct, frozen=True):
    """What recommendations and search answer."""

    recommendation_id: str
    """Opaque and signed; send it back with events."""
    placement: str
    kind: Kind | Literal["search"]
    source: Source
    items: tuple[AnswerItem, ...] | UnsetType = UNSET
    facets: tuple[AnswerFacet, ...] | UnsetType = UNSET
    """In place of `items` for `trending_facets`."""
    data: tuple[dict[str, Any], ...] | UnsetType = UNSET
    """What merchandising rules add."""
    warnings: tuple[str, ...] = ()
    explain: dict[str, Any] | UnsetType = UNSET
    """With `Gateway-Explain: 1`."""

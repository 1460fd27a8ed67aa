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
    Meta(description="by provider name: members passed on to that vendor; needs scope `ops` or `allow_options`"),
]


class WireSeen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a history."""

    item: Id
    time: Annotated[datetime, Meta(tz=True)] | None = None
    """When: RFC 3339 with an offset."""


class WireUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who asks: `id` or `history` (oldest first) or both."""

    id: Id | None = None
    """As your systems know the user: 1..256 bytes of UTF-8 without control characters."""
    history: Annotated[tuple[WireSeen, ...], Meta(max_length=100)] = ()
    """What the user saw, oldest first."""


class WireFacet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`trending_facets`: the name; `trending_items`: name and value, or no facet."""

    name: Name
    """The property."""
    value: Name | None = None
    """One of its values."""


class RecommendationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /v1/recommendations` takes."""

    placement: Name = "default"
    """The spot that asks."""
    kind: Kind | None = None
    """Default: the placement's, else by what is given."""
    user: WireUser | None = None
    """Who asks: `id` or `history` or both."""
    items: Annotated[tuple[Id, ...], Meta(max_length=50)] = ()
    """Seeds, the most important last."""
    facet: WireFacet | None = None
    """For `trending_facets` its name; for `trending_items` name and value, or no facet."""
    count: Count | None = None
    """Default: the placement's, else 10."""
    filter: FilterJson | None = None
    exclude_items: Annotated[tuple[Id, ...], Meta(max_length=1000)] = ()
    """Never these."""
    exclude_seen: bool | None = None
    """Absent: the vendor's habit."""
    include: tuple[Include, ...] = ()
    """What to say of each item beside its id. Default: nothing."""
    context: Annotated[tuple[Context, ...], Meta(max_length=10)] = ()
    """Words that merchandising rules look at; a warning where a vendor has no contexts."""
    recommendation_id: Annotated[str, Meta(max_length=4096)] | None = None
    """The answer that the seeds came from."""
    options: Options = {}


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /v1/search` takes: exactly one of `query` and `item`."""

    placement: Name = "search"
    """The spot that asks."""
    query: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    """Words to search for."""
    item: Id | None = None
    """An item to find others like it."""
    user: WireUser | None = None
    """For whom; personalized where the vendor can."""
    count: Count | None = None
    """Default: the placement's, else 10."""
    filter: FilterJson | None = None
    hybrid: bool = False
    """A wish: a warning where a vendor has no such mode."""
    exclude_items: Annotated[tuple[Id, ...], Meta(max_length=1000)] = ()
    """Never these."""
    exclude_seen: bool | None = None
    """Absent: the vendor's habit."""
    include: tuple[Include, ...] = ()
    """What to say of each item beside its id. Default: nothing."""
    recommendation_id: Annotated[str, Meta(max_length=4096)] | None = None
    """The answer that the item came from."""
    options: Options = {}


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /v1/recommendations/batch` takes; each request is judged for itself."""

    requests: Annotated[tuple[Any, ...], Meta(min_length=1, max_length=50)]
    """Each as `POST /v1/recommendations` takes it."""


class AnswerItem(msgspec.Struct, frozen=True, gc=False):
    """One recommended item."""

    id: str
    """As your systems know the item."""
    rank: int
    """1-based."""
    score: float | None
    """The vendor's raw score: not comparable between vendors."""
    properties: dict[str, Any] | UnsetType = UNSET
    """Where `include` asks for them: the vendor's, else the gateway's own record."""
    snippet: str | UnsetType | None = UNSET
    """Where `include` asks for it and the vendor has one: the part of the item that fits."""


class AnswerFacet(msgspec.Struct, frozen=True):
    """One trending value of a facet."""

    name: str
    """The property."""
    value: str
    """One of its values."""
    rank: int
    """1-based."""
    score: float | None
    """The vendor's raw score: not comparable between vendors."""


class Source(msgspec.Struct, frozen=True, gc=False):
    """What an answer was made from."""

    provider: str | None
    """Who answered; null where all had none."""
    experiment: str | None
    """The key of the placement's experiment, if it has one."""
    arm: str | None
    """The side of it that this request was on."""
    fallback: bool
    """Another provider than the first of those that can serve this answered."""
    cold_start: bool
    """Nothing was known of the user or the seed."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What recommendations and search answer."""

    recommendation_id: str
    """Opaque and signed; send it back with events."""
    placement: str
    """That was asked for."""
    kind: Kind | Literal["search"]
    """What was answered: `for_you` with nothing known of the user is answered as `trending_items`."""
    source: Source
    items: tuple[AnswerItem, ...] | UnsetType = UNSET
    """Best first; fewer than `count` is a normal answer, and ids are unique."""
    facets: tuple[AnswerFacet, ...] | UnsetType = UNSET
    """In place of `items` for `trending_facets`."""
    data: tuple[dict[str, Any], ...] | UnsetType = UNSET
    """What merchandising rules add."""
    warnings: tuple[str, ...] = ()
    """What could not be done quite as asked."""
    explain: dict[str, Any] | UnsetType = UNSET
    """With `Gateway-Explain: 1`."""

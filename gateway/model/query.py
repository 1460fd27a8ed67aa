"""What an adapter is asked: normalized, validated, frozen, in the vendor's own spelling of ids and names.

The HTTP layer decodes wire requests (`gateway.model.wire`) into these; the provider's dialect respells ids
and properties; the adapter translates the rest.

`gc=False`, here and where else a request makes many of a sort: values that can be part of no cycle are nothing for
the garbage collector to look at (4 % of a translated request).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, get_args

import msgspec

from gateway.model.filters import Filter

Kind = Literal[
    "for_you", "similar_items", "bought_together", "looking_similar", "trending_items", "trending_facets"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One entry of a history: an item, and when it was seen if that is known."""

    item: str
    time: datetime | None = None


class User(msgspec.Struct, frozen=True, gc=False):
    """Who asks: a known id, a history (oldest first), or both."""

    id: str | None = None
    history: tuple[Seen, ...] = ()


class Facet(msgspec.Struct, frozen=True):
    """A property and, for trending items, one value of it."""

    name: str
    value: str | None = None


class Snippet(msgspec.Struct, frozen=True):
    """The part of an item that an earlier answer was about."""

    item: str
    part: int


class Recommend(msgspec.Struct, frozen=True, kw_only=True):
    """One question for recommendations, as an adapter gets it.

    Whatever the adapter did not declare that it can say has been taken out before (and is made up for by the
    core), so an adapter must say all that it finds here or raise `Unsupported`.
    """

    kind: Kind
    count: int
    """1..`max_count` of the adapter."""
    user: User | None = None
    items: tuple[str, ...] = ()
    """Seeds; never more than the adapter's `seeds` for the kind."""
    facet: Facet | None = None
    filter: Filter | None = None
    """Only what `Adapter.expressible` said can be said."""
    exclude_items: tuple[str, ...] = ()
    exclude_seen: bool | None = None
    """None: the vendor's habit."""
    properties: bool = False
    """Are the items' properties wanted?"""
    snippet: bool = False
    contexts: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    """The caller's `options` for this provider; only members of the adapter's `caller_options`."""
    recent: tuple[str, ...] = ()
    """The user's last items by the gateway's log, oldest first: for made kinds."""
    snippets: tuple[Snippet, ...] = ()
    """Parts of `items` that an earlier answer of this provider named."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """One search, by words or by an item. Exactly one of `query` and `item` is given."""

    count: int
    query: str | None = None
    item: str | None = None
    user: User | None = None
    filter: Filter | None = None
    hybrid: bool = False
    exclude_items: tuple[str, ...] = ()
    exclude_seen: bool | None = None
    properties: bool = False
    snippet: bool = False
    options: dict[str, Any] = {}
    snippets: tuple[Snippet, ...] = ()


class Item(msgspec.Struct, frozen=True, gc=False):
    """One recommended item, as the vendor ranks it."""

    id: str
    score: float | None = None
    properties: dict[str, Any] | None = None
    """What the vendor said of it; None where it said nothing."""
    snippet: str | None = None
    part: int | None = None
    """Which part of the item matched."""


class FacetScore(msgspec.Struct, frozen=True):
    """One trending value of a facet."""

    name: str
    value: str
    score: float | None = None


class Recommendations(msgspec.Struct, frozen=True, gc=False):
    """What a provider recommends, best first. Both lists empty: no answer."""

    items: tuple[Item, ...] = ()
    facets: tuple[FacetScore, ...] = ()
    data: tuple[dict[str, Any], ...] = ()
    """What merchandising rules add."""
    query_id: str | None = None
    """The vendor's name of this answer, to be sent back with events."""
    cold_start: bool = False
    """The vendor backfilled: it knew nothing of the user or the seed."""
    warnings: tuple[str, ...] = ()

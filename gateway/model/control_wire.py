"""What stands in the HTTP bodies of API.md §7, and of the lists of vendors' own objects (§2).

The docstrings and constraints here are the OpenAPI document's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.model.control import TaskStatus
from gateway.model.wire import FilterJson, Id

RuleId = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$", max_length=256)]
RuleContext = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$", max_length=256)]
ProviderName = Annotated[str, Meta(min_length=1, max_length=256)]
Moment = Annotated[datetime, Meta(tz=True)]

# --- merchandising rules ----------------------------------------------------------------------------------------


class WireCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a rule applies: a context, a filter, or both."""

    context: RuleContext | None = None
    """A word that the request must have among its `context`."""
    filter: FilterJson | None = None
    """What the source item must match; takes no `not`."""


class WirePromotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Items put at a position, as a group."""

    items: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=30)]
    """At most 30 in all promotions of a rule."""
    position: Annotated[int, Meta(ge=0)]
    """0 is the first."""


class WireFacetMatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A property on which recommended items agree with the source item."""

    facet: Annotated[str, Meta(min_length=1)]
    """The property."""
    disjunctive: bool | None = None
    """Of several values one suffices."""
    negative: bool | None = None
    """They must not agree."""
    score: int | None = None
    """How much it weighs."""


class WirePeriod(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A span of time, in whole seconds."""

    from_: Moment
    """RFC 3339 with an offset."""
    until: Moment
    """RFC 3339 with an offset; later than `from`."""


class WireRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One merchandising rule. It has at least one of `promote`, `hide`, `filter`, `match`, `boost` and `data`."""

    id: RuleId
    """Its name."""
    enabled: bool = True
    """Is it in force?"""
    description: str | None = None
    """For people."""
    conditions: Annotated[tuple[WireCondition, ...], Meta(max_length=10)] = ()
    """One of them suffices; without any the rule always applies."""
    promote: tuple[WirePromotion, ...] = ()
    """Items put at positions."""
    hide: Annotated[tuple[Id, ...], Meta(max_length=50)] = ()
    """Items never shown."""
    filter: FilterJson | None = None
    """What recommended items must match."""
    match: tuple[WireFacetMatch, ...] = ()
    """Properties on which recommended items must agree with the source item."""
    boost: tuple[WireFacetMatch, ...] = ()
    """The same as a wish: those that agree come first."""
    valid: Annotated[tuple[WirePeriod, ...], Meta(min_length=1)] | None = None
    """When it is in force; absent: always."""
    data: dict[str, Any] | None = None
    """Added to the `data` of answers; at most 1 kB of minified JSON."""
    vendor: dict[str, Any] = {}
    """What of the vendor's rule has no word here: send it back as it came, so that nothing is lost."""


class RuleBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /v1/rules/{kind}/batch` takes."""

    rules: tuple[WireRule, ...]
    """Created, or put in the place of those with the same ids; none at all only with `replace=true`."""


class BatchQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a batch is written."""

    replace: bool = False
    """Drop all other rules of this kind, in the same step."""
    provider: ProviderName | None = None
    """Another than the first that can."""


class WireRulePage(msgspec.Struct, frozen=True):
    """One page of rules."""

    rules: tuple[WireRule, ...]
    """Those found."""
    total: int
    """How many there are on all pages."""
    page: int
    """This one; 0 is the first."""
    pages: int
    """How many there are."""


class ChangeBegun(msgspec.Struct, frozen=True):
    """A change that takes effect a little later."""

    task_id: str
    """Opaque: ask `GET /v1/tasks/{task_id}` whether it has."""
    updated_at: datetime | None
    """The vendor's time of the change."""


class TaskState(msgspec.Struct, frozen=True):
    """Has a change taken effect?"""

    status: TaskStatus
    """`done`: it has."""


# --- profile and strategy ---------------------------------------------------------------------------------------


class ProviderQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is asked."""

    provider: ProviderName | None = None
    """Another than the first that can."""


class UserNamed(msgspec.Struct, frozen=True):
    """A user."""

    id: str
    """As your systems know the user."""


class WireProfile(msgspec.Struct, frozen=True):
    """What a vendor believes that a user likes."""

    user: UserNamed
    """Whose it is."""
    updated_at: datetime | None
    """The last event that it is made from."""
    affinities: dict[str, dict[str, float]]
    """By property and value; more is more."""
    provider: str
    """Who believes it."""


class ProfileForgotten(msgspec.Struct, frozen=True):
    """A deleted profile."""

    provider: str
    """Who has forgotten it."""
    deleted_until: datetime | None
    """Events from before this moment no longer count; later ones make a new profile."""


# --- training ---------------------------------------------------------------------------------------------------


class TrainingBegun(msgspec.Struct, frozen=True):
    """A training that has been asked for."""

    provider: str
    """Who trains."""
    status: Literal["scheduled"]
    """The vendor has taken the request; it says no more than that."""
    next_allowed_at: datetime
    """Not before this moment may another be asked for."""


class TrainingState(msgspec.Struct, frozen=True):
    """When it last ran, and when it may run next."""

    provider: str
    """Who trains."""
    last_started_at: datetime | None
    """Asked for through this gateway; null: never."""
    next_allowed_at: datetime | None
    """Not before this moment may another be asked for; null or past: now."""
    new_events_since: int
    """Events that this gateway has delivered to it since."""


# --- a vendor's own lists ---------------------------------------------------------------------------------------

Limit = Annotated[int, Meta(ge=1, le=1000)]
Cursor = Annotated[str, Meta(max_length=1024)]


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of which list."""

    provider: ProviderName | None = None
    """Asks this vendor for what it has, in place of the gateway's own."""
    limit: Limit = 100
    """The most entries on a page."""
    cursor: Cursor | None = None
    """The `next_cursor` of the page before."""


class EventListQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events, and which page of them."""

    user: Id | None = None
    """Of this user."""
    item: Id | None = None
    """About this item."""
    type: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """Of this type."""
    since: Moment | None = None
    """Not before: RFC 3339 with an offset."""
    until: Moment | None = None
    """Before: RFC 3339 with an offset."""


class ListedObject(msgspec.Struct, frozen=True):
    """A user or an item as a vendor has it."""

    id: str | None
    """As your systems know it; null: not known to this gateway."""
    provider_id: str | UnsetType = UNSET
    """As the vendor knows it."""
    properties: dict[str, Any] | UnsetType = UNSET
    """Where the vendor lists them."""


class UserList(msgspec.Struct, frozen=True):
    """One page of users."""

    users: tuple[ListedObject, ...]
    """Those on this page."""
    next_cursor: str | None
    """For the next page; null at the end."""


class ItemList(msgspec.Struct, frozen=True):
    """One page of items."""

    items: tuple[ListedObject, ...]
    """Those on this page."""
    next_cursor: str | None
    """For the next page; null at the end."""


class ListedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a vendor has it. What the vendor does not say is null."""

    id: str
    """The vendor's own."""
    type: str | None
    """What happened."""
    user: ListedObject | None
    """Who did it."""
    items: tuple[ListedObject, ...]
    """About what."""
    value: float | None
    """Of a rating its value; where a vendor knows scores alone, the score."""
    time: datetime | None
    """When."""
    properties: dict[str, Any] = {}
    """What else is known of it."""


class EventList(msgspec.Struct, frozen=True):
    """One page of events, newest first."""

    events: tuple[ListedEvent, ...]
    """Those on this page."""
    next_cursor: str | None
    """For the next page; null at the end."""

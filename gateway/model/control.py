"""Profiles, strategies, merchandising rules, tasks and training (API.md §7), as adapters speak of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.model.filters import Filter

EventCategory = Literal["click", "conversion", "view"]


class Profile(msgspec.Struct, frozen=True):
    """What a vendor believes that a user likes."""

    user: str
    affinities: dict[str, dict[str, float]] = {}
    updated_at: datetime | None = None


class Forgotten(msgspec.Struct, frozen=True):
    """A deleted profile: events from before `deleted_until` no longer count."""

    deleted_until: datetime | None = None


class ScoredEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much an event of this name and type says of a user."""

    name: Annotated[str, Meta(min_length=1)]
    """What the event is called there."""
    type: EventCategory
    """Its sort."""
    score: int
    """How much; the vendor sets the bounds."""


class ScoredFacet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much a facet says of a user."""

    name: Annotated[str, Meta(min_length=1)]
    """The property."""
    score: int
    """How much; the vendor sets the bounds."""


class Strategy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes a profile and how much it weighs."""

    events: tuple[ScoredEvent, ...]
    """The events that make profiles."""
    facets: tuple[ScoredFacet, ...]
    """The properties of whose values profiles are made."""
    impact: Annotated[int, Meta(ge=0, le=100)]
    """How much profiles weigh in results: 0 nothing, 100 all that they can."""


class Condition(msgspec.Struct, frozen=True):
    """When a rule applies: a context of the request, a filter on the source item, or both."""

    context: str | None = None
    filter: Filter | None = None


class Promotion(msgspec.Struct, frozen=True):
    """Items put at a 0-based position, as a group."""

    items: tuple[str, ...]
    position: int


class FacetMatch(msgspec.Struct, frozen=True):
    """A facet on which recommended items must (or should) agree with the source item."""

    facet: str
    disjunctive: bool | None = None
    negative: bool | None = None
    score: int | None = None


class Period(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A span of time in which a rule is valid."""

    from_: datetime
    until: datetime


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One merchandising rule in the normalized words; `vendor` carries what has no word here, unchanged."""

    id: str
    enabled: bool = True
    description: str | None = None
    conditions: tuple[Condition, ...] = ()
    promote: tuple[Promotion, ...] = ()
    hide: tuple[str, ...] = ()
    filter: Filter | None = None
    match: tuple[FacetMatch, ...] = ()
    boost: tuple[FacetMatch, ...] = ()
    valid: tuple[Period, ...] = ()
    data: dict[str, Any] | None = None
    vendor: dict[str, Any] = {}


class RuleSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search among the rules of one kind."""

    query: str = ""
    """Words; none: all rules."""
    context: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$", max_length=256)] | None = None
    """Only rules with this context."""
    enabled: bool | None = None
    """Only rules that are in force, or only those that are not; absent: both."""
    page: Annotated[int, Meta(ge=0)] = 0
    """Which; 0 is the first."""
    count: Annotated[int, Meta(ge=1, le=1000)] = 20
    """The most rules on a page."""


class RulePage(msgspec.Struct, frozen=True):
    """One page of rules found."""

    rules: tuple[Rule, ...]
    total: int
    page: int
    pages: int


class TaskStarted(msgspec.Struct, frozen=True):
    """An asynchronous change that the vendor has begun; `task` is the vendor's own id."""

    task: str
    updated_at: datetime | None = None


TaskStatus = Literal["pending", "done"]


class DayUsage(msgspec.Struct, frozen=True):
    """A day's quota at the vendor."""

    date: str
    quota: float | None = None
    remaining: float | None = None


class Usage(msgspec.Struct, frozen=True):
    """The vendor's report on the account's quota."""

    plan: str | None = None
    days: tuple[DayUsage, ...] = ()

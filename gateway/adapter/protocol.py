"""The class that every adapter is: what it declares, how it logs in, the operations that it has.

What is not overridden is what the vendor has no word for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, model_validator

from gateway.adapter.effects import Flow
from gateway.adapter.statuses import default_error
from gateway.adapter.wire import Request, Response, Token
from gateway.adapter.words import ANY_TEXT, Alphabet, EventQuery, How, Operation, Part
from gateway.errors import ProviderError, Unsupported
from gateway.model.activity import Activity, Change, ErasureStatus, Event, Listing
from gateway.model.control import (
    Forgotten,
    Profile,
    Rule,
    RulePage,
    RuleSearch,
    Strategy,
    TaskStarted,
    TaskStatus,
    Usage,
)
from gateway.model.filters import Filter
from gateway.model.query import Kind, Recommend, Recommendations, Search
from gateway.urls import is_plain

PROTOCOL: Final = 1
"""The version of this protocol (docs/versioning.md says what raises it)."""


class Adapter(BaseModel):
    """One vendor's language. Subclass it, declare what it can say, override the operations it has."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    requires_protocol: ClassVar[int] = 1
    """The least `PROTOCOL` that it can do with: an older gateway says so instead of loading it."""

    # What the vendor can say. Class variables, so that the configuration can be checked without an instance.
    kinds: ClassVar[Mapping[Kind, How]] = {}
    """The kinds of recommendation served; `made` means composed of several vendor operations."""
    made: ClassVar[frozenset[Operation]] = frozenset()
    """The overridden operations that are composed rather than native."""
    says: ClassVar[frozenset[Part]] = frozenset()
    """Parts of a question that can be said: `exclude_items`; `exclude_seen` and `include_seen` (an explicit
    true and false); `contexts`; `hybrid`; `history` (a user without id); `snippets` (of seeds)."""
    seeds: ClassVar[Mapping[Kind, int]] = {}
    """The most seeds that one question of a kind can carry; default 1."""
    max_count: ClassVar[int] = 100
    wants_recent: ClassVar[frozenset[Kind]] = frozenset()
    """The kinds made from what a user has lately seen: the gateway fills in `Recommend.recent` from its log."""
    carries_properties: ClassVar[bool] = False
    """Do answers carry the items' properties?"""
    user_ids: ClassVar[Alphabet] = ANY_TEXT
    item_ids: ClassVar[Alphabet] = ANY_TEXT
    caller_options: ClassVar[frozenset[str]] = frozenset()
    """Members that a caller's `options` may have for this adapter (API.md §3)."""
    documented: ClassVar[Mapping[str, frozenset[str]]] = {}
    """By route: the members of its answers that the vendor's documents name, as paths (`items[].id`; `items[].*`:
    any, and whatever is in them). Of some answers it is looked whether they have others: the vendor's API is
    changing, and the gateway counts and logs it. A route that is not listed here is not looked at."""
    max_event_age: ClassVar[float | None] = None
    """Seconds; the vendor refuses older events. None: any age."""
    over_http: ClassVar[bool] = True
    """False for `local`: nothing between it and the gateway can break."""

    @model_validator(mode="after")
    def _credentials_travel_safely(self) -> Self:
        """Of every adapter: one that wants an exception declares the option `insecure`."""
        if not getattr(self, "insecure", False):
            for url in (url for urls in self.hosts().values() for url in urls):
                if is_plain(url):
                    what = "plain http to another machine shows the credentials on the way"
                    raise ValueError(f"{what}: use https, or set `insecure: true`")
        return self

    def hosts(self) -> Mapping[str, Sequence[str]]:
        """Base URLs by the name used in `Request.hosts`; the first is primary, the rest stand in for it."""
        return {}

    @property
    def events_per_call(self) -> int:
        """The most events that one `track` may be given."""
        return 1

    def expressible(self, parts: Sequence[Filter]) -> Sequence[bool]:
        """Of a filter that is an AND of these parts: which can be said to the vendor exactly, all at once?

        Parts come in the vendor's names and values. What is not expressible the gateway applies itself.
        """
        return [False] * len(parts)

    def caller_options_complaint(self, options: Mapping[str, Any]) -> str | None:
        """What is wrong inside a caller's `options` for this provider; None if nothing."""
        return None

    def train_interval(self) -> float | None:
        """The least seconds between two trainings; None where the vendor has no trainings or no such limit."""
        return None

    def trains_by_itself(self) -> bool:
        """Is it to be trained without anybody asking, whenever there are new events and the interval is over?"""
        return False

    # Credentials.
    def login(self) -> Flow[Token] | None:
        """How a token is had; None where the vendor has no login. Its requests are not `authorize`d."""
        return None

    def authorize(self, request: Request, token: str | None) -> Request:
        """The request with credentials on it."""
        return request

    def error(self, response: Response) -> ProviderError:
        """What an answer outside 2xx means. Default: DESIGN.md §3, by status."""
        return default_error(response)

    def takes(self, event: Event) -> str | None:
        """Why the vendor cannot take this event; None if it can."""
        return "takes no events"

    # Operations. Each raises Unsupported before its first request where the vendor has no word for it.
    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        """Answer one question."""
        raise Unsupported("has no recommendations")

    def recommend_batch(self, queries: Sequence[Recommend]) -> Flow[list[Recommendations]]:
        """Answer several questions in one call, in order."""
        raise Unsupported("has no batches")

    def search(self, query: Search) -> Flow[Recommendations]:
        """Search by words or by an item."""
        raise Unsupported("has no search")

    def track(self, events: Sequence[Event]) -> Flow[None]:
        """Deliver events that it `takes`, in order; yields `Done` as they arrive."""
        raise Unsupported("takes no events")

    def put_users(self, changes: Sequence[Change]) -> Flow[None]:
        """Bring users' records up to date; yields `Done` as they arrive."""
        raise Unsupported("keeps no users")

    def put_items(self, changes: Sequence[Change]) -> Flow[None]:
        """Bring items' records up to date; yields `Done` as they arrive."""
        raise Unsupported("keeps no items")

    def delete_items(self, ids: Sequence[str]) -> Flow[None]:
        """Remove items; yields `Done` as they go."""
        raise Unsupported("cannot delete items")

    def erase_user(self, user: str) -> Flow[ErasureStatus]:
        """Erase what the vendor knows of a user, as far as it can."""
        raise Unsupported("cannot erase a user")

    def list_users(self) -> Flow[Listing]:
        """All users that the vendor has."""
        raise Unsupported("cannot list users")

    def list_items(self) -> Flow[Listing]:
        """All items that the vendor has."""
        raise Unsupported("cannot list items")

    def list_events(self, query: EventQuery) -> Flow[list[Activity]]:
        """Events that the vendor has, newest first."""
        raise Unsupported("cannot list events")

    def profile(self, user: str) -> Flow[Profile]:
        """What the vendor believes that a user likes; `Missing` when it has none."""
        raise Unsupported("has no profiles")

    def forget_profile(self, user: str) -> Flow[Forgotten]:
        """Delete a user's profile."""
        raise Unsupported("has no profiles")

    def strategy(self) -> Flow[Strategy]:
        """The personalization strategy."""
        raise Unsupported("has no strategy")

    def put_strategy(self, strategy: Strategy) -> Flow[None]:
        """Replace the personalization strategy."""
        raise Unsupported("has no strategy")

    def put_rules(self, kind: Kind, rules: Sequence[Rule], replace: bool) -> Flow[TaskStarted]:
        """Create or update rules; `replace` drops all others."""
        raise Unsupported("has no rules")

    def rule(self, kind: Kind, rule: str) -> Flow[Rule]:
        """One rule; `Missing` when there is none."""
        raise Unsupported("has no rules")

    def delete_rule(self, kind: Kind, rule: str) -> Flow[TaskStarted]:
        """Delete one rule."""
        raise Unsupported("has no rules")

    def search_rules(self, kind: Kind, search: RuleSearch) -> Flow[RulePage]:
        """Search among the rules of a kind."""
        raise Unsupported("has no rules")

    def task(self, kind: Kind, task: str) -> Flow[TaskStatus]:
        """The state of an asynchronous change."""
        raise Unsupported("has no tasks")

    def train(self) -> Flow[None]:
        """Begin a training."""
        raise Unsupported("has no training")

    def usage(self) -> Flow[Usage]:
        """The account's quota."""
        raise Unsupported("reports no usage")

    @classmethod
    def has(cls, operation: Operation) -> How | None:
        """How an operation is served, by what the class overrides and declares."""
        if getattr(cls, operation) is getattr(Adapter, operation):
            return None
        return "made" if operation in cls.made else "native"

"""The protocol of adapters: a vendor's API as a pure dialogue.

An adapter is a frozen pydantic model whose fields are the provider's `options` in the configuration. Each of
its operations is a generator (a *flow*) that yields effects and is sent their results; it does no I/O itself:

    def recommend(self, query):
        answer = yield Request("POST", f"/users/{quoted(query.user.id)}/recommendations", json={"count": 10})
        return Recommendations(tuple(Item(d["id"], d["score"]) for d in answer.json["documents"]))

The core drives it (`gateway.dialogue`): it finds hosts, adds credentials, keeps time, retries, traces. What an
adapter need not do, because the core does it for every adapter:

* ids: `user_ids` and `item_ids` declare what the vendor can take; others arrive encoded and leave decoded;
* property names and dates: respelled by the provider's `properties` setting;
* whatever `expressible`, `seeds`, `max_count` and `says` do not declare: taken out before, made up for after;
* duplicates, deleted items, `count`: mended after;
* defensive code: a LookupError, TypeError, ValueError or AttributeError after an answer becomes `Malformed`.

An answer outside 2xx is thrown into the flow as the `ProviderError` that `error()` makes of it; a flow that
knows better (a 409 that means "nothing yet") catches it at its `yield`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Final, Literal, Self, TypeVar
from urllib.parse import quote

import msgspec
from pydantic import BaseModel, ConfigDict, model_validator

from gateway import errors
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

T = TypeVar("T")

PROTOCOL: Final = 1
"""The version of this protocol (docs/versioning.md says what raises it)."""

# --- effects: what a flow may yield ---------------------------------------------------------------------------


class Request(msgspec.Struct, frozen=True, gc=False):
    """One HTTP exchange. The flow is sent a `Response`, or gets a `ProviderError` thrown."""

    method: str
    path: str
    """Begins with `/`; already percent-encoded (`quoted`); appended to the host's base URL as it is."""
    json: Any = msgspec.UNSET
    """Sent as JSON when given."""
    form: Mapping[str, str] | None = None
    """Sent form-encoded when given."""
    query: tuple[tuple[str, str], ...] = ()
    """Percent-encoded by the core (a space is `%20`, a plus `%2B`)."""
    headers: tuple[tuple[str, str], ...] = ()
    hosts: str = "main"
    """Which of the adapter's `hosts()` it goes to; attempt n goes to the n-th."""
    repeatable: bool = True
    """May it be sent twice if the first answer was lost? One that never left may always be."""
    route: str = ""
    """The path with names for ids (`/users/{id}/recs`), for spans and metrics; default: the path."""


class Response(msgspec.Struct, frozen=True, dict=True):
    """A complete answer of the vendor."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The decoded body. ValueError (so: `Malformed`) where it is not JSON, or nested beyond reason."""
        try:
            return msgspec.json.decode(self.body)
        except RecursionError as error:
            raise ValueError("JSON nested too deeply") from error

    @property
    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode("utf-8", "replace")


class Token(msgspec.Struct, frozen=True):
    """A vendor's access token; the core keeps, shares and renews it at 90 % of its life."""

    value: str
    life: float | None = None
    """Seconds from now until it expires; None: until it is refused."""

    def __repr__(self) -> str:
        return f"Token(life={self.life})"


Entity = Literal["user", "item"]


class Lookup(msgspec.Struct, frozen=True):
    """Sent back: `{caller's id: vendor's id}` of those in the id map; creates nothing."""

    entity: Entity
    ids: tuple[str, ...]


class Owners(msgspec.Struct, frozen=True):
    """The other way. Sent back: `{vendor's id: caller's id}` of those in the id map."""

    entity: Entity
    vendor_ids: tuple[str, ...]


class Register(msgspec.Struct, frozen=True):
    """Sent back: the vendor's id of `id`, created by `request` if it has none yet.

    Created once for one caller's id, whatever happens at the same time in this or another process.
    """

    entity: Entity
    id: str
    request: Request
    read: Callable[[Response], str]
    """Finds the vendor's id in the answer."""


class Done(msgspec.Struct, frozen=True):
    """These events or changes have arrived: what follows may fail without their being sent again."""

    ids: tuple[str, ...]


class Refuse(msgspec.Struct, frozen=True):
    """The vendor will never take this one; the others go on."""

    id: str
    reason: str


class Learn(msgspec.Struct, frozen=True):
    """For the adapter `local`: the gateway's own model takes in events, changes of items, erasures."""

    events: tuple[Event, ...] = ()
    items: tuple[Change, ...] = ()
    forget_items: tuple[str, ...] = ()
    forget_user: str | None = None


class Recall(msgspec.Struct, frozen=True):
    """For the adapter `local`: ask the gateway's own model. Sent back: `Recommendations`."""

    question: Recommend | Search


Effect = Request | Lookup | Owners | Register | Done | Refuse | Learn | Recall
Flow = Generator[Effect, Any, T]
"""Yields effects, is sent what each promises, returns T."""

# --- ids and paths --------------------------------------------------------------------------------------------


class Alphabet(msgspec.Struct, frozen=True):
    """Which ids a vendor can take. Others are spelled reversibly by the dialect (`gateway.dialect`)."""

    pattern: str = ""
    """A regular expression that a whole id must match; empty: any text."""
    max_bytes: int = 256


ANY_TEXT = Alphabet()


_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_~-]*").fullmatch
"""What stays as it is in a path, dots aside (RFC 3986 §2.3)."""


def quoted(id_: str) -> str:
    """An id as one path segment: percent-encoded whole, `.` and `..` too, so that it stays one segment."""
    if _UNRESERVED(id_):
        return id_
    return quote(id_, safe="").replace(".", "%2E") if id_ in (".", "..") else quote(id_, safe="")


# --- the adapter ----------------------------------------------------------------------------------------------

Operation = Literal[
    "recommend", "recommend_batch", "search", "track", "put_users", "put_items", "delete_items", "erase_user",
    "list_users", "list_items", "list_events", "profile", "forget_profile", "strategy", "put_strategy",
    "put_rules", "rule", "delete_rule", "search_rules", "task", "train", "usage",
]  # fmt: skip
How = Literal["native", "made"]
Part = Literal["exclude_items", "exclude_seen", "include_seen", "contexts", "hybrid", "history", "snippets"]


class EventQuery(msgspec.Struct, frozen=True):
    """Which of the vendor's own events are asked for."""

    user: str | None = None
    item: str | None = None
    type: str | None = None
    since: datetime | None = None
    """Not before."""
    until: datetime | None = None
    """Before."""
    limit: int = 100


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


# --- the rule for statuses --------------------------------------------------------------------------------------


def default_error(response: Response) -> ProviderError:
    """What a status means where the adapter knows no better (DESIGN.md §3)."""
    status = response.status
    error: ProviderError
    if status == 401:
        error = errors.Unauthenticated("credentials refused", status=status)
    elif status == 429:
        error = errors.Throttled("throttled", retry_after=retry_after(response) or 1.0)
    elif status in (400, 413, 422):
        error = errors.Refused(f"refused with {status}", status=status)
    elif status >= 500 or status in (408, 425):
        error = errors.Failed(f"answered {status}", status=status)
    elif status >= 300:
        error = errors.Misconfigured(f"answered {status}", status=status)
    else:
        error = errors.Malformed(f"answered {status}", status=status)
    error.vendor_message = vendor_message(response)
    return error


def retry_after(response: Response) -> float | None:
    """Seconds asked for by `Retry-After` (RFC 9110 §10.2.3), relative to the answer's own `Date`."""
    value = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,7}(\.\d+)?", value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(response.headers.get("date", ""))
        return max(0.0, (until - since).total_seconds())
    except (TypeError, ValueError):
        return None


def vendor_message(response: Response) -> str | None:
    """The vendor's own words for its refusal, of the usual JSON members. The provider takes secrets out, and then
    shortens them: half a secret would not be found."""
    try:
        said = response.json
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    for member in ("message", "Message", "kind", "error", "detail"):
        if isinstance(said.get(member), str):
            return str(said[member])
    return None


# --- finding adapters -------------------------------------------------------------------------------------------


class Unusable(ImportError):
    """An installed adapter that this gateway cannot work with, and why."""


def installed() -> dict[str, EntryPoint]:
    """The installed adapters by name: the entry points in the group `gateway.adapters`, not yet loaded."""
    return {point.name: point for point in entry_points(group="gateway.adapters")}


def found(point: EntryPoint) -> type[Adapter]:
    """The adapter of an entry point. Raises Unusable, and whatever importing somebody's module may raise."""
    adapter = point.load()
    if not (isinstance(adapter, type) and issubclass(adapter, Adapter)):
        raise Unusable(f"`{point.value}` is no subclass of gateway.adapter.Adapter")
    if complaint := complaint_of(adapter):
        raise Unusable(f"`{point.value}` {complaint}")
    return adapter


def complaint_of(adapter: type[Adapter]) -> str | None:
    """Why this gateway cannot work with an adapter's class; None if it can.

    What is forgotten would otherwise show as silence: a question that is never asked, an event that is never sent.
    """
    if adapter.requires_protocol > PROTOCOL:
        needs = f"needs version {adapter.requires_protocol} of the adapter protocol"
        return f"{needs}, and this gateway has version {PROTOCOL}: install a newer gateway"
    if adapter.kinds and not adapter.has("recommend"):
        return "declares `kinds`, but has no method `recommend` to serve them"
    if adapter.has("recommend") and not adapter.kinds:
        return "has a method `recommend`, but declares no `kinds`: it would never be asked"
    if adapter.has("track") and adapter.takes is Adapter.takes:
        return "has a method `track`, but not `takes`: every event would be refused before it"
    return None


def load() -> dict[str, type[Adapter]]:
    """All installed adapters by name. Raises what `found` raises."""
    return {name: found(point) for name, point in installed().items()}

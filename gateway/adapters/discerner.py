"""Discerner: users, products and scored activities under the vendor's own integers; recommendations for a user.

    writing    caller's id ─▸ Register (the id map, else POST /users or /products)    ─▸ the vendor's integer
    reading    caller's id ─▸ Lookup   (the id map alone, so that nothing is created) ─▸ the vendor's integer
    answers    the vendor's integers ─▸ Owners ─▸ callers' ids

The vendor's document shows neither how a score travels nor what recommendations look like nor any error: what
FACTS.md §4 assumes stands here as settings and as the shapes below. There are no attributes, no updates and no
deletions: a record of a user or an item is created, and its properties stay with the gateway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec.structs import replace
from pydantic import ConfigDict, Field, SecretStr, field_validator

from gateway.adapter import (
    Adapter,
    Done,
    Entity,
    EventQuery,
    Flow,
    How,
    Lookup,
    Owners,
    Register,
    Request,
    Response,
    Token,
    quoted,
)
from gateway.errors import Misconfigured, NoAnswer, Refused, Unauthenticated, Unsupported
from gateway.model.activity import Activity, Change, Event, Listed, Listing
from gateway.model.query import Item, Kind, Recommend, Recommendations
from gateway.urls import BaseUrl

SCORES: Final[Mapping[str, float]] = {"view": 1, "click": 2, "add_to_cart": 3, "like": 4, "purchase": 5}
"""What an event says of an item (FACTS.md §6); a rating's score is its value."""
PATHS: Final[Mapping[Entity, str]] = {"user": "/users", "item": "/products"}


# --- the shapes of answers; one that does not fit raises ValueError -------------------------------------------


class Numbered(msgspec.Struct, frozen=True):
    """A user or a product."""

    id: int


class Scored(msgspec.Struct, frozen=True):
    """An activity."""

    id: int
    user_id: int
    product_id: int
    score: float | None = None


class Rec(msgspec.Struct, frozen=True):
    """One recommended product."""

    id: int | None = None
    product_id: int | None = None
    score: float | None = None


class Wrapped(msgspec.Struct, frozen=True):
    """Recommendations inside an object."""

    recs: tuple[int | Rec, ...] | None = None
    recommendations: tuple[int | Rec, ...] | None = None


def recs_of(response: Response) -> list[tuple[str, float | None]]:
    """Vendor's ids and scores, best first, from each of the shapes that FACTS.md §4 assumes."""
    said = msgspec.json.decode(response.body, type=tuple[int | Rec, ...] | Wrapped)
    if isinstance(said, Wrapped):
        (said,) = [list_ for list_ in (said.recs, said.recommendations) if list_ is not None]
    return [_product(one) for one in said]


def _product(one: int | Rec) -> tuple[str, float | None]:
    if isinstance(one, int):
        return str(one), None
    number = one.id if one.product_id is None else one.product_id
    if number is None:
        raise ValueError("a recommendation names no product")
    return str(number), one.score


def number_of(response: Response) -> str:
    """The id of what has been created."""
    return str(msgspec.json.decode(response.body, type=Numbered).id)


# --- the adapter ------------------------------------------------------------------------------------------------


class Discerner(Adapter):
    """Activities with a score, and recommendations for a user.

    `users` and `items` are created and listed, without their properties. An event becomes one activity for each
    of its items; sent again because the answer was lost, it counts twice at the vendor, which knows no ids of
    activities but its own.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    username: Annotated[str, Field(min_length=1)]
    """The account's name."""
    password: SecretStr
    """The account's password."""
    url: BaseUrl = "http://discernerapi.com"
    """The API's address. The vendor documents plain http alone, which needs `insecure`."""
    insecure: bool = False
    """Allow plain http to another machine, password and token in clear text."""
    score_encoding: Literal["json", "form"] = "json"
    """How a score is sent: `{"score": 4.5}` or `score=4.5`."""
    scores: Mapping[str, Annotated[float, Field(allow_inf_nan=False)]] = {}
    """Scores of event types, beside or in place of view 1, click 2, add_to_cart 3, like 4, purchase 5."""

    kinds: ClassVar[Mapping[Kind, How]] = {"for_you": "native"}

    @field_validator("scores")
    @classmethod
    def _ratings_have_theirs(cls, scores: Mapping[str, float]) -> Mapping[str, float]:
        if "rating" in scores:
            raise ValueError("a rating's score is its value and cannot be set")
        return scores

    def hosts(self) -> Mapping[str, Sequence[str]]:
        return {"main": (self.url,)}

    # Credentials.
    def login(self) -> Flow[Token]:
        """The token's life is unknown: it is kept until it is refused."""
        form = {"username": self.username, "password": self.password.get_secret_value()}
        try:
            answer = yield Request("POST", "/token", form=form)
        except Refused as refusal:  # of the credentials, not of what they were wanted for
            raise Unauthenticated(f"the login was {refusal}", status=refusal.status) from refusal
        token = answer.json["token"]
        if not (token and token.isascii() and token.isprintable()):
            raise ValueError("the token cannot stand in a header")
        return Token(token)

    def authorize(self, request: Request, token: str | None) -> Request:
        return replace(request, headers=(*request.headers, ("authorization", f"Token {token}")))

    # What is asked.
    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        """As many as the vendor likes to give. Raises NoAnswer for a user that it does not have."""
        if query.kind != "for_you" or query.user is None or query.user.id is None:
            raise Unsupported("recommends only to a user with an id")
        number = yield from _known("user", query.user.id)
        if number is None:
            raise NoAnswer("does not have this user")
        try:
            answer = yield Request("GET", f"/users/{quoted(number)}/recs", route="/users/{id}/recs")
        except Misconfigured as error:
            if error.status != 404:
                raise
            raise NoAnswer("does not have this user any more", status=404) from error
        recs = recs_of(answer)
        owners = yield Owners("item", tuple(number for number, _ in recs))
        items = tuple(Item(owners[number], score) for number, score in recs if number in owners)
        strangers = len(recs) - len(items)
        warning = f"left out {strangers} recommended by the vendor that the gateway does not know"
        return Recommendations(items, warnings=(warning,) if strangers else ())

    # What is told.
    def takes(self, event: Event) -> str | None:
        if not event.items:
            return "takes only events with items"
        return f"has no score for `{event.type}`" if self._score_of(event) is None else None

    def track(self, events: Sequence[Event]) -> Flow[None]:
        for event in events:
            user = yield _registered("user", event.user)
            for item in event.items:
                product = yield _registered("item", item.id)
                answer = yield self._activity(user, product, self._score_of(event))
                msgspec.json.decode(answer.body, type=Scored)
            yield Done((event.id,))

    def _score_of(self, event: Event) -> float | None:
        if event.type == "rating":
            return event.value
        return self.scores.get(event.type, SCORES.get(event.type))

    def _activity(self, user: str, product: str, score: float | None) -> Request:
        said: dict[str, Any] = (
            {"json": {"score": score}} if self.score_encoding == "json" else {"form": {"score": f"{score:.15g}"}}
        )
        path = f"/users/{quoted(user)}/products/{quoted(product)}/activities"
        route = "/users/{id}/products/{id}/activities"
        return Request("POST", path, **said, repeatable=False, route=route)

    def put_users(self, changes: Sequence[Change]) -> Flow[None]:
        """Create those that the vendor does not have; it keeps no properties."""
        return _created("user", changes)

    def put_items(self, changes: Sequence[Change]) -> Flow[None]:
        """Create those that the vendor does not have; it keeps no properties."""
        return _created("item", changes)

    # What the vendor has.
    def list_users(self) -> Flow[Listing]:
        return _listed("user")

    def list_items(self) -> Flow[Listing]:
        return _listed("item")

    def list_events(self, query: EventQuery) -> Flow[list[Activity]]:
        """Newest first, which is by falling id: activities have no time, and no type either.

        Users and items that the gateway does not know have the vendor's id alone.
        """
        if query.type is not None:
            raise Unsupported("does not know of what type an activity was")
        if query.since is not None or query.until is not None:
            raise Unsupported("does not know when an activity was")
        user = product = None
        if query.user is not None and (user := (yield from _known("user", query.user))) is None:
            return []
        if query.item is not None and (product := (yield from _known("item", query.item))) is None:
            return []
        answer = yield Request("GET", "/activities")
        activities = [
            one
            for one in msgspec.json.decode(answer.body, type=list[Scored])
            if user in (None, str(one.user_id)) and product in (None, str(one.product_id))
        ]
        activities = sorted(activities, key=lambda one: one.id, reverse=True)[: query.limit]
        users = yield Owners("user", tuple({str(one.user_id): None for one in activities}))
        items = yield Owners("item", tuple({str(one.product_id): None for one in activities}))
        return [
            Activity(
                str(one.id),
                users.get(str(one.user_id)),
                items.get(str(one.product_id)),
                str(one.user_id),
                str(one.product_id),
                value=one.score,
            )
            for one in activities
        ]


def _known(entity: Entity, id_: str) -> Flow[str | None]:
    """The vendor's id of one that it has; asking creates nothing."""
    known: Mapping[str, str] = yield Lookup(entity, (id_,))
    return known.get(id_)


def _registered(entity: Entity, id_: str) -> Register:
    """Not repeatable: each POST creates another, and one whose answer was lost stays behind as an orphan."""
    return Register(entity, id_, Request("POST", PATHS[entity], repeatable=False), number_of)


def _created(entity: Entity, changes: Sequence[Change]) -> Flow[None]:
    for change in changes:
        yield _registered(entity, change.id)
        yield Done((change.id,))


def _listed(entity: Entity) -> Flow[Listing]:
    answer = yield Request("GET", PATHS[entity])
    numbers = [str(one.id) for one in msgspec.json.decode(answer.body, type=list[Numbered])]
    owners: Mapping[str, str] = yield Owners(entity, tuple(numbers))
    return Listing(tuple(Listed(owners.get(number), number) for number in numbers))

"""Recomendo's account: its hosts, its token of an hour, and what can be asked of it and told to it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal

import jwt
from msgspec.structs import replace
from pydantic import AfterValidator, ConfigDict, Field, SecretStr

from gateway.adapter import (
    Adapter,
    EventQuery,
    Flow,
    How,
    Operation,
    Part,
    Request,
    Response,
    Token,
    default_error,
)
from gateway.adapters.recomendo import letters, post, questions, stored, wire
from gateway.errors import Misconfigured, ProviderError, Refused, Unauthenticated, Unsupported
from gateway.model.activity import Activity, Change, ErasureStatus, Event
from gateway.model.control import DayUsage, Usage
from gateway.model.filters import Filter
from gateway.model.query import Kind, Recommend, Recommendations
from gateway.units import Duration
from gateway.urls import BaseUrl

MAX_SEEDS: Final = 50


def _unreserved(name: str) -> str:
    if complaint := letters.name_complaint(name):
        raise ValueError(complaint)
    return name


def _no_colon(client_id: str) -> str:
    if not client_id or ":" in client_id:
        raise ValueError("must be a client id, which holds no colon (RFC 7617 §2)")
    return client_id


class Recomendo(Adapter):
    """PredictionIO and the Universal Recommender as a service.

    A user's history is used where the user has no id, and asked about alone where the vendor does not know the
    user. Beside seeds it is not used, with a warning. A user beside a seed personalizes similar items; trending
    items and what goes together are the same for everybody.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    client_id: Annotated[str, AfterValidator(_no_colon)]
    """The account's client id."""
    client_secret: SecretStr
    """The account's client secret."""
    auth_url: BaseUrl = "https://auth.recomendo.ai"
    """What stands before `/v1/auth`."""
    events_url: BaseUrl = "https://events.recomendo.ai"
    """What stands before `/v1/events.json`."""
    client_url: BaseUrl = "https://client.recomendo.ai"
    """What stands before `/v1/train` and `/v1/usage`."""
    predictions_url: BaseUrl = "https://predictions.recomendo.ai"
    """What stands before `/v1/queries.json`."""
    insecure: bool = False
    """Allow plain http to another machine, credentials in clear text."""
    event_names: Mapping[str, Annotated[str, AfterValidator(_unreserved)]] = {}
    """What the vendor calls an event type, where it is not called the same: `{purchase: buy}`."""
    batch_events: bool = False
    """Send up to 50 events in one call. PredictionIO can; Recomendo's documents do not say so."""
    training: Literal["manual", "auto"] = Field("manual", alias="train")
    """`auto` trains when there are new events and `train_every` has passed."""
    train_every: Duration = Field("30m", validate_default=True)
    """The least time between two trainings; the vendor's limit is 30 minutes."""

    kinds: ClassVar[Mapping[Kind, How]] = {
        "for_you": "native",
        "similar_items": "native",
        "bought_together": "native",
        "trending_items": "native",
    }
    made: ClassVar[frozenset[Operation]] = frozenset({"erase_user"})
    says: ClassVar[frozenset[Part]] = frozenset({"exclude_items", "history"})
    seeds: ClassVar[Mapping[Kind, int]] = dict.fromkeys(("for_you", "similar_items", "bought_together"), MAX_SEEDS)
    documented: ClassVar[Mapping[str, frozenset[str]]] = {
        "/v1/queries.json": frozenset({"itemScores[].item", "itemScores[].score", "itemScores[].ranks.*"})
    }
    caller_options: ClassVar[frozenset[str]] = frozenset(
        {"userBias", "itemBias", "fields", "currentDate", "eventNames", "withRanks"}
    )

    def hosts(self) -> Mapping[str, Sequence[str]]:
        return {
            "auth": (self.auth_url,),
            "events": (self.events_url,),
            "client": (self.client_url,),
            "predictions": (self.predictions_url,),
        }

    @property
    def events_per_call(self) -> int:
        return post.MOST_IN_A_BATCH if self.batch_events else 1

    def expressible(self, parts: Sequence[Filter]) -> Sequence[bool]:
        return questions.expressible(parts)

    # Credentials.
    def login(self) -> Flow[Token]:
        pair = f"{self.client_id}:{self.client_secret.get_secret_value()}"
        basic = ("authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
        try:
            answer = yield Request("POST", "/v1/auth", headers=(basic,), hosts="auth")
        except Refused as refusal:  # of the credentials, not of what they were wanted for
            raise Unauthenticated(f"the login was {refusal}", status=refusal.status) from refusal
        token = wire.payload(answer)["token"]
        return Token(token, life_of(token))

    def authorize(self, request: Request, token: str | None) -> Request:
        return replace(request, headers=(*request.headers, ("authorization", f"Bearer {token}")))

    def error(self, response: Response) -> ProviderError:
        """By status; queries are refused in plain text."""
        error = default_error(response)
        if error.vendor_message is None and response.headers.get("content-type", "").startswith("text/plain"):
            error.vendor_message = response.text.strip() or None
        return error

    # What is asked.
    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        if query.kind not in self.kinds:
            raise Unsupported(f"has no {query.kind}")
        predictions = yield from _predictions(questions.query_of(query))
        if questions.knows_only_the_history(query, predictions):
            query = questions.about_the_history(query)
            predictions = yield from _predictions(questions.query_of(query))
        return questions.answer_of(query, predictions)

    # What is told.
    def takes(self, event: Event) -> str | None:
        if not event.items:
            return "takes only events with items"
        return letters.name_complaint(self._name_of(event.type))

    def track(self, events: Sequence[Event]) -> Flow[None]:
        return self._send(letters.of_events(events, self._name_of))

    def put_users(self, changes: Sequence[Change]) -> Flow[None]:
        return self._send(letters.of_records("user", changes))

    def put_items(self, changes: Sequence[Change]) -> Flow[None]:
        return self._send(letters.of_records("item", changes))

    def delete_items(self, ids: Sequence[str]) -> Flow[None]:
        return self._send(letters.of_deletions("item", ids))

    def _send(self, sent: Iterable[letters.Letter]) -> Flow[None]:
        return post.in_batches(tuple(sent)) if self.batch_events else post.one_by_one(sent)

    def erase_user(self, user: str) -> Flow[ErasureStatus]:
        """All events of the user, then the properties: `$delete` alone would drop only these."""
        try:
            emptied = yield from stored.delete_events_of(user)
        except Unauthenticated:
            raise
        except Misconfigured:  # listing and deleting are PredictionIO's; an account may lack them
            emptied = False
        for letter in letters.of_deletions("user", (user,)):
            yield from post.one(letter)
        return "erased" if emptied else "partial"

    # What the vendor has.
    def list_events(self, query: EventQuery) -> Flow[list[Activity]]:
        """Newest first. Without a user the vendor can list only oldest first, so that all must be fetched."""
        whose = () if query.user is None else (("entityId", query.user),)
        called = () if query.type is None else (("event", self._name_of(query.type)),)
        what = () if query.item is None else (("targetEntityId", query.item),)
        since = () if query.since is None else (("startTime", questions.timestamp(query.since)),)
        until = () if query.until is None else (("untilTime", questions.timestamp(query.until)),)
        part = (("limit", "-1"),) if query.user is None else (("limit", str(query.limit)), ("reversed", "true"))
        found = yield from stored.events(
            ("entityType", "user"), *whose, *called, ("targetEntityType", "item"), *what, *since, *until, *part
        )
        activities = [letters.activity_of(one, self._type_of) for one in found]
        activities.sort(key=letters.time_of, reverse=True)
        return activities[: query.limit]

    def _name_of(self, type_: str) -> str:
        return self.event_names.get(type_, type_)

    def _type_of(self, name: str) -> str:
        return next((type_ for type_, named in self.event_names.items() if named == name), name)

    # The account.
    def train_interval(self) -> float:
        return self.train_every

    def trains_by_itself(self) -> bool:
        return self.training == "auto"

    def train(self) -> Flow[None]:
        """Never sent twice: a training whose answer was lost has begun."""
        answer = yield Request("POST", "/v1/train", hosts="client", repeatable=False)
        wire.payload(answer)

    def usage(self) -> Flow[Usage]:
        answer = yield Request("GET", "/v1/usage", hosts="client")
        report = wire.usage(answer)
        days = (DayUsage(day.date, day.user_quota, day.remaining_quota) for day in report.usages)
        return Usage(report.usage_plan, tuple(days))


def life_of(token: object) -> float:
    """The seconds that a JWT lives, exp − iat, by the vendor's own clock. ValueError for what is no such token.

    The signature is the vendor's own affair: the token only goes back to whom it came from.
    """
    if not isinstance(token, str) or not re.fullmatch(r"[\w.-]+", token, re.ASCII):
        raise ValueError("the token is no JWT")
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise ValueError("the token is no JWT") from error
    life = float(claims["exp"]) - float(claims["iat"])
    if not life > 0:
        raise ValueError("the token ends before it begins")
    return life


def _predictions(query: Mapping[str, object]) -> Flow[wire.Predictions]:
    answer = yield Request("POST", "/v1/queries.json", json=query, hosts="predictions")
    return wire.read(answer, wire.Predictions)

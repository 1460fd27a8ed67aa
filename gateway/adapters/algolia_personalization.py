"""Algolia Personalization: users' affinities and the strategy that makes them; it returns no items (FACTS.md §3).

    GET     /1/profiles/personalization/{userToken}     profile
    DELETE  /1/profiles/{userToken}                     forget_profile, erase_user
    GET     /1/strategies/personalization               strategy
    POST    /1/strategies/personalization               put_strategy

One host in the region where the analytics are kept, none to stand in for it. Profiles are learnt from the
events that the Insights API is sent (adapter algolia-recommend). The key needs the ACL `recommendation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

import msgspec
from pydantic import SecretStr, model_validator

from gateway.adapter import Adapter, Alphabet, Flow, Request, Response, default_error, quoted, vendor_message
from gateway.errors import Misconfigured, Missing, ProviderError
from gateway.model.activity import ErasureStatus
from gateway.model.control import EventCategory, Forgotten, Profile, ScoredEvent, ScoredFacet, Strategy
from gateway.urls import BaseUrl

STRATEGY: Final = "/1/strategies/personalization"


class FoundProfile(msgspec.Struct, frozen=True, rename="camel"):
    """A profile as it is answered: `scores` by facet and value, each at most 20."""

    scores: dict[str, dict[str, float]]
    last_event_at: datetime | None = None


class DeletedProfile(msgspec.Struct, frozen=True, rename="camel"):
    """The example says `deletedUntil`, the prose above it `deleteUntil`."""

    deleted_until: datetime | None = None
    delete_until: datetime | None = None


class EventScoring(msgspec.Struct, frozen=True, rename="camel"):
    """One event of a strategy."""

    event_name: str
    event_type: EventCategory
    score: int


class FacetScoring(msgspec.Struct, frozen=True, rename="camel"):
    """One facet of a strategy."""

    facet_name: str
    score: int


class FoundStrategy(msgspec.Struct, frozen=True, rename="camel"):
    """A strategy as it travels, both ways."""

    events_scoring: list[EventScoring]
    facets_scoring: list[FacetScoring]
    personalization_impact: int


class AlgoliaPersonalization(Adapter):
    """One application's personalization."""

    application_id: str
    """Sent as `X-Algolia-Application-Id`."""
    api_key: SecretStr
    """A key with the ACL `recommendation`; sent as `X-Algolia-API-Key`."""
    region: Literal["us", "eu"] | None = None
    """Where the analytics are kept; required unless there is a `url`."""
    url: BaseUrl | None = None
    """What stands before `/1/…`, instead of the region's host."""
    insecure: bool = False
    """Allow plain http to another machine, credentials in clear text."""

    user_ids: ClassVar[Alphabet] = Alphabet(r"[a-zA-Z0-9_=/+-]+", 129)

    @model_validator(mode="after")
    def _somewhere(self) -> AlgoliaPersonalization:
        if self.region is None and self.url is None:
            raise ValueError("`region` must be us or eu: there is no default")
        return self

    def hosts(self) -> Mapping[str, Sequence[str]]:
        return {"main": [self.url or f"https://personalization.{self.region}.algolia.com"]}

    def authorize(self, request: Request, token: str | None) -> Request:
        headers = (
            ("X-Algolia-Application-Id", self.application_id),
            ("X-Algolia-API-Key", self.api_key.get_secret_value()),
        )
        return msgspec.structs.replace(request, headers=(*request.headers, *headers))

    def error(self, response: Response) -> ProviderError:
        """By status; a 404 in the vendor's own words (always JSON with a message) means that there is none."""
        error: ProviderError = default_error(response)
        if response.status == 403:
            error = Misconfigured("the key lacks the ACL `recommendation`", status=403)
        elif response.status == 404 and error.vendor_message is not None:
            error = Missing("there is none", status=404)
        error.vendor_message = vendor_message(response)
        return error

    def profile(self, user: str) -> Flow[Profile]:
        answer: Response = yield Request(
            "GET", f"/1/profiles/personalization/{quoted(user)}", route="/1/profiles/personalization/{userToken}"
        )
        found = msgspec.json.decode(answer.body, type=FoundProfile)
        return Profile(user, found.scores, found.last_event_at)

    def forget_profile(self, user: str) -> Flow[Forgotten]:
        answer: Response = yield Request("DELETE", f"/1/profiles/{quoted(user)}", route="/1/profiles/{userToken}")
        deleted = msgspec.json.decode(answer.body, type=DeletedProfile)
        return Forgotten(deleted.deleted_until or deleted.delete_until)

    def erase_user(self, user: str) -> Flow[ErasureStatus]:
        """The profile is all that is kept here; one that is not there is as good as erased."""
        with suppress(Missing):
            yield from self.forget_profile(user)
        return "erased"

    def strategy(self) -> Flow[Strategy]:
        answer: Response = yield Request("GET", STRATEGY)
        found = msgspec.json.decode(answer.body, type=FoundStrategy)
        return Strategy(
            tuple(ScoredEvent(one.event_name, one.event_type, one.score) for one in found.events_scoring),
            tuple(ScoredFacet(one.facet_name, one.score) for one in found.facets_scoring),
            found.personalization_impact,
        )

    def put_strategy(self, strategy: Strategy) -> Flow[None]:
        yield Request("POST", STRATEGY, json=_written(strategy))


def _written(strategy: Strategy) -> dict[str, Any]:
    """All three members are mandatory, empty or not."""
    written = FoundStrategy(
        [EventScoring(one.name, one.type, one.score) for one in strategy.events],
        [FacetScoring(one.name, one.score) for one in strategy.facets],
        strategy.impact,
    )
    return dict(msgspec.to_builtins(written))

"""Popcorn: films for a user, films like a film, and what people watched and bought.

Popcorn numbers films itself. So what is written is registered first (`Register`: the number from the gateway's id
map, else a new film), what is asked about is only looked up (`Lookup`: asking creates nothing), and the numbers
in answers are read back (`Owners`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from msgspec.structs import replace
from pydantic import SecretStr

from gateway.adapter import (
    Adapter,
    Alphabet,
    Done,
    Flow,
    How,
    Lookup,
    Owners,
    Refuse,
    Register,
    Request,
    Response,
    quoted,
)
from gateway.errors import Misconfigured, NoAnswer, Unsupported
from gateway.model.activity import Change, Event
from gateway.model.query import Item, Kind, Recommend, Recommendations
from gateway.urls import BaseUrl

ACTIONS: Final = {"view": "watched", "purchase": "bought"}


class Popcorn(Adapter):
    """Films that Popcorn recommends. Its fields are the provider's `options`."""

    key: SecretStr
    """The account's key."""
    url: BaseUrl = "https://api.popcorn.example/v1"
    """The API's address."""

    requires_protocol: ClassVar[int] = 1
    kinds: ClassVar[Mapping[Kind, How]] = {"for_you": "native", "similar_items": "native"}
    max_count: ClassVar[int] = 20
    user_ids: ClassVar[Alphabet] = Alphabet("[A-Za-z0-9_-]+", max_bytes=64)

    def hosts(self) -> Mapping[str, Sequence[str]]:
        return {"main": (self.url,)}

    @property
    def events_per_call(self) -> int:
        return 100

    def authorize(self, request: Request, token: str | None) -> Request:
        return replace(request, headers=(*request.headers, ("x-popcorn-key", self.key.get_secret_value())))

    # What is asked.
    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        if query.kind == "similar_items":
            return self._similar(query.items[0], query.count)
        if query.user is None or query.user.id is None:
            raise Unsupported("recommends only to a user with an id")
        return self._picks(query.user.id, query.count)

    def _picks(self, user: str, count: int) -> Flow[Recommendations]:
        answer = yield from _asked(f"/users/{quoted(user)}/picks", count, "/users/{id}/picks")
        return (yield from _recommended(answer.json["picks"]))

    def _similar(self, item: str, count: int) -> Flow[Recommendations]:
        numbers = yield Lookup("item", (item,))
        if item not in numbers:
            raise NoAnswer("does not have this film")
        answer = yield from _asked(f"/films/{numbers[item]}/similar", count, "/films/{id}/similar")
        return (yield from _recommended(answer.json["similar"]))

    # What is told.
    def takes(self, event: Event) -> str | None:
        if event.type not in ACTIONS:
            return f"has no action for `{event.type}`"
        return None if event.items else "takes only events with items"

    def track(self, events: Sequence[Event]) -> Flow[None]:
        told: list[dict[str, Any]] = []
        for event in events:
            films: list[int] = []
            for item in event.items:
                films.append(int((yield _registered(item.id, title=item.id))))
            at = int(event.time.timestamp())
            action = ACTIONS[event.type]
            told.append({"id": event.id, "user": event.user, "films": films, "action": action, "at": at})
        answer = yield Request("POST", "/events", json={"events": told})
        refused = {told[one["index"]]["id"]: one["reason"] for one in answer.json["errors"]}
        for id_, reason in refused.items():
            yield Refuse(id_, reason)
        yield Done(tuple(event.id for event in events if event.id not in refused))

    def put_items(self, changes: Sequence[Change]) -> Flow[None]:
        for change in changes:
            yield _registered(change.id, title=str(change.properties.get("title", change.id)))
            yield Done((change.id,))


def _asked(path: str, count: int, route: str) -> Flow[Response]:
    """404 is not our mistake here, as it would be by default: Popcorn does not have the user or the film."""
    try:
        answer: Response = yield Request("GET", path, query=(("limit", str(count)),), route=route)
    except Misconfigured as error:
        if error.status != 404:
            raise
        raise NoAnswer("has never heard of it", status=404) from error
    return answer


def _recommended(found: Sequence[Mapping[str, Any]]) -> Flow[Recommendations]:
    """Best first; films that the gateway does not know are left out."""
    owners = yield Owners("item", tuple(str(one["film"]) for one in found))
    scored = [(str(one["film"]), float(one["match"])) for one in found]
    return Recommendations(tuple(Item(owners[number], match) for number, match in scored if number in owners))


def _registered(item: str, title: str) -> Register:
    """Not repeatable: each POST makes another film."""
    return Register("item", item, Request("POST", "/films", json={"title": title}, repeatable=False), _number)


def _number(answer: Response) -> str:
    return str(int(answer.json["film"]))

"""How events are packed into calls to Algolia's Insights, which takes 1000 of them and less than 2 MB."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapter import Done, Refuse, Request, Response
from gateway.adapters.algolia_recommend import AlgoliaRecommend
from gateway.adapters.algolia_recommend.deliver import Parcel, packed
from gateway.errors import Refused
from gateway.model.activity import Event, EventItem

ADAPTER = AlgoliaRecommend.model_validate({"application_id": "APP", "api_key": "k", "index": "products"})
TAKEN = Response(200, {}, b'{"status":200,"message":"OK"}')


def an_event(id_: str, items: int = 1, length: int = 5) -> Event:
    names = tuple(EventItem(f"{n:0{length}}") for n in range(items))
    return Event(id=id_, type="view", user="u1", items=names, time=datetime(2026, 11, 22, tzinfo=UTC))


def delivered(events: list[Event], bad: frozenset[str] = frozenset()) -> Iterator[Request | Done | Refuse]:
    """What comes of delivering events, where Algolia refuses every call that holds a bad one's item."""
    flow = ADAPTER.track(events)
    effect: Any = next(flow)
    while True:
        yield effect
        try:
            if isinstance(effect, Request):
                named = {id_ for entry in effect.json["events"] for id_ in entry["objectIDs"]}
                effect = flow.throw(Refused("refused with 422")) if named & bad else flow.send(TAKEN)
            else:
                effect = next(flow)
        except StopIteration:
            return


def test_bodies_stay_below_2_mb() -> None:
    events = [an_event(f"e{n}", items=20, length=256) for n in range(1000)]
    effects = list(delivered(events))
    bodies = [msgspec.json.encode(effect.json) for effect in effects if isinstance(effect, Request)]
    assert len(bodies) == 3
    assert all(len(body) < 2_000_000 for body in bodies)
    assert [id_ for effect in effects if isinstance(effect, Done) for id_ in effect.ids] == [e.id for e in events]


def test_parts_of_an_event_count() -> None:
    effects = list(delivered([an_event(f"e{n}", items=21) for n in range(1000)]))
    assert [len(effect.json["events"]) for effect in effects if isinstance(effect, Request)] == [1000, 1000]


def test_an_event_that_is_too_large_goes_alone() -> None:
    parcels = [Parcel(id_, ({"text": "x" * size},)) for id_, size in (("a", 1), ("b", 500), ("c", 1))]
    assert [[parcel.id for parcel in load] for load in packed(parcels, 10, 100)] == [["a"], ["b"], ["c"]]


@settings(deadline=None)
@given(st.integers(1, 40), st.sets(st.integers(0, 39)))
def test_every_event_is_taken_or_refused_and_in_order(count: int, bad: set[int]) -> None:
    events = [
        Event(
            id=f"e{n}", type="view", user="u", items=(EventItem(f"i{n}"),), time=datetime(2026, 11, 22, tzinfo=UTC)
        )
        for n in range(count)
    ]
    effects = list(delivered(events, frozenset(f"i{n}" for n in bad)))
    done = [id_ for effect in effects if isinstance(effect, Done) for id_ in effect.ids]
    refused = [effect.id for effect in effects if isinstance(effect, Refuse)]
    assert done == [f"e{n}" for n in range(count) if n not in bad]
    assert refused == [f"e{n}" for n in range(count) if n in bad]


@pytest.mark.parametrize(("type_", "items"), [("dislike", 1), ("search", 1), ("view", 0)])
def test_what_insights_does_not_take(type_: str, items: int) -> None:
    assert ADAPTER.takes(msgspec.structs.replace(an_event("e", items), type=type_))


def test_options_of_callers() -> None:
    complaint = ADAPTER.caller_options_complaint
    assert complaint({"queryParameters": {"getRankingInfo": True}, "fallbackParameters": {"query": "x"}}) is None
    for member in ("filters", "facetFilters", "optionalFilters", "userToken", "ruleContexts", "objectID", "page"):
        assert complaint({"queryParameters": {member: 1}}) == f"`queryParameters.{member}` is set by the gateway"
    assert complaint({"queryParameters": []}) == "`queryParameters` must be an object"

"""Profiles and the strategy over HTTP: what a vendor makes of the events that another of its APIs was told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import pytest
import pytest_asyncio

from gateway.deadline import Deadline
from gateway.model.activity import Event, EventItem
from gateway.provider.account import Provider
from tests.world import World, feed_one, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRATEGY: Final[dict[str, Any]] = {
    "events": [
        {"name": "view", "type": "view", "score": 10},
        {"name": "purchase", "type": "conversion", "score": 100},
    ],
    "facets": [{"name": "genre", "score": 100}],
    "impact": 75,
}
PATH: Final = "/v1/personalization/strategy"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    named = {"category": {"name": "genre"}}
    more = {
        "providers": {
            "affinities": {"rate": "40/s"},
            "renamed": {"like": "affinities", "properties": named},
            "hidden": {"like": "affinities", "pseudonymize": True},
        }
    }
    async with world(tmp_path_factory.mktemp("affinities"), more, fed=False, throttle=True) as shop:
        await feed_one(shop, "algolia")
        yield shop


async def happens(
    shop: World, user: str, item: str, type_: str = "purchase", ago: timedelta = timedelta()
) -> None:
    """Tell the vendor, by way of the adapter that takes its events."""
    event = Event(
        id=f"{user}-{item}-{time.time_ns()}",
        type=type_,
        user=user,
        items=(EventItem(item),),
        time=datetime.now(UTC) - ago,
    )
    await shop.provider("algolia").call("track", [event], deadline=Deadline.within(time.monotonic, 10))


def profile(user: str) -> str:
    """The path of a user's."""
    return f"/v1/users/{quote(user, safe='').replace('.', '%2E')}/profile"


async def test_there_is_no_strategy_until_one_is_put_and_then_it_is_that_one(shop: World) -> None:
    (await shop.request("GET", PATH)).problem("not-found", 404)
    put = await shop.request("PUT", PATH, json=STRATEGY)
    assert (put.status, put.json) == (200, STRATEGY)
    got = await shop.request("GET", PATH)
    assert (got.status, got.json, got.headers["Cache-Control"]) == (200, STRATEGY, "no-store")
    renamed = (await shop.request("GET", f"{PATH}?provider=renamed")).json
    assert renamed["facets"] == [{"name": "category", "score": 100}]


async def test_a_profile_is_made_of_what_the_user_did(shop: World) -> None:
    await shop.request("PUT", PATH, json=STRATEGY)
    await happens(shop, "fresh", "d0")
    await happens(shop, "fresh", "d1")
    await happens(shop, "fresh", "c5", "view")
    reply = await shop.request("GET", profile("fresh"))
    assert reply.status == 200, reply.text
    body = reply.json
    assert (body["user"], body["provider"]) == ({"id": "fresh"}, "affinities")
    assert body["affinities"]["genre"] == {"Drama": 2, "Old": 2, "Comedy": 1, "New": 1}
    updated = datetime.fromisoformat(body["updated_at"])
    assert timedelta() <= datetime.now(UTC) - updated < timedelta(seconds=30)
    renamed = (await shop.request("GET", f"{profile('fresh')}?provider=renamed")).json
    assert set(renamed["affinities"]) == {"category"}


async def test_another_strategy_makes_another_profile(shop: World) -> None:
    await happens(shop, "judged", "w0", "view")
    by_year = {**STRATEGY, "facets": [{"name": "year", "score": 100}]}
    await shop.request("PUT", PATH, json=by_year)
    assert (await shop.request("GET", profile("judged"))).json["affinities"] == {"year": {"1980": 1}}
    await shop.request("PUT", PATH, json=STRATEGY)
    assert set((await shop.request("GET", profile("judged"))).json["affinities"]) == {"genre"}
    nothing: dict[str, Any] = {"events": [], "facets": [], "impact": 0}
    assert (await shop.request("PUT", PATH, json=nothing)).json == nothing
    (await shop.request("GET", profile("judged"))).problem("not-found", 404)
    await shop.request("PUT", PATH, json=STRATEGY)


async def test_what_was_done_before_a_deletion_no_longer_counts(shop: World) -> None:
    await happens(shop, "shy", "d0", ago=timedelta(seconds=5))
    assert (await shop.request("GET", profile("shy"))).status == 200
    deleted = await shop.request("DELETE", profile("shy"))
    assert deleted.status == 200 and deleted.json["provider"] == "affinities"
    until = datetime.fromisoformat(deleted.json["deleted_until"])
    assert abs(until - datetime.now(UTC)) < timedelta(seconds=5)
    (await shop.request("GET", profile("shy"))).problem("not-found", 404)
    await happens(shop, "shy", "c0", ago=timedelta(seconds=5))
    (await shop.request("GET", profile("shy"))).problem("not-found", 404)
    await asyncio.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))
    await happens(shop, "shy", "w0")
    assert "War" in (await shop.request("GET", profile("shy"))).json["affinities"]["genre"]


@pytest.mark.parametrize("user", ["ann b/c", "ü", ".", "..", "g64-YQ", "u%20x", "a+b=c", "x" * 200])
async def test_any_user_has_a_profile_of_its_own(shop: World, user: str) -> None:
    await shop.request("PUT", PATH, json=STRATEGY)
    await happens(shop, user, "d0")
    reply = await shop.request("GET", profile(user))
    assert reply.status == 200, reply.text
    assert reply.json["user"] == {"id": user}
    assert (await shop.request("DELETE", profile(user))).status == 200


async def test_whom_the_vendor_does_not_know_has_none(shop: World) -> None:
    for method in ("GET", "DELETE"):
        (await shop.request(method, profile("nobody"))).problem("not-found", 404)
    (await shop.request("GET", f"{profile('fresh')}?provider=hidden")).problem("not-found", 404)
    body = (await shop.request("GET", f"{profile('fresh')}?provider=xayn")).problem("unsupported", 501)
    assert body["providers"] == {"xayn": "has no profiles"}
    assert (await shop.request("GET", f"{profile('fresh')}?provider=nobody")).pointers == {"?provider"}
    for wrong in ("a%07b", "x" * 257):
        assert (await shop.request("GET", f"/v1/users/{wrong}/profile?x=1")).pointers == {"{id}", "?x"}


WRONG: Final[list[tuple[Any, set[str]]]] = [
    ({}, {"/events", "/facets", "/impact"}),
    ({**STRATEGY, "impact": 101}, {"/impact"}),
    ({**STRATEGY, "impact": -1, "more": 1}, {"/impact", "/more"}),
    ({**STRATEGY, "impact": 7.5}, {"/impact"}),
    ({**STRATEGY, "events": [{"name": "", "type": "x"}]}, {f"/events/0/{at}" for at in ("name", "type", "score")}),
    ({**STRATEGY, "facets": [{}]}, {"/facets/0/name", "/facets/0/score"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "pointers"), WRONG)
async def test_a_wrong_strategy_is_named_and_not_sent(shop: World, body: Any, pointers: set[str]) -> None:
    before = shop.calls.total()
    assert (await shop.request("PUT", PATH, json=body)).pointers == pointers
    assert (await shop.request("PUT", f"{PATH}?provider=nobody", json=body)).pointers == pointers | {"?provider"}
    assert shop.calls.total() == before


async def test_what_only_the_vendor_knows_to_be_wrong_is_rejected(shop: World) -> None:
    body = {**STRATEGY, "facets": [{"name": "genre", "score": 1000}]}
    assert "score" in (await shop.request("PUT", PATH, json=body)).problem("rejected", 422)["vendor_message"]


async def test_a_hundred_at_once_wait_their_turn_and_the_vendor_never_complains(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 calls a second are allowed for the account, and the emulated vendor counts by the second."""
    await shop.request("PUT", PATH, json=STRATEGY)
    await happens(shop, "busy", "d0")
    await asyncio.sleep(1.1)  # what was asked before is out of the vendor's second
    provider = shop.provider("affinities")
    turns = _turns(provider, monkeypatch)
    heard = shop.moments["affinities"]
    heard.clear()
    replies = await asyncio.gather(*(shop.request("GET", profile("busy")) for _ in range(100)))
    assert [reply.status for reply in replies] == [200] * 100
    turns.sort()
    assert all(later - turn >= 1 for turn, later in zip(turns, turns[40:], strict=False)), "40 in any second"
    assert turns[-1] - turns[0] > 1.9, "two full seconds must have passed"
    kept = max(Counter(map(int, heard)).values()) <= 40  # it counts by when it hears: some are longer under way
    assert provider.gates.throttle.until == float("-inf") or not kept, "a 429 would have been noted"


def _turns(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each call from now on is let through."""
    pace, turns = provider.gates.pace, list[float]()
    assert pace is not None
    admit = pace.admit

    def noted(now: float) -> float:
        wait = admit(now)
        if not wait:
            turns.append(now)
        return wait

    monkeypatch.setattr(type(pace), "admit", lambda _, now: noted(now))
    return turns


async def test_whose_turn_does_not_come_in_time_is_told_when(shop: World) -> None:
    await asyncio.sleep(1.1)
    hurried = {"Request-Timeout": "0.3"}
    replies = await asyncio.gather(*(shop.request("GET", profile("nobody"), headers=hurried) for _ in range(60)))
    refused = [reply for reply in replies if reply.status == 503]
    assert len(refused) == 20
    assert {reply.status for reply in replies} <= {404, 503, 504}  # 504: let through, on a busy machine
    body = refused[0].problem("unavailable", 503)
    assert body["attempts"][0]["error"] == "throttled" and int(refused[0].headers["Retry-After"]) >= 1

"""What a user has seen, by the gateway's own log: left out where a vendor cannot, and what for_you is made of."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import pytest_asyncio

from gateway.adapter import Adapter
from gateway.adapters.local import Local
from gateway.answering.seen import RECENT, SEEN, wanted_of_log
from gateway.deadline import Deadline
from gateway.model.activity import Change, Event, EventItem
from gateway.model.query import Recommend, Search, Seen, User
from gateway.state.store import StoreError
from tests.world import CATALOGUE, Reply, World, feed_one, world

on_sockets = pytest.mark.asyncio(loop_scope="module")
RECOMMENDATIONS: Final = ("algolia", "/1/indexes/*/recommendations")
BY_GATEWAY: Final = "exclude_seen applied by the gateway to the user's last 1000 items and the history given"
TO_HISTORY: Final = "exclude_seen applied by the gateway to the history given"
KINDS: Final[dict[str, dict[str, Any]]] = {
    "for_you": {"user": {"id": "u1"}},
    "similar_items": {"items": ["d0"]},
    "bought_together": {"items": ["d0"]},
    "trending_items": {},
    "trending_facets": {"facet": {"name": "genre"}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {
        "defaults": {"breaker": {"mode": "observe"}},
        "events": {"providers": ["local"]},  # no vendor learns from what happens here
        "placements": {
            "default": {"providers": ["algolia"]},
            "other": {"providers": ["algolia"]},
            "first": {"providers": ["recomendo", "algolia"]},
        },
    }
    async with world(tmp_path_factory.mktemp("shop"), more, fed=False) as shop:
        await feed_one(shop, "algolia")
        yield shop


async def does(shop: World, user: str, *items: str, type_: str = "view") -> None:
    event = {"type": type_, "user": {"id": user}, "items": list(items)}
    reply = await shop.request("POST", "/v1/events", json={"events": [event]})
    assert reply.status == 202, reply.text


@pytest.fixture
def looked(shop: World, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Whom each look into the log was about."""
    looks: list[list[str]] = []
    seen = shop.runtime.store.seen

    async def noted(users: Iterable[str], limit: int) -> dict[str, tuple[str, ...]]:
        looks.append(sorted(users))
        return await seen(looks[-1], limit)

    monkeypatch.setattr(shop.runtime.store, "seen", noted)
    return looks


# --- when it is needed


class Habitual(Adapter):
    """It can leave out nothing, and makes for_you of recent items."""

    wants_recent = frozenset({"for_you"})


class Plain(Adapter):
    """It can leave out nothing, and wants to know nothing."""


def test_only_what_needs_it_looks() -> None:
    me, told = User("u"), User("u", (Seen("a"),))
    for_you = Recommend(kind="for_you", count=1, user=me)
    trending = Recommend(kind="trending_items", count=1, user=me, exclude_seen=True)
    assert wanted_of_log(for_you, Habitual()) == RECENT
    assert wanted_of_log(for_you, Plain()) == 0
    assert wanted_of_log(Recommend(kind="for_you", count=1, user=told), Habitual()) == 0
    assert wanted_of_log(Recommend(kind="for_you", count=1, user=me, items=("a",)), Habitual()) == 0
    assert wanted_of_log(Recommend(kind="similar_items", count=1, user=me, items=("a",)), Habitual()) == 0
    assert wanted_of_log(trending, Plain()) == SEEN
    assert wanted_of_log(trending, Local()) == 0  # it leaves them out itself
    assert wanted_of_log(Search(query="x", count=1, user=me, exclude_seen=True), Plain()) == SEEN
    nobody = Recommend(kind="trending_items", count=1, user=User(None, (Seen("a"),)), exclude_seen=True)
    assert wanted_of_log(nobody, Habitual()) == 0


@on_sockets
async def test_other_questions_do_not_look(shop: World, looked: list[list[str]]) -> None:
    await shop.ask(kind="similar_items", items=["d0"], user={"id": "u1"})
    await shop.ask(kind="for_you", user={"id": "u1", "history": [{"item": "d0"}]})
    await shop.ask(kind="trending_items", user={"id": "u1"}, exclude_seen=False)
    await shop.ask(kind="trending_items", user={"history": [{"item": "d0"}]}, exclude_seen=True)
    assert looked == []
    await shop.ask(kind="for_you", user={"id": "u1"})
    assert looked == [["u1"]]


# --- left out


@on_sockets
async def test_what_was_seen_is_left_out_and_it_is_said(shop: World) -> None:
    before = await shop.ask(kind="trending_items", count=5, user={"id": "seer"}, exclude_seen=True)
    assert BY_GATEWAY in before.warnings and len(before.ids) == 5
    await does(shop, "seer", before.ids[0])
    await does(shop, "seer", before.ids[1], type_="purchase")
    await does(shop, "seer", before.ids[2], type_="search")  # that is no seeing
    after = await shop.ask(kind="trending_items", count=5, user={"id": "seer"}, exclude_seen=True)
    assert not {*before.ids[:2]} & {*after.ids} and before.ids[2] in after.ids
    assert len(after.ids) == 5  # more were asked for
    plain = await shop.ask(kind="trending_items", count=5, user={"id": "seer"})
    assert plain.ids == before.ids and BY_GATEWAY not in plain.warnings


@on_sockets
async def test_the_history_given_is_left_out_too(shop: World) -> None:
    plain = await shop.ask(kind="trending_items", count=5)
    first, second = plain.ids[:2]
    await does(shop, "both", first)
    history = [{"item": second}]
    both = await shop.ask(kind="trending_items", user={"id": "both", "history": history}, exclude_seen=True)
    assert not {first, second} & {*both.ids} and BY_GATEWAY in both.warnings
    nameless = await shop.ask(kind="trending_items", user={"history": history}, exclude_seen=True)
    assert second not in nameless.ids and first in nameless.ids
    assert TO_HISTORY in nameless.warnings


@on_sockets
async def test_a_log_that_cannot_be_read_is_no_reason_not_to_answer(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(users: Iterable[str], limit: int) -> dict[str, tuple[str, ...]]:
        raise StoreError("a broken disk")

    monkeypatch.setattr(shop.runtime.store, "seen", fails)
    reply = await shop.ask(kind="trending_items", user={"id": "u1"}, exclude_seen=True)
    assert reply.status == 200 and TO_HISTORY in reply.warnings and BY_GATEWAY not in reply.warnings
    for_you = await shop.ask(kind="for_you", user={"id": "u1"})
    assert for_you.status == 200 and for_you.json["source"]["cold_start"]
    parts = [{"kind": "trending_items", "user": {"id": "u1"}, "exclude_seen": True}]
    batch = await shop.request("POST", "/v1/recommendations/batch", json={"requests": parts})
    assert TO_HISTORY in batch.json["results"][0]["warnings"]


@on_sockets
async def test_an_erased_user_has_seen_nothing(shop: World) -> None:
    before = await shop.ask(kind="trending_items", count=3, user={"id": "gone"}, exclude_seen=True)
    await does(shop, "gone", before.ids[0])
    assert (await shop.request("DELETE", "/v1/users/gone")).status == 202
    after = await shop.ask(kind="trending_items", count=3, user={"id": "gone"}, exclude_seen=True)
    assert after.ids == before.ids


@on_sockets
async def test_what_is_on_its_way_to_local_brings_nothing_back(shop: World) -> None:
    """It was accepted before the erasure, or before the item was deleted; it arrives after that."""
    when = datetime.now(UTC)
    event = Event(id="late", type="view", user="late", items=(EventItem("d0"),), time=when)
    store, deadline = shop.runtime.store, Deadline.within(time.monotonic, 60)
    await shop.request("PUT", "/v1/items/late", json={"properties": {"title": "new"}})
    await shop.request("DELETE", "/v1/items/late")
    local = shop.provider("local")
    assert (await local.call("track", [event], deadline=deadline)).done == ("late",)
    assert (await local.call("put_items", [Change("late", {"title": "old"})], deadline=deadline)).done == ("late",)
    assert await store.seen(["late"], 10) == {"late": ()}
    assert await store.items(["late"]) == {} and "late" in await store.hidden_items()


# --- made of it


def genres(reply: Reply) -> set[str]:
    return {CATALOGUE[item]["genre"][0] for item in reply.ids}


@on_sockets
async def test_for_you_is_made_of_what_was_seen_last(shop: World) -> None:
    cold = await shop.ask(kind="for_you", user={"id": "maker"}, count=4)
    assert cold.json["source"]["cold_start"]
    await does(shop, "maker", "w0", "w1", type_="purchase")
    warm = await shop.ask(kind="for_you", user={"id": "maker"}, count=4)
    assert not warm.json["source"]["cold_start"] and genres(warm) == {"War"}
    assert not {"w0", "w1"} & {*warm.ids}
    await does(shop, "maker", *(f"c{n}" for n in range(RECENT)))
    assert genres(await shop.ask(kind="for_you", user={"id": "maker"}, count=4)) == {"Comedy"}


@on_sockets
async def test_a_batch_looks_once_and_still_makes_one_call(shop: World, looked: list[list[str]]) -> None:
    """Some of its questions need the log, some do not; all travel together."""
    await does(shop, "ann", "w0")
    await does(shop, "bob", "c0")
    parts = [
        {"kind": "for_you", "user": {"id": "ann"}, "count": 3},
        {"placement": "other", "kind": "for_you", "user": {"id": "bob"}, "count": 3},
        {"kind": "similar_items", "items": ["d0"], "count": 3},
        {"kind": "trending_items", "user": {"id": "ann"}, "exclude_seen": True, "count": 3},
        {"count": 0},
    ]
    before = shop.calls[RECOMMENDATIONS]
    reply = await shop.request("POST", "/v1/recommendations/batch", json={"requests": parts})
    ann, bob, similar, trending, wrong = reply.json["results"]
    assert shop.calls[RECOMMENDATIONS] == before + 1
    assert looked == [["ann", "bob"]]
    assert {item["id"][0] for item in ann["items"]} == {"w"} and {item["id"][0] for item in bob["items"]} == {"c"}
    assert len(similar["items"]) == 3 and "w0" not in {item["id"] for item in trending["items"]}
    assert wrong["problem"]["status"] == 422


# --- `local` as the last of a list


@pytest.fixture(scope="module")
def lists() -> dict[str, Any]:
    kinds = {kind: {"kind": kind, "providers": ["recomendo", "local"]} for kind in KINDS}
    return kinds | {"search": {"kind": "search", "providers": ["xayn", "local"]}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def down(tmp_path_factory: pytest.TempPathFactory, lists: dict[str, Any]) -> AsyncIterator[World]:
    """Nothing was ever learned, and every vendor fails."""
    async with world(tmp_path_factory.mktemp("down"), {"placements": lists}, fed=False) as shop:
        for name in ("recomendo", "xayn"):
            await shop.breaks(name, status=503)
        yield shop


async def asked_every_way(shop: World, kind: str) -> list[Reply]:
    more: list[dict[str, Any]] = [
        {}, {"filter": {"property": "genre", "eq": "Opera"}}, {"exclude_items": ["d0"], "count": 100},
        {"include": ["properties"]}, {"user": {"id": "u1"}, "exclude_seen": True},
        {"user": {"id": "u2", "history": [{"item": "c0"}]}, "exclude_seen": False},
    ]  # fmt: skip
    if kind == "search":
        queries = [{"query": "sorrow"}, {"item": "d0"}, {"item": "unheard-of"}]
        return [await shop.search(**query, **one) for query in queries for one in more]
    asked = [KINDS[kind]] + ([{"items": ["unheard-of"]}] if "items" in KINDS[kind] else [])
    return [await shop.ask(kind, **{**one, **given}) for given in asked for one in more]


@on_sockets
@pytest.mark.parametrize("kind", [*KINDS, "search"])
async def test_what_local_serves_is_never_unavailable(
    down: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {reply.status for reply in await asked_every_way(down, kind)} == {200}
    store = down.runtime.store

    async def fails(*_: object) -> None:
        raise StoreError("a broken disk")

    for name in ("seen", "learned_since", "items", "owners"):
        monkeypatch.setattr(store, name, fails)
    assert {reply.status for reply in await asked_every_way(down, kind)} == {200}


@on_sockets
async def test_with_a_catalogue_it_answers_with_sensible_titles(down: World) -> None:
    items = [{"id": id_, "properties": properties} for id_, properties in CATALOGUE.items()]
    assert (await down.request("POST", "/v1/items", json={"items": items})).status == 202
    await does(down, "u1", "w0", "w1", type_="purchase")
    down.runtime._memory.changed()
    for_you = await down.ask("for_you", user={"id": "u1"}, count=3, include=["properties"])
    assert for_you.provider == "local" and all(
        "War" in item["properties"]["title"] for item in for_you.json["items"]
    )
    found = await down.search(query="robot", count=3)
    assert found.provider == "local" and genres(found) == {"Sci-Fi"}
    trending = await down.ask("trending_items", count=2)
    assert {*trending.ids} == {"w0", "w1"}

"""What an answer carries beside its items: the cache's word, validators, names; and batches and splits."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from gateway.policies.split import Split
from tests.serving import until
from tests.world import PEOPLE, Reply, World, feed_one, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECOMMENDATIONS: Final = ("algolia", "/1/indexes/*/recommendations")
CACHE: Final = {"ttl": "1m"}
WEIGHTS: Final = {"control": 70, "challenger": 30}


def experiment(key: str, unit: str) -> dict[str, Any]:
    providers = {"control": ["local"], "challenger": ["algolia"]}
    arms = {arm: {"weight": weight, "providers": providers[arm]} for arm, weight in WEIGHTS.items()}
    return {"experiment": {"key": key, "unit": unit, "salt": "s", "arms": arms}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {
        "defaults": {"breaker": {"mode": "observe"}},
        "placements": {
            "default": {"providers": ["local"]},
            "cached": {"providers": ["algolia"], "cache": CACHE},
            "other": {"providers": ["algolia", "local"]},
            "by_user": {**experiment("ab", "user"), "cache": CACHE},
            "by_device": experiment("devices", "X-Device"),
        },
    }
    async with world(tmp_path_factory.mktemp("shop"), more, fed=False) as shop:
        await asyncio.gather(feed_one(shop, "local"), feed_one(shop, "algolia"))
        yield shop


@pytest.fixture(autouse=True)
def _fresh(shop: World) -> None:
    shop.forget_failures()


def calls(shop: World) -> int:
    return shop.calls[RECOMMENDATIONS]


# --- the cache ---------------------------------------------------------------------------------------------


async def test_miss_then_hit(shop: World) -> None:
    before = calls(shop)
    first = await shop.ask("cached", items=["d0"])
    second = await shop.ask("cached", items=["d0"])
    assert first.cache == "gateway; fwd=miss; stored"
    assert second.cache in ("gateway; hit; ttl=59", "gateway; hit; ttl=58")
    assert second.text == first.text
    assert calls(shop) == before + 1
    assert first.headers["Cache-Control"] == "private, max-age=60"
    assert second.headers["Cache-Control"] in ("private, max-age=59", "private, max-age=58")
    for reply in (first, second):
        assert reply.headers["Vary"] == "Authorization, X-Api-Key, Origin"
        assert reply.headers["Content-Type"] == "application/json"


async def test_where_there_is_no_cache(shop: World) -> None:
    for _ in range(2):
        reply = await shop.ask("other", items=["d0"])
        assert (reply.cache, reply.headers["Cache-Control"]) == ("gateway; fwd=miss", "private, max-age=0")


async def test_one_call_for_all_who_ask_at_once(shop: World) -> None:
    before = calls(shop)
    async with shop.broken("algolia", delay="500ms"):
        replies = await asyncio.gather(*(shop.ask("cached", items=["d1"]) for _ in range(6)))
    assert calls(shop) == before + 1
    assert Counter(reply.cache for reply in replies) == {
        "gateway; fwd=miss; stored": 1,
        "gateway; fwd=miss; collapsed": 5,
    }
    assert len({reply.text for reply in replies}) == 1


async def test_who_hangs_up_takes_the_answer_from_nobody(shop: World) -> None:
    before = calls(shop)
    async with shop.broken("algolia", delay="1s"):
        first = asyncio.create_task(shop.ask("cached", items=["d2"]))
        await until(lambda: calls(shop) > before)
        second = asyncio.create_task(shop.ask("cached", items=["d2"]))
        await asyncio.sleep(0.3)
        first.cancel()
        reply = await second
    assert (reply.status, reply.cache) == (200, "gateway; fwd=miss; collapsed")


async def test_a_batch_that_hangs_up_takes_the_answer_from_nobody(shop: World) -> None:
    """Its questions travel together; one of them is waited for by somebody else, too."""
    asked = [{"placement": "cached", "items": [item]} for item in ("d3", "d4")]
    total = shop.calls.total()
    async with shop.broken("algolia", delay="1s"):
        batch = asyncio.create_task(shop.request("POST", "/v1/recommendations/batch", json={"requests": asked}))
        await until(lambda: shop.calls.total() > total)
        other = asyncio.create_task(shop.ask("cached", items=["d3"]))
        await asyncio.sleep(0.3)
        batch.cancel()
        reply = await other
    assert (reply.status, reply.cache) == (200, "gateway; fwd=miss; collapsed"), reply.text


@pytest.mark.parametrize(
    "other",
    [
        {"count": 4}, {"items": ["d5"]}, {"items": ["d5", "d0"]}, {"user": {"id": "u1"}},
        {"exclude_items": ["d1"]}, {"filter": {"property": "year", "gt": 1}},
        {"include": ["properties"]}, {"context": ["app"]},
        {"exclude_seen": True}, {"options": {"algolia": {"queryParameters": {"getRankingInfo": True}}}},
        {"kind": "looking_similar"}, {"user": {"history": [{"item": "d1"}]}},
    ],
    ids=str,
)  # fmt: skip
async def test_whatever_shapes_an_answer_has_one_of_its_own(shop: World, other: dict[str, Any]) -> None:
    await shop.ask("cached", items=["d0"])
    assert (await shop.ask("cached", **{"items": ["d0"], **other})).cache == "gateway; fwd=miss; stored"


# --- validators --------------------------------------------------------------------------------------------


async def test_not_modified(shop: World) -> None:
    tag = (await shop.ask("cached", items=["d0"])).headers["ETag"]
    assert tag.startswith('W/"')
    for given in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        reply = await shop.ask("cached", items=["d0"], headers={"If-None-Match": given})
        assert (reply.status, reply.text) == (304, "")
        assert reply.headers["ETag"] == tag
        assert reply.cache.startswith("gateway; hit")
        assert {"Cache-Control", "Vary", "X-Request-Id"} <= reply.headers.keys()
    assert (await shop.ask("cached", items=["d0"], headers={"If-None-Match": '"other"'})).status == 200


async def test_the_tag_names_what_is_recommended(shop: World) -> None:
    """Not when or by which answer: asked anew it is the same, of other items another."""
    tags = [(await shop.ask("other", items=["d0"])).headers["ETag"] for _ in range(2)]
    ids = {(await shop.ask("other", items=["d0"])).json["recommendation_id"] for _ in range(2)}
    assert len(set(tags)) == 1
    assert len(ids) == 2
    assert (await shop.ask("other", items=["d0"], count=3)).headers["ETag"] != tags[0]


async def test_head(shop: World) -> None:
    url = "/v1/recommendations?placement=cached&item=d7"
    got = await shop.request("GET", url)
    head = await shop.request("HEAD", url)
    assert (head.status, head.text) == (200, "")
    assert head.headers["ETag"] == got.headers["ETag"]
    assert head.headers["Content-Length"] == got.headers["Content-Length"]
    missing = await shop.request("HEAD", "/v1/recommendations?placement=nowhere")
    assert (missing.status, missing.text) == (404, "")


# --- names -------------------------------------------------------------------------------------------------


async def test_the_request_id_is_taken_over(shop: World) -> None:
    for path in ("/v1/recommendations", "/nowhere"):
        reply = await shop.request("GET", path, headers={"X-Request-Id": "req-1"})
        assert reply.headers["X-Request-Id"] == "req-1"
    made = {
        (await shop.ask(headers={"X-Request-Id": given})).headers["X-Request-Id"]
        for given in ("", "a b", "x" * 129)
    }
    assert len(made) == 3
    assert all(len(one) == 16 for one in made)


async def test_the_trace_is_the_callers(shop: World) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    assert (await shop.ask("nowhere", headers=headers)).json["trace_id"] == trace
    batch = await shop.request(
        "POST", "/v1/recommendations/batch", json={"requests": [{"placement": "nowhere"}]}, headers=headers
    )
    assert batch.json["results"][0]["problem"]["trace_id"] == trace
    for bad in (f"00-{trace}", f"00-{'0' * 32}-00f067aa0ba902b7-01", "ff"):
        made = (await shop.ask("nowhere", headers={"traceparent": bad})).json["trace_id"]
        assert made not in (trace, "0" * 32)
        assert len(made) == 32


# --- batches -----------------------------------------------------------------------------------------------


async def batch(shop: World, *requests: Any, **headers: str) -> Reply:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await shop.request("POST", "/v1/recommendations/batch", json={"requests": requests}, headers=headers)


async def test_a_batch_answers_in_order_each_for_itself(shop: World) -> None:
    reply = await batch(
        shop,
        {"placement": "algolia", "items": ["d0"], "count": 2},
        {"placement": "nowhere"},
        {"placement": "local", "kind": "trending_items", "count": 3},
        {"count": 0, "what": 1},
        {"placement": "algolia", "kind": "looking_similar", "items": ["nowhere"]},
        {"placement": "discerner", "items": ["d0"]},
        "nothing",
    )
    assert reply.status == 200
    results = reply.json["results"]
    assert len(results) == 7
    assert len(results[0]["items"]) == 2
    assert results[1]["problem"]["type"] == "/problems/not-found"
    assert [item["rank"] for item in results[2]["items"]] == [1, 2, 3]
    assert {one["pointer"] for one in results[3]["problem"]["errors"]} == {"/count", "/what"}
    assert results[3]["problem"]["status"] == 422
    assert results[3]["problem"]["instance"] == "/v1/recommendations/batch#/requests/3"
    assert results[4]["items"] == []
    assert results[5]["problem"]["type"] == "/problems/unsupported"
    assert results[6]["problem"]["type"] == "/problems/invalid-request"


@pytest.mark.parametrize("requests", [[], [{}] * 51, None, {}])
async def test_how_many_a_batch_may_have(shop: World, requests: Any) -> None:
    reply = await shop.request("POST", "/v1/recommendations/batch", json={"requests": requests})
    reply.problem("invalid-request", 422)
    assert reply.pointers == {"/requests"}


async def test_a_batch_is_one_call_whatever_the_placements(shop: World) -> None:
    """Cached ones, several seeds and uncached ones start at different moments, and travel together."""
    before = calls(shop)
    reply = await batch(
        shop,
        {"placement": "algolia", "items": ["d0"]},
        {"placement": "cached", "items": ["s0"]},
        {"placement": "other", "items": ["w0", "w1", "w2"]},
        {"placement": "cached", "items": ["w3", "w4"]},
        {"placement": "cached", "kind": "trending_items"},
        {"placement": "algolia", "user": {"history": [{"item": "c1"}, {"item": "c2"}]}},
    )
    results = reply.json["results"]
    assert [result["source"]["provider"] for result in results] == ["algolia"] * 6
    assert all(result["items"] for result in results)
    assert calls(shop) == before + 1


async def test_fifty_at_once(shop: World) -> None:
    before = calls(shop)
    asked = [{"placement": "cached", "items": [f"{genre}{n}"]} for genre in "dcwst" for n in range(10)]
    results = (await batch(shop, *asked)).json["results"]
    assert [result["kind"] for result in results] == ["similar_items"] * 50
    assert calls(shop) == before + 1


async def test_one_bad_question_does_not_spoil_the_others(shop: World) -> None:
    """The vendor refuses the whole call: each is asked again alone."""
    bad: dict[str, Any] = {"options": {"algolia": {"queryParameters": {"unheardOf": 1}}}}
    alone = await shop.ask("algolia", items=["d0"], **bad)
    assert alone.status == 422, alone.text
    good = {"placement": "algolia", "items": ["d0"]}
    results = (await batch(shop, good, {**good, **bad}, {**good, "items": ["w0"]})).json["results"]
    assert results[0]["items"]
    assert results[1]["problem"]["type"] == "/problems/rejected"
    assert results[2]["items"]


async def test_one_deadline_for_a_whole_batch(shop: World) -> None:
    async with shop.broken("algolia", delay="2s"):
        started = time.monotonic()
        reply = await batch(
            shop,
            {"placement": "algolia", "items": ["d0"]},
            {"placement": "cached", "items": ["d9"]},
            {"placement": "local", "kind": "trending_items"},
            {"placement": "algolia", "items": ["d1", "d2"]},
            Request_Timeout="0.3",
        )
        took = time.monotonic() - started
    results = reply.json["results"]
    assert took < 1.8
    slow = [result["problem"]["type"] for result in (*results[:2], results[3])]
    assert set(slow) == {"/problems/deadline-exceeded"}
    assert results[2]["items"]


async def test_what_a_batch_fetched_is_cached(shop: World) -> None:
    """Byte for byte; a caller's validator is about no part of a batch."""
    body: dict[str, Any] = {"placement": "cached", "items": ["t4"]}
    first = await batch(shop, body, If_None_Match="*")
    again = await shop.ask(**body)
    assert again.cache.startswith("gateway; hit")
    assert again.text in first.text
    assert first.headers["Cache-Control"] == "private, no-store"


# --- splits ------------------------------------------------------------------------------------------------


async def test_a_user_stays_in_one_arm(shop: World) -> None:
    split = Split("ab", "s", WEIGHTS)
    seen: dict[str, set[str]] = {}
    for _ in range(2):
        for user in PEOPLE:
            source = (await shop.ask("by_user", user={"id": user})).json["source"]
            assert source["experiment"] == "ab"
            assert source["provider"] == {"control": "local", "challenger": "algolia"}[source["arm"]]
            seen.setdefault(user, set()).add(source["arm"])
    assert all(arms == {split.arm(user)} for user, arms in seen.items())


async def test_shares_are_near_the_weights(shop: World) -> None:
    asked = [{"placement": "by_device", "user": {"id": f"x{n}"}} for n in range(400)]
    arms: Counter[str] = Counter()
    for n in range(0, 400, 10):
        reply = await shop.ask("by_device", kind="trending_items", headers={"X-Device": f"device-{n}"})
        arms[reply.json["source"]["arm"]] += 1
    users = [{**one, "placement": "by_user", "kind": "trending_items"} for one in asked]
    for start in range(0, 400, 50):
        for result in (await batch(shop, *users[start : start + 50])).json["results"]:
            arms[result["source"]["arm"]] += 1
    share = arms["challenger"] / arms.total()
    assert 0.22 < share < 0.38  # 440 draws of 0.3: four standard deviations are 0.087


async def test_units_that_are_headers(shop: World) -> None:
    """One device one arm, whoever uses it; without the header the first arm."""
    split = Split("devices", "s", WEIGHTS)
    for device in ("a", "b", "c", "d", "e"):
        for user in ("u1", "u2"):
            reply = await shop.ask("by_device", user={"id": user}, headers={"X-Device": device})
            assert reply.json["source"]["arm"] == split.arm(device)
    assert (await shop.ask("by_device", user={"id": "u1"})).json["source"]["arm"] == "control"


async def test_one_arms_answer_is_not_the_others(shop: World) -> None:
    """The same question of two users in different arms, cached: each gets that of the own arm."""
    split = Split("ab", "s", WEIGHTS)
    users = {split.arm(user): user for user in PEOPLE}
    assert set(users) == {"control", "challenger"}
    for _ in range(2):
        for arm, user in users.items():
            reply = await shop.ask("by_user", items=["d0"], user={"id": user})
            assert reply.json["source"]["arm"] == arm

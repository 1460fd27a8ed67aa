"""Experiments over sockets: what is shown is counted, what is done is credited, and ops can read it."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import yaml

from gateway.config import load
from gateway.policies.split import Split
from gateway.server.front import Front
from gateway.server.runtime import Runtime
from gateway.state.sqlite import SqliteStore
from tests.serving import until
from tests.world import PEOPLE, Reply, World, _listen, feed_one, world

Object = dict[str, Any]
pytestmark = pytest.mark.asyncio(loop_scope="module")

WEIGHTS = {"control": 70, "challenger": 30}


def split(unit: str = "user", **providers: list[str]) -> Object:
    """An experiment with a key of its own."""
    lists = {"control": ["local"], "challenger": ["local"], **providers}
    arms = {arm: {"weight": weight, "providers": lists[arm]} for arm, weight in WEIGHTS.items()}
    return {"experiment": {"key": f"e-{uuid4().hex}", "unit": unit, "arms": arms}}


PLACEMENTS: dict[str, Object] = {
    "plain": split(),
    "cached": {**split(), "cache": {"ttl": "1h"}},
    "batched": split(),
    "standing_in": split(control=["xayn", "local"]),
    "by_device": split("X-Device"),
    "clicked": {"kind": "trending_items", **split()},
    "handed_on": {"kind": "trending_items", **split()},
    "looked_at": {**split(), "shadow": {"provider": "local"}},
    "moving": split(),
    "nothing": {"kind": "bought_together", **split()},
    "shared": split(),
    "erased": split(),
    "sample": split(),
}
KEYS = {name: one["experiment"]["key"] for name, one in PLACEMENTS.items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {"placements": PLACEMENTS}
    async with world(tmp_path_factory.mktemp("shop"), more, fed=False) as shop:
        await feed_one(shop, "local")
        yield shop


async def read(shop: World, placement: str, **parameters: str) -> Object:
    reply = await shop.request("GET", f"/v1/experiments/{KEYS[placement]}", params=parameters)
    assert reply.status == 200, reply.text
    found: Object = reply.json
    return found


async def arms(shop: World, placement: str) -> dict[str, Object]:
    found: dict[str, Object] = (await read(shop, placement))["arms"]
    return found


def arm_of(placement: str, unit: str) -> str:
    return Split(KEYS[placement], "", WEIGHTS).arm(unit)


async def tell(shop: World, type_: str, user: str, reply: Reply, *items: Any, **more: Any) -> list[str]:
    """The warnings."""
    headers = more.pop("headers", None)
    event = {"type": type_, "user": {"id": user}, "items": list(items),
             "recommendation_id": reply.json["recommendation_id"], **more}  # fmt: skip
    said = await shop.request("POST", "/v1/events", json={"events": [event]}, headers=headers)
    assert said.status == 202, said.text
    warnings: list[str] = said.json["warnings"]
    return warnings


# --- shown


async def test_every_answer_is_counted_for_its_arm_and_every_unit_once(shop: World) -> None:
    asked: Counter[str] = Counter()
    for user in [*PEOPLE, *list(PEOPLE)[:10]]:
        reply = await shop.ask("plain", user={"id": user})
        assert reply.json["source"]["arm"] == arm_of("plain", user)
        asked[reply.json["source"]["arm"]] += 1
    found = await arms(shop, "plain")
    assert {arm: one["exposures"] for arm, one in found.items()} == asked
    units = Counter(arm_of("plain", user) for user in PEOPLE)
    assert {arm: one["units"] for arm, one in found.items()} == units
    assert {arm: one["weight"] for arm, one in found.items()} == WEIGHTS
    assert all(one["fallback"] == one["empty"] == one["clicks"] == 0 for one in found.values())


async def test_cached_and_unchanged_answers_are_shown_too(shop: World) -> None:
    first = await shop.ask("cached", user={"id": "u1"})
    second = await shop.ask("cached", user={"id": "u1"})
    third = await shop.ask("cached", user={"id": "u1"}, headers={"If-None-Match": first.headers["ETag"]})
    assert "hit" in second.cache and third.status == 304
    found = (await arms(shop, "cached"))[arm_of("cached", "u1")]
    assert (found["exposures"], found["units"]) == (3, 1)


async def test_each_part_of_a_batch_is_shown(shop: World) -> None:
    parts = [{"placement": "batched", "user": {"id": user}} for user in ("u1", "u1", "u2")]
    reply = await shop.request(
        "POST", "/v1/recommendations/batch", json={"requests": [*parts, {"placement": "?"}]}
    )
    assert [one.get("problem", {}).get("status") for one in reply.json["results"]] == [None, None, None, 404]
    found = await arms(shop, "batched")
    assert sum(one["exposures"] for one in found.values()) == 3
    assert sum(one["units"] for one in found.values()) == 2


async def test_who_has_no_unit_is_not_recorded(shop: World) -> None:
    assert (await shop.ask("by_device", user={"id": "u1"})).json["source"]["arm"] == "control"
    assert sum(one["exposures"] for one in (await arms(shop, "by_device")).values()) == 0
    await shop.ask("by_device", user={"id": "u1"}, headers={"X-Device": "d1"})
    await shop.ask("by_device", user={"id": "u2"}, headers={"X-Device": "d1"})
    found = (await arms(shop, "by_device"))[arm_of("by_device", "d1")]
    assert (found["exposures"], found["units"]) == (2, 1)


async def test_what_ops_look_at_and_shadows_are_not_counted(shop: World) -> None:
    for headers in ({"Gateway-Explain": "1"}, {"Gateway-Provider": "local"}):
        assert (await shop.ask("looked_at", user={"id": "u1"}, headers=headers)).status == 200
    assert sum(one["exposures"] for one in (await arms(shop, "looked_at")).values()) == 0
    await shop.ask("looked_at", user={"id": "u1"})
    await asyncio.sleep(0.05)  # the shadow's turn
    assert sum(one["exposures"] for one in (await arms(shop, "looked_at")).values()) == 1


async def test_nobody_sees_the_answer_to_a_head(shop: World) -> None:
    before = await arms(shop, "plain")
    assert (await shop.request("HEAD", "/v1/recommendations?placement=plain&user=u1")).status == 200
    assert await arms(shop, "plain") == before
    assert (await shop.request("GET", "/v1/recommendations?placement=plain&user=u1")).status == 200
    assert await arms(shop, "plain") != before


async def test_stand_ins_and_empty_answers(shop: World) -> None:
    async with shop.broken("xayn", status=503):
        for user in PEOPLE:
            await shop.ask("standing_in", user={"id": user})
    found = await arms(shop, "standing_in")
    assert found["control"]["fallback"] == found["control"]["exposures"] > 0
    assert found["challenger"]["fallback"] == 0 < found["challenger"]["exposures"]
    nothing = await shop.ask("nothing", user={"id": "u1"}, items=["unheard-of"])
    assert (nothing.status, nothing.provider) == (200, None), nothing.text
    empty = (await arms(shop, "nothing"))[arm_of("nothing", "u1")]
    assert (empty["exposures"], empty["empty"], empty["fallback"]) == (1, 1, 0)


async def test_a_problem_is_no_answer(shop: World) -> None:
    before = await arms(shop, "plain")
    assert (await shop.ask("plain", user={"id": "u1"}, count=0)).status == 422
    assert await arms(shop, "plain") == before


# --- earned


async def test_clicks_and_purchases_are_credited_once(shop: World) -> None:
    reply = await shop.ask("clicked", user={"id": "u1"}, count=3)
    first, second, _ = reply.ids
    for _ in range(2):
        assert await tell(shop, "click", "u1", reply, first) == []
        await tell(shop, "click", "u1", reply, first, second)
        bought = [{"id": first, "quantity": 2, "price": 9.95}, {"id": second, "price": 1}]
        await tell(shop, "purchase", "u1", reply, *bought, value=20.0, currency="EUR")
    await tell(shop, "click", "u1", reply, "not-shown")
    await tell(shop, "view", "u1", reply, first)
    found = await arms(shop, "clicked")
    mine = found.pop(arm_of("clicked", "u1"))
    assert (mine["clicks"], mine["clicking_units"]) == (2, 1)
    assert (mine["conversions"], mine["converting_units"], mine["value"]) == (2, 1, 20.0)
    assert mine["conversion_rate"]["value"] == 1 and mine["conversion_rate"]["low"] < 0.5
    assert all(one["clicks"] == one["conversions"] == 0 for one in found.values())


async def test_the_credit_is_the_arms_whose_answer_it_was(shop: World) -> None:
    """Whoever acts on it; a forged id earns nothing and warns."""
    reply = await shop.ask("handed_on", user={"id": "u1"}, count=1)
    other = next(user for user in PEOPLE if arm_of("handed_on", user) != arm_of("handed_on", "u1"))
    await tell(shop, "click", other, reply, *reply.ids)
    found = await arms(shop, "handed_on")
    assert found[arm_of("handed_on", "u1")]["clicks"] == 1
    assert found[arm_of("handed_on", other)]["clicks"] == 0
    event = {"type": "click", "user": {"id": "u9"}, "items": reply.ids, "recommendation_id": "forged"}
    said = await shop.request("POST", "/v1/events", json={"events": [event]})
    assert said.status == 202 and "no credit" in said.json["warnings"][0]
    assert (await arms(shop, "handed_on")) == found


async def test_a_unit_that_is_a_header_is_counted_by_it(shop: World) -> None:
    reply = await shop.ask("by_device", kind="trending_items", count=1, headers={"X-Device": "d7"})
    for user in ("u1", "u2"):
        await tell(shop, "click", user, reply, *reply.ids, headers={"X-Device": "d7"})
    assert (await arms(shop, "by_device"))[arm_of("by_device", "d7")]["clicks"] == 1


# --- read


async def test_it_is_said_as_documented(shop: World) -> None:
    await shop.ask("sample", user={"id": "u1"})
    found = await read(shop, "sample")
    assert (found["key"], found["placement"], found["unit"]) == (KEYS["sample"], "sample", "user")
    assert found["running"] is True and found["sample_ratio"] is None
    assert [one["phase"] for one in found["phases"]] == [found["phase"]]
    listed = (await shop.request("GET", "/v1/experiments")).json["experiments"]
    assert {one["key"] for one in listed} == {*KEYS.values()}
    assert found in listed
    (await shop.request("GET", "/v1/experiments/unknown")).problem("not-found", 404)
    path = f"/v1/experiments/{KEYS['sample']}"
    (await shop.request("GET", path, params={"phase": "unknown"})).problem("not-found", 404)
    (await shop.request("GET", path, params={"page": "1"})).problem("invalid-request", 422)


async def test_as_a_table(shop: World) -> None:
    await shop.ask("sample", user={"id": "u1"})
    path = f"/v1/experiments/{KEYS['sample']}"
    reply = await shop.request("GET", path, headers={"Accept": "text/csv"})
    assert reply.headers["Content-Type"].startswith("text/csv") and reply.headers["Vary"] == "Accept"
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    found = await arms(shop, "sample")
    assert [row["arm"] for row in rows] == list(found)
    for row in rows:
        for column in ("weight", "units", "exposures", "clicks", "conversions", "value", "empty", "fallback"):
            assert float(row[column]) == found[row["arm"]][column]
    whole = await shop.request("GET", "/v1/experiments", headers={"Accept": "text/csv"})
    assert len(list(csv.DictReader(io.StringIO(whole.text)))) == 2 * len(KEYS)


async def test_only_for_ops(tmp_path: Path) -> None:
    auth = {"api_keys": {"shop": {"key": "k" * 20, "scopes": ["recommend", "events", "catalog"]}}}
    async with world(tmp_path, {"auth": auth}, fed=False) as closed:
        headers = {"X-Api-Key": "k" * 20}
        (await closed.request("GET", "/v1/experiments", headers=headers)).problem("forbidden", 403)
        (await closed.request("GET", "/v1/experiments/x")).problem("unauthorized", 401)


async def test_new_weights_open_a_phase_with_counts_of_its_own(shop: World) -> None:
    reply = await shop.ask("moving", user={"id": "u1"}, kind="trending_items", count=1)
    before = await read(shop, "moving")
    file = shop.runtime._loaded.file
    written = file.read_text()
    try:
        changed = yaml.safe_load(written)
        changed["placements"]["moving"]["experiment"]["arms"]["control"]["weight"] = 60
        file.write_text(yaml.safe_dump(changed))
        shop.runtime.apply(load(file, {}))
        fresh = await read(shop, "moving")
        assert fresh["phase"] != before["phase"] and fresh["running"]
        assert fresh["arms"]["control"]["weight"] == 60
        assert sum(one["exposures"] for one in fresh["arms"].values()) == 0
        await tell(shop, "click", "u1", reply, *reply.ids)  # what an answer of then led to is then's
        assert sum(one["clicks"] for one in (await arms(shop, "moving")).values()) == 0
        old = await read(shop, "moving", phase=before["phase"])
        assert not old["running"] and sum(one["clicks"] for one in old["arms"].values()) == 1
        assert {one["phase"] for one in old["phases"]} == {before["phase"], fresh["phase"]}
    finally:
        file.write_text(written)
        shop.runtime.apply(load(file, {}))
    assert (await read(shop, "moving"))["phase"] == before["phase"]


async def test_several_processes_add_up_and_a_restart_loses_nothing(shop: World) -> None:
    file = shop.runtime._loaded.file
    other = await Runtime.start(load(file, {}), await SqliteStore.open(str(file.parent / "state.db")))
    async with AsyncExitStack() as stack:
        second = World(await _listen(Front(other).app(), stack), other, shop.session, shop.vendors)
        for asked in (shop, second, second):
            await asked.ask("shared", user={"id": "u1"})
        await second.ask("shared", user={"id": "u2"})
    await other.close()  # what it noted last is written on the way out
    found = await arms(shop, "shared")
    assert sum(one["exposures"] for one in found.values()) == 4
    assert sum(one["units"] for one in found.values()) == 2


async def test_what_is_shown_is_on_disk_within_a_second(shop: World) -> None:
    before = sum(one["exposures"] for one in (await arms(shop, "shared")).values())
    await shop.ask("shared", user={"id": "u3"})
    file = shop.runtime._loaded.file
    other = await SqliteStore.open(str(file.parent / "state.db"))

    async def written() -> bool:
        (tally,) = await other.tallies(KEYS["shared"])
        return bool(sum(one.exposures for one in tally.arms.values()) == before + 1)

    try:
        await until(written, 1.5)  # and something for a busy machine
    finally:
        await other.close()


async def test_who_is_erased_is_forgotten_and_the_sums_stay(shop: World) -> None:
    await shop.ask("erased", user={"id": "gone"})
    before = await arms(shop, "erased")
    assert (await shop.request("DELETE", "/v1/users/gone")).status == 202
    assert await arms(shop, "erased") == before
    await shop.ask("erased", user={"id": "gone"})
    assert sum(one["units"] for one in (await arms(shop, "erased")).values()) == 2  # nobody knows it was the same

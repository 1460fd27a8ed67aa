"""Events, users and items over sockets: accepted, on disk, told to every emulated vendor, erased everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.world import ODD, ODD_USERS, Reply, World, world

Object = dict[str, Any]
on_sockets = pytest.mark.asyncio(loop_scope="module")
SOON = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {
        "events": {"retry": {"first": "100ms", "max": "400ms"}, "linger": "5ms"},
        "server": {"drain": "2s"},
        "placements": {"shelf": {"providers": ["local"], "cache": {"ttl": "1h"}}},
    }
    async with world(tmp_path_factory.mktemp("telling"), more, fed=False) as one:
        yield one


async def tell(shop: World, *events: Object, **more: Any) -> Reply:
    return await shop.request("POST", "/v1/events", json={"events": list(events)}, **more)


def event(id_: str | None = None, **more: Any) -> Object:
    said: Object = {"type": "view", "user": {"id": "u1"}, "items": ["i1"], **more}
    return said if id_ is None else {"id": id_, **said}


async def until(happens: Callable[[], Any]) -> Any:
    """Ask until it is true."""
    async with asyncio.timeout(SOON):
        while not (found := await happens()):  # noqa: ASYNC110  # over HTTP nobody tells
            await asyncio.sleep(0.02)
        return found


async def deliveries(shop: World, id_: str, user: str = "u1") -> Object:
    listed = (await shop.request("GET", f"/v1/events?user={quote(user, safe='')}&limit=1000")).json["events"]
    (found,) = [one["deliveries"] for one in listed if one["id"] == id_]
    return dict(found)


async def settled(shop: World, id_: str, user: str = "u1") -> Object:
    async def done() -> Object | None:
        found = await deliveries(shop, id_, user)
        return None if "queued" in found.values() else found

    found: Object = await until(done)
    return found


# --- accepted


@on_sockets
async def test_an_event_reaches_every_vendor_that_takes_it(shop: World) -> None:
    reply = await tell(
        shop, event("first", type="purchase", items=["d0", {"id": "d1", "quantity": 2, "price": 1.5}])
    )
    assert reply.status == 202 and reply.json == {"accepted": ["first"], "rejected": [], "warnings": []}
    found = await settled(shop, "first")
    assert found == dict.fromkeys(("recomendo", "algolia", "discerner", "xayn", "local"), "delivered")
    said = (await shop.request("GET", "/v1/events?provider=recomendo&user=u1")).json["events"]
    assert {(one["type"], one["items"][0]["id"]) for one in said} == {("purchase", "d0"), ("purchase", "d1")}


@on_sockets
async def test_what_a_vendor_has_no_word_for_is_unsupported_there_alone(shop: World) -> None:
    await tell(shop, event("no", type="dislike"), event("old", time="2020-01-01T00:00:00Z"))
    assert await settled(shop, "no") == {
        "recomendo": "delivered", "local": "delivered",
        "algolia": "unsupported", "discerner": "unsupported", "xayn": "unsupported",
    }  # fmt: skip
    assert (await settled(shop, "old"))["algolia"] == "unsupported"


@on_sockets
async def test_an_id_is_stored_and_told_once(shop: World) -> None:
    for _ in range(3):
        reply = await tell(shop, event("once", user={"id": "single"}), event("once", user={"id": "single"}))
        assert reply.json["accepted"] == ["once", "once"]
    await settled(shop, "once", "single")
    listed = (await shop.request("GET", "/v1/events?user=single")).json["events"]
    assert [one["id"] for one in listed] == ["once"]
    said = (await shop.request("GET", "/v1/events?provider=discerner&user=single")).json["events"]
    assert len(said) == 1


@on_sockets
async def test_an_id_is_made_where_there_is_none(shop: World) -> None:
    accepted = (await tell(shop, event(), event())).json["accepted"]
    assert len(set(accepted)) == 2 and all(len(one) == 32 for one in accepted)


@on_sockets
async def test_a_beacon_is_taken_as_text(shop: World) -> None:
    body = b'{"events": [{"type": "view", "user": {"id": "b1"}, "items": ["i1"]}]}'
    for type_ in ("text/plain;charset=UTF-8", "application/json", ""):
        reply = await shop.request("POST", "/v1/events", data=body, headers={"Content-Type": type_})
        assert reply.status == 202, (type_, reply.text)
    reply = await shop.request("POST", "/v1/events", data=body, headers={"Content-Type": "text/html"})
    reply.problem("unsupported-media-type", 415)


@on_sockets
async def test_a_thousand_events_with_bad_ones_among_them(shop: World) -> None:
    """The good are accepted, and every mistake of each bad one is named where it stands."""
    bad: dict[int, tuple[Object, set[str]]] = {
        3: ({"type": "View"}, {"/events/3/type"}),
        7: ({"user": None}, {"/events/7/user"}),
        99: ({"type": "rating", "value": 6, "items": ["\u0001"]}, {"/events/99/value", "/events/99/items/0"}),
        500: ({"extra": 1, "currency": "euro"}, {"/events/500/extra", "/events/500/currency"}),
        998: ({"time": "yesterday", "type": "Rating"}, {"/events/998/time", "/events/998/type"}),
        999: ({"items": [{"id": "i", "quantity": 0}]}, {"/events/999/items/0"}),
    }
    many = [
        event(f"m{n}", **{"user": {"id": f"many{n % 9}"}, **(bad[n][0] if n in bad else {})}) for n in range(1000)
    ]
    reply = await tell(shop, *many)
    assert reply.status == 202, reply.text[:500]
    assert reply.json["accepted"] == [f"m{n}" for n in range(1000) if n not in bad]
    assert [one["index"] for one in reply.json["rejected"]] == list(bad)
    for one in reply.json["rejected"]:
        problem = one["problem"]
        assert (problem["status"], problem["type"]) == (422, "/problems/invalid-request")
        assert problem["instance"] == f"/v1/events#/events/{one['index']}"
        assert {mistake["pointer"] for mistake in problem["errors"]} == bad[one["index"]][1]


@on_sockets
async def test_nothing_good_is_a_problem_with_every_mistake(shop: World) -> None:
    reply = await tell(shop, {"type": "view"}, {"type": "rating", "user": {"id": "u"}})
    reply.problem("invalid-request", 422)
    assert reply.pointers == {"/events/0/user", "/events/1/value"}


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 422), (b'{"events": []}', 422), (b'{"events": 3}', 422), (b'{"x": 1}', 422)],
)
@on_sockets
async def test_a_body_that_is_no_batch(shop: World, body: bytes, status: int) -> None:
    (await shop.request("POST", "/v1/events", data=body)).problem("invalid-request", status)


@on_sockets
async def test_times(shop: World) -> None:
    now = datetime.now(UTC)
    ahead, soon = (now + timedelta(minutes=n) for n in (6, 4))
    reply = await tell(
        shop,
        event("ahead", time=ahead.isoformat()), event("soon", time=soon.isoformat()),
        event("end", time="9999-12-31T23:59:59-23:59"), event("naive", time="2026-01-01T00:00:00"),
        event("begin", time="0001-01-01T00:00:00+23:59"),
    )  # fmt: skip
    assert reply.json["accepted"] == ["ahead", "soon", "end"]
    assert [one["index"] for one in reply.json["rejected"]] == [3, 4]
    assert [warning.split(":")[0] for warning in reply.warnings] == ["/events/0/time", "/events/2/time"]
    listed = {one["id"]: one for one in (await shop.request("GET", "/v1/events?user=u1")).json["events"]}
    assert abs(datetime.fromisoformat(listed["ahead"]["time"]) - now) < timedelta(minutes=1)
    assert datetime.fromisoformat(listed["soon"]["time"]) == soon


@on_sockets
async def test_a_forged_recommendation_id_costs_the_credit_alone(shop: World) -> None:
    reply = await tell(shop, event("forged", recommendation_id="x" * 60))
    assert reply.status == 202 and reply.json["accepted"] == ["forged"]
    assert len(reply.warnings) == 1 and "no credit" in reply.warnings[0]


# --- the log


@on_sockets
async def test_the_log_is_paged_newest_first_and_filtered(shop: World) -> None:
    base = datetime.now(UTC) - timedelta(days=1)
    told = [
        event(
            f"p{n}", user={"id": "pager"}, items=[f"x{n % 2}", "both"], type="click" if n % 3 else "like",
            time=(base + timedelta(minutes=n)).isoformat(),
        )
        for n in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)
    ]  # fmt: skip
    await tell(shop, *told)

    async def listed(query: str) -> list[str]:
        found: list[str] = []
        cursor = ""
        while True:
            page = (await shop.request("GET", f"/v1/events?limit=3&{query}{cursor}")).json
            found += [one["id"] for one in page["events"]]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    newest = [f"p{n}" for n in range(9, -1, -1)]
    assert await listed("user=pager") == newest
    assert await listed("user=pager&item=both") == newest
    assert await listed("item=x1&user=pager") == ["p9", "p7", "p5", "p3", "p1"]
    assert await listed("user=pager&type=like") == ["p9", "p6", "p3", "p0"]
    since, until_ = (quote((base + timedelta(minutes=n)).isoformat()) for n in (4, 6))
    assert await listed(f"user=pager&since={since}&until={until_}") == ["p5", "p4"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "cursor=x", "user=", "since=now", "unknown=1", "user=a&user=b"],
)
@on_sockets
async def test_parameters_of_the_log_that_are_wrong(shop: World, query: str) -> None:
    (await shop.request("GET", f"/v1/events?{query}")).problem("invalid-request", 422)


# --- records


@pytest.mark.parametrize("id_", [*ODD, *ODD_USERS, "plain"])
@on_sockets
async def test_any_id_can_stand_in_a_path(shop: World, id_: str) -> None:
    path = f"/v1/users/{quote(id_, safe='').replace('.', '%2E')}"
    reply = await shop.request("PUT", path, json={"properties": {"n": 1}})
    assert reply.status == 202 and reply.json["id"] == id_
    assert (await shop.request("GET", path)).json["id"] == id_


@on_sockets
async def test_put_replaces_and_patch_merges(shop: World) -> None:
    put = {"properties": {"title": "One", "genre": ["War", "Drama"], "year": 1990}}
    reply = await shop.request("PUT", "/v1/items/rec1", json=put)
    assert reply.status == 202
    assert reply.json["providers"] == dict.fromkeys(
        ("recomendo", "algolia", "discerner", "xayn", "local"), "queued"
    )
    patch = {"properties": {"year": None, "title": "Two", "price": 9.5}}
    assert (await shop.request("PATCH", "/v1/items/rec1", json=patch)).status == 202

    async def synced() -> Object | None:
        found: Object = (await shop.request("GET", "/v1/items/rec1")).json
        return found if {one["status"] for one in found["providers"].values()} == {"synced"} else None

    found = await until(synced)
    assert found["properties"] == {"title": "Two", "genre": ["War", "Drama"], "price": 9.5}
    assert found["providers"]["discerner"]["id"].isdigit() and found["providers"]["xayn"]["id"] == "rec1"
    put = {"properties": {"title": "Three"}}
    await shop.request("PUT", "/v1/items/rec1", json=put)
    assert (await shop.request("GET", "/v1/items/rec1")).json["properties"] == {"title": "Three"}


@on_sockets
async def test_who_keeps_no_users_is_unsupported(shop: World) -> None:
    reply = await shop.request("PUT", "/v1/users/keeper", json={"properties": {}})
    assert reply.json["providers"]["xayn"] == "unsupported" and reply.json["providers"]["recomendo"] == "queued"


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PUT", {"properties": {"a": None}}), ("PUT", {"properties": {"a": {"b": 1}}}), ("PUT", {"other": {}}),
        ("PATCH", {}), ("PATCH", {"properties": {"a": [[1]]}}), ("PUT", [1]),
    ],
)  # fmt: skip
@on_sockets
async def test_records_that_are_none(shop: World, method: str, body: Any) -> None:
    for kind in ("users", "items"):
        (await shop.request(method, f"/v1/{kind}/x", json=body)).problem("invalid-request", 422)


@on_sockets
async def test_an_id_that_is_none(shop: World) -> None:
    for id_ in ("x" * 257, "a%00b"):
        reply = await shop.request("PUT", f"/v1/items/{id_}", json={"properties": {"a": {}}})
        assert {"{id}", "/properties/a"} <= reply.pointers


@on_sockets
async def test_what_there_is_no_record_of(shop: World) -> None:
    for path in ("/v1/users/nobody", "/v1/items/nothing", "/v1/users/nobody/erasure"):
        (await shop.request("GET", path)).problem("not-found", 404)


@on_sockets
async def test_many_items_at_once_and_their_list(shop: World) -> None:
    many: list[Object] = [{"id": f"bulk{n:03}", "properties": {"n": n}} for n in range(120)]
    many[5] = {"id": "", "properties": {}}
    many[7] = {"id": "bad", "properties": {"x": {}}}
    reply = await shop.request("POST", "/v1/items", json={"items": many})
    assert reply.status == 202 and len(reply.json["accepted"]) == 118
    assert [one["index"] for one in reply.json["rejected"]] == [5, 7]
    found: list[str] = []
    cursor = ""
    while True:
        page = (await shop.request("GET", f"/v1/items?limit=50{cursor}")).json
        found += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == sorted(found) and {one for one in found if one.startswith("bulk")} == {
        f"bulk{n:03}" for n in range(120)
    } - {"bulk005", "bulk007"}


# --- deleted items


@on_sockets
async def test_a_deleted_item_is_in_no_answer_from_that_moment(shop: World) -> None:
    items = [{"id": f"shown{n}", "properties": {"title": f"shown {n}", "genre": ["Shown"]}} for n in range(4)]
    await shop.request("POST", "/v1/items", json={"items": items})
    await tell(shop, *(event(f"s{n}", user={"id": f"s{n}"}, items=["shown1"], type="purchase") for n in range(9)))

    async def answer() -> Reply:
        return await shop.ask("shelf", kind="similar_items", items=["shown0"])

    async def shows() -> bool:
        shop.runtime.pipeline.cache.drop()
        return (await answer()).status == 200 and "shown1" in (await answer()).ids

    await until(shows)
    assert "hit" in (await answer()).cache
    assert (await shop.request("DELETE", "/v1/items/shown1")).status == 202
    after = await answer()
    assert "shown1" not in after.ids and "hit" not in after.cache
    assert "shown1" not in (await answer()).ids
    (await shop.request("GET", "/v1/items/shown1")).problem("not-found", 404)
    (await shop.request("PATCH", "/v1/items/shown1", json={"properties": {}})).problem("not-found", 404)
    await shop.request("PUT", "/v1/items/shown1", json={"properties": {"genre": ["Shown"]}})
    await until(shows)


# --- erasure


@on_sockets
async def test_a_user_is_erased_everywhere_with_a_receipt(shop: World) -> None:
    who = "leaves"
    await shop.request("PUT", f"/v1/users/{who}", json={"properties": {"country": "at"}})
    await tell(shop, event("l1", user={"id": who}, items=["d3"]))
    await settled(shop, "l1", who)
    async with shop.broken("discerner", status=503):
        await tell(shop, event("l2", user={"id": who}, items=["d4"]))
        reply = await shop.request("DELETE", f"/v1/users/{who}")
    assert reply.status == 202
    assert reply.json["providers"] == {
        "recomendo": "queued", "algolia": "queued", "affinities": "queued", "local": "queued",
        "discerner": "unsupported", "xayn": "unsupported",
    }  # fmt: skip

    async def gone() -> Object | None:
        found: Object = (await shop.request("GET", f"/v1/users/{who}/erasure")).json["providers"]
        return None if "queued" in found.values() else found

    found = await until(gone)
    assert found == {
        "recomendo": "erased", "algolia": "erased", "affinities": "erased", "local": "erased",
        "discerner": "unsupported", "xayn": "unsupported",
    }  # fmt: skip
    (await shop.request("GET", f"/v1/users/{who}")).problem("not-found", 404)
    assert (await shop.request("GET", f"/v1/events?user={who}")).json["events"] == []
    assert (await shop.request("GET", f"/v1/events?provider=recomendo&user={who}")).json["events"] == []

    async def unbound() -> bool:
        return not await shop.runtime.writes.intake.store.lookup("discerner", "user", [who])

    await until(unbound)

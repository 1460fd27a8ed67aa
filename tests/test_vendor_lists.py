"""What vendors themselves have: users, items and events, ids of both sides, paged by the gateway."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import pytest
import pytest_asyncio

from gateway.deadline import Deadline
from gateway.model.activity import Event, EventItem
from gateway.sandbox.credentials import DISCERNER_PASSWORD, DISCERNER_USERNAME
from gateway.server.handlers.vendor_lists import Place, paged
from tests.world import CATALOGUE, PEOPLE, World, feed_one, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

START: Final = datetime(2026, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {"providers": {"hidden": {"like": "recomendo", "pseudonymize": True}}}
    async with world(tmp_path_factory.mktemp("lists"), more, fed=False) as shop:
        await feed_one(shop, "discerner")
        await feed_one(shop, "xayn")
        await _by_others(shop)
        for n in range(5):
            await tell(shop, "recomendo", n, "view" if n % 2 else "purchase")
        yield shop


async def _by_others(shop: World) -> None:
    """A user, a product and an activity at the vendor that were made without the gateway."""
    url = shop.vendors["discerner"]
    login = {"username": DISCERNER_USERNAME, "password": DISCERNER_PASSWORD}
    async with shop.session.post(f"{url}/token", data=login) as answer:
        headers = {"Authorization": f"Token {(await answer.json())['token']}"}
    made = []
    for path in ("users", "products"):
        async with shop.session.post(f"{url}/{path}", headers=headers) as answer:
            made.append((await answer.json())["id"])
    path = f"{url}/users/{made[0]}/products/{made[1]}/activities"
    async with shop.session.post(path, json={"score": 2.5}, headers=headers) as answer:
        assert answer.status in (200, 201), await answer.text()


async def tell(shop: World, name: str, n: int, type_: str) -> None:
    event = Event(
        id=f"e{n}",
        type=type_,
        user=f"ann {n % 2}",
        items=(EventItem(f"a/{n}"),),
        time=START + timedelta(hours=n),
        properties={"page": "cart"},
    )
    await shop.provider(name).call("track", [event], deadline=Deadline.within(time.monotonic, 10))


async def everything(shop: World, path: str, member: str, limit: int) -> list[dict[str, Any]]:
    """All pages, each held to the limit."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        reply = await shop.request("GET", f"{path}&limit={limit}{cursor}")
        assert reply.status == 200, reply.text
        page = reply.json[member]
        assert len(page) <= limit and reply.json.keys() == {member, "next_cursor"}
        found += page
        if reply.json["next_cursor"] is None:
            return found
        assert len(page) == limit
        cursor = f"&cursor={reply.json['next_cursor']}"


@pytest.mark.parametrize(
    ("path", "member", "known"), [("users", "users", set(PEOPLE)), ("items", "items", set(CATALOGUE))]
)
@pytest.mark.parametrize("limit", [7, 41, 1000])
async def test_objects_have_the_ids_of_both_sides(
    shop: World, path: str, member: str, known: set[str], limit: int
) -> None:
    found = await everything(shop, f"/v1/{path}?provider=discerner", member, limit)
    assert {one["id"] for one in found} == known | {None}
    (stranger,) = [one for one in found if one["id"] is None]
    assert stranger["provider_id"].isdecimal()
    assert len({one["provider_id"] for one in found}) == len(found) == len(known) + 1


async def test_another_vendor_lists_its_items(shop: World) -> None:
    found = await everything(shop, "/v1/items?provider=xayn", "items", 20)
    assert {one["id"] for one in found} == set(CATALOGUE)
    assert any(one["provider_id"] != one["id"] for one in found), "some are spelled otherwise there"


async def test_events_have_the_ids_of_both_sides_newest_first(shop: World) -> None:
    found = await everything(shop, "/v1/events?provider=discerner", "events", 300)
    newest = found[0]
    assert newest["user"]["id"] is None and newest["items"][0]["id"] is None and newest["value"] == 2.5
    assert newest["user"]["provider_id"].isdecimal() and newest["type"] is None and newest["time"] is None
    assert all(one["user"]["id"] in PEOPLE and one["items"][0]["id"] in CATALOGUE for one in found[1:])
    assert [int(one["id"]) for one in found] == sorted((int(one["id"]) for one in found), reverse=True)
    of_one = await everything(shop, "/v1/events?provider=discerner&user=u1", "events", 4)
    assert len(of_one) == 10 and {one["user"]["id"] for one in of_one} == {"u1"}
    item = of_one[0]["items"][0]["id"]
    of_both = await everything(
        shop, f"/v1/events?provider=discerner&user=u1&item={quote(item, safe='')}", "events", 100
    )
    assert of_both and {one["items"][0]["id"] for one in of_both} == {item}
    assert await everything(shop, "/v1/events?provider=discerner&user=nobody", "events", 100) == []


async def test_events_by_user_item_type_and_time(shop: World) -> None:
    path = "/v1/events?provider=recomendo"
    found = await everything(shop, path, "events", 2)
    assert [one["items"][0] for one in found] == [
        {"id": f"a/{n}", "provider_id": f"a/{n}"} for n in (4, 3, 2, 1, 0)
    ]
    assert found[0] == {
        "id": found[0]["id"],
        "type": "purchase",
        "user": {"id": "ann 0", "provider_id": "ann 0"},
        "items": [{"id": "a/4", "provider_id": "a/4"}],
        "value": None,
        "time": "2026-01-01T04:00:00Z",
        "properties": {"page": "cart"},
    }

    async def numbers(query: str) -> list[str]:
        return [one["items"][0]["id"] for one in await everything(shop, path + query, "events", 2)]

    assert await numbers("&user=ann%201") == ["a/3", "a/1"]
    assert await numbers("&type=purchase") == ["a/4", "a/2", "a/0"]
    assert await numbers("&item=a%2F2") == ["a/2"]
    assert await numbers("&since=2026-01-01T02:00:00Z") == ["a/4", "a/3", "a/2"]
    assert await numbers("&since=2026-01-01T02:00:00%2B01:00&until=2026-01-01T02:00:00Z") == ["a/1"]
    assert await numbers("&user=ann%200&until=2026-01-01T04:00:00Z&type=purchase") == ["a/2", "a/0"]
    assert await numbers("&type=like") == []


async def test_a_page_goes_on_where_the_last_one_ended_whatever_has_come_since(shop: World) -> None:
    path = "/v1/events?provider=recomendo&limit=2"
    first = (await shop.request("GET", path)).json
    await tell(shop, "recomendo", 9, "view")
    second = (await shop.request("GET", f"{path}&cursor={first['next_cursor']}")).json
    seen = [one["items"][0]["id"] for one in first["events"] + second["events"]]
    assert seen == ["a/4", "a/3", "a/2", "a/1"]
    async with shop.session.delete(
        f"{shop.vendors['recomendo']}/events/{(await shop.request('GET', path)).json['events'][0]['id']}.json",
        params={"accessKey": "demo-recomendo"},
    ) as answer:
        assert answer.status == 200


async def test_pseudonyms_stay_what_they_are(shop: World) -> None:
    await tell(shop, "hidden", 0, "like")
    found = await everything(shop, "/v1/events?provider=hidden&type=like", "events", 10)
    (one,) = found
    assert one["user"]["id"] is None and len(one["user"]["provider_id"]) == 43 and one["items"][0]["id"] == "a/0"
    assert len(await everything(shop, "/v1/events?provider=hidden&type=like&user=ann%200", "events", 10)) == 1


async def test_what_a_vendor_cannot_list_is_unsupported(shop: World) -> None:
    for path, provider, reason in (
        ("users", "recomendo", "cannot list users"),
        ("items", "recomendo", "cannot list items"),
        ("events", "xayn", "cannot list events"),
        ("events", "discerner&type=view", "does not know of what type an activity was"),
        ("events", "discerner&since=2026-01-01T00:00:00Z", "does not know when an activity was"),
    ):
        body = (await shop.request("GET", f"/v1/{path}?provider={provider}")).problem("unsupported", 501)
        assert body["providers"] == {provider.partition("&")[0]: reason}


WRONG: Final = [
    ("users?provider=nobody", {"?provider"}),
    ("users?provider=discerner&limit=0", {"?limit"}),
    ("users?provider=discerner&limit=1001&x=1", {"?limit", "?x"}),
    ("items?provider=discerner&limit=ten&cursor=%2B%2B", {"?limit", "?cursor"}),
    ("items?provider=discerner&cursor=" + base64.urlsafe_b64encode(b"[-1,1]").decode(), {"?cursor"}),
    ("items?provider=discerner&cursor=" + base64.urlsafe_b64encode(b'{"a":').decode(), {"?cursor"}),
    ("events?provider=discerner&provider=xayn", {"?provider"}),
    ("events?provider=recomendo&user=a%07&item=" + "x" * 300, {"?user", "?item"}),
    ("events?provider=recomendo&since=yesterday&until=2026-01-01T00:00:00", {"?since", "?until"}),
    ("events?provider=recomendo&type=", {"?type"}),
]


@pytest.mark.parametrize(("path", "pointers"), WRONG)
async def test_mistakes_are_named_together(shop: World, path: str, pointers: set[str]) -> None:
    before = shop.calls.total()
    assert (await shop.request("GET", f"/v1/{path}")).pointers == pointers
    assert shop.calls.total() == before


async def test_paging_without_a_vendor() -> None:
    entries = list("abcdefg")
    seen: list[str] = []
    place = Place()
    for _ in range(3):
        page, cursor = paged(entries, place, 3, str)
        seen += page
        place = Place(len(seen), seen[-1])
    assert (seen, cursor) == (entries, None)
    assert paged([], Place(), 3, str) == ([], None)
    assert paged(entries, Place(2, "gone"), 2, str)[0] == ["c", "d"], "where the last one has gone, by count"
    assert paged(["new", *entries], Place(2, "b"), 2, str)[0] == ["c", "d"], "where others have come, by place"
    assert paged(entries, Place(99), 2, str) == ([], None)

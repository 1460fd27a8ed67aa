"""The emulated Insights API: every rule about events, all or nothing, and erasure."""

from typing import Any

import pytest

from gateway.sandbox.credentials import ALGOLIA_ADMIN_API_KEY, ALGOLIA_API_KEY, ALGOLIA_APPLICATION_ID
from tests.algolia_shop import START, OpenClient, event, open_shop

QUERY_ID = "0123456789abcdef" * 2
MONTH = 30 * 86_400_000
NOW = int(START * 1000)
CLICK = {"eventType": "click"}
AFTER_SEARCH = {"eventType": "click", "queryID": QUERY_ID, "positions": [3]}
BUY: dict[str, Any] = {"eventType": "conversion", "eventSubtype": "purchase"}


@pytest.mark.parametrize(
    "good",
    [
        {},
        CLICK,
        AFTER_SEARCH,
        {"filters": ["genre:Crime"]},
        CLICK | {"filters": ["genre:Crime"], "queryID": QUERY_ID},
        {"timestamp": NOW},
        {"timestamp": NOW - MONTH},
        {"userToken": "aZ0_=/+-" * 16 + "a"},
        {"authenticatedUserToken": "ann"},
        {"eventName": "x" * 64},
        {"objectIDs": ["a"] * 20},
        {"eventType": "conversion", "queryID": QUERY_ID},
        BUY | {"objectData": [{"price": "9.99", "quantity": 2, "discount": 1}], "currency": "EUR", "value": 19.98},
        BUY | {"objectData": [{}], "value": "20"},
        {"eventType": "conversion", "eventSubtype": "addToCart"},
        {"eventType": "conversion", "eventName": "rating", "value": 4.5},
    ],
)
async def test_good_events(aiohttp_client: OpenClient, good: dict[str, Any]) -> None:
    shop = await open_shop(aiohttp_client)
    assert await shop.happen(good) == (200, {"status": 200, "message": "OK"})
    assert len(shop.world.people[good.get("userToken", "ann")]) == 1


@pytest.mark.parametrize(
    ("bad", "part"),
    [
        ({"eventType": "search"}, "eventType"),
        ({"eventName": ""}, "eventName"),
        ({"eventName": "x" * 65}, "eventName"),
        ({"eventName": "vu à"}, "eventName"),
        ({"eventName": "a\nb"}, "eventName"),
        ({"index": ""}, "index"),
        ({"index": None}, "index"),
        ({"userToken": ""}, "userToken"),
        ({"userToken": "x" * 130}, "userToken"),
        ({"userToken": "ann@example.org"}, "userToken"),
        ({"userToken": "ann\n"}, "userToken"),
        ({"authenticatedUserToken": "a b"}, "authenticatedUserToken"),
        ({"objectIDs": []}, "objectIDs"),
        ({"objectIDs": ["a"] * 21}, "objectIDs"),
        ({"objectIDs": [1]}, "objectIDs"),
        ({"filters": ["a:b"], "objectIDs": ["a"]}, "either"),
        ({"filters": ["a:b"] * 21}, "filters"),
        ({"timestamp": NOW - MONTH - 1}, "timestamp"),
        ({"timestamp": "2027"}, "timestamp"),
        ({"queryID": "abc"}, "queryID"),
        ({"queryID": QUERY_ID.upper()}, "queryID"),
        (CLICK | {"queryID": QUERY_ID}, "positions"),
        (CLICK | {"positions": [1]}, "positions"),
        ({"eventType": "conversion", "queryID": QUERY_ID, "positions": [1]}, "positions"),
        (AFTER_SEARCH | {"positions": [0]}, "positions"),
        (AFTER_SEARCH | {"positions": [1, 2]}, "positions"),
        (AFTER_SEARCH | {"objectIDs": ["a", "b"]}, "positions"),
        ({"eventSubtype": "purchase"}, "eventSubtype"),
        (BUY | {"eventSubtype": "rent"}, "eventSubtype"),
        (CLICK | {"value": 3}, "value"),
        (BUY | {"objectData": [{}, {}]}, "objectData"),
        (BUY | {"objectData": [{"price": "much"}]}, "price"),
        (BUY | {"objectData": [{"colour": "red"}]}, "colour"),
        (BUY | {"currency": "euro"}, "currency"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_bad_events_spoil_the_whole_call(aiohttp_client: OpenClient, bad: dict[str, Any], part: str) -> None:
    shop = await open_shop(aiohttp_client)
    status, answer = await shop.happen({"userToken": "first"}, bad)
    assert (status, answer["status"]) == (422, 422)
    assert part in answer["message"]
    assert "events.1" in answer["message"]
    assert shop.world.people == {}


async def test_bounds_of_a_call(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    assert (await shop.happen(*[{}] * 1000))[0] == 200
    assert (await shop.happen(*[{}] * 1001))[0] == 422
    assert (await shop.happen())[0] == 422
    large = [event(objectIDs=["x" * 999] * 20)] * 99
    assert (await shop.call("POST", "/1/events", {"events": large}))[0] == 200
    large += [event(objectIDs=["x" * 999] * 20)] * 2
    status, answer = await shop.call("POST", "/1/events", {"events": large})
    assert status == 413
    assert "2MB" in answer["message"]
    wrong: list[Any] = [[], {"events": {}}, {"event": []}]
    for body in wrong:
        assert (await shop.call("POST", "/1/events", body))[0] == 422


async def test_a_body_that_is_no_json_gets_a_page(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    headers = {"X-Algolia-Application-Id": ALGOLIA_APPLICATION_ID, "X-Algolia-API-Key": ALGOLIA_API_KEY}
    async with shop.recommend.post("/1/events", data=b'{"events":', headers=headers) as response:
        assert response.status == 400
        assert response.content_type == "text/html"
        assert (await response.text()).startswith("<html>")


async def test_erasure(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="alien", bob="alien")
    assert await shop.call("DELETE", "/1/usertokens/ann", key=ALGOLIA_ADMIN_API_KEY) == (204, "")
    assert list(shop.world.people) == ["bob"]
    assert (await shop.call("DELETE", "/1/usertokens/ann"))[0] == 204
    assert (await shop.call("DELETE", "/1/usertokens/a%20b"))[0] == 422
    status, answer = await shop.call("DELETE", "/1/usertokens/bob", key=ALGOLIA_API_KEY)
    assert status == 403
    assert "deleteObject" in answer["message"]


async def test_a_slash_in_a_token_arrives_encoded(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.happen({"userToken": "a/b+c"})
    assert (await shop.call("DELETE", "/1/usertokens/a%2Fb%2Bc"))[0] == 204
    assert shop.world.people == {}

"""The emulated Algolia Personalization: strategy, profiles made from Insights events, deletion, throttle."""

from typing import Any

import pytest

from gateway.sandbox.credentials import ALGOLIA_ADMIN_API_KEY
from tests.algolia_shop import START, OpenClient, Shop, open_shop

STRATEGY = "/1/strategies/personalization"
PROFILE = "/1/profiles/personalization"
SCORING: dict[str, Any] = {
    "eventsScoring": [
        {"eventName": "Viewed", "eventType": "view", "score": 10},
        {"eventName": "Bought", "eventType": "conversion", "score": 100},
    ],
    "facetsScoring": [{"facetName": "genre", "score": 100}, {"facetName": "year", "score": 50}],
    "personalizationImpact": 75,
}
BUY = {"eventType": "conversion", "eventSubtype": "purchase", "eventName": "Bought"}


async def scored_shop(aiohttp_client: OpenClient, **options: Any) -> Shop:
    shop = await open_shop(aiohttp_client, **options)
    answer = await shop.personal("POST", STRATEGY, SCORING)
    assert answer == (200, {"status": 200, "message": "Strategy was successfully updated"})
    return shop


async def test_strategy(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    assert (await shop.personal("GET", STRATEGY))[0] == 404
    await shop.personal("POST", STRATEGY, SCORING)
    assert await shop.personal("GET", STRATEGY) == (200, SCORING)


@pytest.mark.parametrize(
    "wrong",
    [
        {"personalizationImpact": 101},
        {"personalizationImpact": -1},
        {"personalizationImpact": 7.5},
        {"personalizationImpact": None},
        {"eventsScoring": {}},
        {"eventsScoring": [{"eventName": "x", "eventType": "search", "score": 1}]},
        {"eventsScoring": [{"eventName": "x", "eventType": "view"}]},
        {"eventsScoring": [{"eventName": "x", "eventType": "view", "score": "1"}]},
        {"facetsScoring": [{"facetName": "", "score": 1}]},
        {"facetsScoring": [{"facetName": "x", "score": 1, "weight": 1}]},
        {"impact": 5},
    ],
)
async def test_a_bad_strategy_is_422(aiohttp_client: OpenClient, wrong: dict[str, Any]) -> None:
    shop = await scored_shop(aiohttp_client)
    status, answer = await shop.personal("POST", STRATEGY, SCORING | wrong)
    assert status == 422
    assert answer["message"]
    assert (await shop.personal("GET", STRATEGY))[1] == SCORING


@pytest.mark.parametrize("missing", sorted(SCORING))
async def test_all_of_a_strategy_is_required(aiohttp_client: OpenClient, missing: str) -> None:
    shop = await open_shop(aiohttp_client)
    part = {name: value for name, value in SCORING.items() if name != missing}
    status, answer = await shop.personal("POST", STRATEGY, part)
    assert status == 422
    assert missing in answer["message"]


async def test_profiles_grow_from_insights(aiohttp_client: OpenClient) -> None:
    shop = await scored_shop(aiohttp_client)
    assert (await shop.personal("GET", f"{PROFILE}/ann"))[0] == 404
    await shop.visits(ann="alien")
    await shop.happen(*[BUY | {"objectIDs": ["clue"]}] * 3)
    await shop.happen(*[BUY | {"userToken": "bob", "objectIDs": ["heat"]}] * 50)
    status, profile = await shop.personal("GET", f"{PROFILE}/ann")
    assert status == 200
    assert profile == {
        "userToken": "ann",
        "lastEventAt": "2027-01-15T08:00:00Z",
        "scores": {"genre": {"Horror": 1, "Sci-Fi": 1, "Comedy": 3}, "year": {"1979": 1, "1985": 2}},
    }
    bob = (await shop.personal("GET", f"{PROFILE}/bob"))[1]
    assert bob["scores"] == {"genre": {"Crime": 20}, "year": {"1995": 20}}


async def test_only_what_the_strategy_scores_counts(aiohttp_client: OpenClient) -> None:
    shop = await scored_shop(aiohttp_client)
    await shop.happen({"eventName": "Glanced"}, {"eventType": "click", "eventName": "Viewed"})
    assert (await shop.personal("GET", f"{PROFILE}/ann"))[0] == 404


async def test_deletion_ignores_what_was_before(aiohttp_client: OpenClient) -> None:
    shop = await scored_shop(aiohttp_client)
    assert (await shop.personal("DELETE", "/1/profiles/ann"))[0] == 404
    await shop.visits(ann="alien")
    shop.clock.now += 10.25
    answer = await shop.personal("DELETE", "/1/profiles/ann")
    assert answer == (200, {"userToken": "ann", "deletedUntil": "2027-01-15T08:00:11Z"})
    assert (await shop.personal("GET", f"{PROFILE}/ann"))[0] == 404
    await shop.happen({"objectIDs": ["clue"], "timestamp": int((START + 10.9) * 1000)})
    assert (await shop.personal("GET", f"{PROFILE}/ann"))[0] == 404
    shop.clock.now += 1
    await shop.happen({"objectIDs": ["clue"]})
    profile = (await shop.personal("GET", f"{PROFILE}/ann"))[1]
    assert profile["scores"]["genre"] == {"Comedy": 1}


async def test_credentials(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    calls: list[tuple[str, str]] = [
        ("GET", STRATEGY),
        ("POST", STRATEGY),
        ("GET", f"{PROFILE}/ann"),
        ("DELETE", "/1/profiles/ann"),
    ]
    for method, path in calls:
        assert (await shop.personal(method, path, key="wrong"))[0] == 401
        status, answer = await shop.personal(method, path, key=ALGOLIA_ADMIN_API_KEY)
        assert status == 403
        assert "recommendation" in answer["message"]


async def test_bad_tokens_and_bodies(aiohttp_client: OpenClient) -> None:
    shop = await scored_shop(aiohttp_client)
    assert (await shop.personal("GET", f"{PROFILE}/a%20b"))[0] == 400
    assert (await shop.personal("POST", STRATEGY, []))[0] == 422
    assert (await shop.personal("GET", "/1/nothing"))[0] == 404


async def test_throttle(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client, throttle=True)
    for left in range(39, -1, -1):
        async with shop.personalization.get(STRATEGY) as response:
            assert response.status == 401
            assert response.headers["x-ratelimit-remaining"] == str(left)
    async with shop.personalization.get(STRATEGY) as response:
        assert response.status == 429
        assert response.headers["x-ratelimit-limit"] == "40"
        assert response.headers["x-ratelimit-remaining"] == "0"
        assert response.headers["x-ratelimit-reset"] == str(int(START) + 1)
        assert (await response.json())["message"]
    shop.clock.now += 1
    assert (await shop.personal("POST", STRATEGY, SCORING))[0] == 200


async def test_no_throttle_unless_asked(aiohttp_client: OpenClient) -> None:
    shop = await scored_shop(aiohttp_client)
    assert {(await shop.personal("GET", STRATEGY))[0] for _ in range(60)} == {200}

"""The emulated Algolia Recommend: recommendations, what they are made from, and what is refused."""

import asyncio
import time
from typing import Any

import pytest

from gateway.sandbox.credentials import (
    ALGOLIA_ADMIN_API_KEY,
    ALGOLIA_API_KEY,
    ALGOLIA_APPLICATION_ID,
    ALGOLIA_PERSONALIZATION_API_KEY,
)
from tests.algolia_shop import OpenClient, event, ids, open_shop

RECOMMENDATIONS = "/1/indexes/*/recommendations"


async def test_related_products_follow_what_people_touch(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="heat clue", bob="heat clue", cid="heat big", dan="alien aliens")
    result = await shop.ask(objectID="heat")
    assert ids(result)[:2] == ["clue", "big"]
    scores = [hit["_score"] for hit in result["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 100 for score in scores)
    assert result["hits"][0]["title"] == "Clue"
    assert "heat" not in ids(result)


async def test_related_products_fall_back_on_likeness_where_nobody_went(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    assert ids(await shop.ask(objectID="heat")) == ["ronin"]
    await shop.visits(ann="heat clue")
    assert ids(await shop.ask(objectID="heat")) == ["clue", "ronin"]


async def test_bought_together_counts_purchases_alone(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="heat clue", bob="heat clue")
    buy = {"eventType": "conversion", "eventSubtype": "purchase"}
    await shop.happen(buy | {"userToken": "cid", "objectIDs": ["heat", "alien"]})
    await shop.happen({"eventType": "conversion", "eventSubtype": "addToCart", "objectIDs": ["heat", "big"]})
    assert ids(await shop.ask(model="bought-together", objectID="heat")) == ["alien"]


async def test_trending_items_forget_what_is_long_past(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="heat", bob="heat", cid="heat alien")
    assert ids(await shop.ask(model="trending-items")) == ["heat", "alien"]
    shop.clock.now += 12 * 86_400
    await shop.visits(dan="clue")
    result = await shop.ask(model="trending-items")
    assert ids(result) == ["clue", "heat", "alien"]
    assert result["hits"][0]["_score"] == 100
    of_crime = await shop.ask(model="trending-items", facetName="genre", facetValue="Crime")
    assert ids(of_crime) == ["heat"]


async def test_trending_facets(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="alien aliens", bob="alien clue")
    result = await shop.ask(model="trending-facets", facetName="genre", maxRecommendations=2)
    assert result["hits"] == [
        {"facetName": "genre", "facetValue": "Sci-Fi", "_score": 100.0},
        {"facetName": "genre", "facetValue": "Horror", "_score": 66.67},
    ]


async def test_looking_similar_goes_by_titles_and_genres(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="alien heat", bob="alien heat")
    assert ids(await shop.ask(model="looking-similar", objectID="alien")) == ["aliens"]


async def test_threshold_and_count(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="heat clue big", bob="heat clue")
    both = await shop.ask(objectID="heat", threshold=0)
    best = both["hits"][0]["_score"]
    assert ids(await shop.ask(objectID="heat", threshold=best)) == ["clue"]
    assert ids(await shop.ask(objectID="heat", maxRecommendations=1)) == ["clue"]


async def test_parameters_filter_rank_and_shape(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="heat clue big alien", bob="heat clue")

    async def asked(**parameters: Any) -> dict[str, Any]:
        return await shop.ask(objectID="heat", threshold=1, queryParameters=parameters)

    assert ids(await asked(filters="genre:Comedy AND NOT objectID:clue")) == ["big"]
    assert ids(await asked(facetFilters=[["genre:Horror", "genre:Drama"]])) == ["alien", "big"]
    assert ids(await asked(numericFilters=["price > 3", "year:1990 TO 2000"])) == ["big", "ronin"]
    assert ids(await asked(optionalFilters=["genre:Horror<score=2>", "genre:Drama"]))[:2] == ["alien", "big"]
    assert set((await asked(attributesToRetrieve=["title"]))["hits"][0]) == {"objectID", "title", "_score"}
    assert "year" not in (await asked(attributesToRetrieve=["*", "-year"]))["hits"][0]
    assert (await asked(getRankingInfo=True, optionalFilters=["genre:Comedy"]))["hits"][0]["_rankingInfo"][
        "filters"
    ] == 1
    assert ids(await asked(distinct=1, typoTolerance="min", analytics=False))[0] == "clue"


async def test_fallback_fills_up_with_its_own_filters(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="heat clue", bob="big")
    request = {"objectID": "heat", "queryParameters": {"filters": "genre:Comedy"}}
    fallback = {"filters": "year < 1990"}
    assert ids(await shop.ask(**request)) == ["clue"]
    result = await shop.ask(**request, maxRecommendations=3, fallbackParameters=fallback)
    assert ids(result) == ["clue", "alien", "aliens"]
    assert result["hits"][1]["_score"] == 0
    assert ids(await shop.ask(**request, fallbackParameters=fallback)) == ["clue"]  # [doc]: none without a number


async def test_affinities_rerank(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(a="heat clue", b="heat clue", c="heat alien", d="heat alien", fan="ronin")
    plain = ids(await shop.ask(objectID="heat"))
    assert plain.index("alien") < plain.index("clue")
    scoring = {
        "eventsScoring": [{"eventName": "Viewed", "eventType": "view", "score": 100}],
        "facetsScoring": [{"facetName": "genre", "score": 100}],
        "personalizationImpact": 100,
    }
    await shop.personal("POST", "/1/strategies/personalization", scoring)
    await shop.happen(*[{"userToken": "fan", "objectIDs": ["big"]}] * 8)
    own = {"userToken": "fan"}
    personal = ids(await shop.ask(objectID="heat", queryParameters=own))
    assert personal.index("clue") < personal.index("alien")
    off = own | {"enablePersonalization": False}
    assert ids(await shop.ask(objectID="heat", queryParameters=off)) == plain
    assert ids(await shop.ask(objectID="heat", queryParameters={"userToken": "somebody"})) == plain


async def test_click_analytics_give_a_query_id_that_clicks_are_credited_to(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    plain = await shop.ask(objectID="heat")
    assert "queryID" not in plain
    result = await shop.ask(objectID="heat", queryParameters={"clickAnalytics": True})
    query_id = result["queryID"]
    assert len(query_id) == 32
    assert set(query_id) <= set("0123456789abcdef")
    click = {"eventType": "click", "queryID": query_id, "objectIDs": ["ronin"], "positions": [1]}
    assert (await shop.happen(click))[0] == 200
    assert shop.world.queries[query_id].clicked == {"ronin"}


async def test_one_call_answers_many_in_order(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    requests = [
        {"indexName": "films", "model": "looking-similar", "objectID": item, "threshold": 0}
        for item in ("alien", "nowhere", "heat")
    ]
    status, answer = await shop.call(
        "POST", "/1/indexes/%2A/recommendations", {"requests": requests}, ALGOLIA_API_KEY
    )
    assert status == 200
    assert [ids(result) for result in answer["results"]] == [["aliens"], [], ["ronin"]]
    assert [result["nbHits"] for result in answer["results"]] == [1, 0, 1]


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"threshold": None}, "threshold"),
        ({"threshold": 101}, "threshold"),
        ({"threshold": -1}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"maxRecommendations": 0}, "maxRecommendations"),
        ({"maxRecommendations": 31}, "maxRecommendations"),
        ({"maxRecommendations": "5"}, "maxRecommendations"),
        ({"model": "best-items"}, "model"),
        ({"objectID": None}, "objectID"),
        ({"objectId": "alien"}, "objectId"),
        ({"facetName": "genre"}, "facetName"),
        ({"model": "trending-items"}, "objectID"),
        ({"queryParameters": {"filter": "a:b"}}, "filter"),
        ({"queryParameters": {"hitsPerPage": 5}}, "hitsPerPage"),
        ({"queryParameters": {"filters": "(a:b AND c:d) OR e:f"}}, "only (X OR Y) AND Z"),
        ({"queryParameters": {"clickAnalytics": "yes"}}, "clickAnalytics"),
        ({"queryParameters": []}, "queryParameters"),
        ({"indexName": None}, "indexName"),
    ],
)
async def test_bad_requests_are_named(aiohttp_client: OpenClient, wrong: dict[str, Any], part: str) -> None:
    shop = await open_shop(aiohttp_client)
    status, answer = await shop.asked(**{"objectID": "alien"} | wrong)
    assert (status, answer["status"]) == (400, 400)
    assert part in answer["message"]


@pytest.mark.parametrize(
    "request_",
    [
        {"model": "trending-items", "facetName": "genre"},
        {"model": "trending-items", "facetValue": "Crime"},
        {"model": "trending-facets"},
        {"model": "trending-facets", "facetName": "genre", "queryParameters": {}},
        {"model": "trending-facets", "facetName": "genre", "fallbackParameters": {}},
    ],
)
async def test_what_trending_models_do_not_take(aiohttp_client: OpenClient, request_: dict[str, Any]) -> None:
    shop = await open_shop(aiohttp_client)
    assert (await shop.asked(**request_))[0] == 400


async def test_an_index_never_fed_is_404(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.happen({"index": "ghost"})
    status, answer = await shop.asked(indexName="ghost", model="trending-items")
    assert status == 404
    assert "ghost" in answer["message"]


async def test_credentials(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    body: dict[str, Any] = {"requests": []}
    assert (await shop.call("POST", RECOMMENDATIONS, body, ALGOLIA_API_KEY)) == (200, {"results": []})
    bad = (403, {"message": "Invalid Application-ID or API key", "status": 403})
    assert await shop.call("POST", RECOMMENDATIONS, body, "wrong") == bad
    headers = {"X-Algolia-Application-Id": "OTHER", "X-Algolia-API-Key": ALGOLIA_API_KEY}
    async with shop.recommend.post(RECOMMENDATIONS, json=body, headers=headers) as response:
        assert (response.status, await response.json()) == bad
    async with shop.recommend.post(RECOMMENDATIONS, json=body) as response:
        assert response.status == 403
    status, answer = await shop.call("POST", RECOMMENDATIONS, body, ALGOLIA_PERSONALIZATION_API_KEY)
    assert status == 403
    assert "search" in answer["message"]
    feed = {"requests": [{"action": "deleteObject", "body": {"objectID": "a"}}]}
    status, answer = await shop.call("POST", "/1/indexes/films/batch", feed, ALGOLIA_API_KEY)
    assert status == 403
    assert "deleteObject" in answer["message"]


async def test_what_javascript_clients_send(aiohttp_client: OpenClient) -> None:
    """`text/plain`, a chunked body, `x-algolia-agent` and the credentials in the query string."""
    shop = await open_shop(aiohttp_client)

    async def chunks() -> Any:
        yield b'{"requests":[{"indexName":"films","model":"looking-'
        await asyncio.sleep(0)
        yield b'similar","objectID":"alien","threshold":0}]}'

    query = {
        "x-algolia-agent": "Algolia for JavaScript (5)",
        "x-algolia-application-id": ALGOLIA_APPLICATION_ID,
        "x-algolia-api-key": ALGOLIA_API_KEY,
    }
    headers = {"Content-Type": "text/plain", "Host": "demoapp-2.algolianet.com"}
    async with shop.recommend.post(RECOMMENDATIONS, data=chunks(), params=query, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert ids((await response.json())["results"][0]) == ["aliens"]
    async with shop.recommend.options(RECOMMENDATIONS) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_broken_bodies_and_unknown_paths(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    headers = {"X-Algolia-Application-Id": ALGOLIA_APPLICATION_ID, "X-Algolia-API-Key": ALGOLIA_ADMIN_API_KEY}
    async with shop.recommend.post(RECOMMENDATIONS, data=b'{"requests"', headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["status"] == 400
    wrong: list[Any] = [[], {"requests": {}}, {"requests": [1]}, {"queries": []}]
    for body in wrong:
        assert (await shop.call("POST", RECOMMENDATIONS, body))[0] == 400
    assert (await shop.call("GET", "/2/nothing"))[1] == {"message": "Path not found", "status": 404}
    assert (await shop.call("PATCH", "/1/events"))[0] == 405
    assert (await shop.call("POST", "/1/indexes/films/recommendations", {"requests": []}))[0] == 404


async def test_index_batch(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client, films=False)

    async def feed(*requests: tuple[str, dict[str, Any]]) -> Any:
        body = {"requests": [{"action": action, "body": record} for action, record in requests]}
        status, answer = await shop.call("POST", "/1/indexes/my%2Fshop/batch", body)
        return answer if status == 200 else status

    answer = await feed(("updateObject", {"objectID": "a/1", "n": 1, "m": 2}), ("addObject", {"n": 2}))
    assert answer["objectIDs"][0] == "a/1"
    assert len(answer["objectIDs"][1]) > 8
    path = "/1/indexes/my%2Fshop/a%2F1"
    await feed(("partialUpdateObject", {"objectID": "a/1", "n": 5}))
    assert await shop.call("GET", path) == (200, {"objectID": "a/1", "n": 5, "m": 2})
    await feed(("updateObject", {"objectID": "a/1", "n": 6}), ("partialUpdateObjectNoCreate", {"objectID": "b"}))
    assert await shop.call("GET", path) == (200, {"objectID": "a/1", "n": 6})
    assert (await shop.call("GET", "/1/indexes/my%2Fshop/b"))[0] == 404
    assert await feed(("updateObject", {"objectID": "c"}), ("updateObject", {"n": 1})) == 400
    assert (await shop.call("GET", "/1/indexes/my%2Fshop/c"))[0] == 404  # all or nothing
    assert await feed(("deleteEverything", {})) == 400
    await feed(("deleteObject", {"objectID": "a/1"}))
    assert (await shop.call("GET", path))[0] == 404
    task = (await feed(("clear", {})))["taskID"]
    assert await shop.call("GET", f"/1/indexes/my%2Fshop/task/{task}") == (200, {"status": "notPublished"})
    shop.clock.now += 1
    assert await shop.call("GET", f"/1/indexes/my%2Fshop/task/{task}") == (200, {"status": "published"})


async def test_a_change_shows_at_once(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    assert ids(await shop.ask(model="looking-similar", objectID="clue")) == ["big"]
    batch = {"requests": [{"action": "deleteObject", "body": {"objectID": "big"}}]}
    await shop.call("POST", "/1/indexes/films/batch", batch)
    assert ids(await shop.ask(model="looking-similar", objectID="clue")) == []
    await shop.visits(ann="heat clue")
    assert "clue" in ids(await shop.ask(objectID="heat"))
    assert (await shop.call("DELETE", "/1/usertokens/ann"))[0] == 204
    assert "clue" not in ids(await shop.ask(objectID="heat"))
    assert ids(await shop.ask(model="trending-items")) == []


async def test_as_large_as_movielens(aiohttp_client: OpenClient) -> None:
    """100,000 events on 1,682 records: quick answers, also after an event (bounds are generous for CI)."""
    shop = await open_shop(aiohttp_client, films=False)
    rng = shop.world.rng
    genres = [f"genre {n}" for n in range(18)]
    feed = [
        {
            "action": "updateObject",
            "body": {
                "objectID": f"m{n}",
                "title": f"Film {n} of {n % 97}",
                "genre": rng.sample(genres, 2),
                "year": n,
            },
        }
        for n in range(1682)
    ]
    assert (await shop.call("POST", "/1/indexes/films/batch", {"requests": feed}))[0] == 200
    for _ in range(100):
        events = [
            event(userToken=f"u{rng.randrange(943)}", objectIDs=[f"m{int(rng.random() ** 2 * 1682)}"])
            for _ in range(1000)
        ]
        assert (await shop.call("POST", "/1/events", {"events": events}))[0] == 200
    parameters = {"filters": 'genre:"genre 3" AND year > 10', "clickAnalytics": True}
    request = {"objectID": "m0", "maxRecommendations": 30, "queryParameters": parameters}
    await shop.ask(**request)
    assert len(ids(await shop.ask(**request))) == 30
    spent = []
    for model in ("related-products", "looking-similar", "trending-items"):
        one = dict(request, model=model)
        if model == "trending-items":
            del one["objectID"]
        for _ in range(5):
            start = time.process_time()
            await shop.ask(**one)
            spent.append(time.process_time() - start)
    warm = sorted(spent)[len(spent) // 2]
    await shop.visits(ann="m0 m1")
    start = time.process_time()
    await shop.ask(**request)
    cold = time.process_time() - start
    assert warm < 0.05, f"a warm answer took {warm:.3f} s"
    assert cold < 0.5, f"an answer after an event took {cold:.3f} s"
    print(f"warm {warm * 1000:.1f} ms, cold {cold * 1000:.1f} ms")


async def test_what_is_almost_json(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    headers = {"X-Algolia-Application-Id": ALGOLIA_APPLICATION_ID, "X-Algolia-API-Key": ALGOLIA_ADMIN_API_KEY}
    feed = b'{"requests": [{"action": "updateObject", "body": {"objectID": "odd", "value": %s}}]}'
    for value, status in ((b"NaN", 400), (b'"\xff"', 400), (b'"\\ud800"', 200)):
        async with shop.recommend.post("/1/indexes/films/batch", data=feed % value, headers=headers) as response:
            assert response.status == status
    assert await shop.call("GET", "/1/indexes/films/odd") == (200, {"objectID": "odd", "value": "?"})

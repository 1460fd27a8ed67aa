"""The emulated Algolia's recommend rules: kept, searched, checked, and taking effect."""

from typing import Any

import pytest

from gateway.sandbox.credentials import ALGOLIA_API_KEY
from tests.algolia_shop import START, OpenClient, Shop, ids, open_shop

RULES = "/1/indexes/films/related-products/recommend/rules"
BANNER: dict[str, Any] = {"userData": {"banner": "Half price"}}


async def heat(shop: Shop, **parameters: Any) -> dict[str, Any]:
    """What goes with `heat`: clue, big and alien, in this order, before any rule."""
    return await shop.ask(objectID="heat", threshold=5, maxRecommendations=4, queryParameters=parameters)


async def heated(aiohttp_client: OpenClient) -> Shop:
    shop = await open_shop(aiohttp_client)
    await shop.visits(a="heat clue big alien aliens", b="heat clue big alien", c="heat clue big", d="heat clue")
    assert ids(await heat(shop)) == ["clue", "big", "alien", "aliens"]
    return shop


async def test_write_read_delete_and_their_tasks(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    rule = {"objectID": "r-1", "condition": {"filters": "sale:true"}, "consequence": BANNER}
    status, written = await shop.call("POST", f"{RULES}/batch", [rule])
    assert status == 200
    assert written["updatedAt"] == "2027-01-15T08:00:00.000Z"
    assert 2**53 < written["taskID"] < 2**63
    assert await shop.call("GET", f"{RULES}/r-1") == (200, rule)
    task = f"/1/indexes/films/related-products/task/{written['taskID']}"
    assert await shop.call("GET", task) == (200, {"status": "notPublished"})
    shop.clock.now += 1
    assert await shop.call("GET", task) == (200, {"status": "published"})
    assert (await shop.call("GET", task.replace("related-products", "trending-items")))[0] == 404
    assert (await shop.call("GET", "/1/indexes/films/related-products/task/soon"))[0] == 400
    status, deleted = await shop.call("DELETE", f"{RULES}/r-1")
    assert status == 200
    assert set(deleted) == {"taskID", "updatedAt", "deletedAt"}
    assert (await shop.call("GET", f"{RULES}/r-1"))[0] == 404
    assert (await shop.call("DELETE", f"{RULES}/r-1"))[0] == 404


async def test_a_batch_adds_or_replaces(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)

    async def write(*names: str, query: str = "") -> Any:
        status, _ = await shop.call(
            "POST", f"{RULES}/batch{query}", [{"objectID": n, "consequence": BANNER} for n in names]
        )
        assert status == 200
        found = (await shop.call("POST", f"{RULES}/search", {}))[1]
        return [hit["objectID"] for hit in found["hits"]]

    assert await write("a", "b") == ["a", "b"]
    assert await write("c") == ["a", "b", "c"]
    assert await write("d", query="?clearExistingRules=true") == ["d"]
    assert await write("e", query="?clearExistingRules=false") == ["d", "e"]
    bad = [{"objectID": "f", "consequence": BANNER}, {"objectID": "g"}]
    assert (await shop.call("POST", f"{RULES}/batch?clearExistingRules=true", bad))[0] == 400
    assert (await shop.call("GET", f"{RULES}/d"))[0] == 200  # nothing of a bad batch happened
    assert (await shop.call("GET", f"{RULES}/f"))[0] == 404
    assert (await shop.call("POST", f"{RULES}/batch?clearExistingRules=perhaps", []))[0] == 400


async def test_acls_and_models(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    for method, path, body, acl in (
        ("POST", f"{RULES}/batch", [], "editSettings"),
        ("DELETE", f"{RULES}/r", None, "editSettings"),
        ("GET", "/1/indexes/films/related-products/task/1", None, "editSettings"),
        ("GET", f"{RULES}/r", None, "settings"),
        ("POST", f"{RULES}/search", {}, "settings"),
    ):
        status, answer = await shop.call(method, path, body, ALGOLIA_API_KEY)
        assert status == 403
        assert acl in answer["message"]
    assert (await shop.rule("looking-similar", consequence=BANNER))[0] == 400
    assert (await shop.rule("best-items", consequence=BANNER))[0] == 400
    assert (await shop.call("POST", RULES.replace("films", "ghost") + "/search", {}))[0] == 404


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ({}, "consequence"),
        ({"consequence": {}}, "consequence"),
        ({"consequence": {"params": {}}}, "consequence"),
        ({"objectID": "with space", "consequence": BANNER}, "objectID"),
        ({"objectID": "", "consequence": BANNER}, "objectID"),
        ({"conditions": [{"context": "c"}] * 11, "consequence": BANNER}, "conditions"),
        ({"condition": {"context": "a b"}, "consequence": BANNER}, "context"),
        ({"condition": {"filters": "NOT a:b"}, "consequence": BANNER}, "NOT"),
        ({"condition": {"filters": "a:b<score=2>"}, "consequence": BANNER}, "scoring"),
        ({"condition": {"pattern": "x"}, "consequence": BANNER}, "pattern"),
        ({"consequence": {"promote": [{"objectIDs": ["x"] * 31, "position": 0}]}}, "promote"),
        ({"consequence": {"promote": [{"objectID": "x"}]}}, "position"),
        ({"consequence": {"promote": [{"objectID": "x", "position": -1}]}}, "position"),
        ({"consequence": {"promote": [{"objectID": "x", "objectIDs": ["y"], "position": 0}]}}, "objectIDs"),
        ({"consequence": {"promote": [{"position": 0}]}}, "objectID"),
        ({"consequence": {"hide": [{"objectID": "x"}] * 51}}, "hide"),
        ({"consequence": {"hide": ["x"]}}, "hide"),
        ({"consequence": {"userData": {"text": "x" * 1024}}}, "1 kB"),
        ({"consequence": {"userData": "text"}}, "userData"),
        ({"consequence": {"params": {"query": "x"}}}, "query"),
        ({"consequence": {"params": {"filters": "a:"}}}, "Unexpected token"),
        ({"consequence": {"params": {"automaticFacetFilters": [{"score": 1}]}}}, "facet"),
        ({"consequence": BANNER, "validity": []}, "validity"),
        ({"consequence": BANNER, "validity": [{"from": 5}]}, "until"),
        ({"consequence": BANNER, "validity": [{"from": 5, "until": 4}]}, "until"),
        ({"consequence": BANNER, "enabled": "yes"}, "enabled"),
        ({"consequence": BANNER, "tags": []}, "tags"),
    ],
)
async def test_limits(aiohttp_client: OpenClient, rule: dict[str, Any], part: str) -> None:
    shop = await open_shop(aiohttp_client)
    status, answer = await shop.rule(**rule)
    assert status == 400
    assert part in answer["message"]


async def test_what_is_just_within_the_limits(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    status, answer = await shop.rule(
        conditions=[{"context": "c"}] * 10,
        validity=[{"from": 1, "until": 1}],
        consequence={
            "promote": [{"objectIDs": ["x"] * 30, "position": 0}],
            "hide": [{"objectID": "x"}] * 50,
            "userData": {"t": "x" * 1016},
        },
    )
    assert status == 200, answer


async def test_search(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    rules = [
        {"objectID": "one", "consequence": {"userData": {"hello": "world peace"}}, "description": "Greets"},
        {"objectID": "two", "consequence": BANNER, "condition": {"context": "mobile"}, "enabled": False},
        {"objectID": "three", "consequence": BANNER, "conditions": [{"context": "mobile"}, {"context": "web"}]},
    ]
    await shop.call("POST", f"{RULES}/batch", rules)

    async def found(**wanted: Any) -> list[str]:
        answer = (await shop.call("POST", f"{RULES}/search", wanted))[1]
        return [hit["objectID"] for hit in answer["hits"]]

    assert await found() == ["one", "three", "two"]
    assert await found(query="WORLD") == ["one"]
    assert await found(query="world greets") == ["one"]
    assert await found(query="orld") == []
    assert await found(context="mobile") == ["three", "two"]
    assert await found(context="mob") == []
    assert await found(enabled=True) == ["one", "three"]
    assert await found(enabled=False) == ["two"]
    status, page = await shop.call("POST", f"{RULES}/search", {"hitsPerPage": 2, "page": 1})
    assert status == 200
    assert (page["nbHits"], page["page"], page["nbPages"], len(page["hits"])) == (3, 1, 2, 1)
    hit = (await shop.call("POST", f"{RULES}/search", {"query": "world"}))[1]["hits"][0]
    assert hit["enabled"] is True
    assert hit["_metadata"]["lastUpdate"] == "2027-01-15T08:00:00.000Z"
    assert hit["_highlightResult"] == {
        "consequence": {
            "userData": {
                "hello": {
                    "value": "<b>world</b> peace",
                    "matchLevel": "full",
                    "fullyHighlighted": False,
                    "matchedWords": ["world"],
                }
            }
        }
    }
    for wrong in ({"hitsPerPage": 0}, {"hitsPerPage": 1001}, {"page": -1}, {"enabled": 1}, {"filter": "x"}):
        assert (await shop.call("POST", f"{RULES}/search", wrong))[0] == 400


async def test_promote_and_hide(aiohttp_client: OpenClient) -> None:
    shop = await heated(aiohttp_client)
    await shop.rule(consequence={"promote": [{"objectID": "alien", "position": 0}], "hide": [{"objectID": "big"}]})
    assert ids(await heat(shop)) == ["alien", "clue", "aliens", "ronin"]
    await shop.rule(consequence={"promote": [{"objectIDs": ["ronin", "aliens"], "position": 1}]})
    assert ids(await heat(shop)) == ["clue", "ronin", "aliens", "big"]
    await shop.rule(consequence={"params": {"promote": [{"objectID": "ronin", "position": 0}]}})
    assert ids(await heat(shop, filters="genre:Comedy")) == ["ronin", "clue", "big"]
    await shop.rule(consequence={"promote": [{"objectIDs": ["gone", "heat"], "position": 0}]})
    assert ids(await heat(shop)) == ["clue", "big", "alien", "aliens"]  # not in the index, or the item itself


async def test_filters_of_rules(aiohttp_client: OpenClient) -> None:
    shop = await heated(aiohttp_client)
    await shop.rule(consequence={"params": {"filters": "genre:Sci-Fi OR genre:Drama"}})
    assert ids(await heat(shop)) == ["big", "alien", "aliens"]
    assert ids(await heat(shop, filters="sale:true")) == ["big", "alien"]
    assert ids(await heat(shop, enableRules=False)) == ["clue", "big", "alien", "aliens"]
    await shop.rule(
        consequence={"params": {"facetFilters": [["genre:-Comedy"]], "numericFilters": ["price > 10"]}}
    )
    assert ids(await heat(shop)) == ["aliens"]
    await shop.rule(consequence={"params": {"optionalFilters": ["genre:Horror<score=2>", "genre:Action"]}})
    assert ids(await heat(shop)) == ["alien", "aliens", "ronin", "clue"]


async def test_automatic_facets(aiohttp_client: OpenClient) -> None:
    shop = await heated(aiohttp_client)
    await shop.visits(e="big clue aliens heat", f="big clue", g="big aliens")

    async def with_facets(name: str, *facets: Any) -> list[str]:
        await shop.rule(consequence={"params": {name: list(facets)}})
        found = await shop.ask(objectID="big", threshold=5)
        return ids(found)

    hard, soft = "automaticFacetFilters", "automaticOptionalFacetFilters"
    assert await with_facets(hard, {"facet": "genre"}) == []  # Comedy and Drama both
    assert await with_facets(hard, {"facet": "genre", "disjunctive": True}) == ["clue"]
    assert await with_facets(hard, "sale") == ["heat", "alien"]
    assert sorted(await with_facets(hard, {"facet": "sale", "negative": True})) == ["aliens", "clue"]
    assert len(await with_facets(hard, {"facet": "colour"})) == 4  # the item has none: ignored
    assert sorted((await with_facets(soft, "sale<score=5>", "genre<score=1>"))[:2]) == ["alien", "heat"]
    assert (await with_facets(soft, "sale<score=1>", "genre<score=5>"))[0] == "clue"


async def test_conditions(aiohttp_client: OpenClient) -> None:
    shop = await heated(aiohttp_client)

    async def applies(item: str = "heat", contexts: tuple[str, ...] = (), **rule: Any) -> bool:
        status, answer = await shop.rule(consequence=BANNER, **rule)
        assert status == 200, answer
        result = await shop.ask(objectID=item, queryParameters={"ruleContexts": list(contexts)})
        assert result.get("userData", [BANNER["userData"]]) == [BANNER["userData"]]
        return "userData" in result

    assert await applies()
    assert await applies(condition={})
    assert not await applies(enabled=False)
    assert await applies(condition={"filters": "genre:Crime AND year > 1990"})
    assert not await applies(condition={"filters": "genre:Crime AND year > 1995"})
    assert not await applies(item="unknown", condition={"filters": "genre:Crime"})
    assert not await applies(condition={"context": "mobile"})
    assert await applies(contexts=("web", "mobile"), condition={"context": "mobile"})
    both = {"context": "mobile", "filters": "genre:Comedy"}
    assert not await applies(contexts=("mobile",), condition=both)
    assert await applies(item="clue", contexts=("mobile",), condition=both)
    assert await applies(conditions=[both, {"filters": "sale:true"}])
    now = int(START)
    assert await applies(validity=[{"from": now - 9, "until": now - 8}, {"from": now, "until": now + 5}])
    shop.clock.now += 6
    assert not await applies(validity=[{"from": now - 9, "until": now - 8}, {"from": now, "until": now + 5}])


async def test_rules_add_up_and_belong_to_one_model(aiohttp_client: OpenClient) -> None:
    shop = await heated(aiohttp_client)
    await shop.rule(objectID="b", consequence={"userData": {"n": 2}})
    await shop.rule(objectID="a", consequence={"userData": {"n": 1}, "hide": [{"objectID": "clue"}]})
    result = await heat(shop, getRankingInfo=True)
    assert result["userData"] == [{"n": 1}, {"n": 2}]
    assert result["appliedRules"] == [{"objectID": "a"}, {"objectID": "b"}]
    assert "clue" not in ids(result)
    assert "userData" not in await shop.ask(model="trending-items")
    await shop.rule("trending-facets", consequence=BANNER)
    assert (await shop.ask(model="trending-facets", facetName="genre"))["userData"] == [BANNER["userData"]]

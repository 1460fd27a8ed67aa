"""The vendor's own Python clients work against the emulated Algolia: recommendations, rules, tasks, Insights,
index and Personalization, each pointed at a local address by `config.hosts`."""

from typing import Any, cast

import pytest
from algoliasearch.http.exceptions import RequestException
from algoliasearch.http.hosts import Host, HostsCollection
from algoliasearch.insights.client import InsightsClient
from algoliasearch.insights.config import InsightsConfig
from algoliasearch.personalization.client import PersonalizationClient
from algoliasearch.personalization.config import PersonalizationConfig
from algoliasearch.recommend.client import RecommendClient
from algoliasearch.recommend.config import RecommendConfig
from algoliasearch.recommend.models.recommend_hit import RecommendHit
from algoliasearch.recommend.models.recommend_models import RecommendModels
from algoliasearch.recommend.models.trending_facet_hit import TrendingFacetHit
from algoliasearch.search.client import SearchClient
from algoliasearch.search.config import SearchConfig

from gateway.sandbox.credentials import (
    ALGOLIA_ADMIN_API_KEY,
    ALGOLIA_APPLICATION_ID,
    ALGOLIA_PERSONALIZATION_API_KEY,
)
from tests.algolia_shop import FILMS, Client, OpenClient, open_shop

# The client puts `str()` of what it gets into the path, and that of its own enumeration is no model's name.
RELATED = cast(RecommendModels, "related-products")


def pointed(config: Any, client: Client) -> Any:
    """The config, with the sandbox as its only host."""
    config.hosts = HostsCollection([Host("127.0.0.1", scheme="http", port=client.port)])
    return config


def recommend_client(client: Client, key: str = ALGOLIA_ADMIN_API_KEY) -> RecommendClient:
    return RecommendClient.create_with_config(pointed(RecommendConfig(ALGOLIA_APPLICATION_ID, key), client))


def viewed(user: str, *objects: str) -> dict[str, Any]:
    return {
        "eventType": "view",
        "eventName": "Viewed",
        "index": "films",
        "userToken": user,
        "objectIDs": list(objects),
    }


async def test_feed_behave_recommend(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client, films=False)
    search_config = pointed(SearchConfig(ALGOLIA_APPLICATION_ID, ALGOLIA_ADMIN_API_KEY), shop.recommend)
    async with SearchClient.create_with_config(search_config) as search:
        saved = await search.save_objects("films", FILMS)
        shop.clock.now += 1
        await search.wait_for_task("films", saved[0].task_id)
        assert await search.get_object("films", "heat") == FILMS[2]
    insights_config = pointed(InsightsConfig(ALGOLIA_APPLICATION_ID, ALGOLIA_ADMIN_API_KEY), shop.recommend)
    async with InsightsClient.create_with_config(insights_config) as insights:
        sent = await insights.push_events(
            {"events": [viewed("ann", "heat", "clue"), viewed("bob", "heat", "clue")]}
        )
        assert (sent.status, sent.message) == (200, "OK")
        with pytest.raises(RequestException) as refused:
            await insights.push_events({"events": [viewed("a" * 129, *["x"] * 21)]})
        assert refused.value.status_code == 422
    parameters = {"filters": "genre:Comedy", "clickAnalytics": True, "getRankingInfo": True}
    requests = [
        {
            "indexName": "films",
            "model": "related-products",
            "objectID": "heat",
            "threshold": 10,
            "maxRecommendations": 5,
            "queryParameters": parameters,
        },
        {"indexName": "films", "model": "trending-facets", "facetName": "genre", "threshold": 0},
        {"indexName": "films", "model": "looking-similar", "objectID": "alien", "threshold": 0},
    ]
    async with recommend_client(shop.recommend) as recommend:
        results = (await recommend.get_recommendations({"requests": requests})).results
    related, facets, similar = ([hit.actual_instance for hit in result.hits] for result in results)
    assert results[0].query_id
    assert [hit.object_id for hit in related if isinstance(hit, RecommendHit)] == ["clue"]
    assert [hit.score for hit in related if isinstance(hit, RecommendHit)] == [66.67]
    assert {hit.facet_value for hit in facets if isinstance(hit, TrendingFacetHit)} == {"Crime", "Comedy"}
    assert [hit.object_id for hit in similar if isinstance(hit, RecommendHit)] == ["aliens"]
    async with InsightsClient.create_with_config(insights_config) as insights:
        await insights.delete_user_token("ann")
    assert list(shop.world.people) == ["bob"]


async def test_rules_and_tasks(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    rule = {
        "objectID": "sale",
        "condition": {"filters": "sale:true", "context": "mobile"},
        "consequence": {"promote": [{"objectID": "clue", "position": 0}]},
        "validity": [{"from": 1, "until": 2_000_000_000}],
    }
    async with recommend_client(shop.recommend) as recommend:
        written = await recommend.batch_recommend_rules("films", RELATED, [rule])
        status = await recommend.get_recommend_status("films", RELATED, written.task_id)
        assert status.status == "notPublished"
        shop.clock.now += 1
        status = await recommend.get_recommend_status("films", RELATED, written.task_id)
        assert status.status == "published"
        assert (await recommend.get_recommend_rule("films", RELATED, "sale")).to_dict() == rule
        found = await recommend.search_recommend_rules("films", RELATED, {"query": "sale", "hitsPerPage": 5})
        assert [hit.object_id for hit in found.hits] == ["sale"]
        assert found.nb_pages == 1
        deleted = await recommend.delete_recommend_rule("films", RELATED, "sale")
        assert deleted.task_id > written.task_id
        with pytest.raises(RequestException) as missing:
            await recommend.get_recommend_rule("films", RELATED, "sale")
        assert missing.value.status_code == 404


async def test_what_the_client_shows_of_errors(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    async with recommend_client(shop.recommend, "wrong") as recommend:
        with pytest.raises(RequestException, match="Invalid Application-ID or API key") as refused:
            await recommend.get_recommendations({"requests": []})
        assert refused.value.status_code == 403


async def test_personalization(aiohttp_client: OpenClient) -> None:
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="heat")
    config = PersonalizationConfig(ALGOLIA_APPLICATION_ID, ALGOLIA_PERSONALIZATION_API_KEY, "us")
    scoring = {
        "eventsScoring": [{"eventName": "Viewed", "eventType": "view", "score": 100}],
        "facetsScoring": [{"facetName": "genre", "score": 100}],
        "personalizationImpact": 50,
    }
    async with PersonalizationClient.create_with_config(pointed(config, shop.personalization)) as client:
        assert (await client.set_personalization_strategy(scoring)).message == "Strategy was successfully updated"
        assert (await client.get_personalization_strategy()).to_dict() == scoring
        profile = await client.get_user_token_profile("ann")
        assert (profile.user_token, profile.scores) == ("ann", {"genre": {"Crime": 1}})
        assert (await client.delete_user_profile("ann")).deleted_until == "2027-01-15T08:00:00Z"

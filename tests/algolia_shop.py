"""A small shop inside the emulated Algolia, for its tests: films with genres and years, and a clock to turn."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.sandbox.algolia import World, build_personalization, build_recommend
from gateway.sandbox.credentials import (
    ALGOLIA_ADMIN_API_KEY,
    ALGOLIA_API_KEY,
    ALGOLIA_APPLICATION_ID,
    ALGOLIA_PERSONALIZATION_API_KEY,
)

Answer = tuple[int, Any]
Client = TestClient[web.Request, web.Application]
OpenClient = Callable[..., Awaitable[Client]]

START = 1_800_000_000.0
FILMS: list[dict[str, Any]] = [
    {
        "objectID": "alien",
        "title": "Alien",
        "genre": ["Horror", "Sci-Fi"],
        "year": 1979,
        "price": 9.5,
        "sale": True,
    },
    {
        "objectID": "aliens",
        "title": "Aliens",
        "genre": ["Action", "Sci-Fi"],
        "year": 1986,
        "price": 12,
        "sale": False,
    },
    {"objectID": "heat", "title": "Heat", "genre": ["Crime"], "year": 1995, "price": 7, "sale": True},
    {"objectID": "ronin", "title": "Ronin", "genre": ["Crime", "Action"], "year": 1998, "price": 5, "sale": False},
    {"objectID": "clue", "title": "Clue", "genre": ["Comedy"], "year": 1985, "price": 3, "sale": False},
    {
        "objectID": "big",
        "title": "Big Night",
        "genre": ["Comedy", "Drama"],
        "year": 1996,
        "price": 4,
        "sale": True,
    },
]


@dataclass
class Clock:
    """Seconds since the epoch, standing still until turned."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Shop:
    """Both applications over one world, and short ways to call them."""

    clock: Clock
    world: World
    recommend: Client
    personalization: Client

    async def call(self, method: str, path: str, body: object = None, key: str = ALGOLIA_ADMIN_API_KEY) -> Answer:
        """Call Recommend or Insights; the status and the JSON (or None where there is none)."""
        return await _call(self.recommend, method, path, body, key)

    async def personal(
        self, method: str, path: str, body: object = None, key: str = ALGOLIA_PERSONALIZATION_API_KEY
    ) -> Answer:
        """Call Personalization."""
        return await _call(self.personalization, method, path, body, key)

    async def ask(self, **request: Any) -> dict[str, Any]:
        """The result of one recommendation, which has to succeed."""
        status, answer = await self.asked(**request)
        assert status == 200, answer
        result: dict[str, Any] = answer["results"][0]
        return result

    async def asked(self, **request: Any) -> Answer:
        """Ask for one recommendation, whatever comes of it."""
        request = {"indexName": "films", "model": "related-products", "threshold": 0} | request
        return await self.call("POST", "/1/indexes/*/recommendations", {"requests": [request]}, ALGOLIA_API_KEY)

    async def rule(self, model: str = "related-products", **rule: Any) -> Answer:
        """Write one rule."""
        return await self.call(
            "POST", f"/1/indexes/films/{model}/recommend/rules/batch", [{"objectID": "r"} | rule]
        )

    async def happen(self, *events: dict[str, Any]) -> Answer:
        """Send events, with what they leave out filled in."""
        return await self.call("POST", "/1/events", {"events": [event(**one) for one in events]}, ALGOLIA_API_KEY)

    async def visits(self, **items: str) -> None:
        """Let users view items: `visits(ann="alien aliens")`."""
        status, answer = await self.happen(
            *({"userToken": user, "objectIDs": named.split()} for user, named in items.items())
        )
        assert status == 200, answer


def event(**members: Any) -> dict[str, Any]:
    """A valid view, with what is given put over it."""
    defaults = {"eventType": "view", "eventName": "Viewed", "index": "films", "userToken": "ann"}
    subject = {} if "filters" in members else {"objectIDs": ["alien"]}
    return defaults | subject | members


def ids(result: dict[str, Any]) -> list[str]:
    """The objectIDs of a result's hits, in order."""
    return [hit["objectID"] for hit in result["hits"]]


async def open_shop(aiohttp_client: OpenClient, *, films: bool = True, throttle: bool = False) -> Shop:
    """Both applications on free ports, the films in the index `films`."""
    clock = Clock()
    world = World(clock=clock, rng=random.Random(7))
    shop = Shop(
        clock,
        world,
        await aiohttp_client(build_recommend(world, throttle=throttle)),
        await aiohttp_client(build_personalization(world, throttle=throttle)),
    )
    if films:
        requests = [{"action": "updateObject", "body": film} for film in FILMS]
        status, answer = await shop.call("POST", "/1/indexes/films/batch", {"requests": requests})
        assert status == 200, answer
    return shop


async def _call(client: Client, method: str, path: str, body: object, key: str) -> Answer:
    headers = {"X-Algolia-Application-Id": ALGOLIA_APPLICATION_ID, "X-Algolia-API-Key": key}
    async with client.request(method, path, json=body, headers=headers) as response:
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else await response.text()

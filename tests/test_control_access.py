"""Who may control vendors: the scope `catalog`, on both listeners; a token of one user's, that user alone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import jwt
import pytest
import pytest_asyncio

from gateway.deadline import Deadline
from gateway.model.activity import Event, EventItem
from gateway.server.endpoints import Endpoint
from gateway.server.endpoints.controlling import ENDPOINTS
from tests.served import KEY, ONLY_EVENTS, Served, served
from tests.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET: Final = "a secret of at least thirty-two bytes"
every = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("served")) as one:
        yield one


@every
async def test_the_scope_is_needed_on_both_listeners(gateway: Served, endpoint: Endpoint) -> None:
    assert endpoint.scope == "catalog"
    path = endpoint.path.format(kind="similar_items", id="u1", task_id="x")
    async with aiohttp.ClientSession() as session:
        for url in (gateway.url, gateway.admin_url):
            for headers, status in (
                ({}, 401),
                ({"X-Api-Key": "unknown"}, 401),
                ({"Authorization": f"Bearer {ONLY_EVENTS}"}, 403),
            ):
                async with session.request(endpoint.method, url + path, headers=headers) as answer:
                    assert answer.status == status, await answer.text()
            async with session.request(endpoint.method, url + path, headers={"X-Api-Key": KEY}) as answer:
                assert answer.status not in (401, 403, 405, 500), await answer.text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    tokens = {"secret": SECRET, "algorithms": ["HS256"], "issuer": "https://id.example", "audience": "gateway"}
    auth = {"jwt": {**tokens, "scope_claim": "scope", "user_claim": "sub"}}
    async with world(tmp_path_factory.mktemp("tokens"), {"auth": auth}, fed=False) as shop:
        yield shop


def token_of(user: str) -> dict[str, str]:
    """Headers of somebody who speaks for this user."""
    now = int(time.time())
    claims = {"iss": "https://id.example", "aud": "gateway", "sub": user, "scope": "catalog", "exp": now + 600}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


async def test_a_token_of_one_user_sees_that_user_alone(shop: World) -> None:
    for n, user in enumerate(("ann", "bob")):
        event = Event(id=f"e{n}", type="view", user=user, items=(EventItem("i1"),), time=datetime.now(UTC))
        await shop.provider("recomendo").call("track", [event], deadline=Deadline.within(time.monotonic, 10))
    ann = token_of("ann")

    async def get(path: str) -> Any:
        return await shop.request("GET", path, headers=ann)

    assert (await get("/v1/users/ann/profile")).status == 404
    (await get("/v1/users/bob/profile")).problem("forbidden", 403)
    (await shop.request("DELETE", "/v1/users/bob/profile", headers=ann)).problem("forbidden", 403)
    (await get("/v1/users?provider=discerner")).problem("forbidden", 403)
    (await get("/v1/events?provider=recomendo&user=bob")).problem("forbidden", 403)
    events = (await get("/v1/events?provider=recomendo")).json["events"]
    assert [one["user"]["id"] for one in events] == ["ann"]

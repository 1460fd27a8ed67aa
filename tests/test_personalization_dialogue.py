"""The adapter of Algolia Personalization and the emulated one, which know nothing of each other, over sockets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.adapters.algolia_personalization import AlgoliaPersonalization
from gateway.deadline import Deadline
from gateway.errors import Missing, Refused
from gateway.memory import Memory
from gateway.model.control import ScoredEvent, ScoredFacet, Strategy
from gateway.provider.account import Provider
from gateway.provider.settings import ProviderSettings
from gateway.sandbox.credentials import ALGOLIA_APPLICATION_ID, ALGOLIA_PERSONALIZATION_API_KEY
from gateway.state.sqlite import SqliteStore
from tests.algolia_shop import START, OpenClient, Shop, open_shop

STRATEGY = Strategy((ScoredEvent("Viewed", "view", 10),), (ScoredFacet("genre", 100), ScoredFacet("year", 50)), 75)


class Account:
    """A provider of the gateway's, and the shop behind it."""

    def __init__(self, provider: Provider, shop: Shop) -> None:
        self._provider = provider
        self.shop = shop

    async def call(self, operation: Any, *arguments: Any) -> Any:
        return await self._provider.call(operation, *arguments, deadline=Deadline.within(time.monotonic, 10))


@pytest.fixture
async def account(aiohttp_client: OpenClient) -> AsyncIterator[Account]:
    shop = await open_shop(aiohttp_client)
    adapter = AlgoliaPersonalization.model_validate(
        {
            "application_id": ALGOLIA_APPLICATION_ID,
            "api_key": ALGOLIA_PERSONALIZATION_API_KEY,
            "url": str(shop.personalization.make_url("")),
        }
    )
    store = await SqliteStore.open(":memory:")
    memory = Memory(store, time.monotonic)
    settings = ProviderSettings.model_validate({"timeout": "5s"})
    provider = Provider("affinities", adapter, settings, store, key=b"k", memory=memory)
    yield Account(provider, shop)
    await provider.close()
    await store.close()


async def test_strategy(account: Account) -> None:
    with pytest.raises(Missing):
        await account.call("strategy")
    await account.call("put_strategy", STRATEGY)
    assert await account.call("strategy") == STRATEGY
    with pytest.raises(Refused):
        await account.call("put_strategy", Strategy((), (ScoredFacet("", 1),), 0))


async def test_a_profile_from_its_birth_to_its_end(account: Account) -> None:
    await account.call("put_strategy", STRATEGY)
    with pytest.raises(Missing):
        await account.call("profile", "ann")
    await account.shop.visits(ann="alien")
    profile = await account.call("profile", "ann")
    assert profile.affinities == {"genre": {"Horror": 1, "Sci-Fi": 1}, "year": {"1979": 1}}
    assert profile.updated_at == datetime.fromtimestamp(START, UTC)
    account.shop.clock.now += 1
    forgotten = await account.call("forget_profile", "ann")
    assert forgotten.deleted_until == datetime.fromtimestamp(START + 1, UTC)
    with pytest.raises(Missing):
        await account.call("profile", "ann")


async def test_a_profile_that_is_not_there(account: Account) -> None:
    with pytest.raises(Missing):
        await account.call("forget_profile", "bob/a+b=c")
    assert await account.call("erase_user", "Bob B.") == "erased"

"""The adapter of Xayn and the emulated Xayn, which know nothing of each other, over real sockets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from gateway.adapters.xayn import Xayn
from gateway.deadline import Deadline
from gateway.errors import Misconfigured, Mistake, NoAnswer
from gateway.memory import Memory
from gateway.model import filters
from gateway.model.activity import Change, Event, EventItem
from gateway.model.filters import Filter
from gateway.model.query import Recommend, Recommendations, Search, Seen, Snippet, User
from gateway.provider.account import Provider
from gateway.provider.settings import ProviderSettings
from gateway.sandbox.credentials import XAYN_BACK_OFFICE_TOKEN, XAYN_TOKEN
from gateway.sandbox.xayn import build
from gateway.state.sqlite import SqliteStore

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
TYPES = {"genre": "keyword[]", "title": "keyword", "year": "number", "classic": "boolean"}
CATALOGUE = {
    "robots": ("Robots of the future build other robots", "Sci-Fi"),
    "androids": ("An android and a robot travel to the future", "Sci-Fi"),
    "star ship": ("A starship with robots lost in the future", "Sci-Fi"),
    "bakery": ("A bakery where bread and cakes are made", "Food"),
    "pasta": ("Fresh pasta and bread from a small kitchen", "Food"),
    "soup": ("Bread and soup for a cold evening", "Food"),
}


class Account:
    """A provider of the gateway's, and the vendor behind it."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def call(self, operation: Any, *arguments: Any) -> Any:
        return await self._provider.call(operation, *arguments, deadline=Deadline.within(time.monotonic, 10))

    async def for_you(self, user: User, **more: Any) -> list[str]:
        return ids(await self.call("recommend", Recommend(kind="for_you", count=5, user=user, **more)))

    async def search(self, **more: Any) -> list[str]:
        return ids(await self.call("search", Search(count=5, **more)))

    async def view(self, user: str, *items: str) -> None:
        event = Event(
            id=f"{user} {items}", type="view", user=user, items=tuple(EventItem(one) for one in items), time=NOW
        )
        assert (await self.call("track", [event])).done == (event.id,)


def ids(answer: Recommendations) -> list[str]:
    return [item.id for item in answer.items]


def tree(value: object) -> Filter:
    mistakes: list[Mistake] = []
    parsed = filters.parse(value, "", mistakes)
    assert parsed is not None, mistakes
    return parsed


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    server = TestServer(build())
    await server.start_server()
    url = str(server.make_url("")).rstrip("/")
    async with aiohttp.ClientSession(headers={"authorizationToken": XAYN_BACK_OFFICE_TOKEN}) as session:
        schema = {"properties": {name: {"type": of} for name, of in TYPES.items()}}
        async with session.post(f"{url}/documents/_indexed_properties", json=schema) as answer:
            assert answer.status == 202
    options = {"url": url, "token": XAYN_TOKEN, "back_office_token": XAYN_BACK_OFFICE_TOKEN}
    store = await SqliteStore.open(":memory:")
    settings = ProviderSettings.model_validate({"timeout": "5s", "properties": {"genres": {"name": "genre"}}})
    memory = Memory(store, time.monotonic)
    provider = Provider("xayn", Xayn.model_validate(options), settings, store, key=b"k", memory=memory)
    try:
        account = Account(provider)
        changes = [
            Change(id_, {"title": id_, "description": text, "genres": [genre], "year": 1990 + n, "classic": n < 2,
                         "publication_date": f"20{10 + n}-01-01T00:00:00Z"})
            for n, (id_, (text, genre)) in enumerate(CATALOGUE.items())
        ]  # fmt: skip
        assert (await account.call("put_items", changes)).done == tuple(CATALOGUE)
        yield account
    finally:
        await provider.close()
        await store.close()
        await server.close()


async def test_interactions_become_recommendations(account: Account) -> None:
    with pytest.raises(NoAnswer):
        await account.for_you(User("a b"))
    await account.view("a b", "robots", "androids")
    assert (await account.for_you(User("a b")))[0] == "star ship"
    assert "robots" not in await account.for_you(User("a b"))
    assert "robots" in await account.for_you(User("a b"), exclude_seen=False)


async def test_a_history_after_an_unknown_id(account: Account) -> None:
    found = await account.for_you(User("nobody", (Seen("bakery", NOW), Seen("pasta", NOW))))
    assert found[0] == "soup"
    assert not {"bakery", "pasta"} & set(found)


async def test_similar_items_and_search(account: Account) -> None:
    query = Recommend(kind="similar_items", count=2, items=("star ship",), snippets=(Snippet("star ship", 0),))
    assert set(ids(await account.call("recommend", query))) == {"robots", "androids"}
    assert set((await account.search(item="bakery"))[:2]) == {"pasta", "soup"}
    assert (await account.search(query="starship", hybrid=True))[0] == "star ship"
    assert (await account.search(query="bread", user=User("nobody"), exclude_seen=False))[0] in CATALOGUE
    with pytest.raises(NoAnswer):
        await account.search(item="nothing")


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({"property": "genres", "eq": "Food"}, {"bakery", "pasta", "soup"}),
        ({"property": "year", "eq": 1991}, {"androids"}),
        ({"property": "year", "in": [1990, 1995]}, {"robots", "soup"}),
        ({"property": "classic", "in": [True]}, {"robots", "androids"}),
        ({"property": "title", "in": ["soup", "star ship"]}, {"soup", "star ship"}),
        ({"ids": ["soup", "star ship"]}, {"soup", "star ship"}),
        ({"property": "publication_date", "eq": "2011-01-01T01:00:00+01:00"}, {"androids"}),
        ({"all": [{"property": "year", "gt": 1990},
                  {"property": "publication_date", "lt": "2012-06-01T00:00:00Z"}]},
         {"androids", "star ship"}),
        ({"any": [{"all": [{"property": "year", "lte": 1991}, {"property": "classic", "eq": True}]},
                  {"property": "title", "eq": "soup"}]}, {"robots", "androids", "soup"}),
    ],
)  # fmt: skip
async def test_filters(account: Account, filter_: object, expected: set[str]) -> None:
    assert set(await account.search(query="future bread robots", filter=tree(filter_))) == expected


async def test_a_property_that_is_not_indexed(account: Account) -> None:
    with pytest.raises(Misconfigured):
        await account.search(query="bread", filter=tree({"property": "colour", "eq": "red"}))


async def test_properties_and_snippet(account: Account) -> None:
    query = Search(count=1, query="soup", properties=True, snippet=True, filter=tree({"ids": ["soup"]}))
    (item,) = (await account.call("search", query)).items
    assert (item.snippet, item.part) == (CATALOGUE["soup"][0], 0)
    assert item.properties is not None
    assert item.properties["genres"] == ["Food"]


async def test_the_catalogue(account: Account) -> None:
    refused = await account.call(
        "put_items", [Change("new", {"title": "New"}), Change("bad", {"title": "Bad", "year": "soon"})]
    )
    assert (refused.done, refused.refused) == (("new",), {"bad": "InvalidDocumentProperty"})
    deleted = await account.call("delete_items", ["star ship", "never there"])
    assert deleted.done == ("star ship", "never there")
    left = {entry.id for entry in (await account.call("list_items")).entries}
    assert left == {*CATALOGUE, "new"} - {"star ship"}

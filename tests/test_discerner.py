"""Discerner's adapter: its options, and itself against the emulated vendor over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.adapter import EventQuery
from gateway.adapters.discerner import Discerner
from gateway.deadline import Deadline
from gateway.errors import NoAnswer, Unauthenticated
from gateway.memory import Memory
from gateway.model.activity import Change, Event, EventItem
from gateway.model.query import Recommend, User
from gateway.provider.account import Provider
from gateway.provider.settings import ProviderSettings
from gateway.sandbox.frame import Vendor, serving
from gateway.state.sqlite import SqliteStore
from gateway.urls import is_plain

OPTIONS = {"username": "shop", "password": "SECRET-discerner", "url": "https://discerner.example"}
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def event(id_: str, type_: str, user: str, *items: str, **more: Any) -> Event:
    return Event(id=id_, type=type_, user=user, items=tuple(map(EventItem, items)), time=NOON, **more)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://discernerapi.com", True),
        ("http://10.0.0.1:9104", True),
        ("http://localhost.evil.example", True),
        ("https://discernerapi.com", False),
        ("http://localhost:9104", False),
        ("http://127.9.9.9:9104", False),
        ("http://[::1]:9104", False),
    ],
)
def test_plain_http_needs_a_word(url: str, plain: bool) -> None:
    assert is_plain(url) == plain
    if plain:
        with pytest.raises(ValidationError, match="set `insecure: true`"):
            Discerner.model_validate(OPTIONS | {"url": url})
    assert Discerner.model_validate(OPTIONS | {"url": url, "insecure": True}).url == url


@pytest.mark.parametrize(
    "wrong",
    [
        {"scores": {"rating": 3}},
        {"scores": {"view": "much"}},
        {"score_encoding": "xml"},
        {"username": ""},
        {"url": "discerner"},
        {"url": "https://discerner.example/?a=b"},
    ],
)
def test_options_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        Discerner.model_validate(OPTIONS | wrong)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    ("one", "complaint"),
    [
        (event("e", "view", "u"), "takes only events with items"),
        (event("e", "dislike", "u", "i"), "has no score for `dislike`"),
        (event("e", "search", "u", "i"), "has no score for `search`"),
        (event("e", "wishlist", "u", "i"), None),
        (event("e", "rating", "u", "i", value=0.0), None),
        (event("e", "purchase", "u", "i"), None),
    ],
)
def test_what_it_takes(one: Event, complaint: str | None) -> None:
    assert Discerner.model_validate(OPTIONS | {"scores": {"wishlist": 2}}).takes(one) == complaint


# --- against the emulated vendor --------------------------------------------------------------------------------


class Shop:
    """A provider that speaks to the emulated vendor over real sockets."""

    def __init__(self, vendor: Vendor, store: SqliteStore, **options: Any) -> None:
        account = Discerner.model_validate({**vendor.credentials, "url": vendor.url, **options})
        settings = ProviderSettings.model_validate({"timeout": "5s"})
        memory = Memory(store, time.monotonic)
        self.provider = Provider("discerner", account, settings, store, key=b"k", memory=memory)

    async def __call__(self, operation: Any, *arguments: Any) -> Any:
        return await self.provider.call(operation, *arguments, deadline=Deadline.within(time.monotonic, 20))


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with serving(["discerner"]) as (one,):
        yield one


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    one = await SqliteStore.open(":memory:")
    yield one
    await one.close()


async def test_everything_against_the_emulated_vendor(vendor: Vendor, store: SqliteStore) -> None:
    shop = Shop(vendor, store)
    with pytest.raises(NoAnswer):
        await shop("recommend", Recommend(kind="for_you", count=5, user=User("anna")))
    assert (await shop("list_users")).entries == ()
    likes = {"anna": ("a", "b"), "ben": ("a", "b", "c"), "cleo": ("a", "c", "d"), "dan": ("x", "y")}
    acts = [event(f"{user}-{item}", "rating", user, item, value=4.5) for user in likes for item in likes[user]]
    receipts = await asyncio.gather(*(shop("track", [act]) for act in acts))
    assert [receipt.done for receipt in receipts] == [(act.id,) for act in acts]
    await _check_created_once(shop)
    answer = await shop("recommend", Recommend(kind="for_you", count=5, user=User("anna")))
    assert answer.items[0].id == "c"
    assert (await shop("put_items", [Change("a"), Change("new", {"title": "New"})])).done == ("a", "new")
    listed = await shop("list_events", EventQuery(user="cleo", item="d"))
    assert [(one.user, one.item, one.value) for one in listed] == [("cleo", "d", 4.5)]
    assert len(await shop("list_events", EventQuery(limit=4))) == 4
    await shop.provider.close()


async def _check_created_once(shop: Shop) -> None:
    users, items = await shop("list_users"), await shop("list_items")
    assert sorted(one.id for one in users.entries) == ["anna", "ben", "cleo", "dan"]
    assert sorted(one.id for one in items.entries) == ["a", "b", "c", "d", "x", "y"]


async def test_scores_travel_as_a_form_too(vendor: Vendor, store: SqliteStore) -> None:
    shop = Shop(vendor, store, score_encoding="form")
    await shop("track", [event("e1", "rating", "anna", "a", value=2.25)])
    assert [one.value for one in await shop("list_events", EventQuery())] == [2.25]
    await shop.provider.close()


async def test_a_wrong_password_is_never_the_events_fault(vendor: Vendor, store: SqliteStore) -> None:
    shop = Shop(vendor, store, password="SECRET-wrong")
    with pytest.raises(Unauthenticated) as refused:
        await shop("track", [event("e1", "view", "anna", "a")])
    assert "SECRET" not in str(refused.value)
    await shop.provider.close()

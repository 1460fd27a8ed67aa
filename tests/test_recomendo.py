"""Recomendo's adapter: what it declares and refuses, and itself against the emulated vendor over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from pydantic import ValidationError

from gateway.adapter import EventQuery, Request, Response
from gateway.adapters.recomendo import Recomendo
from gateway.adapters.recomendo.adapter import life_of
from gateway.deadline import Deadline
from gateway.errors import NoAnswer, Refused
from gateway.memory import Memory
from gateway.model.activity import Change, Event, EventItem, Receipt
from gateway.model.filters import Filter, matches, parse
from gateway.model.query import Recommend, Recommendations, User
from gateway.provider.account import Provider
from gateway.provider.settings import ProviderSettings
from gateway.sandbox.frame import serving
from gateway.state.sqlite import SqliteStore

OPTIONS = {"client_id": "shop", "client_secret": "SECRET-recomendo"}
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def adapter(**options: Any) -> Recomendo:
    return Recomendo.model_validate(OPTIONS | options)


def filter_(value: object) -> Filter:
    tree = parse(value, "", [])
    assert tree is not None
    return tree


def event(id_: str, type_: str, user: str, *items: str, **more: Any) -> Event:
    return Event(id=id_, type=type_, user=user, items=tuple(map(EventItem, items)), time=NOON, **more)


@pytest.mark.parametrize(
    ("part", "sayable"),
    [
        ({"property": "genre", "eq": "Drama"}, True),
        ({"property": "genre", "in": ["Drama", "War"]}, True),
        ({"property": "in_stock", "eq": False}, True),
        ({"not": {"property": "genre", "in": ["Drama"]}}, True),
        ({"property": "year", "eq": 1990}, False),
        ({"property": "year", "in": ["1990", 1990]}, False),
        ({"property": "year", "gt": 1990}, False),
        ({"property": "published", "eq": "2026-01-01T00:00:00Z"}, False),
        ({"property": "published", "gt": "2026-01-01T00:00:00Z"}, True),
        ({"property": "published", "lt": "2026-01-01T00:00:00.123Z"}, True),
        ({"property": "published", "lt": "2026-01-01T00:00:00.123456Z"}, False),
        ({"property": "published", "gte": "2026-01-01T00:00:00Z"}, False),
        ({"property": "published", "lte": "2026-01-01T00:00:00Z"}, False),
        ({"not": {"property": "published", "gt": "2026-01-01T00:00:00Z"}}, False),
        ({"any": [{"property": "genre", "eq": "Drama"}, {"property": "genre", "eq": "War"}]}, False),
        ({"not": {"not": {"property": "genre", "eq": "Drama"}}}, False),
        ({"ids": ["i1"]}, False),
    ],
)
def test_what_of_a_filter_can_be_said(part: dict[str, Any], sayable: bool) -> None:
    assert list(adapter().expressible([filter_(part)])) == [sayable]


def test_a_query_has_one_date_range() -> None:
    early, late = "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"
    parts = [
        filter_({"property": property_, bound: date})
        for property_, bound, date in [
            ("published", "gt", early),
            ("expires", "lt", late),
            ("published", "lt", late),
            ("published", "gt", late),
        ]
    ]
    assert list(adapter().expressible(parts)) == [True, False, True, False]


@pytest.mark.parametrize(
    ("one", "complaint"),
    [
        (event("e", "search", "u"), "takes only events with items"),
        (event("e", "pio_view", "u", "i"), "takes no event whose name is empty or begins with `$` or `pio_`"),
        (event("e", "dislike", "u", "i"), None),
        (event("e", "search", "u", "i"), None),
    ],
)
def test_what_it_takes(one: Event, complaint: str | None) -> None:
    assert adapter().takes(one) == complaint


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "a:b"},
        {"client_id": ""},
        {"event_names": {"purchase": "$set"}},
        {"event_names": {"purchase": ""}},
        {"events_url": "events.recomendo.ai"},
        {"events_url": "https://user:pw@events.recomendo.ai"},
        {"train": "sometimes"},
        {"train_every": 30},
        {"batch": True},
    ],
)
def test_options_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        adapter(**wrong)
    assert "SECRET" not in str(refused.value)


def test_options() -> None:
    one = adapter(train="auto", train_every="45m", auth_url="https://auth.example/")
    assert (one.training, one.train_every, one.auth_url) == ("auto", 2700.0, "https://auth.example")
    assert (adapter().training, adapter().train_every) == ("manual", 1800.0)
    assert "SECRET" not in repr(one)
    assert (adapter().events_per_call, adapter(batch_events=True).events_per_call) == (1, 50)
    defaults = {
        name: option.get("default") for name, option in Recomendo.model_json_schema()["properties"].items()
    }
    assert (defaults["train"], defaults["train_every"]) == ("manual", "30m")


def test_a_token_lives_from_iat_to_exp_whatever_our_clock_says() -> None:
    token = jwt.encode({"iat": 1000, "exp": 4600}, "the vendor's own key, which nobody else has")
    assert life_of(token) == 3600
    for bad in (None, 7, "", "a.b", "a.b.c", token + "\r\nx: y", jwt.encode({"exp": 1}, "k" * 32)):
        with pytest.raises((ValueError, KeyError)):
            life_of(bad)
    with pytest.raises(ValueError, match="before it begins"):
        life_of(jwt.encode({"iat": 4600, "exp": 1000}, "k" * 32))


def test_plain_text_is_the_vendors_message() -> None:
    error = adapter().error(Response(400, {"content-type": "text/plain"}, b" bad query \n"))
    assert isinstance(error, Refused)
    assert error.vendor_message == "bad query"


def test_the_login_says_nothing_but_who_it_is() -> None:
    (request,) = [next(adapter().login())]
    assert isinstance(request, Request)
    assert (request.hosts, dict(request.headers)) == (
        "auth",
        {"authorization": "Basic c2hvcDpTRUNSRVQtcmVjb21lbmRv"},
    )


# --- against the emulated vendor --------------------------------------------------------------------------------


class Shop:
    """A provider that speaks to the emulated vendor over real sockets."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def __call__(self, operation: Any, *arguments: Any) -> Any:
        return await self._provider.call(operation, *arguments, deadline=Deadline.within(time.monotonic, 20))


@pytest.fixture(params=[False, True], ids=["one by one", "batches"])
async def shop(request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    async with serving(["recomendo"]) as (vendor,):
        urls = dict.fromkeys(("auth_url", "events_url", "client_url", "predictions_url"), vendor.url)
        account = Recomendo.model_validate({**vendor.credentials, **urls, "batch_events": request.param})
        store = await SqliteStore.open(":memory:")
        settings = ProviderSettings.model_validate({"timeout": "5s"})
        memory = Memory(store, time.monotonic)
        provider = Provider("recomendo", account, settings, store, key=b"k", memory=memory)
        yield Shop(provider)
        await provider.close()
        await store.close()


GENRES = {"i1": ["War"], "i2": ["War", "Drama"], "i3": ["Comedy"], "i4": ["Comedy"], "i 5/ü": ["War"]}


async def fill(shop: Shop) -> None:
    """Six users who bought war films, six who bought comedies; and a training."""
    war, comedy = ("i1", "i2", "i 5/ü"), ("i3", "i4", "i6")
    acts = [
        event(f"e{n}-{item}", "purchase", f"u{n}", item) for n in range(12) for item in (war if n % 2 else comedy)
    ]
    step = 10
    for start in range(0, len(acts), step):
        receipt: Receipt = await shop("track", acts[start : start + step])
        assert receipt.done == tuple(act.id for act in acts[start : start + step])
    records = [
        Change(id_, {"genre": genre, "adult": id_ == "i1", "year": 1990, "out": f"2020-0{n}-01T00:00:00Z"})
        for n, (id_, genre) in enumerate(GENRES.items(), 1)
    ]
    assert (await shop("put_items", records)).done == tuple(GENRES)
    await shop("train")


async def trained(shop: Shop, question: Recommend) -> Recommendations:
    """The answer after the training, which takes the emulated vendor a moment."""
    for _ in range(100):
        answer: Recommendations = await shop("recommend", question)
        if answer.items and not answer.cold_start:
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError("never trained")


async def test_everything_against_the_emulated_vendor(shop: Shop) -> None:
    await fill(shop)
    assert (await shop("track", [event("x", "view", "new", "i1", "i2")])).done == ("x",)
    similar = await trained(shop, Recommend(kind="similar_items", count=5, items=("i1",)))
    assert {one.id for one in similar.items if one.score} == {"i2", "i 5/ü"}
    await _check_questions(shop)
    await _check_filters(shop)
    await _check_records_and_erasure(shop)
    assert (await shop("usage")).days


async def _check_questions(shop: Shop) -> None:
    several = await shop("recommend", Recommend(kind="similar_items", count=5, items=("i1", "i2")))
    assert several.items[0].id == "i 5/ü"
    together = await shop("recommend", Recommend(kind="bought_together", count=1, items=("i3", "i4")))
    assert [one.id for one in together.items] == ["i6"]
    with pytest.raises(NoAnswer):
        await shop("recommend", Recommend(kind="bought_together", count=2, items=("nobody's",)))
    trending = await shop("recommend", Recommend(kind="trending_items", count=6, exclude_items=("i1",)))
    assert {one.id for one in trending.items} == {"i2", "i3", "i4", "i6", "i 5/ü"}
    assert not trending.cold_start
    stranger = await shop("recommend", Recommend(kind="for_you", count=3, user=User("stranger")))
    assert stranger.cold_start


async def _check_filters(shop: Shop) -> None:
    records = {
        id_: {"genre": genre, "adult": id_ == "i1", "out": f"2020-0{n}-01T00:00:00Z"}
        for n, (id_, genre) in enumerate(GENRES.items(), 1)
    } | {"i6": {}}
    for value in (
        {"property": "genre", "eq": "War"},
        {"property": "genre", "in": ["Drama", "Comedy"]},
        {"not": {"property": "genre", "eq": "War"}},
        {"property": "adult", "eq": True},
        {"not": {"property": "adult", "eq": False}},
        {"property": "out", "gt": "2020-02-01T00:00:00Z"},
        {"all": [{"property": "out", "lt": "2020-04-01T00:00:00Z"}, {"property": "genre", "eq": "War"}]},
    ):
        tree = filter_(value)
        answer = await shop("recommend", Recommend(kind="trending_items", count=20, filter=tree))
        expected = {id_ for id_, record in records.items() if matches(tree, id_, record)}
        assert {one.id for one in answer.items} == expected, value


async def _check_records_and_erasure(shop: Shop) -> None:
    listed = await shop("list_events", EventQuery(user="u1", limit=2))
    assert len(listed) == 2
    assert {one.type for one in listed} == {"purchase"}
    of_item = await shop("list_events", EventQuery(item="i1", type="purchase"))
    assert {one.user for one in of_item} == {"u1", "u3", "u5", "u7", "u9", "u11"}
    # The same events once more: the vendor keeps each of them once, by the id that they carry.
    await shop("track", [event("e1-i1", "purchase", "u1", "i1")])
    assert len(await shop("list_events", EventQuery(user="u1"))) == 3
    assert (await shop("put_users", [Change("u1", {"plan": "gold"}, ("age",))])).done == ("u1",)
    assert await shop("erase_user", "u1") == "erased"
    assert await shop("list_events", EventQuery(user="u1")) == []
    assert await shop("erase_user", "nobody") == "erased"
    assert (await shop("delete_items", ["i4"])).done == ("i4",)

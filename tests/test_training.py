"""Training: at most once in the interval, across restarts and processes; by itself where that is wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import pytest_asyncio

from gateway.deadline import Deadline
from gateway.model.activity import Event, EventItem
from gateway.quota import Quotas
from gateway.server import runtime
from gateway.state.kept import Entry
from gateway.state.sqlite import SqliteStore
from gateway.state.store import Store, StoreError, TrainingRecord
from gateway.telemetry.notes import Exchange
from gateway.training import PAUSE, TooEarly, Trainer, may_have_begun
from tests.clock import FakeClock
from tests.stores import Opens
from tests.world import World, world

pytest_plugins = "tests.stores"
HALF_AN_HOUR: Final = 1800.0

# --- the lock ----------------------------------------------------------------------------------------------------


async def test_two_stores_on_one_file_begin_once(store: Store, other: Store) -> None:
    stores = [store, other]
    begun = await asyncio.gather(
        *(stores[n % 2].begin_training("vendor", 1000.0 + n / 100, HALF_AN_HOUR) for n in range(20))
    )
    (winner,) = [1000.0 + n / 100 for n, refused in enumerate(begun) if refused is None]
    assert {one for one in begun if one is not None} == {winner + HALF_AN_HOUR}
    assert await other.begin_training("another", 1000.0, HALF_AN_HOUR) is None


async def test_it_holds_after_a_restart_and_ends_with_the_interval(open_store: Opens) -> None:
    for now, wanted in ((1000.0, None), (1001.0, 2800.0), (2799.9, 2800.0), (2800.0, None), (2801.0, 4600.0)):
        store = await open_store()
        assert await store.begin_training("vendor", now, HALF_AN_HOUR) == wanted


async def test_what_is_given_back_never_was(store: Store) -> None:
    await store.count_told("vendor", 3)
    assert await store.training("vendor") == TrainingRecord(None, 3)
    await store.begin_training("vendor", 1000.0, 100.0)
    assert await store.training("vendor") == TrainingRecord(1000.0, 0)
    await store.count_told("vendor", 2)
    await store.begin_training("vendor", 2000.0, 100.0)
    await store.give_back_training("vendor", 1000.0)
    assert await store.training("vendor") == TrainingRecord(2000.0, 0), "only the one that it names"
    await store.give_back_training("vendor", 2000.0)
    assert await store.training("vendor") == TrainingRecord(1000.0, 2)
    assert await store.training("unknown") == TrainingRecord(None, 0)
    await store.begin_training("odd", 1234567890.123456789, 0.1)
    await store.give_back_training("odd", 1234567890.123456789)
    assert await store.training("odd") == TrainingRecord(None, 0), "moments keep all of their digits"


@pytest.mark.parametrize(
    ("outcomes", "begun"),
    [
        ([], False),
        (["not_connected"], False),
        ([401], False),
        ([401, 401], False),
        ([400], False),
        ([404], False),
        ([429], False),
        ([200], True),
        ([401, 200], True),
        ([408], True),
        ([500], True),
        ([503], True),
        (["timed_out"], True),
        (["disconnected"], True),
        (["malformed"], True),
        (["cancelled"], True),
        (["not_connected", "timed_out"], True),
    ],
)
def test_what_may_have_begun(outcomes: list[int | str], begun: bool) -> None:
    assert may_have_begun([Exchange("vendor", "POST", "", "", outcome, 0.0, 1.0) for outcome in outcomes]) is begun


# --- over HTTP ---------------------------------------------------------------------------------------------------

module = pytest.mark.asyncio(loop_scope="module")
ACCOUNTS: Final = tuple(f"r{n}" for n in range(13))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Many names for one account, so that each test has a lock of its own."""
    more = {"providers": {name: {"like": "recomendo"} for name in ACCOUNTS}}
    async with world(tmp_path_factory.mktemp("training"), more, fed=False) as shop:
        yield shop


def trainings(shop: World) -> int:
    """How many have reached the vendor."""
    return shop.calls["recomendo", "/v1/train"]


async def tell(shop: World, provider: str, *ids: str) -> None:
    """Have these events delivered to this one alone."""
    now = datetime.now(UTC)
    events = [Event(id=id_, type="view", user="u1", items=(EventItem("i1"),), time=now) for id_ in ids]
    store = shop.runtime.store
    await store.accept([Entry(event, {provider: "queued"}) for event in events], now.timestamp())
    shop.runtime.writes.dispatcher.wake()
    async with asyncio.timeout(60):
        while (queue := (await store.queues()).get(provider)) and queue.queued:  # noqa: ASYNC110  # couriers tell nobody
            await asyncio.sleep(0.01)


@module
async def test_it_is_scheduled_once_and_says_when_again(shop: World) -> None:
    state = await shop.request("GET", "/v1/training?provider=r0")
    assert state.json == {
        "provider": "r0", "last_started_at": None, "next_allowed_at": None, "new_events_since": 0
    }  # fmt: skip
    await tell(shop, "r0", "e1", "e2", "e3")
    assert (await shop.request("GET", "/v1/training?provider=r0")).json["new_events_since"] == 3
    before = trainings(shop)
    begun = await shop.request("POST", "/v1/training?provider=r0")
    assert begun.status == 202, begun.text
    assert (begun.json["provider"], begun.json["status"]) == ("r0", "scheduled")
    left = datetime.fromisoformat(begun.json["next_allowed_at"]).timestamp() - time.time()
    assert HALF_AN_HOUR - 10 < left <= HALF_AN_HOUR + 1
    state = await shop.request("GET", "/v1/training?provider=r0")
    assert state.json["new_events_since"] == 0 and state.json["last_started_at"] is not None
    assert state.json["next_allowed_at"] == begun.json["next_allowed_at"]
    again = await shop.request("POST", "/v1/training?provider=r0")
    assert again.problem("rate-limited", 429)["next_allowed_at"] == begun.json["next_allowed_at"]
    assert HALF_AN_HOUR - 10 < int(again.headers["Retry-After"]) <= HALF_AN_HOUR
    assert trainings(shop) == before + 1, "the refusal is the gateway's own"
    await tell(shop, "r0", "e4")
    assert (await shop.request("GET", "/v1/training?provider=r0")).json["new_events_since"] == 1


@module
async def test_the_first_that_can_train_is_asked(shop: World) -> None:
    assert (await shop.request("GET", "/v1/training")).json["provider"] == "recomendo"
    body = (await shop.request("POST", "/v1/training?provider=xayn")).problem("unsupported", 501)
    assert body["providers"] == {"xayn": "has no training"}
    assert (await shop.request("POST", "/v1/training?provider=nobody&x=1")).pointers == {"?provider", "?x"}


@module
@pytest.mark.parametrize(
    ("account", "fault", "begun"),
    [
        ("r1", {"status": 503}, True),
        ("r2", {"close": True}, True),
        ("r3", {"body": "html"}, True),
        ("r4", {"delay": "3s"}, True),
        ("r5", {"status": 403}, False),
        ("r6", {"status": 400}, False),
        ("r7", {"status": 429}, False),
        ("r8", {"status": 401}, False),
    ],
)
async def test_an_unknown_outcome_counts_and_a_refusal_does_not(
    shop: World, account: str, fault: dict[str, Any], begun: bool
) -> None:
    path = f"/v1/training?provider={account}"
    async with shop.broken("recomendo", path="train", **fault):
        failed = await shop.request("POST", path, headers={"Request-Timeout": "0.5"})
        assert failed.status >= 400
    shop.forget_failures()
    again = await shop.request("POST", path)
    assert again.status == (429 if begun else 202), (failed.text, again.text)


@module
async def test_a_failed_login_begins_nothing(shop: World) -> None:
    provider = shop.provider("r9")
    async with shop.broken("recomendo", path="auth", status=500):
        if provider.token is not None:
            await provider.token.close()
        shop.forget_tokens()
        reply = await shop.request("POST", "/v1/training?provider=r9", headers={"Request-Timeout": "0.5"})
        reply.problem("unavailable", 503)
    assert (await shop.request("POST", "/v1/training?provider=r9")).status == 202


@module
async def test_whoever_hangs_up_does_not_break_it_off(shop: World) -> None:
    before = trainings(shop)
    async with shop.broken("recomendo", path="train", delay="300ms"):
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await shop.request("POST", "/v1/training?provider=r10")
        async with asyncio.timeout(60):
            while (await _standing(shop, "r10"))["last_started_at"] is None:  # noqa: ASYNC110  # another side's
                await asyncio.sleep(0.01)
    await asyncio.sleep(0.4)
    assert trainings(shop) == before + 1
    assert (await shop.request("POST", "/v1/training?provider=r10")).status == 429


async def _standing(shop: World, account: str) -> Any:
    return (await shop.request("GET", f"/v1/training?provider={account}")).json


@module
async def test_many_at_once_begin_one(shop: World) -> None:
    before = trainings(shop)
    replies = await asyncio.gather(*(shop.request("POST", "/v1/training?provider=r11") for _ in range(10)))
    assert sorted(reply.status for reply in replies) == [202] + [429] * 9
    assert trainings(shop) == before + 1


@module
async def test_a_store_that_cannot_be_asked_is_unavailable(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(SqliteStore, "begin_training", fails)
    monkeypatch.setattr(SqliteStore, "training", fails)
    before = trainings(shop)
    for method in ("POST", "GET"):
        reply = await shop.request(method, "/v1/training")
        reply.problem("unavailable", 503)
        assert reply.headers["Retry-After"] == "1"
    assert trainings(shop) == before


@module
async def test_a_lock_whose_grant_was_lost_on_the_way_is_given_back(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has reached the vendor: half an hour without a training would be for nothing."""
    real, provider = SqliteStore.begin_training, shop.provider("r12")

    async def granted_unheard(*told: Any) -> None:
        await real(*told)
        raise StoreError("hung up")

    monkeypatch.setattr(SqliteStore, "begin_training", granted_unheard)
    (await shop.request("POST", "/v1/training?provider=r12")).problem("unavailable", 503)
    monkeypatch.undo()
    assert (await _standing(shop, "r12"))["last_started_at"] is not None
    await shop.runtime.trainer.look([provider])
    assert (await _standing(shop, "r12"))["last_started_at"] is None
    assert (await shop.request("POST", "/v1/training?provider=r12")).status == 202


# --- by itself ---------------------------------------------------------------------------------------------------


@module
async def test_it_trains_by_itself_when_there_is_news_and_the_time_has_come(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    more = {"providers": {"auto": {"like": "recomendo", "options": {"train": "auto", "train_every": "30m"}}}}
    async with world(tmp_path_factory.mktemp("auto"), more, fed=False) as shop:
        store = await SqliteStore.open(":memory:")
        clock = FakeClock()
        trainer = Trainer(store, clock)
        providers = [shop.provider("auto"), shop.provider("recomendo")]

        async def looked() -> int:
            before = trainings(shop)
            await trainer.look(providers)
            return trainings(shop) - before

        await store.count_told("recomendo", 5)
        assert await looked() == 0, "the one that is trained by hand is not"
        await store.count_told("auto", 1)
        assert await looked() == 1
        assert await looked() == 0, "no news since"
        await store.count_told("auto", 1)
        clock.now += HALF_AN_HOUR - 1
        assert await looked() == 0, "too early"
        clock.now += 1
        async with shop.broken("recomendo", path="train", status=403):
            assert await looked() == 1
            assert await looked() == 0, "left alone after a failure"
        clock.now += PAUSE
        assert await looked() == 1
        with pytest.raises(TooEarly) as early:
            await trainer.begin(shop.provider("auto"), Deadline.within(time.monotonic, 5))
        assert early.value.next_allowed_at == clock.now + HALF_AN_HOUR
        await store.close()


@module
async def test_the_runtime_looks_and_quotas_are_there_without_being_asked_for(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "LOOK", 0.02)
    more = {"providers": {"auto": {"like": "recomendo", "options": {"train": "auto"}}}}
    async with world(tmp_path_factory.mktemp("looks"), more, fed=False) as shop:
        await tell(shop, "auto", "e1")
        async with asyncio.timeout(60):
            while not trainings(shop):  # noqa: ASYNC110  # the vendor tells nobody
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert trainings(shop) == 1
        for _ in range(3):
            states = (await shop.request("GET", "/v1/providers")).json["providers"]
        quotas = {one["name"]: one["quota"] for one in states}
        assert quotas["auto"]["plan"] == "demo" and quotas["auto"]["days"][0]["remaining"] > 0
        assert datetime.fromisoformat(quotas["auto"]["as_of"]) and quotas["xayn"] is None
        assert shop.calls["recomendo", "/v1/usage"] == 2, "once for each account, however often it is looked at"


@module
async def test_a_quota_that_cannot_be_had_is_none_and_asked_again_later(shop: World) -> None:
    quotas, clock = Quotas(), FakeClock()
    provider = shop.provider("r0")
    real, provider.clock = provider.clock, clock
    try:
        async with shop.broken("recomendo", path="usage", status=404):
            await quotas.refresh([provider])
        assert quotas.of(provider) is None
        before = shop.calls["recomendo", "/v1/usage"]
        clock.now += 899
        await quotas.refresh([provider])
        assert shop.calls["recomendo", "/v1/usage"] == before
        clock.now += 1
        await quotas.refresh([provider])
        report = quotas.of(provider)
        assert report is not None and report["plan"] == "demo"
    finally:
        provider.clock = real

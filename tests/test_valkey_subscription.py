"""What another process tells is heard at once, by publish/subscribe; and by the clock, where that fails."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from gateway.answering import second_level
from gateway.answering.asked import subject_of
from gateway.answering.second_level import SecondLevel, Shelf
from gateway.events import hearing
from gateway.events.hearing import Hearing
from gateway.events.hidden import Hidden
from gateway.memory import Memory
from gateway.plan import Plan
from gateway.policies.cache import AnswerCache, CachedAnswer, Caching
from gateway.state.kept import Edit, StoreError
from gateway.state.news import Bell
from gateway.state.valkey import ValkeyStore, subscription
from gateway.state.valkey.places import Place
from tests.serving import until
from tests.stores import NOW, ROUTES, ValkeyServer, accept, happened

pytest_plugins = "tests.stores"
NEVER = 3600.0
"""Seconds between two looks by the clock: within a test it is the bell, or nothing."""
CACHING = Caching.model_validate({"ttl": "1h"})
CHANNELS = ("{gateway}:bell:news", "{gateway}:bell:drops")
ANN = subject_of("ann")


class Said:
    """What was logged."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str, **fields: object) -> None:
        self.warnings.append(f"{text}: {fields}")


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    """The subscription's log. And a connection is made again soon, for all tests that do not say otherwise."""
    found = Said()
    monkeypatch.setattr(subscription, "log", found)
    monkeypatch.setattr(subscription, "FIRST", 0.02)
    monkeypatch.setattr(subscription, "LONGEST", 0.05)
    return found


@pytest.fixture
def admin(server: ValkeyServer) -> Iterator[Any]:
    """To look at the server without a gateway."""
    with redis.Redis(port=server.port, decode_responses=True) as one:
        yield one


class Process:
    """One of them, whose two readers look every `look` seconds by the clock."""

    def __init__(self, store: ValkeyStore) -> None:
        async def soon(_: float) -> None:  # after a look that failed
            await asyncio.sleep(0.02)

        self.store = store
        self.cache = AnswerCache(2**20, time.monotonic, Random(7))
        self.hidden = Hidden()
        self.looks = self.hears = 0
        self.second = SecondLevel(store.shelf(), time.time, sleep=soon)
        self.second.on = True
        plan = SimpleNamespace(configuration=SimpleNamespace(state=SimpleNamespace(retention=1e9)), providers={})
        memory = Memory(store, time.monotonic)
        self.hearing = Hearing(cast(Plan, plan), store, self.cache, self.hidden, memory, sleep=soon)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """With a first look at all, and the one that follows from being subscribed."""
        look, hear = self.second.look, self.hearing.hear

        async def looked(cache: AnswerCache) -> None:
            await look(cache)
            self.looks += 1

        async def heard() -> None:
            await hear()
            self.hears += 1

        self.second.look, self.hearing.hear = looked, heard  # type: ignore[method-assign]  # counted
        both: tuple[Coroutine[Any, Any, None], ...] = (self.second.run(self.cache), self.hearing.run())
        self._tasks = [asyncio.create_task(one) for one in both]

    async def subscribed(self) -> None:
        """Nothing but a message will make them look again."""
        await until(lambda: self.looks == 2 and self.hears == 2)

    def has(self, *subjects: bytes) -> None:
        """Two placements' answers, each of these subjects'."""
        for placement in ("home", "search"):
            for subject in (b"", *subjects):
                key = placement.encode() + subject
                self.cache.store(
                    key, CachedAnswer(b"", 'W/"e"', "vendor"), CACHING, placement, subject, time.monotonic()
                )

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.close()


@pytest.fixture
async def here(server: ValkeyServer) -> AsyncIterator[ValkeyStore]:
    """Another process's, that tells something."""
    one = await ValkeyStore.open(server.url())
    yield one
    await one.close()


@pytest.fixture
async def there(server: ValkeyServer) -> AsyncIterator[Process]:
    one = Process(await ValkeyStore.open(server.url()))
    yield one
    await one.close()


def by_the_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(second_level, "LOOK", seconds)
    monkeypatch.setattr(hearing, "LOOK", seconds)


def subscribers(admin: Any) -> int:
    """Of both channels."""
    return min(int(count) for _, count in admin.pubsub_numsub(*CHANNELS))


async def told(change: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """However long the store does not take it."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await change()
            except StoreError:
                await asyncio.sleep(0.02)


# --- heard at once -----------------------------------------------------------------------------------------------


async def test_all_that_is_told_is_heard_without_a_look_by_the_clock(
    here: ValkeyStore, there: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_the_clock(monkeypatch, NEVER)
    await there.start()
    await there.subscribed()
    there.has(ANN, subject_of("bob"))
    await here.shelf().drop_answers("home")
    await until(lambda: len(there.cache) == 3)
    await accept(here, happened(1, "ann"))
    await until(lambda: len(there.cache) == 2)
    await here.erase("bob", "hash", {}, NOW, b"u" * 16)
    await until(lambda: len(there.cache) == 1)
    await here.shelf().drop_answers(None)
    await until(lambda: len(there.cache) == 0)
    await here.remove_item("i", ROUTES, NOW)
    await until(lambda: there.hidden.items == {"i"})
    await here.edit("item", [Edit("i", {"a": 1})], ROUTES, NOW)
    await until(lambda: there.hidden.items == frozenset())


async def test_a_thousand_drops_make_few_looks(
    here: ValkeyStore, there: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_the_clock(monkeypatch, NEVER)
    await there.start()
    await there.subscribed()
    began, shelf = time.monotonic(), here.shelf()
    for n in range(0, 1000, 100):
        await asyncio.gather(*(shelf.drop_answers(f"p{n + m}") for m in range(100)))
    last = await shelf.answers_dropped()
    await until(lambda: there.second._marks == last)
    assert len(last) == 1000
    assert 3 <= there.looks <= 4 + (time.monotonic() - began) / subscription.PAUSE and there.looks < 500
    assert there.hears == 2, "nobody has told news"


async def test_however_often_it_rings_during_a_look_one_more_follows() -> None:
    class Slow:
        """A shelf whose looks end when the test says so."""

        def __init__(self) -> None:
            self.begun, self.own = 0, Bell()
            self.ends = asyncio.Semaphore(0)

        async def answers_dropped(self) -> Mapping[str, bytes]:
            self.begun += 1
            await self.ends.acquire()
            return {}

        def bell(self) -> Bell:
            return self.own

    shelf = Slow()
    second = SecondLevel(cast(Shelf, shelf), time.time)
    second.on = True
    running = asyncio.create_task(second.run(AnswerCache(1, time.monotonic, Random(7))))
    await until(lambda: shelf.begun == 1)
    for _ in range(1000):
        shelf.own.ring()
    for _ in range(5):
        shelf.ends.release()
    await until(lambda: shelf.begun == 2 and shelf.ends._value == 3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert shelf.begun == 2


# --- what may fail -----------------------------------------------------------------------------------------------


async def test_while_it_is_not_subscribed_it_hears_by_the_clock(
    here: ValkeyStore, there: Process, admin: Any, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    by_the_clock(monkeypatch, 0.05)
    monkeypatch.setattr(subscription, "FIRST", NEVER)
    await there.start()
    await until(lambda: subscribers(admin) == 1)
    admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: subscribers(admin) == 0)
    there.has(ANN)
    await here.shelf().drop_answers("home")
    await accept(here, happened(1, "ann"))
    await until(lambda: len(there.cache) == 1)
    assert subscribers(admin) == 0 and said.warnings == []


@pytest.mark.parametrize("how", ["killed connection", "restarted server"])
async def test_a_subscription_that_broke_comes_back_and_nothing_told_meanwhile_is_lost(
    how: str,
    server: ValkeyServer,
    here: ValkeyStore,
    there: Process,
    admin: Any,
    monkeypatch: pytest.MonkeyPatch,
    said: Said,
) -> None:
    by_the_clock(monkeypatch, NEVER)
    await there.start()
    await there.subscribed()
    there.has(ANN)
    if how == "killed connection":
        admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    else:
        server.kill()
        await until(lambda: said.warnings)
        server.start()
    await told(lambda: here.shelf().drop_answers("home"))  # subscribed again, or not yet
    await told(lambda: accept(here, happened(1, "ann")))
    await until(lambda: len(there.cache) == 1)
    await until(lambda: subscribers(admin) == 1)
    await here.shelf().drop_answers(None)
    await until(lambda: len(there.cache) == 0)
    assert len(said.warnings) == (0 if how == "killed connection" else 1)


async def test_it_trips_no_breaker(there: Process, admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it breaks: what asks the store goes on."""
    by_the_clock(monkeypatch, NEVER)
    await there.start()
    await there.subscribed()
    for _ in range(5):
        await until(lambda: subscribers(admin) == 1)
        admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await there.store.queues()
        await there.store.shelf().answers_dropped()
    assert there.hearing.failures == 0


async def test_a_server_that_hangs_is_left(
    server: ValkeyServer, here: ValkeyStore, there: Process, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only listens would never learn that nobody is there any more."""
    by_the_clock(monkeypatch, NEVER)
    made: list[Place] = []
    connection = Place.connection

    async def counted(place: Place) -> Any:
        made.append(place)
        return await connection(place)

    await there.start()
    await there.subscribed()
    monkeypatch.setattr(subscription, "SILENCE", 0.1)
    admin.publish(CHANNELS[0], "")  # from now on it listens no longer than that
    monkeypatch.setattr(Place, "connection", counted)
    await until(lambda: admin.info("commandstats").get("cmdstat_ping", {}).get("calls", 0) > 5)
    server.signal(signal.SIGSTOP)
    before = len(made)
    await until(lambda: len(made) > before)
    server.signal(signal.SIGCONT)
    await until(lambda: subscribers(admin) == 1)
    there.has()
    await told(lambda: here.shelf().drop_answers(None))
    await until(lambda: len(there.cache) == 0)


async def test_a_user_who_may_not_subscribe_hears_by_the_clock_and_is_told_once(
    server: ValkeyServer, admin: Any, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    by_the_clock(monkeypatch, 0.05)
    admin.execute_command("ACL", "SETUSER", "gateway", "on", ">PASSWORD", "~{gateway}:*", "+@all", "resetchannels")
    url = server.url().replace("valkey://", "valkey://gateway:PASSWORD@")
    here, there = await ValkeyStore.open(url), Process(await ValkeyStore.open(url))
    try:
        await there.start()
        await until(lambda: said.warnings)
        (entry,) = [one for one in admin.acl_log() if one["context"] == "toplevel" and one["reason"] == "channel"]
        connected = admin.info("stats")["total_connections_received"]
        await until(lambda: admin.info("stats")["total_connections_received"] >= connected + 3)
        there.has(ANN)
        await here.shelf().drop_answers("home")
        await accept(here, happened(1, "ann"))
        await here.remove_item("i", ROUTES, NOW)
        await until(lambda: len(there.cache) == 1 and there.hidden.items == {"i"})
        assert len(said.warnings) == 1 and "permission" in said.warnings[0] and "PASSWORD" not in said.warnings[0]
        assert entry["username"] == "gateway" and there.hearing.failures == 0
        admin.execute_command("ACL", "SETUSER", "gateway", "&{gateway}:*")
        await until(lambda: subscribers(admin) == 1)
    finally:
        await here.close()
        await there.close()


@pytest.mark.parametrize("when", ["before it is connected", "subscribed", "broken"])
async def test_nothing_is_left_of_it(
    server: ValkeyServer, admin: Any, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "FIRST", NEVER)
    before = asyncio.all_tasks()
    store = await ValkeyStore.open(server.url())
    bell = store.bell()
    if when != "before it is connected":
        async with asyncio.timeout(30):
            await bell.wait(NEVER)
        assert subscribers(admin) == 1
    if when == "broken":
        admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await store.close()
    assert asyncio.all_tasks() == before
    await until(lambda: subscribers(admin) == 0 and len(admin.client_list()) == 1)

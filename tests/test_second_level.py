"""The second level of the cache: shared, dropped everywhere, and never waited for longer than its bound."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import pytest

from gateway.answering import second_level
from gateway.answering.asked import subject_of
from gateway.answering.second_level import NOTHING, Recalled, SecondLevel
from gateway.model.activity import Event, EventItem
from gateway.policies.cache import AnswerCache, CachedAnswer, Caching
from gateway.state.kept import Entry
from gateway.state.news import Bell
from gateway.state.store import StoreError
from gateway.state.valkey import ValkeyStore
from tests.clock import FakeClock
from tests.stores import ValkeyServer, fresh_url, wait_longer

CACHING = Caching.model_validate({"ttl": "20s", "stale_while_revalidate": "1m", "stale_if_error": "10m"})
KEY = b"k" * 16
ANN = subject_of("ann")


def answer(text: str = "body") -> CachedAnswer:
    return CachedAnswer(text.encode() + b"\x00\xff", 'W/"e"', "vendor")


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_longer(monkeypatch, unless="bound" in request.node.name)


class Process:
    """One of them."""

    def __init__(self, store: ValkeyStore, wall: FakeClock) -> None:
        self.store = store
        self.cache = AnswerCache(2**20, time.monotonic, Random(7))
        self.second = SecondLevel(store.shelf(), wall)
        self.second.on, self.second.max_bytes = True, 2**20
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.second.look(self.cache)
        self.tasks.append(asyncio.create_task(self.second.run(self.cache)))

    async def recall(self, subject: bytes = b"", placement: str = "home", key: bytes = KEY) -> Recalled:
        return await self.second.recall(key, placement, subject)

    async def keep(self, text: str, recalled: Recalled, key: bytes = KEY) -> None:
        self.second.keep(key, answer(text), CACHING, recalled)
        async with asyncio.timeout(30):
            while self.second._waiting or self.second._some.is_set():  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.001)

    async def put(self, text: str, subject: bytes = b"", placement: str = "home", key: bytes = KEY) -> None:
        """As a miss does it."""
        await self.keep(text, await self.recall(subject, placement, key), key)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.store.close()


@pytest.fixture
def wall() -> FakeClock:
    return FakeClock(time.time())


@pytest.fixture
async def both(wall: FakeClock) -> AsyncIterator[tuple[Process, Process]]:
    url = fresh_url()
    two = Process(await ValkeyStore.open(url), wall), Process(await ValkeyStore.open(url), wall)
    for one in two:
        await one.start()
    yield two
    for one in two:
        await one.close()


def body(recalled: Recalled) -> str | None:
    return None if recalled.answer is None else recalled.answer.body.decode(errors="ignore").rstrip("\0")


def viewed(user: str, n: int = 0) -> Entry:
    event = Event(id=f"{user}-{n}", type="view", user=user, items=(EventItem("a"),), time=datetime.now(UTC))
    return Entry(event, {})


async def test_what_one_process_asked_for_another_has_as_old_as_it_is(
    both: tuple[Process, Process], wall: FakeClock
) -> None:
    here, there = both
    assert await there.recall() == Recalled(b"- -")
    await here.put("one")
    wall.passes(5)
    found = await there.recall()
    assert (found.answer, found.age) == (answer("one"), 5.0)
    assert (await there.recall(key=b"x" * 16)).answer is None
    there.cache.store(KEY, answer("one"), CACHING, "home", b"", time.monotonic(), found.age)
    local = there.cache.lookup(KEY, CACHING)
    assert local is not None and 14 < local.ttl <= 15


async def test_its_life_ends(both: tuple[Process, Process]) -> None:
    here, there = both
    await here.put("one")
    server = here.store.server
    (ms,) = await server.ask(("PTTL", server.key("answer", KEY.hex())))
    assert 600_000 < ms <= 620_000
    recalled = await here.recall()
    here.second.keep(KEY, answer("two"), Caching.model_validate({"ttl": "50ms"}), recalled)
    async with asyncio.timeout(30):
        while (await there.recall()).answer is not None:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.02)
    here.second.keep(KEY, answer(), Caching(), recalled)
    assert not here.second._waiting, "what is not to be cached is not kept"


async def test_a_users_event_drops_that_users_answers_in_the_same_moment(both: tuple[Process, Process]) -> None:
    here, there = both
    bob = subject_of("bob")
    await here.put("ann's", ANN)
    await here.put("bob's", bob, key=b"b" * 16)
    await here.put("everybody's", key=b"e" * 16)
    await there.store.accept([viewed("ann")], time.time())
    assert (await here.recall(ANN)).answer is None
    assert (await there.recall(ANN)).answer is None
    assert body(await there.recall(bob, key=b"b" * 16)) == "bob's"
    assert body(await there.recall(key=b"e" * 16)) == "everybody's"
    await here.put("ann's anew", ANN)
    assert body(await there.recall(ANN)) == "ann's anew"
    await there.store.accept([viewed("ann")], time.time())  # the same event again is no event
    assert body(await there.recall(ANN)) == "ann's anew"
    await there.store.erase("ann", "hash", {}, time.time(), b"u" * 16)
    assert (await here.recall(ANN)).answer is None
    keys = await here.store.server.ask(("KEYS", "*dropped*ann*"))
    assert keys == [[]], "no key names who was erased"


async def test_what_was_asked_for_before_a_drop_and_arrives_after_it_holds_no_more(
    both: tuple[Process, Process],
) -> None:
    here, there = both
    before = await here.recall(ANN)
    await there.store.accept([viewed("ann")], time.time())
    await here.keep("overtaken", before)
    assert (await there.recall(ANN)).answer is None
    for placement in ("home", None):
        before = await here.recall()
        await there.second.drop(placement)
        await here.keep("overtaken", before)
        assert (await there.recall()).answer is None


async def test_a_placements_answers_are_dropped_in_every_process_within_a_second(
    both: tuple[Process, Process],
) -> None:
    here, there = both
    for placement in ("home", "search"):
        await here.put(placement, placement=placement, key=placement.encode())
        for one in both:
            one.cache.store(placement.encode(), answer(), CACHING, placement, b"", time.monotonic())
    await here.second.drop("home")
    assert (await there.recall(placement="home", key=b"home")).answer is None
    assert body(await there.recall(placement="search", key=b"search")) == "search"
    await asyncio.sleep(1)
    assert there.cache.lookup(b"home", CACHING) is None and there.cache.lookup(b"search", CACHING) is not None
    await here.second.drop()
    assert (await there.recall(placement="search", key=b"search")).answer is None
    await asyncio.sleep(1)
    assert len(there.cache) == 0


async def test_what_ends_first_leaves_where_all_would_be_too_much(both: tuple[Process, Process]) -> None:
    here, there = both
    here.second.max_bytes = 20_000
    for n in range(40):
        recalled = await here.recall(key=bytes([n]) * 16)
        await here.keep("x" * 1500, recalled, key=bytes([n]) * 16)
        here.second._wall.passes(1)  # type: ignore[attr-defined]  # a clock of the test's
    there_now = [n for n in range(40) if (await there.recall(key=bytes([n]) * 16)).answer is not None]
    assert there_now == list(range(40 - len(there_now), 40)) and 10 <= len(there_now) <= 13
    server = here.store.server
    sizes, ends = await server.ask(("HGETALL", server.key("answer_sizes")), ("ZCARD", server.key("answers")))
    told = dict(zip(sizes[::2], map(int, sizes[1::2]), strict=True))
    assert told.pop(b"") == sum(told.values()) <= 20_000 and len(told) == ends == len(there_now)
    lost = here.second.lost
    await here.keep("x" * 3000, await here.recall())
    assert here.second.lost == lost + 1, "too large"


async def test_what_another_version_wrote_is_nothing(both: tuple[Process, Process]) -> None:
    here, _ = both
    server = here.store.server
    for written in (b"", b"\x93", b"garbage", b"\xc0"):
        await server.ask(("SET", server.key("answer", KEY.hex()), written))
        assert (await here.recall()).answer is None


async def test_nothing_is_shared_before_the_first_look_nor_when_it_is_off(wall: FakeClock) -> None:
    one = Process(await ValkeyStore.open(fresh_url()), wall)
    assert await one.recall() is NOTHING
    await one.start()
    assert (await one.recall()).marks is not None
    one.second.on = False
    assert await one.recall() is NOTHING
    await one.second.drop()
    await one.close()


# --- a store that is late, or gone -------------------------------------------------------------------------------


class Hanging:
    """Answers nothing."""

    async def kept_answer(self, key: bytes, placement: str, user: str | None) -> tuple[bytes | None, bytes]:
        await asyncio.sleep(60)
        raise AssertionError

    async def keep_answer(self, key: bytes, kept: bytes, seconds: float, max_bytes: int, now: float) -> None:
        await asyncio.sleep(60)

    async def drop_answers(self, placement: str | None) -> None:
        raise StoreError("gone")

    async def answers_dropped(self) -> Mapping[str, bytes]:
        return {}

    def bell(self) -> Bell:
        return Bell()


async def test_nobody_waits_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    second = SecondLevel(Hanging(), time.time)
    second.on, second.max_bytes = True, 2**20
    await second.look(AnswerCache(1, time.monotonic, Random(7)))
    started = time.monotonic()
    assert await second.recall(KEY, "home", b"") is NOTHING
    assert time.monotonic() - started < second_level.BOUND + 5  # a minute is what it hangs for
    second.keep(KEY, answer(), CACHING, NOTHING)
    assert not second._waiting, "who cannot be asked for marks is given nothing"
    monkeypatch.setattr(second_level, "WAITING", 1000)
    for _ in range(20):
        second.keep(KEY, answer("x" * 80), CACHING, Recalled(b"- -"))
    assert second._bytes <= 1000 and second.lost == 20 - len(second._waiting) > 0
    with pytest.raises(StoreError):
        await second.drop()


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_a_server_that_is_gone_costs_no_more_than_the_bound_and_is_used_again(
    how: str, wall: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ValkeyServer(appendonly="no")
    server.start()
    one = Process(await ValkeyStore.open(server.url()), wall)
    try:
        await one.start()
        await one.put("before")
        assert body(await one.recall()) == "before"
        if how == "frozen":
            server.signal(signal.SIGSTOP)
        else:
            server.kill()
        took: list[float] = []
        begun = time.monotonic()
        while time.monotonic() - begun < 2:
            started = time.monotonic()
            recalled = await one.recall()
            took.append(time.monotonic() - started)
            one.second.keep(KEY, answer(), CACHING, recalled)
            await asyncio.sleep(0.02)
        bound = second_level.BOUND + 0.07
        assert sorted(took)[len(took) // 2] < bound and max(took) < bound + 2, took  # however busy the machine is
        assert recalled is NOTHING
        if how == "frozen":
            server.signal(signal.SIGCONT)
        else:
            server.start()
        monkeypatch.setattr(second_level, "BOUND", 10.0)
        async with asyncio.timeout(30):
            while (recalled := await one.recall()).marks is None:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.05)
        assert body(recalled) == ("before" if how == "frozen" else None)
        await one.put("after")
        assert body(await one.recall()) == "after"
    finally:
        with suppress(StoreError):
            await one.close()
        server.close()


async def test_a_server_that_lost_everything_has_all_dropped(both: tuple[Process, Process]) -> None:
    here, there = both
    await here.second.drop("home")
    await there.second.look(there.cache)
    there.cache.store(KEY, answer(), CACHING, "home", b"", time.monotonic())
    server = here.store.server
    await server.ask(("DEL", server.key("dropped")))
    await there.second.look(there.cache)
    assert len(there.cache) == 0
    await server.ask(("DEL", server.key("sharing")))
    assert await here.recall() is NOTHING, "marks may not have been changed since"
    await there.second.look(there.cache)
    assert (await here.recall()).marks is not None

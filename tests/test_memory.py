"""What `local` answers, from a store on disk: every kind, in every process alike, whatever the store does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.errors import NoAnswer
from gateway.events.dispatcher import Dispatcher
from gateway.events.hearing import Hearing
from gateway.events.hidden import Hidden
from gateway.events.intake import Intake
from gateway.memory import Memory
from gateway.memory import memory as module
from gateway.model.activity import Change, Event, EventItem
from gateway.model.filters import Compare, Not
from gateway.model.query import Facet, Kind, Recommend, Recommendations, Search, Seen, User
from gateway.plan import Plan
from gateway.policies.cache import AnswerCache
from gateway.state.learned import Learned, Position
from gateway.state.sqlite import SqliteStore
from gateway.state.sqlite import activity as sqlite_activity
from gateway.state.store import Store, StoreError
from gateway.state.valkey import activity as valkey_activity
from tests.clock import FakeClock
from tests.keeping import delete_items, forget_activity, note_activity, put_items

pytest_plugins = "tests.stores"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SHOP: dict[str, dict[str, Any]] = {
    **{f"d{n}": {"title": f"Sorrow {n}", "genre": ["Drama"], "year": 1990 + n} for n in range(6)},
    **{f"c{n}": {"title": f"A wedding {n}", "genre": ["Comedy"], "year": 1990 + n} for n in range(6)},
    "alone": {"title": "Stray", "genre": ["Odd"]},
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def memory(store: Store, clock: FakeClock) -> AsyncIterator[Memory]:
    memory = Memory(store, clock)
    yield memory
    await memory.close()


def did(user: str, type_: str, *items: str, value: float | None = None, days: float = 0) -> Event:
    when = NOW - timedelta(days=days)
    seen = tuple(EventItem(item) for item in items)
    return Event(id=f"{user}-{type_}-{'-'.join(items)}-{days}", type=type_, user=user, items=seen, value=value,
                 time=when)  # fmt: skip


async def open_shop(store: Store, shop: dict[str, Any] = SHOP) -> None:
    await put_items(store, [Change(id_, properties) for id_, properties in shop.items()])


def ids(said: Recommendations) -> list[str]:
    return [item.id for item in said.items]


def question(kind: Kind, *items: str, count: int = 5, **more: Any) -> Recommend:
    return Recommend(kind=kind, items=items, count=count, **more)


def buyers(baskets: Iterable[Sequence[str]]) -> list[Event]:
    return [did(f"b{n}", "purchase", *basket) for n, basket in enumerate(baskets)]


# --- every kind


async def test_nothing_learned_is_no_answer(memory: Memory) -> None:
    for asked in (question("trending_items"), question("for_you", user=User("u")), Search(query="x", count=3)):
        with pytest.raises(NoAnswer):
            await memory.recall(asked)


async def test_a_catalogue_alone_trends_by_id(store: Store, memory: Memory) -> None:
    await open_shop(store)
    assert ids(await memory.recall(question("trending_items", count=3))) == ["alone", "c0", "c1"]


async def test_trending_is_what_is_wanted_now(store: Store, memory: Memory) -> None:
    await open_shop(store)
    await note_activity(
        store, [did("u1", "purchase", "d0", days=40), did("u2", "view", "d1"), did("u3", "click", "d2")]
    )
    said = await memory.recall(question("trending_items", count=3))
    assert ids(said) == ["d2", "d1", "d0"]
    scores = [item.score or 0 for item in said.items]
    assert scores == sorted(scores, reverse=True) and scores[0] == pytest.approx(2.0)


async def test_trending_of_a_facet_and_the_facets_themselves(store: Store, memory: Memory) -> None:
    await open_shop(store)
    await note_activity(
        store, [did("u1", "purchase", "d0", "d1"), did("u2", "view", "c0"), did("u3", "view", "x")]
    )
    drama = await memory.recall(question("trending_items", facet=Facet("genre", "Drama"), count=3))
    assert ids(drama) == ["d0", "d1", "d2"]
    facets = (await memory.recall(question("trending_facets", facet=Facet("genre")))).facets
    assert [(one.name, one.value) for one in facets] == [("genre", "Drama"), ("genre", "Comedy")]
    with pytest.raises(NoAnswer):
        await memory.recall(question("trending_facets", facet=Facet("colour")))


async def test_similar_by_behaviour_then_by_likeness(store: Store, memory: Memory) -> None:
    """People who bought d0 bought c3; what nobody paired follows by its genre."""
    await open_shop(store)
    await note_activity(store, buyers([("d0", "c3")] * 8))
    said = ids(await memory.recall(question("similar_items", "d0", count=10)))
    assert said[0] == "c3" and set(said[1:]) == {"d1", "d2", "d3", "d4", "d5"}


async def test_one_coincidence_is_less_than_likeness(store: Store, memory: Memory) -> None:
    await open_shop(store)
    await note_activity(store, [did("u", "view", "d0"), did("u", "view", "c3")])
    said = ids(await memory.recall(question("similar_items", "d0", count=10)))
    assert said[-1] == "c3" and said[0].startswith("d")


async def test_what_shares_nothing_with_anything_is_no_answer(store: Store, memory: Memory) -> None:
    await open_shop(store)
    for seed in ("alone", "unknown"):
        with pytest.raises(NoAnswer):
            await memory.recall(question("similar_items", seed))


async def test_bought_together_is_not_viewed_together(store: Store, memory: Memory) -> None:
    await open_shop(store)
    views = [did(f"v{n}", "view", "d0", "d5") for n in range(400)]
    await note_activity(store, [*views, *buyers([("d0", "c1")] * 8)])
    assert ids(await memory.recall(question("bought_together", "d0")))[0] == "c1"
    assert ids(await memory.recall(question("similar_items", "d0")))[0] == "d5"


async def test_for_you_follows_the_users_own_last_items(store: Store, memory: Memory) -> None:
    await open_shop(store)
    await note_activity(store, buyers([("d0", "d1", "d2")] * 6 + [("c0", "c1", "c2")] * 6))
    await note_activity(store, [did("me", "purchase", "c0")])
    said = await memory.recall(question("for_you", user=User("me"), count=13))
    assert set(ids(said)[:2]) == {"c1", "c2"} and not said.cold_start
    assert "c0" not in ids(said) and len(said.items) == 12  # filled with what is popular
    scores = [item.score or 0 for item in said.items]
    assert scores == sorted(scores, reverse=True)


async def test_for_you_of_a_history_and_of_nobody_known(store: Store, memory: Memory) -> None:
    await open_shop(store)
    await note_activity(store, buyers([("d0", "d1")] * 6 + [("c0", "c1")] * 6))
    by_history = await memory.recall(question("for_you", user=User(None, (Seen("d0"),))))
    assert ids(by_history)[0] == "d1" and not by_history.cold_start
    stranger = await memory.recall(question("for_you", user=User("stranger")))
    assert stranger.cold_start and len(stranger.items) == 5


async def test_what_a_user_dislikes_is_neither_shown_nor_followed(store: Store, memory: Memory) -> None:
    await open_shop(store)
    await note_activity(store, buyers([("d0", "d1")] * 6))
    await note_activity(store, [did("me", "dislike", "d0"), did("me", "rating", "c0", value=1)])
    said = await memory.recall(question("for_you", user=User("me"), count=20))
    assert said.cold_start and not {"d0", "c0"} & {*ids(said)}


async def test_seen_by_habit_by_wish_and_not_at_all(store: Store, memory: Memory) -> None:
    await open_shop(store)
    await note_activity(store, buyers([("d0", "d1", "d2")] * 6))
    await note_activity(store, [did("me", "purchase", "d0"), did("me", "view", "d1")])
    me = User("me")
    assert not {"d0", "d1"} & {*ids(await memory.recall(question("for_you", user=me, count=20)))}
    all_ = question("for_you", user=me, count=20, exclude_seen=False)
    assert {"d0", "d1"} <= {*ids(await memory.recall(all_))}
    similar = question("similar_items", "d2", user=me, count=20)
    assert "d0" in ids(await memory.recall(similar))
    wished = question("similar_items", "d2", user=me, count=20, exclude_seen=True)
    assert not {"d0", "d1"} & {*ids(await memory.recall(wished))}


async def test_everything_of_a_long_past_is_left_out(store: Store, memory: Memory) -> None:
    """More than the memory keeps of one user: the log has it."""
    shop = {f"i{n:03}": {"genre": "G"} for n in range(120)}
    await open_shop(store, shop)
    await note_activity(store, [did("me", "view", f"i{n:03}") for n in range(100)])
    said = await memory.recall(question("trending_items", user=User("me"), exclude_seen=True, count=50))
    assert sorted(ids(said)) == [f"i{n:03}" for n in range(100, 120)]


async def test_search_by_words_and_by_an_item(store: Store, memory: Memory) -> None:
    await open_shop(store)
    said = await memory.recall(Search(query="WEDDING 3", count=20, properties=True))
    assert ids(said)[0] == "c3" and {*ids(said)} == {f"c{n}" for n in range(6)} | {"d3"}
    assert said.items[0].properties == SHOP["c3"]
    alike = await memory.recall(Search(item="d0", count=20))
    assert "d0" not in ids(alike) and {*ids(alike)} == {f"d{n}" for n in range(1, 6)}
    with pytest.raises(NoAnswer):
        await memory.recall(Search(query="zebra", count=3))


async def test_filters_excludes_and_counts(store: Store, memory: Memory) -> None:
    await open_shop(store)
    tree = Not(Compare("genre", "eq", "Drama"))
    said = await memory.recall(question("trending_items", count=3, filter=tree, exclude_items=("alone", "c0")))
    assert ids(said) == ["c1", "c2", "c3"]


async def test_only_what_is_on_record_once_there_are_records(store: Store, memory: Memory) -> None:
    await note_activity(store, [did("u", "purchase", "ghost"), did("u", "view", "d0")])
    assert ids(await memory.recall(question("trending_items"))) == ["ghost", "d0"]
    await open_shop(store)
    memory.changed()
    said = ids(await memory.recall(question("trending_items", count=50)))
    assert "ghost" not in said and said[0] == "d0"
    await delete_items(store, ["d0"])
    memory.changed()
    assert "d0" not in ids(await memory.recall(question("trending_items", count=50)))
    await put_items(store, [Change("d0", SHOP["d0"])])
    memory.changed()
    assert ids(await memory.recall(question("trending_items")))[0] == "d0"  # as wanted as before


# --- following the store


async def test_every_process_answers_alike_within_five_seconds(store: Store, other: Store) -> None:
    clocks = FakeClock(), FakeClock()
    here, there = Memory(store, clocks[0]), Memory(other, clocks[1])
    asked: list[Recommend | Search] = [
        question("trending_items", count=13), question("for_you", user=User("b1"), count=13),
        question("similar_items", "d0", count=13), Search(query="wedding 2", count=13),
    ]  # fmt: skip
    await open_shop(store)
    for part in range(4):
        baskets = [(f"d{n % 6}", f"c{(n * part) % 6}", f"d{(n + part) % 6}") for n in range(20)]
        events = [did(f"b{n}", "purchase", *set(basket), days=part) for n, basket in enumerate(baskets)]
        await note_activity(store if part % 2 else other, events)
        for clock in clocks:
            clock.passes(5)
        for one in asked:
            assert await here.recall(one) == await there.recall(one)
    late = Memory(other, FakeClock())  # one that starts only now
    for one in asked:
        assert await late.recall(one) == await here.recall(one)


async def test_what_this_process_does_it_knows_at_once(store: Store, memory: Memory, clock: FakeClock) -> None:
    await open_shop(store)
    assert ids(await memory.recall(question("trending_items", count=1))) == ["alone"]
    await note_activity(store, [did("u", "view", "d0")])
    assert ids(await memory.recall(question("trending_items", count=1))) == ["alone"]  # not yet looked again
    memory.changed()
    assert ids(await memory.recall(question("trending_items", count=1))) == ["d0"]
    await note_activity(store, [did("u", "purchase", "d1")])
    clock.passes(module.REFRESH)
    assert ids(await memory.recall(question("trending_items", count=1))) == ["d1"]


async def test_the_same_event_again_changes_nothing(store: Store, memory: Memory) -> None:
    once = [did("u", "view", "a"), did("u", "click", "b")]
    await note_activity(store, once)
    before = await memory.recall(question("trending_items"))
    await note_activity(store, once)
    memory.changed()
    assert await memory.recall(question("trending_items")) == before


async def test_an_erased_user_is_gone_at_once_and_what_was_theirs_soon(
    store: Store, memory: Memory, clock: FakeClock
) -> None:
    await open_shop(store)
    await note_activity(store, [*buyers([("c0", "c1")] * 6), did("me", "purchase", "c0"), did("me", "view", "d5")])
    me = question("for_you", user=User("me"), count=3)
    assert not (await memory.recall(me)).cold_start
    await forget_activity(store, "me")
    memory.forget_user("me")
    assert (await memory.recall(me)).cold_start
    await settled(memory)
    popular = await memory.recall(question("trending_items", count=13))
    assert {item.id: item.score for item in popular.items}["d5"] == 0  # learned anew, without them


async def test_what_is_just_being_learned_of_an_erased_user_is_forgotten_too(
    store: Store, memory: Memory, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_shop(store)
    await memory.recall(question("trending_items"))
    await note_activity(store, [*buyers([("c0", "c1")] * 6), did("me", "purchase", "c0")])
    learned_since = store.learned_since

    async def erased_meanwhile(position: Position, limit: int) -> Learned:
        learned = await learned_since(position, limit)
        if learned.deeds:
            monkeypatch.setattr(store, "learned_since", learned_since)
            await forget_activity(store, "me")
            memory.forget_user("me")
        return learned

    monkeypatch.setattr(store, "learned_since", erased_meanwhile)
    monkeypatch.setattr(module, "REBUILD", 1e9)  # it is not by learning anew
    memory._rebuilt = clock()
    clock.passes(module.REFRESH)
    me = question("for_you", user=User("me"), count=3)
    assert (await memory.recall(me)).cold_start
    await note_activity(store, [did("me", "view", "c0")])  # who comes again is known again
    memory.changed()
    assert not (await memory.recall(me)).cold_start


async def test_an_erasure_that_was_accepted_has_taken_place_here(store: Store, memory: Memory) -> None:
    plan: Any = SimpleNamespace(providers={})
    cache = AnswerCache(2**20, time.monotonic, Random(7))
    dispatcher = Dispatcher(store, lambda *_: None, lambda _: "")
    intake = Intake(plan, store, dispatcher, cache, Hidden(), memory, b"k")
    await open_shop(store)
    await note_activity(store, [*buyers([("c0", "c1")] * 6), did("me", "purchase", "c0")])
    me = question("for_you", user=User("me"), count=3)
    assert not (await memory.recall(me)).cold_start
    await intake.erase("me")
    assert (await memory.recall(me)).cold_start


async def test_every_process_hears_of_an_erasure(store: Store, other: Store, memory: Memory) -> None:
    cache, plan = AnswerCache(2**20, time.monotonic, Random(7)), cast(Plan, SimpleNamespace())
    hearing = Hearing(plan, store, cache, Hidden(), memory)
    await hearing.hear()
    await open_shop(store)
    await note_activity(store, [*buyers([("c0", "c1")] * 6), did("me", "purchase", "c0")])
    await hearing.hear()
    me = question("for_you", user=User("me"), count=3)
    assert not (await memory.recall(me)).cold_start
    await forget_activity(other, "me")
    assert not (await memory.recall(me)).cold_start
    await hearing.hear()
    assert (await memory.recall(me)).cold_start


async def settled(memory: Memory) -> None:
    """Learning anew goes on beside what serves."""
    if memory._rebuilding is not None:
        await memory._rebuilding


async def test_many_erasures_cost_one_learning_anew(
    store: Store, memory: Memory, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = 0
    rebuild = memory._rebuild

    async def counted(forgotten: int) -> None:
        nonlocal begun
        begun += 1
        await rebuild(forgotten)

    monkeypatch.setattr(memory, "_rebuild", counted)
    await note_activity(store, [did(f"u{n}", "view", "a") for n in range(9)])
    await memory.recall(question("trending_items"))
    for n in range(8):
        await forget_activity(store, f"u{n}")
        clock.passes(5)
        await memory.recall(question("trending_items"))
        await settled(memory)
    assert begun == 1
    clock.passes(module.REBUILD)
    (item,) = (await memory.recall(question("trending_items"))).items
    await settled(memory)
    (item,) = (await memory.recall(question("trending_items"))).items
    assert begun == 2 and item.score == pytest.approx(1.0)


class Broken:
    """A store that fails from now on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.broken = False

    async def learned_since(self, position: Position, limit: int) -> Learned:
        self._check()
        return await self._store.learned_since(position, limit)

    async def seen(self, users: Iterable[str], limit: int) -> dict[str, tuple[str, ...]]:
        self._check()
        return await self._store.seen(users, limit)

    def _check(self) -> None:
        if self.broken:
            raise StoreError("the disk is gone")


async def test_a_store_that_fails_is_no_reason_not_to_answer(store: Store, clock: FakeClock) -> None:
    await open_shop(store)
    await note_activity(store, [did("me", "view", "d0")])
    broken = Broken(store)
    memory = Memory(broken, clock)  # type: ignore[arg-type]  # all of a store that a memory asks
    asked = question("for_you", user=User("me"), exclude_seen=True, count=20)
    before = await memory.recall(asked)
    broken.broken = True
    clock.passes(10)
    assert await memory.recall(asked) == before
    broken.broken = False
    await note_activity(store, [did("u2", "purchase", "d3")])
    clock.passes(10)
    assert ids(await memory.recall(question("trending_items", count=1))) == ["d3"]


async def test_what_was_learned_before_a_failure_is_not_learned_twice(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ", 2)
    await note_activity(store, [did(f"u{n}", "view", "a") for n in range(6)])
    broken = Broken(store)
    memory = Memory(broken, clock)  # type: ignore[arg-type]  # all of a store that a memory asks
    asked = 0
    learned_since = broken.learned_since

    async def fails_after_two(position: Position, limit: int) -> Learned:
        nonlocal asked
        asked += 1
        broken.broken = asked == 3
        return await learned_since(position, limit)

    monkeypatch.setattr(broken, "learned_since", fails_after_two)
    (item,) = (await memory.recall(question("trending_items"))).items
    assert item.score == pytest.approx(4.0)
    clock.passes(10)
    (item,) = (await memory.recall(question("trending_items"))).items
    assert item.score == pytest.approx(6.0)


async def test_a_slow_store_holds_up_no_question_for_longer_than_it_has_patience(
    store: Store, clock: FakeClock
) -> None:
    """It is answered from what is there."""
    await note_activity(store, [did("u", "view", "a")])
    broken = Broken(store)
    memory = Memory(broken, clock)  # type: ignore[arg-type]  # all of a store that a memory asks
    before = await memory.recall(question("trending_items"))
    hold = asyncio.Event()

    async def held(position: Position, limit: int) -> Learned:
        await hold.wait()
        return await store.learned_since(position, limit)

    broken.learned_since = held  # type: ignore[method-assign]
    clock.passes(10)
    assert await memory.recall(question("trending_items"), 0.01) == before
    hold.set()
    await memory.close()


async def test_rows_leave_in_steps_and_everybody_learns_anew(
    store: Store, memory: Memory, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_activity, "ROWS", 8)
    monkeypatch.setattr(valkey_activity, "ROWS", 8)
    for n in range(30):
        await note_activity(store, [did(f"u{n}", "view", f"i{n:02}")])
        rows = len((await store.learned_since(Position(), 100)).deeds)
        assert rows == min(n + 1, rows) and rows <= 10
    assert ids(await memory.recall(question("trending_items", count=20)))[-1] == "i29"
    forgotten = (await store.learned_since(Position(), 1)).forgotten
    assert forgotten > 0


async def test_a_small_file_keeps_fewer_rows(tmp_path: Path) -> None:
    """So that what is learned never keeps out what is to be delivered."""
    small = await SqliteStore.open(str(tmp_path / "small.db"), max_bytes=2**20)
    for n in range(40):
        await note_activity(small, [did(f"user-{n}", "view", *(f"item-{n}-{m}" for m in range(50)))])
    rows = (await small.db.run(small.db.connection.execute("SELECT count(*) FROM user_items").fetchone))[0]
    await small.close()
    assert 300 < rows < 450


async def test_the_retention_takes_whole_hours(store: Store) -> None:
    await note_activity(store, [did("u", "view", f"i{n}", days=n / 24) for n in (5, 3, 1)])

    async def kept_after(hours: float) -> list[str]:
        before = (NOW - timedelta(hours=hours)).timestamp()
        await store.sweep(before, [], before)
        return [deed.item for deed in (await store.learned_since(Position(), 9)).deeds]

    assert await kept_after(4.5) == ["i5", "i3", "i1"]  # its hour is not over
    assert await kept_after(4) == ["i3", "i1"]
    assert await kept_after(0) == []


def one_of_many(n: int) -> Event:
    when = NOW - timedelta(seconds=n)
    type_ = ("view", "purchase")[n % 5 == 0]
    return Event(id=f"e{n}", type=type_, user=f"u{n % 5000}", items=(EventItem(f"i{n * 7919 % 5003}"),), time=when)


@pytest.mark.timeout(300)
async def test_a_hundred_thousand_deeds_are_learned_in_seconds_and_others_are_served_meanwhile(
    store: Store,
) -> None:
    """Rebuilding at the start; the bound is generous because the machine may be busy: 1.5 s by itself."""
    for start in range(0, 100_000, 5000):
        await note_activity(store, [one_of_many(n) for n in range(start, start + 5000)])
    memory = Memory(store, time.monotonic)
    longest = waited = 0.0

    async def others() -> None:
        nonlocal longest, waited
        while True:
            before, worked = time.monotonic(), time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - worked)
            waited = max(waited, time.monotonic() - before)

    beside = asyncio.create_task(others())
    started = time.process_time()
    await memory.recall(question("trending_items"))
    spent = time.process_time() - started
    beside.cancel()
    assert spent < 5, spent
    assert longest < 0.5 and waited < 5, (longest, waited)
    said = await memory.recall(question("for_you", user=User("u7"), count=20))
    assert len(said.items) == 20 and not said.cold_start

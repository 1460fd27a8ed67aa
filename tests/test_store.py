"""What every state store promises, for SQLite and for a real Valkey server alike."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.activity import Change, Event, EventItem
from gateway.state.kept import Deleted, Edit, EventFilter
from gateway.state.learned import Learned, Position, Record
from gateway.state.opening import open_at
from gateway.state.store import Store
from tests.keeping import delete_items, note_activity, put_items
from tests.stores import KINDS, NOW, ROUTES, Opens, Vendor, accept, fresh_url, happened, tell_all

pytest_plugins = "tests.stores"


def event(type_: str, *items: str) -> Event:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    return Event(id=f"of {type_} {items}", type=type_, user="u", items=tuple(map(EventItem, items)), time=when)


async def test_a_secret_is_made_once(store: Store, other: Store) -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(bytes([len(made)]) * 32)
        return made[-1]

    secrets = await asyncio.gather(*(one.secret("key", make) for one in (store, other) * 4))
    assert len(set(secrets)) == 1
    assert await store.secret("another", lambda: b"x") == b"x"


# --- id maps --------------------------------------------------------------------------------------------------


async def test_both_ways(store: Store) -> None:
    await store.bind("p", "item", {"a": "1", "b": "2"})
    await store.bind("p", "user", {"a": "3"})
    await store.bind("q", "item", {"a": "4"})
    assert await store.lookup("p", "item", ["a", "b", "c"]) == {"a": "1", "b": "2"}
    assert await store.owners("p", "item", ["1", "3", "4"]) == {"1": "a"}
    assert await store.lookup("p", "user", ["a"]) == {"a": "3"}
    assert await store.lookup("p", "item", []) == {}


async def test_what_is_bound_stays_bound(store: Store) -> None:
    await store.bind("p", "item", {"a": "1"})
    await store.bind("p", "item", {"a": "2", "b": "1"})
    assert await store.lookup("p", "item", ["a", "b"]) == {"a": "1"}


async def test_more_ids_than_one_statement_takes(store: Store) -> None:
    pairs = {f"c{n}": f"v{n}" for n in range(1800)}
    await store.bind("p", "item", pairs)
    assert await store.lookup("p", "item", pairs) == pairs
    assert await store.owners("p", "item", pairs.values()) == {v: c for c, v in pairs.items()}


async def test_created_once_however_many_want_to(store: Store, other: Store) -> None:
    vendor = Vendor()
    ids = await asyncio.gather(*(vendor.create(one, "ann") for one in (store, other) * 6))
    assert set(ids) == {"v0"}
    assert vendor.made == ["v0"]
    assert not any(one._creating for one in (store, other))  # type: ignore[attr-defined]  # of every store


async def test_different_ids_are_created_beside_each_other(store: Store, other: Store) -> None:
    vendor = Vendor()
    names = [f"u{n}" for n in range(6)]
    ids = await asyncio.gather(*(vendor.create(one, name) for name in names for one in (store, other)))
    assert len(set(ids)) == len(vendor.made) == 6
    assert vendor.most_at_once > 1


async def test_who_fails_leaves_it_to_the_next(store: Store, other: Store) -> None:
    with pytest.raises(RuntimeError):
        async with store.claim("p", "user", "ann"):
            raise RuntimeError
    async with asyncio.timeout(8), other.claim("p", "user", "ann") as known:  # less than the life of a claim
        assert known is None


async def test_who_hangs_up_leaves_it_to_the_next(store: Store, other: Store) -> None:
    async def hold() -> None:
        async with store.claim("p", "user", "ann"):
            await asyncio.sleep(10)

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(Vendor().create(other, "ann"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    holding.cancel()
    assert await asyncio.wait_for(waiting, 8) == "v0"  # as above


# --- the log --------------------------------------------------------------------------------------------------


async def test_what_is_there_is_there_after_a_restart(open_store: Opens) -> None:
    store = await open_store()
    await accept(store, happened(1))
    await store.edit("user", [Edit("u1", {"a": 1})], ROUTES, NOW)
    await store.close()
    again = await open_store()
    assert [one.event for one in (await again.events(EventFilter(), 5))[0]] == [happened(1)]
    assert [errand.ref for errand in await again.errands("a", 0, 5)] == ["e1", "u1"]


async def test_the_retention_ends_for_what_nobody_waits_for(store: Store) -> None:
    await accept(store, happened(1), now=NOW - 100)
    await tell_all(store)
    await accept(store, happened(2), now=NOW - 100)
    await accept(store, happened(3), routes={"gone": "queued"}, now=NOW - 100)
    await accept(store, happened(4), now=NOW)
    await store.edit("item", [Edit("i1", {})], ROUTES, NOW - 100)
    await store.erase("nobody", "hash", {}, NOW - 100, b"")
    while await store.sweep(NOW - 50, ["a"], NOW):
        pass
    logged = sorted(one.event.id for one in (await store.events(EventFilter(), 9))[0])
    assert logged == ["e2", "e4"]  # e2 still waits; who e3 waits for is not configured any more
    assert await store.record("item", "i1") is not None and await store.erasure("hash") is None
    await accept(store, happened(1), now=NOW)
    assert len((await store.events(EventFilter(), 9))[0]) == 3  # the id is new again


async def test_a_change_that_fails_spoils_no_other_of_its_group(store: Store) -> None:
    await store.remove_item("gone", ROUTES, NOW)
    results: list[Any] = await asyncio.gather(
        *(accept(store, happened(n)) for n in range(20)),
        store.edit("item", [Edit("i1", {"a": 1}), Edit("gone", {}, merge=True)], ROUTES, NOW),
        *(accept(store, happened(n)) for n in range(20, 40)),
        return_exceptions=True,
    )
    assert [type(one) for one in results if one is not None] == [Deleted]
    assert len((await store.events(EventFilter(), 99))[0]) == 40
    assert await store.record("item", "i1") is None  # undone with the change it was in


# --- records --------------------------------------------------------------------------------------------------


VALUES = st.one_of(st.integers(-9, 9), st.text("ab", max_size=2), st.lists(st.integers(0, 3), max_size=2))
EDITS = st.lists(
    st.tuples(st.booleans(), st.dictionaries(st.sampled_from("abc"), st.none() | VALUES, max_size=3)), max_size=8
)


async def test_several_processes_accept_into_one_place(open_store: Opens) -> None:
    stores = [await open_store() for _ in range(3)]
    same = happened(0)
    await asyncio.gather(*(
        accept(store, same, *(happened(1000 * n + m) for m in range(1, 40)))
        for n, store in enumerate(stores, 1)
    ))  # fmt: skip
    assert len((await stores[0].events(EventFilter(), 999))[0]) == 1 + 3 * 39
    assert len(await stores[1].errands("a", 0, 999)) == 1 + 3 * 39


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(edits=EDITS)
def test_records_are_what_a_dictionary_would_be_and_changes_tell_the_difference(
    kind: str, edits: list[tuple[bool, dict[str, Any]]]
) -> None:
    async def run() -> None:
        store = await open_at(fresh_url() if kind == "valkey" else "sqlite::memory:")
        known: dict[str, Any] = {}
        vendor: dict[str, Any] = {}
        for merge, said in edits:
            properties = said if merge else {name: value for name, value in said.items() if value is not None}
            await store.edit("user", [Edit("u", properties, merge)], {"a": "queued"}, NOW)
            merged = {**known, **properties} if merge else properties
            known = {name: value for name, value in merged.items() if value is not None}
        for errand in await store.errands("a", 0, 99):
            change = errand.change()
            vendor = {n: value for n, value in {**vendor, **change.properties}.items() if n not in change.unset}
            assert vendor == change.properties
        record = await store.record("user", "u")
        assert (record.properties if record else {}) == known == vendor
        await store.close()

    asyncio.run(run())


async def test_records_of_items(store: Store) -> None:
    await put_items(store, [Change("a", {"title": "A", "n": [1, 2.5, True]}), Change("b")])
    assert await store.items(["a", "b", "c"]) == {"a": {"title": "A", "n": [1, 2.5, True]}, "b": {}}
    await put_items(store, [Change("a", {"title": "B"})])
    assert await store.items(["a"]) == {"a": {"title": "B"}}


async def test_deleted_until_it_is_put_again(store: Store) -> None:
    await put_items(store, [Change("a", {"title": "A"})])
    await delete_items(store, ["a"])
    assert await store.items(["a"]) == {}
    await put_items(store, [Change("a", {"title": "B"})])
    assert await store.items(["a"]) == {"a": {"title": "B"}}


async def test_deleting_what_is_not_on_record(store: Store) -> None:
    await delete_items(store, ["a"])
    assert await store.items(["a"]) == {}


async def test_everybody_hears_whose_answers_hold_no_more_and_who_was_erased(store: Store, other: Store) -> None:
    start = await other.news(-1, -1)
    await accept(store, happened(1, "ann"))
    await store.erase("bob", "hash", {}, NOW, b"")
    heard = await other.news(start.event, start.forgotten)
    assert (heard.users, heard.erased) == (frozenset({"ann", "bob"}), frozenset({"bob"}))
    again = await other.news(heard.event, heard.forgotten)
    assert (again.users, again.erased) == (frozenset(), frozenset())
    await store.remove_item("i", ROUTES, NOW)
    assert (await other.news(heard.event, heard.forgotten)).hidden != heard.hidden


async def test_what_is_learned(store: Store, other: Store) -> None:
    start = Position()
    assert await store.learned_since(start, 10) == Learned(start, 0)
    await put_items(store, [Change("a", {"title": "A"}), Change("gone")])
    await delete_items(store, ["gone"])
    done = [event("view", "a", "b"), event("purchase", "a"), event("dislike", "a"), event("other", "c")]
    await note_activity(store, done)
    await note_activity(store, done)  # once more: nothing is new
    learned = await other.learned_since(start, 10)
    assert [(deed.type, deed.item) for deed in learned.deeds] == [
        ("view", "a"), ("view", "b"), ("purchase", "a"), ("dislike", "a")
    ]  # fmt: skip
    assert learned.records == (Record("a", {"title": "A"}), Record("gone", None))
    assert await other.learned_since(learned.position, 10) == Learned(learned.position, 0)


async def test_what_is_learned_comes_in_parts(store: Store) -> None:
    await note_activity(store, [event("view", f"i{n}") for n in range(5)])
    position, items = Position(), []
    while (learned := await store.learned_since(position, 2)).deeds:
        assert len(learned.deeds) <= 2
        items += [deed.item for deed in learned.deeds]
        position = learned.position
    assert items == [f"i{n}" for n in range(5)]

"""The state store: once and for good, within its bound, all or nothing, one file for many processes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.activity import Change, Event, EventItem
from gateway.state.kept import Deleted, Edit, Entry, EventFilter, Full, Routes, StoreError
from gateway.state.sqlite import SqliteStore
from gateway.state.sqlite.migrations import MIGRATIONS
from gateway.state.sqlite.room import used

NOW = 1_800_000_000.0
ROUTES: Routes = {"a": "queued", "b": "unsupported"}
KIB = 1024


def happened(n: int, user: str = "u1", *, size: int = 0, ago: float = 0.0) -> Event:
    when = datetime.fromtimestamp(NOW - ago, UTC) + timedelta(seconds=n)
    return Event(
        id=f"e{n}", type="view", user=user, items=(EventItem(f"i{n}"),), time=when, properties={"x": "x" * size}
    )


async def accept(store: SqliteStore, *events: Event, routes: Routes = ROUTES, now: float = NOW) -> None:
    await store.accept([Entry(event, routes) for event in events], now)


async def tell_all(store: SqliteStore, provider: str = "a") -> None:
    while errands := await store.errands(provider, 0, 1000):
        await store.settle(provider, errands, [], NOW)


# --- the file


async def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    store = await SqliteStore.open(f"{tmp_path}/deep/state.db")
    await accept(store, happened(1))
    for file in sorted((tmp_path / "deep").iterdir()):  # a test has nothing else to do
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    await store.close()


async def test_what_is_there_is_there_after_a_restart(tmp_path: Path) -> None:
    path = f"{tmp_path}/state.db"
    store = await SqliteStore.open(path)
    await accept(store, happened(1))
    await store.edit("user", [Edit("u1", {"a": 1})], ROUTES, NOW)
    await store.close()
    again = await SqliteStore.open(path)
    assert [one.event for one in (await again.events(EventFilter(), 5))[0]] == [happened(1)]
    assert [errand.ref for errand in await again.errands("a", 0, 5)] == ["e1", "u1"]
    await again.close()


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
async def test_an_older_file_is_migrated_at_start(tmp_path: Path, version: int) -> None:
    path = f"{tmp_path}/state.db"
    old = sqlite3.connect(path, isolation_level=None)
    for migration in MIGRATIONS[:version]:
        for statement in migration.split(";"):
            old.execute(statement)
    old.execute(f"PRAGMA user_version = {version}")
    if version:
        old.execute("INSERT INTO items (id, properties) VALUES ('i', x'7b7d')")
    old.close()
    store = await SqliteStore.open(path)
    await accept(store, happened(1))
    assert (await store.items(["i"]) == {"i": {}}) is bool(version)
    await store.close()


async def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    path = f"{tmp_path}/state.db"
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="newer version"):
        await SqliteStore.open(path)


async def test_a_copy_made_while_it_runs_is_whole(tmp_path: Path) -> None:
    """As docs/state.md says it is done."""
    store = await SqliteStore.open(f"{tmp_path}/state.db")
    await accept(store, *(happened(n) for n in range(50)))
    source = sqlite3.connect(f"{tmp_path}/state.db")
    source.execute(f"VACUUM INTO '{tmp_path}/copy.db'")
    source.close()
    await accept(store, happened(99))
    await store.close()
    copy = await SqliteStore.open(f"{tmp_path}/copy.db")
    assert len((await copy.events(EventFilter(), 100))[0]) == 50 == len(await copy.errands("a", 0, 100))
    await copy.close()


# --- the bound


async def test_the_oldest_that_was_delivered_leaves_first(tmp_path: Path) -> None:
    store = await SqliteStore.open(f"{tmp_path}/state.db", 2000 * KIB)
    for n in range(0, 3000, 10):
        await accept(store, *(happened(n + m, size=1000) for m in range(10)))
        await tell_all(store)
    kept = [one.seq for one in (await store.events(EventFilter(), 3000))[0]]
    assert kept == sorted(kept, reverse=True) and kept[0] == 3000 and 100 < len(kept) < 2500
    assert kept == list(range(3000, 3000 - len(kept), -1))
    assert await store.db.run(lambda: used(store.db)) <= 2000 * KIB
    assert (tmp_path / "state.db").stat().st_size <= 2600 * KIB
    await store.close()


async def test_what_is_not_delivered_stays_and_nothing_more_is_taken(tmp_path: Path) -> None:
    store = await SqliteStore.open(f"{tmp_path}/state.db", 1000 * KIB)
    taken: list[str] = []
    with pytest.raises(Full):
        for n in range(3000):
            await accept(store, happened(n, size=1000))
            taken.append(f"e{n}")
    assert len(taken) > 50
    assert [errand.ref for errand in await store.errands("a", 0, 5000)] == taken
    await tell_all(store)
    await accept(store, happened(9999, size=1000))  # there is room again
    await store.close()


@pytest.mark.parametrize("batch", [1, 7])
async def test_a_full_disk_writes_nothing_half(tmp_path: Path, batch: int) -> None:
    """`max_page_count` makes SQLite answer as a full disk does: SQLITE_FULL in the middle of a write."""
    store = await SqliteStore.open(f"{tmp_path}/state.db")
    await store.db.run(lambda: _none(store.db.connection.execute("PRAGMA max_page_count = 150")))
    taken: list[str] = []
    n = 0
    with pytest.raises(StoreError, match="full"):
        for n in range(0, 3000, batch):
            events = [happened(n + m, size=900) for m in range(batch)]
            await accept(store, *events)
            taken += [event.id for event in events]
    logged = [one.event.id for one in (await store.events(EventFilter(), 5000))[0]]
    queued = [errand.ref for errand in await store.errands("a", 0, 5000)]
    assert sorted(logged) == sorted(queued) == sorted(taken)
    await store.db.run(lambda: _none(store.db.connection.execute("PRAGMA max_page_count = 100000")))
    await accept(store, happened(n, size=900))
    await store.close()


def _none(_cursor: object) -> None:
    return None


@pytest.mark.more("long faults")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file system of a set size")
async def test_a_file_system_that_is_really_full(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mount = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place))
    if await mount.wait():
        pytest.skip("may not mount")
    try:
        store = await SqliteStore.open(f"{place}/state.db")
        taken: list[str] = []
        with pytest.raises(StoreError):
            for n in range(5000):
                await accept(store, happened(n, size=900))
                taken.append(f"e{n}")
        assert sorted(one.event.id for one in (await store.events(EventFilter(), 5000))[0]) == sorted(taken)
        await store.close()
    finally:
        await (await asyncio.create_subprocess_exec("umount", str(place))).wait()


# --- retention


async def test_the_retention_ends_for_what_nobody_waits_for() -> None:
    store = await SqliteStore.open(":memory:")
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
    await store.close()


# --- groups


async def test_a_change_that_fails_spoils_no_other_of_its_group() -> None:
    store = await SqliteStore.open(":memory:")
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
    await store.close()


async def test_many_at_once_share_their_syncs(tmp_path: Path) -> None:
    store = await SqliteStore.open(f"{tmp_path}/state.db")
    commits = 0

    def count(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    store.db.connection.set_trace_callback(count)
    await asyncio.gather(*(accept(store, happened(n)) for n in range(300)))
    assert commits < 60
    await store.close()


async def test_two_processes_accept_into_one_file(tmp_path: Path) -> None:
    stores = [await SqliteStore.open(f"{tmp_path}/state.db") for _ in range(3)]
    same = happened(0)
    await asyncio.gather(*(
        accept(store, same, *(happened(1000 * n + m) for m in range(1, 40)))
        for n, store in enumerate(stores, 1)
    ))  # fmt: skip
    assert len((await stores[0].events(EventFilter(), 999))[0]) == 1 + 3 * 39
    assert len(await stores[1].errands("a", 0, 999)) == 1 + 3 * 39
    for store in stores:
        await store.close()


# --- records


VALUES = st.one_of(st.integers(-9, 9), st.text("ab", max_size=2), st.lists(st.integers(0, 3), max_size=2))
EDITS = st.lists(
    st.tuples(st.booleans(), st.dictionaries(st.sampled_from("abc"), st.none() | VALUES, max_size=3)), max_size=8
)


@settings(max_examples=60, deadline=None)
@given(EDITS)
def test_records_are_what_a_dictionary_would_be_and_changes_tell_the_difference(
    edits: list[tuple[bool, dict[str, Any]]],
) -> None:
    async def run() -> None:
        store = await SqliteStore.open(":memory:")
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


async def test_what_local_learns_is_older_than_what_callers_put() -> None:
    store = await SqliteStore.open(":memory:")
    await store.edit("item", [Edit("i", {"v": 1})], ROUTES, NOW)
    await store.edit("item", [Edit("i", {"v": 2})], ROUTES, NOW)
    await store.put_items([Change("i", {"v": 1}), Change("j", {"v": 1})])
    assert await store.items(["i", "j"]) == {"i": {"v": 2}, "j": {"v": 1}}
    await store.remove_item("i", ROUTES, NOW)
    await store.put_items([Change("i", {"v": 2})])
    assert await store.items(["i"]) == {} and await store.hidden_items() == {"i"}
    await store.edit("item", [Edit("i", {"v": 3})], ROUTES, NOW)
    await store.delete_items(["i"])
    assert await store.items(["i"]) == {"i": {"v": 3}} and await store.hidden_items() == frozenset()
    await store.close()

"""The embedded store: within its bound, all or nothing, one file; promises of every store are in test_store.py."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from gateway.state.kept import EventFilter, Full, StoreError
from gateway.state.sqlite import SqliteStore
from gateway.state.sqlite.migrations import MIGRATIONS
from gateway.state.sqlite.room import used
from tests.stores import accept, happened, tell_all

KIB = 1024


# --- the file


async def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    store = await SqliteStore.open(f"{tmp_path}/deep/state.db")
    await accept(store, happened(1))
    for file in sorted((tmp_path / "deep").iterdir()):  # a test has nothing else to do
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    await store.close()


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


# --- groups


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

"""The embedded store: what a file must be, and what its thread must do; promises to all are in test_store.py."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from gateway.model.activity import Event, EventItem
from gateway.state.kept import Entry, Routes
from gateway.state.sqlite import SqliteStore
from gateway.state.sqlite.migrations import MIGRATIONS
from gateway.state.store import StoreError
from tests.errands import happened
from tests.stores import Vendor

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "below" / "state.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(str(file))
    yield store
    await store.close()


@pytest.fixture
async def other(file: Path, store: SqliteStore) -> AsyncIterator[SqliteStore]:
    """The store of another process on the same file."""
    other = await SqliteStore.open(str(file))
    yield other
    await other.close()


def event(type_: str, *items: str) -> Event:
    return Event(id=f"of {type_}", type=type_, user="u", items=tuple(map(EventItem, items)), time=NOW)


# --- the file ----------------------------------------------------------------------------------------------


async def test_the_file_is_the_owners_alone_and_safe(file: Path, store: SqliteStore) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600  # noqa: ASYNC240  # a test may wait for the disk
    ask = store.db.connection.execute
    assert ask("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ask("PRAGMA synchronous").fetchone() == (2,)
    assert ask("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


async def test_what_is_there_stays_when_it_is_opened_again(file: Path) -> None:
    for expected in ({}, {"a": "1"}):
        store = await SqliteStore.open(str(file))
        assert await store.lookup("p", "item", ["a"]) == expected
        await store.bind("p", "item", {"a": "1"})
        await store.close()


async def test_an_older_file_is_brought_up_to_date(file: Path) -> None:
    """Opened at the same moment by several: each migration happens once."""
    file.parent.mkdir()
    sqlite3.connect(file).close()
    stores = await asyncio.gather(*(SqliteStore.open(str(file)) for _ in range(4)))
    for store in stores:
        assert await store.lookup("p", "item", ["a"]) == {}
        await store.close()


async def test_who_begins_to_write_a_new_file_is_waited_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says "locked" at once to who changes the journal meanwhile."""
    file.parent.mkdir()
    using = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    using.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(time, "sleep", lambda _: using.close())
    await (await SqliteStore.open(str(file))).close()


async def test_a_newer_file_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    newer = sqlite3.connect(file)
    newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    with pytest.raises(StoreError, match="newer"):
        await SqliteStore.open(str(file))
    assert sqlite3.connect(file).execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


async def test_what_is_no_database_is_a_store_error(tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("not a database, but long enough to be taken for the header of one" * 20)
    with pytest.raises(StoreError):
        await SqliteStore.open(str(file))
    with pytest.raises(StoreError):
        await SqliteStore.open(str(file / "below"))


# --- changes in groups -------------------------------------------------------------------------------------


async def test_one_bad_change_of_a_group_is_undone_alone(store: SqliteStore) -> None:
    def put(name: str, value: object) -> None:
        store.db.connection.execute("INSERT INTO secrets VALUES (?, x'00')", (name,))
        store.db.connection.execute("INSERT INTO secrets VALUES ('last', ?)", (value,))

    changes = [put] * 3
    values: list[tuple[str, object]] = [("a", b"1"), ("b", "a text in a column of bytes"), ("c", None)]
    said = await asyncio.gather(
        *(store.db.change(partial(one, *value)) for one, value in zip(changes, values, strict=True)),
        return_exceptions=True,
    )
    assert [type(one) for one in said] == [type(None), StoreError, StoreError]
    rows = await store.db.run(lambda: store.db.connection.execute("SELECT name FROM secrets").fetchall())
    assert {name for (name,) in rows} == {"a", "last"}


async def test_many_changes_are_one_commit(store: SqliteStore) -> None:
    statements: list[str] = []
    store.db.connection.set_trace_callback(statements.append)
    gate = threading.Event()
    held = asyncio.create_task(store.db.run(lambda: gate.wait(5)))  # the thread is busy: changes gather
    changes = [asyncio.create_task(store.bind("p", "item", {f"c{n}": f"v{n}"})) for n in range(50)]
    await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(held, *changes)
    store.db.connection.set_trace_callback(None)
    assert statements.count("COMMIT") == 1
    assert len(await store.lookup("p", "item", [f"c{n}" for n in range(50)])) == 50


async def test_who_reads_does_not_wait_for_who_writes(store: SqliteStore) -> None:
    """And sees all that was changed before it asked."""
    await store.bind("p", "item", {"a": "1"})
    gate = threading.Event()
    held = asyncio.create_task(store.db.change(lambda: gate.wait(5)))  # as a sync that takes its time
    later = asyncio.create_task(store.bind("p", "item", {"b": "2"}))
    assert await asyncio.wait_for(store.lookup("p", "item", ["a", "b"]), 2) == {"a": "1"}
    assert not held.done()
    gate.set()
    await asyncio.gather(held, later)
    assert await store.lookup("p", "item", ["a", "b"]) == {"a": "1", "b": "2"}


async def test_what_is_read_together_is_of_one_moment_and_one_mistake_is_ones_own(store: SqliteStore) -> None:
    reading = store.db.reading
    gate = threading.Event()
    first = asyncio.create_task(store.db.read(lambda: gate.wait(5)))
    await asyncio.sleep(0.05)
    said = asyncio.gather(
        store.db.read(lambda: reading.execute("SELECT 1").fetchone()),
        store.db.read(lambda: reading.execute("SELECT nothing").fetchone()),
        store.db.read(lambda: reading.execute("INSERT INTO secrets VALUES ('a', x'00')").fetchone()),
        store.db.read(lambda: 1 // 0),
        store.db.read(lambda: reading.in_transaction),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    gate.set()
    one, unknown, written, mistaken, together = await said
    assert (one, together, await first) == ((1,), True, True)
    assert isinstance(unknown, StoreError) and isinstance(written, StoreError)
    assert isinstance(mistaken, ZeroDivisionError)
    assert not reading.in_transaction


async def test_nothing_usual_looks_through_all_there_is(store: SqliteStore) -> None:
    """In steps of SQLite's machine: with a long log they are as many as with a short one."""
    routes: Routes = {"first": "queued", "second": "queued"}

    async def steps(work: Awaitable[object]) -> int:
        taken = 0

        def step() -> int:
            nonlocal taken
            taken += 10
            return 0

        for connection in (store.db.connection, store.db.reading):
            connection.set_progress_handler(step, 10)
        await work
        for connection in (store.db.connection, store.db.reading):
            connection.set_progress_handler(None, 10)
        return taken

    async def usual(number: int) -> list[int]:
        entry = Entry(happened(f"n{number}"), routes)
        (head,) = await store.errands("first", 0, 1)
        return [
            await steps(store.accept([entry], 2000.0)),
            await steps(store.sweep(1000.0, ["first", "second"], 2000.0)),
            await steps(store.errands("second", 0, 1)),
            await steps(store.still_queued([head.seq])),
            await steps(store.settle("first", [head], [], 2000.0)),
            await steps(store.news(10**9, 10**9)),
        ]

    async def accepted(numbers: range) -> None:
        await store.accept([Entry(happened(f"e{n}", f"u{n % 50}"), routes) for n in numbers], 2000.0)

    await accepted(range(10))
    few = await usual(1)
    await accepted(range(10, 3000))
    many = await usual(2)
    assert all(after < before + 300 for before, after in zip(few, many, strict=True)), (few, many)


# --- id maps -----------------------------------------------------------------------------------------------


async def test_who_hangs_up_at_once_leaves_it_to_the_next(store: SqliteStore, other: SqliteStore) -> None:
    """Before it is known whether the claim was granted: the store is busy with something else."""
    gate = threading.Event()
    busy = asyncio.create_task(store.db.run(lambda: gate.wait(5)))
    early = asyncio.create_task(Vendor().create(store, "ann"))
    await asyncio.sleep(0.01)
    early.cancel()
    await asyncio.sleep(0.01)
    gate.set()
    await asyncio.wait([early, busy])
    await store.lookup("p", "user", ["ann"])  # after all that was asked of it before
    assert await asyncio.wait_for(Vendor().create(other, "ann"), 15) == "v0"  # half the life of a claim


async def test_the_claim_of_a_process_that_died_runs_out(store: SqliteStore) -> None:
    dead = ("p", "user", "ann", "dead", time.time() - 1)
    store.db.connection.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?)", dead)
    assert await asyncio.wait_for(Vendor().create(store, "ann"), 15) == "v0"  # half the life of a claim


# --- failures ----------------------------------------------------------------------------------------------


async def test_a_store_that_fails_says_so(file: Path, store: SqliteStore, other: SqliteStore) -> None:
    """And what was begun is taken back."""
    store.db.connection.execute("PRAGMA busy_timeout = 50")
    other.db.connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        await store.bind("p", "item", {"a": "1"})
    other.db.connection.execute("ROLLBACK")
    await store.bind("p", "item", {"a": "2"})
    assert await store.lookup("p", "item", ["a"]) == {"a": "2"}

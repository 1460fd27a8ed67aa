"""The embedded store: what must happen once for several processes, and what a file must be."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from gateway.model.activity import Change, Event, EventItem
from gateway.state.learned import Learned, Position, Record
from gateway.state.sqlite import SqliteStore
from gateway.state.sqlite.migrations import MIGRATIONS
from gateway.state.store import StoreError

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


async def test_a_secret_is_made_once(store: SqliteStore, other: SqliteStore) -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(bytes([len(made)]) * 32)
        return made[-1]

    secrets = await asyncio.gather(*(one.secret("key", make) for one in (store, other) * 4))
    assert len(set(secrets)) == 1
    assert await store.secret("another", lambda: b"x") == b"x"


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


# --- id maps -----------------------------------------------------------------------------------------------


async def test_both_ways(store: SqliteStore) -> None:
    await store.bind("p", "item", {"a": "1", "b": "2"})
    await store.bind("p", "user", {"a": "3"})
    await store.bind("q", "item", {"a": "4"})
    assert await store.lookup("p", "item", ["a", "b", "c"]) == {"a": "1", "b": "2"}
    assert await store.owners("p", "item", ["1", "3", "4"]) == {"1": "a"}
    assert await store.lookup("p", "user", ["a"]) == {"a": "3"}
    assert await store.lookup("p", "item", []) == {}


async def test_what_is_bound_stays_bound(store: SqliteStore) -> None:
    await store.bind("p", "item", {"a": "1"})
    await store.bind("p", "item", {"a": "2", "b": "1"})
    assert await store.lookup("p", "item", ["a", "b"]) == {"a": "1"}


async def test_more_ids_than_one_statement_takes(store: SqliteStore) -> None:
    pairs = {f"c{n}": f"v{n}" for n in range(1800)}
    await store.bind("p", "item", pairs)
    assert await store.lookup("p", "item", pairs) == pairs
    assert await store.owners("p", "item", pairs.values()) == {v: c for c, v in pairs.items()}


class Vendor:
    """Makes a new id whenever it is asked to; how many it was asked to make at the same time."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.at_once = self.most_at_once = 0

    async def create(self, store: SqliteStore, id_: str) -> str:
        async with store.claim("p", "user", id_) as known:
            if known is not None:
                return known
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(0.01)  # others have their chance
            self.at_once -= 1
            self.made.append(f"v{len(self.made)}")
            created = self.made[-1]
            await store.bind("p", "user", {id_: created})
            return created


async def test_created_once_however_many_want_to(store: SqliteStore, other: SqliteStore) -> None:
    vendor = Vendor()
    ids = await asyncio.gather(*(vendor.create(one, "ann") for one in (store, other) * 6))
    assert set(ids) == {"v0"}
    assert vendor.made == ["v0"]
    assert store._creating == other._creating == {}


async def test_different_ids_are_created_beside_each_other(store: SqliteStore, other: SqliteStore) -> None:
    vendor = Vendor()
    names = [f"u{n}" for n in range(6)]
    ids = await asyncio.gather(*(vendor.create(one, name) for name in names for one in (store, other)))
    assert len(set(ids)) == len(vendor.made) == 6
    assert vendor.most_at_once > 1


async def test_who_fails_leaves_it_to_the_next(store: SqliteStore, other: SqliteStore) -> None:
    with pytest.raises(RuntimeError):
        async with store.claim("p", "user", "ann"):
            raise RuntimeError
    async with asyncio.timeout(1), other.claim("p", "user", "ann") as known:
        assert known is None


async def test_who_hangs_up_leaves_it_to_the_next(store: SqliteStore, other: SqliteStore) -> None:
    async def hold() -> None:
        async with store.claim("p", "user", "ann"):
            await asyncio.sleep(10)

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(Vendor().create(other, "ann"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    holding.cancel()
    assert await asyncio.wait_for(waiting, 1) == "v0"


async def test_who_hangs_up_at_once_leaves_it_to_the_next(store: SqliteStore, other: SqliteStore) -> None:
    """Before it is known whether the claim was granted: the store is busy with something else."""
    gate = threading.Event()
    busy = asyncio.create_task(store.db.run(lambda: gate.wait(5)))
    early = asyncio.create_task(Vendor().create(store, "ann"))
    await asyncio.sleep(0.01)
    early.cancel()
    await asyncio.wait([early])
    gate.set()
    await busy
    await store.lookup("p", "user", ["ann"])  # after all that was asked of it before
    assert await asyncio.wait_for(Vendor().create(other, "ann"), 0.5) == "v0"


async def test_the_claim_of_a_process_that_died_runs_out(store: SqliteStore) -> None:
    dead = ("p", "user", "ann", "dead", time.time() - 1)
    store.db.connection.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?)", dead)
    assert await asyncio.wait_for(Vendor().create(store, "ann"), 1) == "v0"


# --- records -----------------------------------------------------------------------------------------------


async def test_records_of_items(store: SqliteStore) -> None:
    await store.put_items([Change("a", {"title": "A", "n": [1, 2.5, True]}), Change("b")])
    assert await store.items(["a", "b", "c"]) == {"a": {"title": "A", "n": [1, 2.5, True]}, "b": {}}
    await store.put_items([Change("a", {"title": "B"})])
    assert await store.items(["a"]) == {"a": {"title": "B"}}


async def test_deleted_until_it_is_put_again(store: SqliteStore) -> None:
    await store.put_items([Change("a", {"title": "A"})])
    await store.delete_items(["a"])
    assert await store.items(["a"]) == {}
    await store.put_items([Change("a", {"title": "B"})])
    assert await store.items(["a"]) == {"a": {"title": "B"}}


async def test_deleting_what_is_not_on_record(store: SqliteStore) -> None:
    await store.delete_items(["a"])
    assert await store.items(["a"]) == {}


async def test_what_is_learned(store: SqliteStore, other: SqliteStore) -> None:
    start = Position()
    assert await store.learned_since(start, 10) == Learned(start, 0)
    await store.put_items([Change("a", {"title": "A"}), Change("gone")])
    await store.delete_items(["gone"])
    done = [event("view", "a", "b"), event("purchase", "a"), event("dislike", "a"), event("other", "c")]
    await store.note_activity(done)
    await store.note_activity(done)  # once more: nothing is new
    learned = await other.learned_since(start, 10)
    assert [(deed.type, deed.item) for deed in learned.deeds] == [
        ("view", "a"), ("view", "b"), ("purchase", "a"), ("dislike", "a")
    ]  # fmt: skip
    assert learned.records == (Record("a", {"title": "A"}), Record("gone", None))
    assert await other.learned_since(learned.position, 10) == Learned(learned.position, 0)


async def test_what_is_learned_comes_in_parts(store: SqliteStore) -> None:
    await store.note_activity([event("view", f"i{n}") for n in range(5)])
    position, items = Position(), []
    while (learned := await store.learned_since(position, 2)).deeds:
        assert len(learned.deeds) <= 2
        items += [deed.item for deed in learned.deeds]
        position = learned.position
    assert items == [f"i{n}" for n in range(5)]


async def test_a_store_that_fails_says_so(file: Path, store: SqliteStore, other: SqliteStore) -> None:
    """And what was begun is taken back."""
    store.db.connection.execute("PRAGMA busy_timeout = 50")
    other.db.connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        await store.bind("p", "item", {"a": "1"})
    other.db.connection.execute("ROLLBACK")
    await store.bind("p", "item", {"a": "2"})
    assert await store.lookup("p", "item", ["a"]) == {"a": "2"}

"""The embedded state store: one SQLite file in WAL mode with full sync, used by one thread of its own.

The event loop never waits for the disk: every call is a short function run on the store's thread, in order.
Several processes may share the file; what must happen once for all of them is a transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import msgspec

from gateway.adapter import Entity
from gateway.model.activity import Change, Event
from gateway.state.store import StoreError

T = TypeVar("T")

MIGRATIONS: Final = (
    """
    CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    CREATE TABLE ids (
        provider TEXT NOT NULL, entity TEXT NOT NULL, id TEXT NOT NULL, vendor_id TEXT NOT NULL,
        PRIMARY KEY (provider, entity, id)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX owners ON ids (provider, entity, vendor_id);
    CREATE TABLE claims (
        provider TEXT NOT NULL, entity TEXT NOT NULL, id TEXT NOT NULL,
        holder TEXT NOT NULL, until REAL NOT NULL,
        PRIMARY KEY (provider, entity, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE items (
        id TEXT PRIMARY KEY, properties BLOB NOT NULL, deleted INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE popularity (id TEXT PRIMARY KEY, weight REAL NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE versions (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO versions VALUES ('knowledge', 0);
    """,
)
"""Applied in order; `PRAGMA user_version` says how many have been."""

CLAIM_LIFE: Final = 30.0
"""Seconds after which the claim of a process that died may be taken over."""
CLAIM_POLL: Final = 0.02
"""Seconds between two looks at a claim that another process holds."""

WEIGHTS: Final[Mapping[str, float]] = {
    "view": 1, "click": 2, "add_to_cart": 3, "like": 4, "purchase": 5, "rating": 1,
}  # fmt: skip
"""What an event of a type adds to an item's popularity."""


class SqliteKnowledge(msgspec.Struct, frozen=True):
    """All that `local` answers from, at one version."""

    version: int
    popularity: dict[str, float]
    items: dict[str, dict[str, Any]]


class SqliteStore:
    """See `gateway.state.store.Store` for what each method promises."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._db = connection
        self._thread = thread
        self._creating: dict[tuple[str, Entity, str], asyncio.Lock] = {}

    @classmethod
    async def open(cls, path: str) -> SqliteStore:
        """Open or create the file at `path` (`:memory:` too), migrated, mode 0600. Raises StoreError."""
        thread = ThreadPoolExecutor(1, "state")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except (sqlite3.Error, OSError) as error:
            thread.shutdown(wait=False)
            raise StoreError(f"cannot open the state store {path}: {error}") from error
        return cls(connection, thread)

    async def close(self) -> None:
        await self._run(self._db.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreError(f"the state store failed: {error}") from error

    async def _change(self, work: Callable[[], T]) -> T:
        """Run `work` as one transaction that takes the write lock at once."""

        def transaction() -> T:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                result = work()
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            return result

        return await self._run(transaction)

    # --- keys
    async def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        def work() -> bytes:
            self._db.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, make()))
            row = self._db.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
            return bytes(row[0])

        return await self._change(work)

    # --- id maps
    async def lookup(self, provider: str, entity: Entity, ids: Iterable[str]) -> dict[str, str]:
        query = "SELECT id, vendor_id FROM ids WHERE provider = ? AND entity = ? AND id IN ({})"
        return await self._run(lambda: dict(self._select(query, ids, provider, entity)))

    async def owners(self, provider: str, entity: Entity, vendor_ids: Iterable[str]) -> dict[str, str]:
        query = "SELECT vendor_id, id FROM ids WHERE provider = ? AND entity = ? AND vendor_id IN ({})"
        return await self._run(lambda: dict(self._select(query, vendor_ids, provider, entity)))

    def _select(self, query: str, ids: Iterable[str], *before: str) -> list[tuple[Any, ...]]:
        wanted = list(ids)
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            rows += self._db.execute(query.format(",".join("?" * len(part))), (*before, *part))
        return rows

    async def bind(self, provider: str, entity: Entity, pairs: Mapping[str, str]) -> None:
        rows = [(provider, entity, id_, vendor_id) for id_, vendor_id in pairs.items()]
        await self._change(lambda: self._db.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?, ?, ?)", rows))

    @asynccontextmanager
    async def claim(self, provider: str, entity: Entity, id_: str) -> AsyncIterator[str | None]:
        key = (provider, entity, id_)
        lock = self._creating.setdefault(key, asyncio.Lock())
        try:
            async with lock:  # one in this process …
                holder = uuid4().hex
                known = await self._await_claim(key, holder)  # … and one among all
                try:
                    yield known
                finally:
                    await self._change(lambda: self._release(key, holder))
        finally:
            if not lock.locked():
                self._creating.pop(key, None)

    async def _await_claim(self, key: tuple[str, Entity, str], holder: str) -> str | None:
        """The vendor's id if there is one; None once the claim is ours."""
        while True:
            known, ours = await self._change(lambda: self._try_claim(key, holder, time.time()))
            if ours or known is not None:
                return known
            await asyncio.sleep(CLAIM_POLL)

    def _try_claim(self, key: tuple[str, Entity, str], holder: str, now: float) -> tuple[str | None, bool]:
        """The vendor's id if there is one, and whether the claim is now ours."""
        provider, entity, id_ = key
        query = "SELECT vendor_id FROM ids WHERE provider = ? AND entity = ? AND id IN ({})"
        found = self._select(query, [id_], provider, entity)
        if found:
            return str(found[0][0]), False
        self._db.execute("DELETE FROM claims WHERE until < ?", (now,))
        insert = "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?, ?)"
        return None, self._db.execute(insert, (*key, holder, now + CLAIM_LIFE)).rowcount == 1

    def _release(self, key: tuple[str, Entity, str], holder: str) -> None:
        self._db.execute(
            "DELETE FROM claims WHERE provider = ? AND entity = ? AND id = ? AND holder = ?", (*key, holder)
        )

    # --- records of items
    async def put_items(self, changes: Sequence[Change]) -> None:
        rows = [(change.id, msgspec.json.encode(change.properties)) for change in changes]

        def work() -> None:
            self._db.executemany(
                "INSERT INTO items (id, properties) VALUES (?, ?) "
                "ON CONFLICT (id) DO UPDATE SET properties = excluded.properties, deleted = 0",
                rows,
            )
            self._touch()

        await self._change(work)

    async def delete_items(self, ids: Sequence[str]) -> None:
        def work() -> None:
            self._db.executemany(
                "INSERT INTO items VALUES (?, '{}', 1) ON CONFLICT (id) DO UPDATE SET deleted = 1",
                [(id_,) for id_ in ids],
            )
            self._touch()

        await self._change(work)

    async def items(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        query = "SELECT id, properties FROM items WHERE deleted = 0 AND id IN ({})"
        rows = await self._run(lambda: self._select(query, ids))
        return {id_: msgspec.json.decode(properties) for id_, properties in rows}

    # --- what `local` learns
    async def learn(self, events: Sequence[Event]) -> None:
        rows = [
            (item.id, WEIGHTS[event.type]) for event in events if event.type in WEIGHTS for item in event.items
        ]

        def work() -> None:
            self._db.executemany(
                "INSERT INTO popularity VALUES (?, ?) "
                "ON CONFLICT (id) DO UPDATE SET weight = weight + excluded.weight",
                rows,
            )
            self._touch()

        await self._change(work)

    def _touch(self) -> None:
        self._db.execute("UPDATE versions SET version = version + 1 WHERE name = 'knowledge'")

    async def knowledge(self, since: int) -> SqliteKnowledge | None:
        def work() -> SqliteKnowledge | None:
            (version,) = self._db.execute("SELECT version FROM versions WHERE name = 'knowledge'").fetchone()
            if version == since:
                return None
            records = self._db.execute("SELECT id, properties FROM items WHERE deleted = 0")
            items = {id_: msgspec.json.decode(properties) for id_, properties in records}
            popularity = dict(self._db.execute("SELECT id, weight FROM popularity").fetchall())
            return SqliteKnowledge(version, popularity, items)

        return await self._run(work)


def _connect(path: str) -> sqlite3.Connection:
    if path != ":memory:":
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    _migrate(connection)
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        (done,) = connection.execute("PRAGMA user_version").fetchone()
        if done > len(MIGRATIONS):
            raise sqlite3.OperationalError(f"the file is of a newer version ({done}) than this gateway")
        for migration in MIGRATIONS[done:]:
            for statement in migration.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")

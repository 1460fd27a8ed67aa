"""One SQLite file in WAL mode with full sync: one thread changes it, in groups, and another reads it.

    change(work) ─▸ gather ─▸ [ BEGIN IMMEDIATE · each work in a savepoint · COMMIT ] ─▸ every caller hears
                                                 one sync for all that waited
    read(work)   ─▸ gather ─▸ [ BEGIN · each work · COMMIT ]      one moment of the file, by its own connection

The event loop never waits for the disk, and who reads never waits for a sync. While one group is being committed
the next one gathers, so throughput does not hang on a sync for each request. What one work does wrong is undone
alone; a commit that fails fails for all of its group, and nothing of it is written. What was committed before a
read was asked for is seen by it. Several processes may share the file; `:memory:` has one thread for both.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.state.sqlite.migrations import MIGRATIONS
from gateway.state.sqlite.turns import Asked, Turns
from gateway.state.store import StoreError

T = TypeVar("T")

BUSY: Final = 10.0
"""Seconds for which another process's write is waited for."""


class Database:
    """The file. What stands in it is the business of the modules beside this one."""

    def __init__(
        self, connection: sqlite3.Connection, thread: ThreadPoolExecutor,
        reading: sqlite3.Connection, reader: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        self.connection = connection
        """For changes, on their thread."""
        self.reading = reading
        """For what is read, on the other."""
        self.max_bytes: int | None = None
        self.room = 0
        """The bound of the file, and bytes that may still be written before it is looked at again: see room.py."""
        self._thread, self._reader = thread, reader
        self._changes = Turns(thread, self._commit)
        self._reads = Turns(reader, self._look)

    @classmethod
    async def open(cls, path: str) -> Database:
        """Open or create the file at `path` (`:memory:` too), migrated, mode 0600. Raises StoreError."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, "state")
        reader = thread if path == ":memory:" else ThreadPoolExecutor(1, "state reads")
        try:
            connection = await loop.run_in_executor(thread, _connect, path)
            reading = connection if reader is thread else await loop.run_in_executor(reader, _to_read, path)
        except (sqlite3.Error, OSError) as error:
            thread.shutdown(wait=False)
            reader.shutdown(wait=False)
            raise StoreError(f"cannot open the state store {path}: {error}") from error
        return cls(connection, thread, reading, reader)

    async def close(self) -> None:
        """After everything that was asked before."""
        if self.reading is not self.connection:
            await asyncio.get_running_loop().run_in_executor(self._reader, self.reading.close)
            self._reader.shutdown(wait=False)
        await self.run(self.connection.close)
        self._thread.shutdown(wait=False)

    async def run(self, work: Callable[[], T]) -> T:
        """Something outside any transaction, on the thread of the changes, in order. Raises StoreError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreError(f"the state store failed: {error}") from error

    async def read(self, work: Callable[[], T]) -> T:
        """Read something by way of `reading`. Raises StoreError, or what `work` raises."""
        return await self._reads.ask(work)

    async def change(self, work: Callable[[], T]) -> T:
        """Change something; it is on disk when this returns. Raises StoreError, or what `work` raises."""
        return await self._changes.ask(work)

    def _commit(self, group: list[Asked]) -> None:
        """All of them together, or none."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            for asked in group:
                self._work(asked)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            for asked in group:
                asked.error = error

    def _work(self, asked: Asked) -> None:
        """One change, undone alone if it fails. A full disk or a broken file is everybody's: it passes through."""
        self.connection.execute("SAVEPOINT one")
        try:
            asked.result = asked.work()
        except sqlite3.OperationalError:
            raise
        except Exception as error:  # here a change ends: whoever asked for it hears
            self.connection.execute("ROLLBACK TO one")
            asked.error = error
        self.connection.execute("RELEASE one")

    def _look(self, group: list[Asked]) -> None:
        """All of them at the same moment of the file."""
        try:
            self.reading.execute("BEGIN")
            for asked in group:
                try:
                    asked.result = asked.work()
                except Exception as error:  # here a read ends: whoever asked for it hears
                    asked.error = error
            self.reading.execute("COMMIT")
        except sqlite3.Error as error:
            if self.reading.in_transaction:
                self.reading.execute("ROLLBACK")
            for asked in group:
                asked.error = error


def select(
    connection: sqlite3.Connection, query: str, ids: Iterable[str | int], *before: str
) -> list[tuple[Any, ...]]:
    """Rows of a query whose last placeholder is `IN ({})`, however many ids there are. On its thread."""
    wanted = list(ids)
    rows: list[tuple[Any, ...]] = []
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        rows += connection.execute(query.format(",".join("?" * len(part))), (*before, *part))
    return rows


def _to_read(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: str) -> sqlite3.Connection:
    if path != ":memory:":
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY)
    _to_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")  # what undoes one work of a group needs no file
    _migrate(connection)
    return connection


def _to_wal(connection: sqlite3.Connection) -> None:
    """Several may open a new file at once, and SQLite itself does not wait for a writer while this is changed."""
    until = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


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

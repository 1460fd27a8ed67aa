"""One SQLite file in WAL mode with full sync, used by one thread of its own; changes are committed in groups.

    change(work) ─▸ waiting ─▸ [ BEGIN IMMEDIATE · each work in a savepoint · COMMIT ] ─▸ every caller hears
    run(work)    ─▸ the same thread, in order                     one sync for all that waited

The event loop never waits for the disk. While one group is being committed the next one gathers, so throughput
does not hang on a sync for each request. What one work does wrong is undone alone; a commit that fails fails
for all of its group, and nothing of it is written. Several processes may share the file.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from gateway.state.sqlite.migrations import MIGRATIONS
from gateway.state.store import StoreError

T = TypeVar("T")

GROUP: Final = 1000
"""The most changes that are committed together."""
BUSY: Final = 10.0
"""Seconds for which another process's write is waited for."""


class _Waiting(msgspec.Struct):
    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    heard: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class Database:
    """The file. What stands in it is the business of the modules beside this one."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self.connection = connection
        self.max_bytes: int | None = None
        self.room = 0
        """The bound of the file, and bytes that may still be written before it is looked at again: see room.py."""
        self._thread = thread
        self._waiting: deque[_Waiting] = deque()

    @classmethod
    async def open(cls, path: str) -> Database:
        """Open or create the file at `path` (`:memory:` too), migrated, mode 0600. Raises StoreError."""
        thread = ThreadPoolExecutor(1, "state")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except (sqlite3.Error, OSError) as error:
            thread.shutdown(wait=False)
            raise StoreError(f"cannot open the state store {path}: {error}") from error
        return cls(connection, thread)

    async def close(self) -> None:
        """After everything that was asked before."""
        await self.run(self.connection.close)
        self._thread.shutdown(wait=False)

    async def run(self, work: Callable[[], T]) -> T:
        """Read something on the store's thread. Raises StoreError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreError(f"the state store failed: {error}") from error

    async def change(self, work: Callable[[], T]) -> T:
        """Change something; it is on disk when this returns. Raises StoreError, or what `work` raises."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(work, loop, loop.create_future())
        self._waiting.append(waiting)
        self._thread.submit(self._commit_group)
        result: T = await waiting.heard
        return result

    def _commit_group(self) -> None:
        """Runs on the store's thread; commits all that wait by now. A later call may find nothing left."""
        group: list[_Waiting] = []
        while self._waiting and len(group) < GROUP:
            group.append(self._waiting.popleft())
        if not group:
            return
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            for waiting in group:
                self._work(waiting)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            for waiting in group:
                waiting.error = error
        for waiting in group:
            waiting.loop.call_soon_threadsafe(_tell, waiting)

    def _work(self, waiting: _Waiting) -> None:
        """One change, undone alone if it fails. A full disk or a broken file is everybody's: it passes through."""
        self.connection.execute("SAVEPOINT one")
        try:
            waiting.result = waiting.work()
        except sqlite3.OperationalError:
            raise
        except Exception as error:  # here a change ends: whoever asked for it hears
            self.connection.execute("ROLLBACK TO one")
            waiting.error = error
        self.connection.execute("RELEASE one")

    def select(self, query: str, ids: Iterable[str | int], *before: str) -> list[tuple[Any, ...]]:
        """Rows of a query whose last placeholder is `IN ({})`, however many ids there are. On the thread."""
        wanted = list(ids)
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            rows += self.connection.execute(query.format(",".join("?" * len(part))), (*before, *part))
        return rows


def _tell(waiting: _Waiting) -> None:
    if waiting.heard.done():  # nobody waits any more
        return
    if waiting.error is None:
        waiting.heard.set_result(waiting.result)
    elif isinstance(waiting.error, sqlite3.Error):
        error = StoreError(f"the state store failed: {waiting.error}")
        error.__cause__ = waiting.error
        waiting.heard.set_exception(error)
    else:
        waiting.heard.set_exception(waiting.error)


def _connect(path: str) -> sqlite3.Connection:
    if path != ":memory:":
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY)
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

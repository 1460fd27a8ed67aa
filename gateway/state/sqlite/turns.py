"""A thread of the store's, and what is asked of it: all that gathers while it is busy is done in its next turn.

    ask(work) ─▸ waiting ─▸ perform([work, work, …]) ─▸ every one who asked hears
                    ▴          │ meanwhile the next turn gathers
                    └──────────┘

A turn wakes the thread once and the event loop once, however many asked: each of these wakings costs as much as
a small query, and on a busy machine much more.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import msgspec

from gateway.state.kept import StoreError

T = TypeVar("T")

TURN: Final = 1000
"""The most that is done in one turn."""


class Asked(msgspec.Struct):
    """One work, and who hears of it."""

    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    heard: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class Turns:
    """Of one thread and one kind of work. `perform` notes what came of each, and raises nothing."""

    def __init__(self, thread: ThreadPoolExecutor, perform: Callable[[list[Asked]], None]) -> None:
        self._thread = thread
        self._perform = perform
        self._waiting: deque[Asked] = deque()
        self._called = False

    async def ask(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises; StoreError in place of SQLite's errors."""
        loop = asyncio.get_running_loop()
        asked = Asked(work, loop, loop.create_future())
        self._waiting.append(asked)
        if not self._called:  # else the turn that was called for, and has not begun, takes it along
            self._called = True
            self._thread.submit(self._turn)
        result: T = await asked.heard
        return result

    def _turn(self) -> None:
        """On the thread, until nothing waits."""
        self._called = False  # before anything is taken: what comes after that calls again
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(TURN, len(self._waiting)))]
            self._perform(group)
            for loop in {asked.loop for asked in group}:
                loop.call_soon_threadsafe(_tell, [asked for asked in group if asked.loop is loop])


def _tell(group: list[Asked]) -> None:
    for asked in group:
        if asked.heard.done():  # nobody waits any more
            continue
        if asked.error is None:
            asked.heard.set_result(asked.result)
        else:
            asked.heard.set_exception(_error(asked.error))


def _error(error: Exception) -> Exception:
    if not isinstance(error, sqlite3.Error):
        return error
    said = StoreError(f"the state store failed: {error}")
    said.__cause__ = error
    return said

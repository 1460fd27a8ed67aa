"""What was told, noted in the store: what several calls told while one note was written is the next note.

    call ─▸ told ─▸ gathers ─▸ [ settle, count ] ─▸ every one of them hears
                       ▴             │ one at a time
                       └─────────────┘

So no call waits for the disk before the next begins, and the disk is asked once for many. What a kill catches
between the answer and the note is told again; `MOST` bounds how much that can be.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from gateway.deadline import Clock
from gateway.events.telling import Told
from gateway.state.kept import StoreError
from gateway.state.store import Store

log = structlog.get_logger("gateway.events")

MOST: Final = 200
"""Errands that are told and not yet noted; where there are so many, nothing more is begun."""
AGAIN: Final = 5
"""Further tries to note what was told."""
PAUSE: Final = 0.5
"""Seconds between them."""


class _Note(msgspec.Struct):
    told: Told
    counts: bool
    heard: asyncio.Future[None]

    @property
    def size(self) -> int:
        return len(self.told.told) + len(self.told.refused)


class Settling:
    """Of one provider."""

    def __init__(
        self, provider: str, store: Store, wall: Clock, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._provider, self._store = provider, store
        self._wall, self._sleep = wall, sleep
        self._gathered: deque[_Note] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._unsettled = 0

    @property
    def full(self) -> bool:
        """Is so much told and not noted that nothing more may be told now?"""
        return self._unsettled >= MOST

    async def settle(self, told: Told, *, counts: bool) -> None:
        """It is on disk when this returns. Raises StoreError: then it will be told again.

        `counts`: the provider learns from events at its next training, so it is counted how many it was told.
        """
        note = _Note(told, counts, asyncio.get_running_loop().create_future())
        if not note.size:
            return
        self._unsettled += note.size
        self._gathered.append(note)
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())
        await note.heard

    async def _write(self) -> None:
        try:
            while self._gathered:
                await self._write_one(self._together())
        finally:
            self._writer = None

    def _together(self) -> list[_Note]:
        notes = [self._gathered.popleft()]
        size = notes[0].size
        while self._gathered and (size := size + self._gathered[0].size) <= MOST:
            notes.append(self._gathered.popleft())
        return notes

    async def _write_one(self, notes: list[_Note]) -> None:
        error: StoreError | None = None
        try:
            await asyncio.gather(self._settle(notes), self._count(notes))
        except StoreError as failure:
            error = failure
        except BaseException:
            for note in notes:
                note.heard.cancel()
            raise
        finally:
            self._unsettled -= sum(note.size for note in notes)
        for note in notes:
            _tell(note, error)

    async def _settle(self, notes: list[_Note]) -> None:
        """Several times where the store cannot: what is not settled is told again."""
        told = [errand for note in notes for errand in note.told.told]
        refused = [one for note in notes for one in note.told.refused]
        for again in range(AGAIN, -1, -1):
            try:
                await self._store.settle(self._provider, told, refused, self._wall())
                return
            except StoreError:
                if not again:
                    raise
                await self._sleep(PAUSE)

    async def _count(self, notes: list[_Note]) -> None:
        told = sum(errand.kind == "event" for note in notes if note.counts for errand in note.told.told)
        if not told:
            return
        try:
            await self._store.count_told(self._provider, told)
        except StoreError as error:  # they have arrived all the same
            log.warning("events not counted", provider=self._provider, events=told, error=str(error))

    async def close(self) -> None:
        """Break off what is still being noted."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)


def _tell(note: _Note, error: StoreError | None) -> None:
    if note.heard.done():  # nobody waits any more
        return
    if error is None:
        note.heard.set_result(None)
    else:
        note.heard.set_exception(error)

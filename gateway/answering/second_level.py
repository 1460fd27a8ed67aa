"""The second level of the cache: answers that all processes of a deployment share, in the state store.

    not in this process's cache ─▸ recall: 30 ms at most ─▸ had   ─▸ kept in this process's cache, as old as it is
                                                          └▸ none ─▸ the providers ─▸ keep: nobody waits for it

Never a condition: where the store is late or fails, the providers are asked as if there were no second level. How
good an answer still is, is for the local cache to say, by the placement's present settings.

Drops need no clock. Everything that can be dropped (all answers, a placement's, a user's) has a mark in the store
that a drop changes; a user's changes in the very change that accepts the user's event. An answer is kept with the
marks that were read before the providers were asked, and holds as long as they are the same: one that was asked
for before a drop and arrives after it holds no more. Drops of all and of placements are looked for when
the shelf's bell rings, and twice a second, as a ring may be lost, for the local cache; a user's it hears as ever
(`gateway.events.hearing`). Before the first such look nothing is shared: the look also tells the store that it has
marks to change.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

import msgspec
import structlog

from gateway.deadline import Clock
from gateway.policies.cache import AnswerCache, CachedAnswer, Caching
from gateway.state.kept import StoreError
from gateway.state.news import Bell

BOUND: Final = 0.03
"""Seconds that an answer may be looked for."""
LONGEST: Final = 86_400.0
"""Seconds for which an answer is shared at most, however long it may be served stale: marks are kept as long."""
LOOK: Final = 0.5
WAITING: Final = 16 * 1024 * 1024
"""Bytes of answers that wait to be kept; more are not."""
LARGEST: Final = 8
"""An answer larger than this part of the whole is not kept, as in the local cache."""
USER: Final = b"user\0"
"""What the subjects begin with whose answers are dropped by themselves (`gateway.answering.asked.subject_of`)."""

log = structlog.get_logger("gateway")


class Shelf(Protocol):
    """Where answers are kept: a state store that is fast enough for it. Every method may raise `StoreError`."""

    async def kept_answer(self, key: bytes, placement: str, user: str | None) -> tuple[bytes | None, bytes]:
        """What is kept under this key, and the marks of all that could drop it."""

    async def keep_answer(self, key: bytes, kept: bytes, seconds: float, max_bytes: int, now: float) -> None:
        """Keep it for so long; what ends first leaves where all of it would take more than so many bytes."""

    async def drop_answers(self, placement: str | None) -> None:
        """A placement's, or all, hold no more."""

    async def answers_dropped(self) -> Mapping[str, bytes]:
        """The marks of placements, and of all under the empty name. Also says that answers are shared here."""

    def bell(self) -> Bell:
        """Rung when such a mark has changed; a ring may be lost."""


class Recalled(msgspec.Struct, frozen=True):
    """What was found."""

    marks: bytes | None = None
    """As they stood before the providers were asked; None: nobody could say, and nothing may be kept."""
    answer: CachedAnswer | None = None
    age: float = 0.0
    """Seconds since it was had of the providers."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    marks: bytes
    stored_at: float
    """Unix seconds."""
    answer: CachedAnswer


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Kept).decode
NOTHING: Final = Recalled()


class SecondLevel:
    """One process's way to it. `wall`: what processes have in common."""

    def __init__(
        self,
        shelf: Shelf,
        wall: Clock,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.on = False
        self.max_bytes = 0
        """By the configuration in force."""
        self.lost = 0
        """Answers that were not kept, because too many waited or the store failed."""
        self._shelf = shelf
        self._wall = wall
        self._sleep = sleep
        self._waiting: deque[tuple[bytes, bytes, float]] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self._marks: Mapping[str, bytes] | None = None

    async def recall(self, key: bytes, placement: str, subject: bytes) -> Recalled:
        """What is kept under the local cache's key, within `BOUND`."""
        if not self.on or self._marks is None:
            return NOTHING
        user = subject[len(USER) :].decode() if subject.startswith(USER) else None
        try:
            async with asyncio.timeout(BOUND):
                kept, marks = await self._shelf.kept_answer(key, placement, user)
        except (StoreError, TimeoutError):
            return NOTHING
        found = _read(kept)
        if found is None or found.marks != marks:
            return Recalled(marks)
        return Recalled(marks, found.answer, max(0.0, self._wall() - found.stored_at))

    def keep(self, key: bytes, answer: CachedAnswer, caching: Caching, recalled: Recalled) -> None:
        """Keep what was just had of the providers for the others, soon. `recalled`: before they were asked."""
        if not self.on or recalled.marks is None or not caching.life:
            return
        kept = _encode(_Kept(recalled.marks, self._wall(), answer))
        if len(kept) > self.max_bytes // LARGEST or self._bytes + len(kept) > WAITING:
            self.lost += 1
            return
        self._waiting.append((key, kept, min(caching.life, LONGEST)))
        self._bytes += len(kept)
        self._some.set()

    async def drop(self, placement: str | None = None) -> None:
        """Forget a placement's answers, or all, in every process. Raises StoreError."""
        if self.on:
            await self._shelf.drop_answers(placement)

    async def run(self, cache: AnswerCache) -> None:
        """Keep what waits, and drop from this process's cache what another dropped; until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._write())
            both.create_task(self._follow(cache))

    async def _write(self) -> None:
        while True:
            await self._some.wait()
            while self._waiting:
                key, kept, seconds = self._waiting.popleft()
                self._bytes -= len(kept)
                try:
                    await self._shelf.keep_answer(key, kept, seconds, self.max_bytes, self._wall())
                except StoreError:
                    self.lost += 1
            self._some.clear()

    async def _follow(self, cache: AnswerCache) -> None:
        well, bell = True, self._shelf.bell()
        while True:
            try:
                if self.on:
                    await self.look(cache)
            except StoreError as error:
                if well:  # once for each outage
                    log.warning("answers are not shared now", error=str(error))
                well = False
                await self._sleep(LOOK)  # however often it rings
            else:
                well = True
                await bell.wait(LOOK)

    async def look(self, cache: AnswerCache) -> None:
        """Drop here what was dropped anywhere since the last look. Raises StoreError."""
        before, self._marks = self._marks, await self._shelf.answers_dropped()
        if before is None:
            return
        for name in {*before, *self._marks}:
            if before.get(name) != self._marks.get(name):
                cache.drop(name or None)


def _read(kept: bytes | None) -> _Kept | None:
    """None for what another version wrote."""
    try:
        return None if kept is None else _decode(kept)
    except msgspec.DecodeError:
        return None

"""What one process of a deployment hears of the others, through the store."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec


class News(msgspec.Struct, frozen=True):
    """What happened since somebody last asked."""

    event: int
    """The last event of the log, to be asked from next time."""
    forgotten: int
    """The last erasure, likewise."""
    hidden: int
    """Changes whenever items are deleted or put."""
    users: frozenset[str] | None
    """Whose personal answers hold no more; None: too many to be named."""
    erased: frozenset[str] = frozenset()
    """Those of them who are to be forgotten altogether."""


class Bell:
    """Rung when there may be news: who waits for it looks once, however often it was rung meanwhile."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Whoever waits, looks; whoever looks just now, looks once more."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Until it is rung, or was since the last wait; so long at most, for a ring may be lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        self._rung.clear()

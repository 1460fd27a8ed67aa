"""A provider that is asked too, never awaited, and compared with what was served.

It costs the caller nothing: asked after the answer has left the pipeline's hands, in a task of its own, in its
own time. It costs the gateway little: at most `MOST` at once; above that a request goes without its shadow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, Final, Generic, TypeVar

P = TypeVar("P")

MOST: Final = 16
"""Shadow requests of one placement at once."""


class Shadow(Generic[P]):
    """One for each placement that has a shadow."""

    def __init__(self, provider: P, share: float, rng: Random) -> None:
        self.provider = provider
        self.share = share
        self._rng = rng
        self._running: set[asyncio.Task[None]] = set()

    def consider(self, ask: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Ask too, for the configured share of requests and within the budget; `ask` must handle its errors."""
        if self._rng.random() >= self.share or len(self._running) >= MOST:
            return False
        task = asyncio.get_running_loop().create_task(ask(), name="shadow")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    async def close(self) -> None:
        """Break off what still runs."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def overlap(served: Sequence[str], shadowed: Sequence[str]) -> float:
    """overlap@k: the share of the first k of both that they have in common, k = the shorter length (0: none)."""
    k = min(len(served), len(shadowed))
    return len({*served[:k]} & {*shadowed[:k]}) / k if k else 0.0

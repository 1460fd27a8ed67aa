"""Ends what takes too long, with one timer for all who wait: one for each, set and cancelled, would cost more than
all else that a deadline does.

    with curfew.after(seconds):  ─ done in time ─▸
                                 └ not: the task is cancelled there ─▸ TimeoutError here

As `asyncio.timeout`, but for up to `TICK` later.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final

TICK: Final = 0.005
"""Seconds between two rings at least: where many are late one after the other, they are looked at together."""


class Stay:
    """One task within its time."""

    __slots__ = ("_cancelling", "_curfew", "_task", "over", "until")

    def __init__(self, curfew: Curfew, task: asyncio.Task[Any], until: float) -> None:
        self._curfew = curfew
        self._task = task
        self._cancelling = task.cancelling()
        self.until = until
        """By the loop's clock."""
        self.over = False
        """Was it ended?"""

    def end(self) -> None:
        """Its time is over."""
        self.over = True
        self._task.cancel()

    def __enter__(self) -> None:
        self._curfew.enter(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._curfew.leave(self)
        # Somebody else may have cancelled it too: then it stays cancelled (as in `asyncio.Timeout`).
        if self.over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Curfew:
    """Of one event loop."""

    __slots__ = ("_loop", "_staying", "_timer")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._staying: set[Stay] = set()
        self._timer: asyncio.TimerHandle | None = None

    def after(self, seconds: float) -> Stay:
        """A `with` block for the running task. Raises TimeoutError where it takes longer."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101  # whoever awaits is a task
        return Stay(self, task, loop.time() + seconds)

    def enter(self, stay: Stay) -> None:
        """It has begun."""
        self._staying.add(stay)
        if self._timer is None or self._timer.when() > stay.until:
            self._set(stay.until)

    def leave(self, stay: Stay) -> None:
        """It has ended; the timer rings in vain then, once for many."""
        self._staying.discard(stay)

    def close(self) -> None:
        """Nobody is ended any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, at: float) -> None:
        assert self._loop is not None  # noqa: S101  # `after` found it
        self.close()
        self._timer = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        assert self._loop is not None  # noqa: S101  # it has rung
        self._timer = None
        now = self._loop.time()
        for stay in [stay for stay in self._staying if stay.until <= now]:
            self._staying.discard(stay)
            stay.end()
        if self._staying:
            self._set(max(now + TICK, min(stay.until for stay in self._staying)))

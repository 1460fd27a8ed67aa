"""One flight for each key: whoever asks for what is being fetched already waits for that fetch.

A flight is a task of its own. A caller that hangs up does not take it from the others; when the last one has
hung up it is cancelled. Its result, or its exception, goes to all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Start = Callable[[], Coroutine[Any, Any, T]]


class _Flight(Generic[T]):
    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiting = 0


class Flights(Generic[T]):
    """What is being fetched at this moment, by key. Belongs to one event loop."""

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        self._flights: dict[bytes, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def join(self, key: bytes, start: Start[T]) -> tuple[T, bool]:
        """The result, and whether the flight was another's. Raises what the flight raises."""
        flight = self._flights.get(key)
        collapsed = flight is not None
        if flight is None:
            flight = self._begin(key, start)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task), collapsed
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()

    def launch(self, key: bytes, start: Start[T]) -> bool:
        """Begin a flight that nobody needs to wait for (a refresh); False if there is one already.

        It ends by itself even if those who joined it hang up. Its exception goes to those who joined, if any:
        `start` must log what nobody else would tell.
        """
        if key in self._flights:
            return False
        flight = self._begin(key, start)
        flight.waiting += 1
        flight.task.add_done_callback(_looked_at)
        return True

    async def close(self) -> None:
        """Cancel all flights and wait until they have ended."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: bytes, start: Start[T]) -> _Flight[T]:
        flight = _Flight(asyncio.get_running_loop().create_task(start()))
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _: self._forget(key, flight))
        return flight

    def _forget(self, key: bytes, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Else the event loop would report an exception that nobody waited for."""
    if not task.cancelled():
        task.exception()

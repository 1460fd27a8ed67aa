"""The connections to one host: the last one used is the first to be used again, so that the rest can grow old.

Never more than `most`. Whoever finds none free waits for his turn, within his own time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.deadline import Clock
from gateway.errors import NotConnected
from gateway.transport.connection import Connection

KEPT: Final = 60.0
"""Seconds for which a connection is kept that nobody uses."""


class Pool:
    """`connect` opens a new connection; whatever it raises passes through."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        most: int,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
    ) -> None:
        self._connect = connect
        self._most = most
        self._loop = loop
        self._clock = clock
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Places taken: connections idle and busy, and those that are being opened."""
        return len(self._all) + self._opening

    @property
    def idle(self) -> int:
        """How many wait to be used again."""
        return len(self._idle)

    def take(self, now: float) -> Connection | None:
        """An idle connection, at once; None where there is none. `now`: by its clock."""
        while self._idle:
            connection = self._idle.pop()
            if now - connection.since < KEPT:
                return connection
            connection.close()
        return None

    async def taken(self, *, fresh: bool = False) -> Connection:
        """A connection, perhaps after a while. `fresh`: one that was never used."""
        while True:
            if not fresh and (connection := self.take(self._clock())) is not None:
                return connection
            if len(self) >= self._most and self._idle:
                self._idle[0].close()  # only where a fresh one is wanted
            if len(self) < self._most:
                return await self._opened()
            await self._turn()

    async def _opened(self) -> Connection:
        self._opening += 1
        try:
            connection = await self._connect()
            if connection.closed:  # it told us before we knew it
                raise NotConnected("cannot connect: closed at once")
            self._all.add(connection)
            return connection
        finally:
            self._opening -= 1
            if len(self) < self._most:
                self._next()

    async def _turn(self) -> None:
        """Until something is free. A turn that its waiter cannot take any more is passed on."""
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._next()
            raise

    def _next(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def give_back(self, connection: Connection) -> None:
        """It was used and can be used again."""
        self._idle.append(connection)
        if self._waiting:
            self._next()
        if self._sweep is None:
            self._sweep = self._loop.call_later(KEPT, self.sweep)

    def lost(self, connection: Connection) -> None:
        """It is closed."""
        if connection in self._all:
            self._all.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._next()

    def sweep(self) -> None:
        """Close what nobody has used for a while; again, as long as there is something idle."""
        self._sweep = None
        oldest = self._clock() - KEPT
        for connection in [one for one in self._idle if one.since <= oldest]:
            connection.close()
        if self._idle:
            self._sweep = self._loop.call_later(max(0.001, self._idle[0].since - oldest), self.sweep)

    def retire(self, stays: Callable[[str], bool]) -> None:
        """Use no more what is connected to addresses that do not stay: close it, or after its present answer."""
        for connection in list(self._all):
            if not stays(connection.address):
                connection.retired = True
                if connection in self._idle:
                    connection.close()

    def close(self) -> None:
        """Idle connections are closed, busy ones broken off."""
        for connection in list(self._all):
            (connection.close if connection in self._idle else connection.abort)()
        if self._sweep is not None:
            self._sweep.cancel()

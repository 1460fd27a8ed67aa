"""One connection, and what waits to go over it: whatever gathers while one group is under way is the next group.

    call ─▸ waiting ─▸ [ all of them in one write · all replies · WAITAOF / WAIT once ] ─▸ every caller hears

So throughput does not hang on a round trip, nor on a sync, for each call. A group fails as a whole where the
connection does, and then its outcome is unknown; what the server refuses is refused to its caller alone.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from redis.asyncio.connection import Connection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as LateError

from gateway.state.kept import Full, StoreError
from gateway.state.valkey.guard import OPEN, Guard
from gateway.state.valkey.places import Place
from gateway.state.valkey.script import Script

GROUP: Final = 500
GROUP_BYTES: Final = 200_000
"""The most calls that go together, and about their bytes: what the server can do in a small part of a second."""
ELSEWHERE: Final = (MovedError, ReadOnlyError, MasterDownError, ClusterDownError, BusyLoadingError)
"""Another server is the one to ask now, or will be."""

Command = Sequence[Any]


class _Call(msgspec.Struct, frozen=True):
    commands: Sequence[Command]
    heard: asyncio.Future[list[Any]]
    script: Script | None

    @property
    def size(self) -> int:
        """Bytes, about."""
        return sum(len(command[-1]) if isinstance(command[-1], bytes) else 50 for command in self.commands)


class Lane:
    """`seconds`: for a group, and for whoever waits `patience` of these. `waits`: sent after each group."""

    def __init__(
        self, place: Place, seconds: float, *, patience: float = 2.0, late: int = 1, waits: Iterable[Command] = ()
    ) -> None:
        self.guard = Guard(late)
        self._place = place
        self._seconds = seconds
        self._patience = patience * seconds
        self._waits = tuple(waits)
        self._waiting: deque[_Call] = deque()
        self._connection: Connection | None = None
        self._going: asyncio.Task[None] | None = None
        self._healing: asyncio.Task[None] | None = None

    async def call(self, commands: Sequence[Command], script: Script | None = None) -> list[Any]:
        """The replies; a refusal is one of them, as an exception. Raises StoreError."""
        self.guard.admit()
        loop = asyncio.get_running_loop()
        call = _Call(commands, loop.create_future(), script)
        self._waiting.append(call)
        if self._going is None or self._going.done():
            self._going = loop.create_task(self._go())
        try:
            async with asyncio.timeout(self._patience):
                return await call.heard
        except TimeoutError:
            raise StoreError("the state store does not answer in time") from None

    async def close(self) -> None:
        """After everything that was asked before."""
        if self._going is not None:
            await asyncio.wait([self._going])
        if self._healing is not None:
            self._healing.cancel()
            await asyncio.gather(self._healing, return_exceptions=True)
        await self._hang_up()

    # --- groups
    async def _go(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                replies = await self._in_time(group)
            except StoreError as error:
                for call in group:
                    _fails(call, error)
            else:
                for call, said in zip(group, replies, strict=True):
                    if not call.heard.done():  # else nobody waits any more
                        call.heard.set_result(said)

    def _next_group(self) -> list[_Call]:
        group, size = [self._waiting.popleft()], 0
        while self._waiting and len(group) < GROUP and size < GROUP_BYTES:
            group.append(call := self._waiting.popleft())
            size += call.size
        return group

    async def _in_time(self, group: Sequence[_Call]) -> list[list[Any]]:
        """The replies to each. Raises StoreError where the connection fails, and opens the guard."""
        self.guard.admit()
        try:
            async with asyncio.timeout(self._seconds):
                replies = await self._exchanged(group)
        except (RedisError, OSError, TimeoutError) as error:
            await self._hang_up()
            late = isinstance(error, TimeoutError | LateError)
            why = "does not answer in time" if late else f"cannot be reached: {plainly(error)}"
            self.guard.failed(f"the state store {why}", late=late)
            self._heal()
            raise StoreError(f"the state store {why}") from error
        self.guard.succeeded()
        if any(isinstance(one, ELSEWHERE) for said in replies for one in said):
            await self._hang_up()
        return replies

    async def _exchanged(self, group: Sequence[_Call]) -> list[list[Any]]:
        replies = await self._said([command for call in group for command in call.commands])
        unknown = {call.script for call in group if call.script is not None}
        if any(isinstance(one, NoScriptError) for one in replies):  # a server that was restarted, or is another
            await self._send([("SCRIPT", "LOAD", script.source) for script in unknown if script], ())
            again = [n for n, one in enumerate(replies) if isinstance(one, NoScriptError)]
            commands = [command for call in group for command in call.commands]
            for n, one in zip(again, await self._said([commands[n] for n in again]), strict=True):
                replies[n] = one
        found = iter(replies)
        return [[next(found) for _ in call.commands] for call in group]

    async def _said(self, commands: Sequence[Command]) -> list[Any]:
        """Replies; where copies were waited for and there are too few, every reply is that error."""
        (*replies,) = await self._send(commands, self._waits)
        waited, replies = replies[len(commands) :], replies[: len(commands)]
        for wait, got in zip(self._waits, waited, strict=True):
            if (why := _too_few(wait, got)) is not None:
                return [one if isinstance(one, NoScriptError) else StoreError(why) for one in replies]
        return replies

    async def _send(self, commands: Sequence[Command], waits: Sequence[Command]) -> list[Any]:
        connection = await self._connected()
        packed = connection.pack_commands([*commands, *waits])
        await connection.send_packed_command(packed, check_health=False)
        return [await _reply(connection) for _ in range(len(commands) + len(waits))]

    async def _connected(self) -> Connection:
        """The connection, made anew where the other side has closed it."""
        if self._connection is not None:
            if self._connection.is_connected and not await self._connection.can_read():
                return self._connection
            await self._hang_up()
        connection = await self._place.connection()
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
        self._connection = connection
        return connection

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError, OSError, TimeoutError):
                await connection.disconnect(nowait=True)

    # --- when it fails
    def _heal(self) -> None:
        if self.guard.why is not None and (self._healing is None or self._healing.done()):
            self._healing = asyncio.get_running_loop().create_task(self._until_healed())

    async def _until_healed(self) -> None:
        while self.guard.why is not None:
            await asyncio.sleep(OPEN)
            try:
                async with asyncio.timeout(self._seconds):
                    (said,) = await self._send([("PING",)], ())
            except (RedisError, OSError, TimeoutError):
                await self._hang_up()
            else:
                if isinstance(said, Exception):
                    await self._hang_up()
                else:
                    self.guard.succeeded()


async def _reply(connection: Connection) -> Any:
    """One reply; what the server refuses as a value, so that the others are read too."""
    try:
        return await connection.read_response(timeout=math.inf, disconnect_on_error=True)
    except (AuthenticationError, OSError):
        raise
    except (ResponseError, BusyLoadingError) as error:
        return error


def _too_few(wait: Command, got: Any) -> str | None:
    """What is wrong with the reply to WAITAOF or WAIT; None if nothing is."""
    if isinstance(got, Exception):
        return f"the state store cannot promise durability: {got}"
    had, wanted = (got, wait[1:3]) if wait[0] == "WAITAOF" else ([got], wait[1:2])
    if all(one >= asked for one, asked in zip(had, wanted, strict=True)):
        return None
    return f"the state store did not have enough copies in time: {wait[0]} {had} of {list(wanted)}"


def _fails(call: _Call, error: StoreError) -> None:
    if not call.heard.done():
        call.heard.set_exception(StoreError(str(error)))


def plainly(error: BaseException) -> str:
    """What it says, or at least what it is."""
    return str(error) or type(error).__name__


def refused(reply: Any) -> Any:
    """A reply, or what it refuses, as an error of the store's. Raises StoreError, Full where memory is."""
    if isinstance(reply, OutOfMemoryError):
        raise Full("the state store is full: its maxmemory is reached")
    if isinstance(reply, StoreError):
        raise reply
    if isinstance(reply, Exception):
        raise StoreError(f"the state store failed: {plainly(reply)}")
    return reply

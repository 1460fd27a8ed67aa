"""A vendor that answers with whatever bytes it is told, in the pieces it is told, and then does as it is told."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Literal

import msgspec

Then = Literal["stay", "close", "reset"]


class Says(msgspec.Struct, frozen=True):
    """The bytes of one answer, and what becomes of the connection."""

    pieces: tuple[bytes, ...] = ()
    then: Then = "stay"
    before_body: bool = False
    """Answers as soon as the request's head is there, and reads no further."""


class Vendor:
    """Counts what it is asked and the connections that it has."""

    def __init__(self, answers: Callable[[int], Says]) -> None:
        """`answers`: what is said to the n-th request, counted over all connections from 0."""
        self._answers = answers
        self.asked: list[bytes] = []
        """Every request, head and body."""
        self.opened = self.closed = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> int:
        """Connections that have not been closed by either side."""
        return self.opened - self.closed

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.opened += 1
        self._writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while await self._one(reader, writer):
                pass
        self.closed += 1
        self._writers.discard(writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        says = self._answers(len(self.asked))
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length and not says.before_body else b""
        self.asked.append(head + body)
        for piece in says.pieces:
            writer.write(piece)
            await writer.drain()
            for _ in range(3):
                await asyncio.sleep(0)  # the other side reads
        if says.then == "reset":
            reset(writer)
        if says.before_body:
            await reader.read()  # until the other side has had enough
        return says.then == "stay"

    async def shut(self) -> None:
        """Close every connection."""
        for writer in list(self._writers):
            writer.transport.abort()
        while self._tasks:
            await asyncio.gather(*self._tasks)
            self._tasks = {task for task in self._tasks if not task.done()}


def reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def vendor(
    answers: Callable[[int], Says], *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Vendor]:
    here = Vendor(answers)
    server = await asyncio.start_server(here.serve, host, 0, ssl=tls)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        await here.shut()


def always(*pieces: bytes, then: Then = "stay", before_body: bool = False) -> Callable[[int], Says]:
    """The same answer to every request."""
    says = Says(pieces, then, before_body)
    return lambda _number: says


def in_turn(answers: Iterable[Says]) -> Callable[[int], Says]:
    """One after the other; the last one again and again."""
    listed = list(answers)
    return lambda number: listed[min(number, len(listed) - 1)]


async def until(true: Callable[[], bool]) -> None:
    """Let others run until it is so."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  # what is awaited has no event
            await asyncio.sleep(0.001)

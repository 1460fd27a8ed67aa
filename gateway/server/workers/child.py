"""One worker as its supervisor sees it: a process, and the channel to it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence

from gateway import signals
from gateway.server.workers.channel import Up, from_below
from gateway.server.workers.pulse import FRAMES


class Child:
    """Started by `start`."""

    def __init__(
        self,
        process: Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        heard: Callable[[Up], None],
    ) -> None:
        self._process = process
        self._writer = writer
        self._listening = asyncio.create_task(self._listen(reader, heard))
        self.failed = ""
        """Why it ended, where it says so."""

    @classmethod
    async def start(cls, descriptors: Sequence[int], heard: Callable[[Up], None]) -> Child:
        """A new process that inherits these descriptors; `heard` is told what it says. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            channel = theirs.fileno()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "worker", str(channel),
                stdin=DEVNULL, pass_fds=(channel, *descriptors),
            )  # fmt: skip
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer, heard)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def tell(self, message: bytes) -> None:
        """It hears of it in time, or is dead."""
        if not self._writer.is_closing():
            self._writer.write(message)

    async def ended(self) -> int:
        """Wait for its end, and for its last words; the exit code, negative: the signal that killed it."""
        code = await self._process.wait()
        await asyncio.wait({self._listening})
        self._writer.close()
        return code

    def show_frames(self) -> None:
        """Where it is, on its standard error; it goes on."""
        signals.send(self._process, FRAMES)

    def terminate(self) -> None:
        """SIGTERM."""
        signals.send(self._process, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        signals.send(self._process, signal.SIGKILL)

    async def _listen(self, reader: asyncio.StreamReader, heard: Callable[[Up], None]) -> None:
        while (said := await from_below(reader)) is not None:
            self.failed = said.failed or self.failed
            heard(said)

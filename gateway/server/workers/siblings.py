"""The workers that share a port, as one of them reaches the others: whoever is asked by ops answers for all.

    ask ─▸ a unix socket of each other worker, in a directory that nobody else may enter ─▸ answers within PATIENCE

One question a connection: MessagePack until its writing end is closed, the answer likewise. A worker that does not
answer in time is left out; the metrics say how many answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import structlog

from gateway.place import Place
from gateway.server.handlers.standing import Standing
from gateway.server.workers.counts import Counts
from gateway.server.workers.merging import Family
from gateway.state.store import StoreError
from gateway.telemetry.families import WORKERS

T = TypeVar("T")

PATIENCE: Final = 0.5
"""Seconds for one question."""

log = structlog.get_logger("gateway")


class AskMetrics(msgspec.Struct, tag=True, frozen=True):
    """All families: list[Family]."""


class AskProviders(msgspec.Struct, tag=True, frozen=True):
    """State of the providers: Told."""


class AskRecent(msgspec.Struct, tag=True, frozen=True):
    """What happened in the last five minutes: Recent."""


class DropCache(msgspec.Struct, tag=True, frozen=True):
    """Forget cached answers: how many."""

    placement: str | None


class Hear(msgspec.Struct, tag=True, frozen=True):
    """Look at the store's news now: whose answers hold no more, what is hidden. True when done."""


Question = AskMetrics | AskProviders | AskRecent | DropCache | Hear


class Told(msgspec.Struct, frozen=True):
    """What one process knows of the providers."""

    providers: dict[str, Standing]
    errors: list[str]
    """What is wrong with a changed file."""


class Siblings:
    """Of one worker. `answer`: what it says to the others."""

    def __init__(self, place: Place, directory: str, answer: Callable[[Question], Awaitable[Any]]) -> None:
        self.place = place
        self.counts = Counts(Path(directory), place.slot)
        self._directory = Path(directory)
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Answer from now on. Raises OSError."""
        path = self._path(self.place.slot)
        self._forget_dead(path)
        self._server = await asyncio.start_unix_server(self._hear, path)

    async def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()

    @staticmethod
    def _forget_dead(path: str) -> None:
        Path(path).unlink(missing_ok=True)  # of the one that died, in this slot

    def _path(self, slot: int) -> str:
        return str(self._directory / f"{slot}.sock")

    # --- asking
    async def ask(self, question: Question, kind: type[T]) -> dict[int, T]:
        """What the others say, by slot; whoever says nothing in time is not in it."""
        others = [slot for slot in range(self.place.workers) if slot != self.place.slot]
        asked = msgspec.msgpack.encode(question)
        said = await asyncio.gather(*(self._ask_one(slot, asked, kind) for slot in others))
        return {slot: answer for slot, answer in zip(others, said, strict=True) if answer is not None}

    async def _ask_one(self, slot: int, question: bytes, kind: type[T]) -> T | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return msgspec.msgpack.decode(await self._exchange(slot, question), type=kind)
        except (OSError, TimeoutError, msgspec.DecodeError) as error:
            log.warning("a worker does not answer", slot=slot, error=str(error) or type(error).__name__)
            return None

    async def _exchange(self, slot: int, question: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path(slot))
        try:
            writer.write(question)
            writer.write_eof()
            return await reader.read()
        finally:
            writer.close()

    # --- being asked
    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question: Question = msgspec.msgpack.decode(await reader.read(), type=Question)
            writer.write(msgspec.msgpack.encode(await self._answer(question)))
            await writer.drain()
        except (OSError, msgspec.DecodeError, StoreError) as error:
            log.warning("a worker's question is not answered", error=str(error))
        finally:
            writer.close()

    # --- what is told of all
    async def families(self, own: list[Family]) -> list[list[Family]]:
        """Of every slot: what its process says, else what the last one counted. `own`: of this process."""
        said = await self.ask(AskMetrics(), list[Family])
        told = [said.get(slot) or self.counts.of(slot) for slot in range(self.place.workers)]
        told[self.place.slot] = self.counts.told(own)
        return [*told, [_workers(self.place.workers, len(said) + 1)]]

    async def hear(self) -> None:
        """All have looked at the store's news when this returns, but for those that do not answer in time."""
        await self.ask(Hear(), bool)


def _workers(configured: int, answering: int) -> Family:
    states = {"configured": configured, "answering": answering}
    samples = {f'{WORKERS.name}{{state="{state}"}}': float(number) for state, number in states.items()}
    return Family(WORKERS.name, WORKERS.what, WORKERS.kind, WORKERS.merge, samples)

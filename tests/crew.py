"""A `gateway serve` with two workers, and each of them asked and found by itself.

The supervisor's private directory is made below the test's, so that the workers' own sockets can be reached.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from gateway.place import Place
from gateway.server.workers.siblings import AskProviders, Question, Siblings, Told
from tests.serving import Process

T = TypeVar("T")

WORKERS: Final = 2
CALLERS: Final = 12


class Crew(Process):
    """See the module."""

    directory: Path

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self._child.pid

    def workers(self) -> list[int]:
        """The processes that the supervisor has."""
        found = [file.read_text().split() for file in Path(f"/proc/{self.pid}/task").glob("*/children")]
        return sorted(int(pid) for pids in found for pid in pids)

    def worker(self, slot: int) -> int:
        """The process that listens in a slot."""
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(self.private() / f"{slot}.sock"))
            return int(struct.unpack("3i", one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])

    def kill_hard(self, pid: int) -> None:
        """Nobody can do anything about it."""
        os.kill(pid, signal.SIGKILL)

    def private(self) -> Path:
        """The directory that only the workers share."""
        (found,) = self.directory.glob("gateway-*")
        return found

    # --- asking
    async def each(self, question: Question, kind: type[T]) -> dict[int, T]:
        """What each worker says, by slot."""
        outsider = Siblings(Place(WORKERS, WORKERS + 1), str(self.private()), _nothing)
        return await outsider.ask(question, kind)

    async def told(self) -> dict[int, Told]:
        """What each worker knows of the providers."""
        return await self.each(AskProviders(), Told)

    async def fresh(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Over a connection of its own, which either worker may take."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, self.url + path, **more) as answer,
        ):
            return answer.status, await answer.json()

    async def items(self, **body: Any) -> list[set[str]]:
        """What is recommended, to callers who come all at once: each worker takes some of them."""
        asked = [self.fresh("POST", "/v1/recommendations", json=body) for _ in range(CALLERS)]
        return [{item["id"] for item in said["items"]} for _, said in await asyncio.gather(*asked)]

    async def everywhere(self, path: str) -> list[Any]:
        """What is told there, likewise."""
        return [said for _, said in await asyncio.gather(*(self.fresh("GET", path) for _ in range(CALLERS)))]

    async def series(self, name: str) -> list[tuple[Mapping[str, str], float]]:
        """Of that name at /metrics: labels and value of each."""
        text = (await self.get("/metrics", admin=True)).text
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        ]

    async def metric(self, name: str) -> float:
        """All series of that name, summed."""
        return sum(value for _, value in await self.series(name))

    async def complete(self) -> bool:
        """Do all workers answer?"""
        return any(
            value == WORKERS
            for labels, value in await self.series("gateway_workers")
            if labels["state"] == "answering"
        )


def alive(pid: int) -> bool:
    """Does it run? One that has ended and that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def _nothing(_question: object) -> None:
    """Nobody asks an outsider."""


@asynccontextmanager
async def crew(directory: Path, configuration: Mapping[str, Any], *, code: int = 0) -> AsyncIterator[Crew]:
    """For the time of the block; it ends with this exit code, whether by itself or not."""
    before = os.environ.get("TMPDIR")
    async with aiohttp.ClientSession() as session:
        gateway = Crew(directory / "gateway.yaml", session)
        gateway.directory = directory
        gateway.write(configuration)
        os.environ["TMPDIR"] = str(directory)
        try:
            await gateway.start()
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before
        try:
            yield gateway
            assert await gateway.stop() == code, gateway.errors.decode()
        finally:
            await gateway.kill()

"""A real `gateway serve` before the emulated vendors, each behind a relay that counts connections or refuses them.

    client ─▸ Process (gateway serve) ─▸ Relay ─▸ emulated vendor (tests.world, fed)

The process shares the world's state store, so it knows the ids and what `local` has learned.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import yaml
from yarl import URL

from gateway import signals
from tests.world import Reply, World, options

PATIENCE: Final = 60.0
"""Seconds after which something that should have happened on a busy machine has not."""
PAUSE: Final = 0.02
"""Seconds between two looks at whether something has."""
ROUND: Final = 0.05
"""Seconds for which one look and the pause after it count at most: the rest of them the machine stood still."""


class Relay:
    """Passes connections on to one port. `refuse`: as if nobody listened; `mend`: at the same address again."""

    def __init__(self, target: str) -> None:
        self._target = URL(target)
        self._server: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self.accepted = 0
        """Connections so far."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """Connections at this moment."""
        return len(self._passing)

    async def listen(self) -> None:
        self._held = _bound(0)
        self.port = self._held.getsockname()[1]
        await self.mend()

    async def mend(self) -> None:
        if self._held is not None:
            self._server = await asyncio.start_server(self._pass, sock=self._held)
            self._held = None

    async def refuse(self) -> None:
        """Nobody listens any more, and what was open is cut; the port stays ours."""
        if self._server is not None:
            self._server.close()
            self._server = None
            await self._cut()
            self._held = _bound(self.port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._held is not None:
            self._held.close()
        await self._cut()

    async def _cut(self) -> None:
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        with suppress(OSError, asyncio.CancelledError):
            await self._both_ways(reader, writer)
        writer.close()

    async def _both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection(self._target.host, self._target.port)
        copies = [asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(onward, writer))]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)
            back.close()


def _bound(port: int) -> socket.socket:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    return held


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()


@asynccontextmanager
async def relays(shop: World) -> AsyncIterator[dict[str, Relay]]:
    """One before each vendor, by provider."""
    made = {name: Relay(url) for name, url in shop.vendors.items()}
    try:
        for relay in made.values():
            await relay.listen()
        yield made
    finally:
        for relay in made.values():
            await relay.close()


def providers(through: Mapping[str, Relay]) -> dict[str, dict[str, Any]]:
    """The `providers` section for vendors behind their relays."""
    return options({name: relay.url for name, relay in through.items()})


class Process:
    """`gateway serve`, its files and what it says."""

    def __init__(self, file: Path, session: aiohttp.ClientSession) -> None:
        self.file = file
        self.lines: list[dict[str, Any]] = []
        """Its log so far."""
        self.errors = b""
        self.url = self.admin_url = ""
        self._session = session
        self._child: asyncio.subprocess.Process
        self._revision = 0

    async def start(self, within: float = PATIENCE) -> None:
        command = (sys.executable, "-m", "gateway", "serve", "--config", str(self.file))
        pipe = asyncio.subprocess.PIPE
        self._child = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        self._readers = [asyncio.create_task(self._read()), asyncio.create_task(self._read_errors())]
        await until(lambda: self.said("listening") or self._child.returncode is not None, within)
        assert self.said("listening"), self.errors.decode()
        listening = self.said("listening")[0]
        self.url, self.admin_url = f"http://{listening['listen']}", f"http://{listening['admin']}"

    async def _read(self) -> None:
        assert self._child.stdout is not None
        async for line in self._child.stdout:
            self.lines.append(msgspec.json.decode(line))

    async def _read_errors(self) -> None:
        assert self._child.stderr is not None
        self.errors = await self._child.stderr.read()

    def said(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one kind."""
        return [line for line in self.lines if line["event"] == event]

    def hang_up(self) -> None:
        signals.send(self._child, signal.SIGHUP)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        signals.send(self._child, signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            code = await self._child.wait()
            await asyncio.gather(*self._readers)
        return code

    async def kill(self) -> None:
        """Leave nothing behind, whatever happened."""
        signals.send(self._child, signal.SIGKILL)
        await self._child.wait()

    # --- configuration
    def write(self, configuration: Mapping[str, Any], *, file: Path | None = None) -> str:
        """Put another configuration in place, at one blow; the revision by which it is known."""
        self._revision += 1
        revision = str(self._revision)
        text = yaml.safe_dump({**configuration, "revision": revision}, sort_keys=False)
        put(file or self.file, text)
        return revision

    async def taken(self, revision: str, within: float = PATIENCE) -> None:
        """Wait until it is in force."""

        async def in_force() -> bool:
            state = (await self.get("/v1/providers")).json
            return bool(state["revision"] == revision)

        await until(in_force, within)

    async def takes(
        self, configuration: Mapping[str, Any], *, by_itself: bool = False, within: float = PATIENCE
    ) -> None:
        """Put it in place and wait until it is in force."""
        revision = self.write(configuration)
        if not by_itself:
            self.hang_up()
        await self.taken(revision, within)

    # --- asking
    async def get(self, path: str, *, admin: bool = False, **more: Any) -> Reply:
        return await self.request("GET", path, admin=admin, **more)

    async def request(self, method: str, path: str, *, admin: bool = False, **more: Any) -> Reply:
        async with self._session.request(method, (self.admin_url if admin else self.url) + path, **more) as answer:
            return Reply(answer.status, answer.headers, await answer.text())

    async def ask(self, placement: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> Reply:
        body["placement"] = placement
        return await self.request("POST", "/v1/recommendations", json=body, headers=headers)

    async def state(self, provider: str) -> dict[str, Any]:
        """What `GET /v1/providers` says of one."""
        state = (await self.get("/v1/providers")).json["providers"]
        return next(one for one in state if one["name"] == provider)


def put(file: Path, text: str) -> None:
    """Replace a file at one blow, as editors and deployments do."""
    beside = file.with_name(file.name + ".new")
    beside.write_text(text)
    beside.replace(file)


async def until(true: Callable[[], object] | Callable[[], Awaitable[object]], within: float = PATIENCE) -> None:
    """Wait for something to become true, for so many seconds of a machine that does not stand still."""
    left = within
    async with asyncio.timeout(max(within, PATIENCE)):
        while True:
            began = time.monotonic()
            found = true()
            if (await found) if isinstance(found, Awaitable) else found:
                return
            if left <= 0:
                raise TimeoutError
            await asyncio.sleep(PAUSE)
            left -= min(ROUND, time.monotonic() - began)


@asynccontextmanager
async def serving(
    file: Path, configuration: Mapping[str, Any], *, target: Path | None = None
) -> AsyncIterator[Process]:
    """A gateway on free ports with this configuration; it ends well, and with it the block.

    `target`: what `file` is a link to.
    """
    async with aiohttp.ClientSession() as session:
        process = Process(file, session)
        process.write(configuration, file=target)
        await process.start()
        try:
            yield process
            assert await process.stop() == 0, process.errors.decode()
        finally:
            await process.kill()
        assert process.errors == b""

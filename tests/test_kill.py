"""kill -9 at any moment, vendors failing half of the time: nothing that was acknowledged is lost.

    poster ─▸ `gateway serve`, killed and started anew ─▸ two vendors that refuse, break off, or forget to answer

Held at the end, for each vendor: every acknowledged event has arrived; each user's events first arrived in the
order in which they were sent; one arrived twice only if its answer was lost, on the way or by a kill.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from random import Random

import aiohttp
import pytest
import yaml
from aiohttp import web

from tests.listening import listening, recomendo_login
from tests.ports import free_port

USERS = 12
NEAR = 1.0
"""Seconds before a kill in which what was told may not have been noted yet, on a busy machine."""

LATE = 0.5
"""Seconds after a kill in which what had left before it may arrive."""


class Vendor:
    """Takes one event a call, and fails half of the time in one way or another."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.fails = True
        self.arrived: list[tuple[str, str]] = []
        """User and event (named by its item, as ids of events are spelled anew), in order."""
        self.answered: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        """By event: when it arrived, and whether the answer was sent whole."""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/auth", recomendo_login)
        app.router.add_post("/v1/events.json", self._event)
        return app

    async def _event(self, request: web.Request) -> web.StreamResponse:
        said = await request.json()
        dice = self.rng.random() if self.fails else 1.0
        if dice < 0.35:
            return web.json_response({"message": "down"}, status=503)
        lost = dice < 0.5
        self.arrived.append((said["entityId"], said["targetEntityId"]))
        self.answered[said["targetEntityId"]].append((time.monotonic(), not lost))
        if lost:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"eventId": said["eventId"]}, status=201)


def configuration(directory: Path, vendors: dict[str, str], *, local: bool = True) -> tuple[Path, str]:
    """The file, and the URL of the gateway that runs by it. `local` learns of every item, and grows with them."""
    port, admin = free_port(), free_port()
    addresses = ("auth_url", "events_url", "client_url", "predictions_url")
    written = {
        "server": {"listen": f"127.0.0.1:{port}", "admin_listen": f"127.0.0.1:{admin}", "drain": "2s"},
        "state": {"url": f"sqlite:{directory}/state.db"},
        "defaults": {"breaker": {"open": "100ms", "max_open": "300ms"}},
        "providers": {
            name: {
                "adapter": "recomendo",
                "options": {"client_id": "a", "client_secret": "b", **dict.fromkeys(addresses, url)},
            }
            for name, url in vendors.items()
        }
        | ({"local": {"adapter": "local"}} if local else {}),
        "placements": {"default": {"providers": ["local" if local else next(iter(vendors))]}},
        "events": {"retry": {"first": "20ms", "max": "200ms"}, "linger": "5ms"},
        "telemetry": {"logs": {"level": "error", "requests": "errors"}},
    }
    file = directory / "gateway.yaml"
    file.write_text(yaml.safe_dump(written))
    return file, f"http://127.0.0.1:{port}"


class Gateway:
    """`gateway serve`, as often as it is killed."""

    def __init__(self, file: Path) -> None:
        self._command = [sys.executable, "-m", "gateway", "serve", "--config", str(file)]
        self._process: asyncio.subprocess.Process | None = None
        self.killed: list[float] = []

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=asyncio.subprocess.DEVNULL)

    async def end(self, how: int) -> int:
        assert self._process is not None
        if how == signal.SIGKILL:
            self.killed.append(time.monotonic())
        os.kill(self._process.pid, how)
        return await self._process.wait()


class Poster:
    """Sends events in a steady stream, whatever becomes of them; none twice."""

    def __init__(self, url: str, rng: Random) -> None:
        self._url = url
        self._rng = rng
        self._number = 0
        self.acknowledged: set[str] = set()

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                ids = [f"{self._number + n:06}" for n in range(self._rng.randint(1, 8))]
                self._number += len(ids)
                events = [
                    {"id": id_, "type": "view", "user": {"id": f"u{int(id_) % USERS}"}, "items": [id_]}
                    for id_ in ids
                ]
                try:
                    async with session.post(f"{self._url}/v1/events", json={"events": events}) as answer:
                        assert answer.status == 202, await answer.text()
                        assert (await answer.json())["accepted"] == ids
                        self.acknowledged |= {*ids}
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.04)


async def survives(directory: Path, rounds: int, seed: int, longest: float) -> None:
    """`longest`: seconds that a gateway lives."""
    rng = Random(seed)
    vendors = {name: Vendor(seed + n) for n, name in enumerate(("first", "second"))}
    async with listening(vendors["first"].app()) as one, listening(vendors["second"].app()) as two:
        file, url = configuration(directory, {"first": one, "second": two})
        gateway, poster = Gateway(file), Poster(url, rng)
        posting = asyncio.create_task(poster.run())
        for _ in range(rounds):
            await gateway.start()
            await until_up(url)
            await asyncio.sleep(rng.uniform(0.1, longest))
            await gateway.end(signal.SIGKILL)
        await gateway.start()
        await until_up(url)
        await asyncio.sleep(1.0)
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
        for vendor in vendors.values():
            vendor.fails = False
        await until_all_arrived(vendors, poster.acknowledged)
        assert await gateway.end(signal.SIGTERM) == 0
    assert len(poster.acknowledged) > 20 * rounds
    for vendor in vendors.values():
        hold(vendor, poster.acknowledged, gateway.killed)


async def until_up(url: str) -> None:
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/openapi.json"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def until_all_arrived(vendors: dict[str, Vendor], acknowledged: set[str]) -> None:
    async with asyncio.timeout(90):
        for vendor in vendors.values():
            while not acknowledged <= vendor.answered.keys():  # noqa: ASYNC110  # another process delivers
                await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)  # what would come twice comes now


def hold(vendor: Vendor, acknowledged: set[str], killed: list[float]) -> None:
    assert acknowledged - vendor.answered.keys() == set()
    firsts: dict[str, list[str]] = defaultdict(list)
    for user, id_ in dict.fromkeys(vendor.arrived):
        firsts[user].append(id_)
    for ids in firsts.values():
        assert ids == sorted(ids)
    for id_, times in vendor.answered.items():
        for at, whole in times[:-1]:
            assert not whole or any(-LATE <= kill - at < NEAR for kill in killed), (id_, times, killed)


async def test_nothing_acknowledged_is_lost_by_kills(tmp_path: Path) -> None:
    await survives(tmp_path, rounds=3, seed=5, longest=2.0)


@pytest.mark.more("long faults")
@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_by_twenty_kills(tmp_path: Path) -> None:
    await survives(tmp_path, rounds=20, seed=int(time.time()), longest=5.0)

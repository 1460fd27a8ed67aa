"""What stands behind a rolling update: readiness, a pause before SIGTERM (preStop), draining; nothing is lost."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from tests.serving import Process, serving, until
from tests.stores import KINDS, fresh_url

PRE_STOP: Final = 1.0
"""Seconds from the order to end to SIGTERM; the chart's preStopSeconds, shortened."""
PROPAGATION: Final = 0.5
"""Seconds until those who send requests know that a pod is to end."""


def configuration(directory: Path, **more: Any) -> dict[str, Any]:
    """Of a pod with a directory of its own."""
    directory.mkdir()
    return {
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain": "5s", "deadline": "4s"},
        "state": {"url": f"sqlite:{directory}/state.db"},
        "providers": {"local": {"adapter": "local"}},
        "placements": {"default": {"providers": ["local"]}},
        **more,
    }


@asynccontextmanager
async def pod(directory: Path, **more: Any) -> AsyncIterator[Process]:
    async with serving(directory / "gateway.yaml", configuration(directory, **more)) as process:
        yield process


class Load:
    """Callers behind a service: they ask any of its endpoints over connections that they keep."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._rng = random.Random(7)
        self.endpoints: list[Process] = []
        self.answered: Counter[str] = Counter()
        """By URL."""
        self.accepted: set[str] = set()
        """The events."""
        self.lost: list[str] = []

    async def run(self) -> None:
        while True:
            await self._ask(self._rng.choice(self.endpoints).url)

    async def _ask(self, url: str) -> None:
        number = self.answered.total()
        event = {
            "id": f"{url}-{number}-{self._rng.random()}",
            "type": "view",
            "user": {"id": "u1"},
            "items": ["i1"],
        }
        path, body = self._rng.choice(
            [("/v1/recommendations", {"user": {"id": "u1"}}), ("/v1/events", {"events": [event]})]
        )
        try:
            async with self._session.post(url + path, json=body) as answer:
                if answer.status not in (200, 202):
                    self.lost.append(f"{answer.status} {await answer.text()}")
                elif answer.status == 202:
                    self.accepted |= {*(await answer.json())["accepted"]}
        except (aiohttp.ClientError, TimeoutError) as error:
            self.lost.append(f"{type(error).__name__}: {error}")
        self.answered[url] += 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_rolling_update_under_load_loses_no_request(tmp_path: Path, kind: str) -> None:
    """With a store that both pods share no event either."""
    state = {"state": {"url": fresh_url()}} if kind == "valkey" else {}
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        load = Load(session)
        old = await stack.enter_async_context(pod(tmp_path / "old", **state))
        load.endpoints = [old]
        callers = [asyncio.create_task(load.run()) for _ in range(8)]
        new = await stack.enter_async_context(pod(tmp_path / "new", **state))  # maxSurge: 1, maxUnavailable: 0
        await until(lambda: ready(new))
        load.endpoints = [old, new]
        await until(lambda: load.answered[new.url] > 50)

        ending = asyncio.create_task(asyncio.sleep(PRE_STOP))
        await asyncio.sleep(PROPAGATION)  # requests still come: the pod must go on as if nothing were
        assert await ready(old)
        load.endpoints = [new]
        await ending
        assert await old.stop() == 0
        seen = load.answered[new.url]
        await until(lambda: load.answered[new.url] > seen + 50)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        if kind == "valkey":
            assert load.accepted <= await logged(new)
    assert load.lost == []
    assert load.answered[old.url] > 50


async def logged(process: Process) -> set[str]:
    """The ids of all events in the log."""
    found: set[str] = set()
    after = ""
    while True:
        page = (await process.get(f"/v1/events?limit=1000{after}")).json
        found |= {one["id"] for one in page["events"]}
        if page["next_cursor"] is None:
            return found
        after = f"&cursor={quote(page['next_cursor'])}"


async def ready(process: Process) -> bool:
    return (await process.get("/readyz", admin=True)).status == 200


async def test_after_sigterm_it_is_unready_and_alive_and_answers_what_runs(tmp_path: Path) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        asked.set()
        await go.wait()
        return web.json_response({"documents": [{"snippet_id": {"document_id": "d1", "sub_id": 0}, "score": 0.5}]})

    vendor = web.Application()
    vendor.router.add_post("/{path:.*}", slow)
    runner = web.AppRunner(vendor)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    options = {"url": f"http://127.0.0.1:{runner.addresses[0][1]}", "token": "t"}
    providers = {"slow": {"adapter": "xayn", "options": options, "timeout": "3s"}}
    async with pod(
        tmp_path / "one", providers=providers, placements={"default": {"providers": ["slow"]}}
    ) as process:
        running = asyncio.create_task(process.ask("default", user={"id": "u1"}))
        await asked.wait()
        ending = asyncio.create_task(process.stop())

        async def unready() -> bool:
            return not await ready(process)

        await until(unready)
        assert json.loads((await process.get("/readyz", admin=True)).text)["ready"] is False
        assert (await process.get("/livez", admin=True)).status == 200  # or it would be killed while it drains
        go.set()
        answer = await running
        assert (answer.status, answer.provider) == (200, "slow")
        assert await ending == 0
    await runner.cleanup()

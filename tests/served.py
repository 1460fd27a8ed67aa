"""A gateway on real sockets whose provider is `local`, which knows a few films: for the tests of the documents."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiohttp import web

from gateway.config import load
from gateway.deadline import Deadline
from gateway.model.activity import Change, Event, EventItem
from gateway.server.edges import Runner
from gateway.server.front import Front
from gateway.server.runtime import Runtime
from gateway.state.sqlite import SqliteStore

KEY = "of-everything"
ONLY_EVENTS = "of-events-alone"
CONFIGURATION = f"""
server: {{max_body: 2KiB, deadline: 5s}}
state: {{url: "sqlite::memory:"}}
auth:
  api_keys:
    all: {{key: {KEY}, scopes: [recommend, events, catalog, ops]}}
    events: {{key: {ONLY_EVENTS}, scopes: [events]}}
providers:
  local: {{adapter: local}}
  nowhere:
    adapter: xayn
    options: {{url: "http://127.0.0.1:9", token: secret}}
placements:
  default: {{providers: [local]}}
  home: {{kind: for_you, providers: [local], cache: {{ttl: 1m}}}}
  search: {{kind: search, providers: [local]}}
  down: {{providers: [nowhere]}}
"""
FILMS = {
    "i1": {"title": "Four Weddings, a comedy", "genre": ["Comedy"], "year": 1994},
    "i2": {"title": "The Battle", "genre": ["War", "Drama"], "year": 1966},
    "i3": {"title": "A Wedding", "genre": ["Comedy", "Drama"], "year": 1978},
}


class Served:
    """Both listeners and a client."""

    def __init__(self, url: str, admin_url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.admin_url = admin_url
        self.session = session


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[Served]:
    """It listens while the block runs."""
    file = directory / "gateway.yaml"
    file.write_text(CONFIGURATION)
    runtime = await Runtime.start(load(file, {}), await SqliteStore.open(":memory:"))
    await _teach(runtime)
    front = Front(runtime)
    runners = [await _listening(front.app(admin=admin)) for admin in (False, True)]
    urls = [f"http://127.0.0.1:{runner.addresses[0][1]}" for runner in runners]
    try:
        async with aiohttp.ClientSession(headers={"X-Api-Key": KEY}) as session:
            yield Served(urls[0], urls[1], session)
    finally:
        for runner in runners:
            await runner.cleanup()
        await runtime.close()


async def _listening(app: web.Application) -> Runner:
    runner = Runner(app, drain=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


async def _teach(runtime: Runtime) -> None:
    local = runtime.pipeline.plan.providers["local"]
    deadline = Deadline.within(time.monotonic, 10)
    await local.call(
        "put_items", [Change(id_, properties) for id_, properties in FILMS.items()], deadline=deadline
    )
    events = [
        Event(id=f"e{n}", type="purchase", user=f"u{n}", items=(EventItem(id_),), time=datetime.now(UTC))
        for n, id_ in enumerate(FILMS)
    ]
    await local.call("track", events, deadline=deadline)

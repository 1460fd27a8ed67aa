"""A gateway on real sockets, for the tests of the documents: `local` recommends, emulated vendors do the rest.

What the examples of the documents name exists: the user u1, a strategy, a rule.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

import aiohttp
import msgspec
import yaml
from aiohttp import web

from gateway import ruling
from gateway.config import load
from gateway.deadline import Deadline
from gateway.model.activity import Change, Event, EventItem
from gateway.model.control import Strategy
from gateway.sandbox import frame
from gateway.server.edges import Runner
from gateway.server.endpoints.controlling import RULE, STRATEGY
from gateway.server.front import Front
from gateway.server.runtime import Runtime
from gateway.state.sqlite import SqliteStore
from tests import world
from tests.keeping import note_activity, put_items

VENDORS: Final = ("recomendo", "algolia", "affinities", "discerner")
KEY = "of-everything"
ONLY_EVENTS = "of-events-alone"
CONFIGURATION = f"""
server: {{deadline: 5s}}
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
  home:
    kind: for_you
    experiment: {{key: home-demo, arms: {{one: {{weight: 1, providers: [local]}}}}}}
    cache: {{ttl: 1m}}
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
async def served(
    directory: Path, *, max_body: str = "2KiB", also: Mapping[str, object] = MappingProxyType({})
) -> AsyncIterator[Served]:
    """It listens while the block runs. `also`: more providers."""
    async with AsyncExitStack() as stack:
        file = directory / "gateway.yaml"
        written = yaml.safe_load(CONFIGURATION)
        written["server"]["max_body"] = max_body
        vendors = world.options(await _vendors(stack))
        written["providers"] |= {name: vendors[name] for name in VENDORS} | dict(also)
        file.write_text(yaml.safe_dump(written, sort_keys=False))
        runtime = await Runtime.start(load(file, {}), await SqliteStore.open(":memory:"))
        stack.push_async_callback(runtime.close)
        await _teach(runtime)
        front = Front(runtime)
        urls = [await _listening(front.app(admin=admin), stack) for admin in (False, True)]
        session = await stack.enter_async_context(aiohttp.ClientSession(headers={"X-Api-Key": KEY}))
        yield Served(urls[0], urls[1], session)


async def _vendors(stack: AsyncExitStack) -> dict[str, str]:
    """Their URLs by the provider's name."""
    apps = frame.build(frame.NAMES, False, time.time).items()
    started = [await frame.start(name, app, "127.0.0.1", 0, stack) for name, app in apps]
    return dict(zip(world.NAMES, (one.url for one in started), strict=False))


async def _listening(app: web.Application, stack: AsyncExitStack) -> str:
    runner = Runner(app, drain=1)
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


async def _teach(runtime: Runtime) -> None:
    providers = runtime.pipeline.plan.providers
    deadline = Deadline.within(time.monotonic, 10)
    items = [Change(id_, properties) for id_, properties in FILMS.items()]
    events = [
        Event(id=f"e{n}", type="purchase", user=f"u{n}", items=(EventItem(id_),), time=datetime.now(UTC))
        for n, id_ in enumerate(FILMS)
    ]
    await put_items(runtime.store, items)
    await note_activity(runtime.store, events)
    for name in ("local", "algolia", "discerner"):
        await providers[name].call("put_items", items, deadline=deadline)
        for event in events:
            await providers[name].call("track", [event], deadline=deadline)
    await providers["affinities"].call("put_strategy", msgspec.convert(STRATEGY, Strategy), deadline=deadline)
    rule = ruling.read(msgspec.json.encode({"rules": [RULE]}), [], replace=False)
    await providers["algolia"].call("put_rules", "similar_items", rule, False, deadline=deadline)

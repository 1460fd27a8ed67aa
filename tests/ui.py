"""What the tests of the page share: a shop with traffic, and an admin listener before it."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from aiohttp import web

from gateway.model.activity import Event
from gateway.server.edges import Runner
from gateway.server.front import Front
from gateway.state.kept import Entry
from gateway.state.store import Store
from tests.world import World, bought_by, world

DEMO: Final[dict[str, Any]] = yaml.safe_load(Path("config/demo.yaml").read_text())
SETTINGS: Final[dict[str, Any]] = {
    "placements": {
        **{name: DEMO["placements"][name] for name in ("home", "product_page", "cart", "discover", "search")},
        "default": {"providers": ["recomendo", "xayn", "local"], "shadow": {"provider": "discerner"}},
    },
    "defaults": {"breaker": {"open": "1s", "max_open": "1s", "close_after": 1, "min_calls": 5}},
    "events": {"linger": "5ms", "retry": {"first": "1s", "max": "1s"}},
}


@dataclass
class Scene:
    """A world, and the address of its admin listener."""

    shop: World
    admin: str

    async def traffic(self, requests: int, seed: int = 7) -> None:
        """People look at the shop, and now and then buy what they are shown."""
        dice = random.Random(seed)
        for _ in range(requests):
            user = f"u{dice.randrange(30)}"
            placement = dice.choices(("home", "product_page", "cart", "discover", "default"), (5, 4, 1, 2, 2))[0]
            item: dict[str, Any] = (
                {"items": [dice.choice(bought_by(user))]} if placement in ("product_page", "cart") else {}
            )
            reply = await self.shop.ask(placement, user={"id": user}, **item)
            if reply.status == 200 and reply.ids and dice.random() < 0.3:
                kind = dice.choice(("click", "click", "purchase"))
                event = {"type": kind, "user": {"id": user}, "items": reply.ids[:1], "value": 9.5}
                event["recommendation_id"] = reply.json["recommendation_id"]
                await self.shop.request("POST", "/v1/events", json={"events": [event]})
        for query in ("wedding", "robot", "murder"):
            await self.shop.search(query=query)

    async def state(self) -> dict[str, Any]:
        """What the page gets."""
        async with self.shop.session.get(f"{self.admin}/ui/state") as answer:
            assert answer.status == 200, await answer.text()
            said: dict[str, Any] = await answer.json()
            return said


async def listening(shop: World, stack: AsyncExitStack) -> str:
    """The address of an admin listener of this world."""
    runner = Runner(Front(shop.runtime).app(admin=True), drain=1)
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


GONE: Final = "gone"
"""A provider that is not configured any more: nobody takes from its queue."""


async def bury(store: Store, refs: Sequence[str]) -> None:
    """Dead letters of these events, in this order."""
    now = time.time()
    events = (Event(id=ref, type="view", user="u1", time=datetime.fromtimestamp(now, UTC)) for ref in refs)
    await store.accept([Entry(event, {GONE: "queued"}) for event in events], now)
    waiting = await store.errands(GONE, 0, len(refs))
    await store.settle(GONE, [], [(one, "not wanted") for one in waiting], now)


@asynccontextmanager
async def scene(directory: Path, more: Mapping[str, Any] | None = None) -> AsyncIterator[Scene]:
    """While the block runs."""
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(world(directory, {**SETTINGS, **(more or {})}))
        yield Scene(shop, await listening(shop, stack))

"""What the tests of the page share: a shop with traffic before an admin listener, and a real Chromium.

`python -m tests.ui DIRECTORY` makes the pictures of docs/operations.md, and others to be looked at.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from aiohttp import web
from playwright.async_api import Browser, Page, async_playwright

from gateway.server.edges import Runner
from gateway.server.front import Front
from tests.world import World, bought_by, world

CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
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
            item = {"items": [dice.choice(bought_by(user))]} if placement in ("product_page", "cart") else {}
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


@asynccontextmanager
async def scene(directory: Path, more: Mapping[str, Any] | None = None) -> AsyncIterator[Scene]:
    """While the block runs."""
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(world(directory, {**SETTINGS, **(more or {})}))
        yield Scene(shop, await listening(shop, stack))


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser with a profile of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Seen:
    """A page, and all that must not happen on it."""

    page: Page
    complaints: list[str]
    """Of the console, and scripts that failed."""
    hosts: set[str]
    """That anything was asked of."""


@asynccontextmanager
async def opened(browser: Browser, url: str, **settings: Any) -> AsyncIterator[Seen]:
    """A page of its own: `settings` as Playwright's `new_context` takes them."""
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
    page = await context.new_page()
    seen = Seen(page, [], set())
    page.on("console", lambda said: seen.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: seen.hosts.add(request.url.split("/")[2]))
    try:
        await page.goto(url)
        yield seen
    finally:
        await context.close()


async def pictures(into: Path) -> None:
    """Healthy and broken, wide and narrow, light and dark."""
    into.mkdir(parents=True, exist_ok=True)
    narrow: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2}
    looks: dict[str, dict[str, Any]] = {"wide": {}, "phone": narrow, "dark": {"color_scheme": "dark"}}
    with tempfile.TemporaryDirectory() as directory:
        quiet = {**SETTINGS["defaults"]["breaker"], "open": "1m", "max_open": "1m"}
        async with scene(Path(directory), {"defaults": {"breaker": quiet}}) as one, chromium() as browser:
            await one.traffic(400)
            for name, settings in looks.items():
                await _picture(browser, one, into / f"healthy-{name}.png", settings)
            await one.shop.breaks("recomendo", status=503)
            one.shop.runtime.pipeline.cache.drop()
            await one.shop.breaks("algolia", status=400, path="/1/events")
            one.shop.runtime.lately.__init__()  # type: ignore[misc]  # as if minutes had passed
            await one.traffic(300, seed=8)
            for name, settings in looks.items():
                await _picture(browser, one, into / f"broken-{name}.png", settings)
            async with opened(browser, f"{one.admin}/ui") as seen:
                await explored(seen.page)
                place = seen.page.locator("section", has=seen.page.locator("#explorer"))
                await place.screenshot(path=into / "explorer.png")


async def explored(page: Page, placement: str = "default") -> None:
    """The explorer's answer for somebody."""
    await page.wait_for_selector("#main:not([hidden])")
    await page.select_option("#explorer select[name=placement]", placement)
    await page.fill("#explorer input[name=user]", "u1")
    await page.click("#explorer button")
    await page.wait_for_selector("#explained .panel")


async def _picture(browser: Browser, one: Scene, file: Path, settings: dict[str, Any]) -> None:
    async with opened(browser, f"{one.admin}/ui", **settings) as seen:
        await seen.page.wait_for_selector("#main:not([hidden])")
        await seen.page.screenshot(path=file, full_page=True)
        await seen.page.screenshot(path=file.with_stem(f"{file.stem}-first"))


if __name__ == "__main__":
    asyncio.run(pictures(Path(sys.argv[1])))

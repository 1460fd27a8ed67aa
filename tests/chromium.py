"""A real Chromium, for the tests of the page for people.

`python -m tests.chromium DIRECTORY` makes pictures of it to be looked at, those of docs/ among them.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.telemetry.lately import Lately
from gateway.telemetry.sorts import Sorts
from tests.ui import SETTINGS, Scene, scene

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PHONE: Final[dict[str, Any]] = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser with a profile of its own."""
    from playwright.async_api import async_playwright  # noqa: PLC0415  # of the group `more`

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
    page.on(
        "console", lambda said: seen.complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: seen.hosts.add(request.url.split("/")[2]))
    try:
        await page.goto(url)
        yield seen
    finally:
        await context.close()


async def pictures(into: Path) -> None:
    """Healthy and broken, wide and narrow, light and dark."""
    looks: dict[str, dict[str, Any]] = {"wide": {}, "phone": PHONE, "dark": {"color_scheme": "dark"}}
    with tempfile.TemporaryDirectory() as directory:
        quiet = {**SETTINGS["defaults"]["breaker"], "open": "1m", "max_open": "1m"}
        async with scene(Path(directory), {"defaults": {"breaker": quiet}}) as one, chromium() as browser:
            vars(one.shop.runtime.lately).update(vars(Lately(Sorts())))  # the world asked while it was made
            await one.traffic(400)
            for name, settings in looks.items():
                await _picture(browser, one, into / f"healthy-{name}.png", settings)
            await one.shop.breaks("recomendo", status=503)
            one.shop.runtime.pipeline.cache.drop()
            await one.shop.breaks("algolia", status=400, path="/1/events")
            vars(one.shop.runtime.lately).update(vars(Lately(Sorts())))  # as if five minutes had passed
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
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    asyncio.run(pictures(directory))

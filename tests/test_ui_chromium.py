"""`/ui` in real Chromium: well and with a vendor broken, on a phone, by night, with a key, with hostile words."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

from gateway.server.ui.letters import SHOWN
from gateway.telemetry.lately import NOW, WIDTH, Lately
from gateway.telemetry.sorts import Sorts
from tests.chromium import CHROMIUM, PHONE, chromium, explored, opened
from tests.doors import doors
from tests.serving import until
from tests.ui import GONE, Scene, bury, scene

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [
    pytest.mark.more("Chromium"),
    pytest.mark.skipif(shutil.which(CHROMIUM) is None, reason="Chromium is not installed"),
    pytest.mark.asyncio(loop_scope="module"),
]

HOSTILE: Final = "<img src=x onerror=\"window.pwned='{0}'\"><script>window.pwned='{0}'</script>"
CONTRAST: Final = """() => {
  const parsed = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((all, c, at) => all + c * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parsed(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.closest("svg, option")) continue;
    const [one, other] = [light(parsed(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) found.push(`${node.className} ${node.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""
"""Texts that stand out from their ground by less than WCAG 2.2's 4.5 : 1 (§1.4.3)."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def well(one: Scene) -> Scene:
    """With traffic, and as if nothing had ever gone wrong."""
    await until(lambda: _closed(one))
    vars(one.shop.runtime.lately).update(vars(Lately(Sorts())))
    one.shop.runtime.pipeline.cache.drop()
    await one.traffic(40)
    return one


async def _closed(one: Scene) -> bool:
    await one.shop.ask("default", user={"id": "u1"})
    state = await one.state()
    return all(set(provider["breaker"].values()) == {"closed"} for provider in state["providers"])


async def shown(page: Page, words: str | re.Pattern[str], at: str = "#main", within: float = 8.0) -> None:
    """Wait until these words are on the page."""
    await page.locator(at, has_text=words).wait_for(timeout=within * 1000)


def placement(page: Page, name: str) -> Any:
    return page.locator(f"#at-{name}")


async def test_all_is_well(browser: Browser, well: Scene) -> None:
    async with opened(browser, f"{well.admin}/ui") as seen:
        page = seen.page
        await shown(page, "All is well", "#headline")
        assert await page.title() == "✓ All is well – Recommendation gateway"
        assert await page.locator("#findings li").count() == 0
        assert await page.locator("#door").is_hidden()
        rows = page.locator("#providers tbody tr")
        assert await rows.count() == 6
        assert await rows.locator(".pill.well").count() == 5  # nobody asks for profiles here
        text = await placement(page, "default").inner_text()
        assert "recomendo" in text and "100\u00a0%" in text and "shadow: discerner" in text
        assert await placement(page, "home").locator(".arm").count() == 2
        assert "weight 50" in await placement(page, "home").inner_text()
        assert "home-demo" in await page.locator("#experiments caption").inner_text()
        assert await page.locator("#experiments tbody tr").count() == 2
        assert "None since" in await page.locator("#problems").inner_text()
        await asyncio.sleep(2.5)  # a second look
        assert seen.complaints == [] and seen.hosts == {well.admin.removeprefix("http://")}


async def test_a_vendor_breaks_and_heals(browser: Browser, well: Scene) -> None:
    async with opened(browser, f"{well.admin}/ui") as seen:
        page = seen.page
        await shown(page, "All is well", "#headline")
        well.shop.runtime.pipeline.cache.drop()
        async with well.shop.broken("recomendo", status=503):
            began = time.monotonic()
            for _ in range(40):
                await well.shop.ask("default", user={"id": "u1"})
            await shown(page, "Something is broken", "#headline")
            says = re.compile(r"recomendo: breaker (half )?open.*default is answered by xayn \(fallback \d+ %\)")
            await shown(page, says, "#findings")
            assert time.monotonic() - began < 8
            await shown(page, "as a stand-in", "#at-default")
            await shown(page, "recomendo did not answer", "#at-default")
            row = page.locator("#providers tbody tr", has_text="recomendo").first
            assert await row.locator(".pill", has_text=re.compile("breaker open|being tried")).count() >= 1
            assert "answered 503" in await row.inner_text()
            assert await placement(page, "default").locator('.bar rect[fill="url(#hatch)"]').count() == 1
        await until(lambda: _closed(well))
        lately = well.shop.runtime.lately
        lately.clock = lambda: time.monotonic() + NOW * WIDTH  # a minute later
        await well.traffic(20)
        await shown(page, "All is well", "#headline")
        await shown(page, "recomendo 100", "#at-default")
        assert await placement(page, "default").locator(".part em").count() == 0
        assert seen.complaints == []


async def test_callers_that_are_affected(browser: Browser, well: Scene) -> None:
    async with opened(browser, f"{well.admin}/ui") as seen, well.shop.broken("discerner", status=503):
        await shown(seen.page, "All is well", "#headline")
        for _ in range(4):
            (await well.shop.ask("discerner", user={"id": "u1"})).problem("unavailable", 503)
        await shown(seen.page, "Callers are affected", "#headline")
        await shown(seen.page, re.compile("discerner: 100 % of the requests fail"), "#findings")
        row = seen.page.locator("#problems tbody tr").first
        text = await row.inner_text()
        assert "unavailable" in text and "503" in text and "for discerner" in text and "answered 503" in text
        assert await row.locator("a").get_attribute("href") == "/problems/unavailable"
        assert seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("wide", [True, False])
async def test_it_fits_and_can_be_read(browser: Browser, well: Scene, scheme: str, wide: bool) -> None:
    settings: dict[str, Any] = {} if wide else PHONE
    async with (
        opened(browser, f"{well.admin}/ui", color_scheme=scheme, **settings) as seen,
        well.shop.broken("recomendo", status=503),
        well.shop.broken("algolia", status=400, path="/1/events"),
    ):
        page = seen.page
        await well.traffic(60)
        await shown(page, "recomendo: breaker", "#findings")
        await explored(page)
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(overflow) <= 0
        beyond = """() => [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility()
            && !one.closest(".unseen, thead, pre, svg") && one.getBoundingClientRect().right > innerWidth + 1)
            .map((one) => one.outerHTML.slice(0, 100))"""
        assert await page.evaluate(beyond) == []
        assert await page.evaluate(CONTRAST) == []
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 22, 29)")
        thead = page.locator("#providers thead")
        assert (await thead.evaluate("one => one.getBoundingClientRect().width") > 100) is wide
        labels = await page.evaluate(
            "[...document.querySelectorAll('input, select, textarea')].filter((one) => !one.labels.length).length"
        )
        captions = await page.evaluate(
            "[...document.querySelectorAll('table')].filter((one) => !one.caption.textContent).length"
        )
        assert (labels, captions) == (0, 0)
        assert seen.complaints == []
    await well.shop.request("POST", "/v1/events", json={"events": []})
    async with well.shop.session.post(f"{well.admin}/ui/retry", json={"provider": "algolia"}) as answer:
        assert answer.status == 200
    await until(lambda: _nothing_dead(well))


async def _nothing_dead(one: Scene) -> bool:
    return bool((await one.state())["dead_letters"] == [])


async def test_a_dead_letter_is_sent_again(browser: Browser, well: Scene) -> None:
    view = {"type": "view", "user": {"id": "u1"}, "items": ["d0"]}
    async with opened(browser, f"{well.admin}/ui") as seen:
        page = seen.page
        async with well.shop.broken("algolia", status=400, path="/1/events"):
            events = [{"id": f"lost-{n}", **view} for n in range(3)]
            assert (await well.shop.request("POST", "/v1/events", json={"events": events})).status == 202
            await shown(page, "lost-1", "#letters")
        assert await page.locator("#letters tbody tr").count() == 3
        await shown(page, "algolia has refused 3 events", "#findings")
        button = page.get_by_role("button", name="Retry lost-1 at algolia")
        await button.click()
        assert "lost-1" in await page.locator("#question").inner_text()
        await page.get_by_role("button", name="Leave them").click()
        await asyncio.sleep(0.2)
        assert await page.locator("#letters tbody tr").count() == 3
        await button.focus()
        await page.keyboard.press("Enter")
        await page.locator("#sure").get_by_role("button", name="Retry").click()
        await shown(page, "1 dead letter on the way to algolia again", "#retried")
        await button.wait_for(state="detached")
        await page.get_by_role("button", name="Retry all 2 of algolia").click()
        await page.locator("#sure").get_by_role("button", name="Retry").click()
        await shown(page, "2 dead letters on the way", "#retried")
        await until(lambda: _nothing_dead(well))
        await page.locator("#letters table").wait_for(state="detached")
        assert seen.complaints == []


async def test_dead_letters_are_looked_through(browser: Browser, well: Scene) -> None:
    """Page by page; one of an older page is sent again there; what comes meanwhile moves nothing on it."""
    shop, store, first = (
        well.shop,
        well.shop.runtime.store,
        {"type": "view", "user": {"id": "u1"}, "items": ["d0"]},
    )
    async with opened(browser, f"{well.admin}/ui") as seen:
        page = seen.page
        rows, older = page.locator("#letters tbody tr"), page.get_by_role("button", name="Older dead letters")
        async with shop.broken("algolia", status=400, path="/1/events"):
            event = {"id": "the-first", **first}
            assert (await shop.request("POST", "/v1/events", json={"events": [event]})).status == 202
            await shown(page, "the-first", "#letters")
        assert await page.locator("#turn button").count() == 0
        await bury(store, [f"lost-{n:03}" for n in range(2 * SHOWN)])
        await older.focus()
        assert await rows.count() == SHOWN and "lost-099" in await rows.first.inner_text()
        await page.keyboard.press("Enter")
        await shown(page, "lost-049", "#letters")
        assert await rows.count() == SHOWN
        assert await older.evaluate("one => one === document.activeElement")
        await bury(store, ["late"])
        async with page.expect_response("**/ui/state"), page.expect_response("**/ui/state"):
            pass
        assert "lost-049" in await rows.first.inner_text() and await rows.count() == SHOWN
        await page.keyboard.press("Enter")
        await shown(page, "the-first", "#letters")
        assert await rows.count() == 1 and await older.count() == 0
        assert await page.evaluate(CONTRAST) == []
        await page.get_by_role("button", name="Retry the-first at algolia").click()
        await page.locator("#sure").get_by_role("button", name="Retry").click()
        await shown(page, "1 dead letter on the way to algolia again", "#retried")
        await shown(page, "None of these is left", "#letters")
        await page.route("**/ui/dead-letters*", lambda route: route.abort())
        await page.get_by_role("button", name="Back to the newest").click()
        await shown(page, "late", "#letters")
        assert await page.locator("#retried").inner_text() == ""
        assert seen.complaints == []
        await older.click()
        await shown(page, "Older dead letters cannot be read", "#retried")
        assert "late" in await rows.first.inner_text()
    await store.retry(GONE, None)
    await until(lambda: _nothing_dead(well))


async def test_the_explorer(browser: Browser, well: Scene) -> None:
    async with opened(browser, f"{well.admin}/ui") as seen:
        page, form = seen.page, seen.page.locator("#explorer")
        await explored(page, "default")
        await shown(page, re.compile(r"recomendo answered with \d items"), "#explained h3")
        way = await page.locator("#explained .way").inner_text()
        assert "Placement default, for you" in way and "Cache: off" in way and "xayn was not needed" in way
        assert "answered 200 in" in way
        rows = page.locator("#explained tbody tr")
        assert await rows.count() == 5 and " of Comedy" in await rows.first.inner_text()

        await form.locator("[name=placement]").select_option("home")
        await form.locator("[name=provider]").select_option("xayn")
        await form.locator("[name=filter]").fill('{"property": "year", "gte": 1987}')
        await form.locator("button").click()
        await shown(page, "xayn answered", "#explained h3")
        assert re.search(
            "arm (control|challenger) of home-demo", await page.locator("#explained .way").inner_text()
        )

        await form.locator("[name=filter]").fill("{no")
        await form.locator("button").click()
        await shown(page, "The filter is no JSON", "#explained")
        await form.locator("[name=filter]").fill('{"property": "year", "more": 1}')
        await form.locator("button").click()
        await shown(page, "The request is not valid (422)", "#explained h3")
        assert "/filter" in await page.locator("#explained").inner_text()

        await form.locator("[name=filter]").fill("")
        await form.locator("[name=provider]").select_option("")
        await form.locator("[name=placement]").select_option("search")
        await form.locator("[name=user]").fill("")
        await form.locator("[name=query]").fill("wedding")
        await form.locator("button").click()
        await shown(page, "POST /v1/search", "#explained")
        assert "wedding" in await page.locator("#explained tbody").inner_text()

        await form.locator("[name=placement]").select_option("product_page")
        await form.locator("[name=kind]").select_option("trending_facets")
        await form.locator("[name=facet]").fill("genre")
        await form.locator("button").click()
        await shown(page, "genre = ", "#explained tbody")
        assert "cannot serve trending_facets" in await page.locator("#explained .way").inner_text()

        async with well.shop.broken("discerner", status=503):
            await form.locator("[name=placement]").select_option("discerner")
            await form.locator("[name=user]").fill("u1")
            await form.locator("[name=kind]").select_option("")
            await form.locator("[name=facet]").fill("")
            await form.locator("button").click()
            await shown(page, "The providers failed (503)", "#explained h3")
            assert "discerner did not answer: failed" in await page.locator("#explained .way").inner_text()
        unwanted = [said for said in seen.complaints if "status of 4" not in said and "status of 5" not in said]
        assert unwanted == []  # Chromium tells of each status from 400 on by itself


async def test_words_that_want_to_be_markup(browser: Browser, well: Scene) -> None:
    """Of items, users, events and vendors: all of it is text."""
    told = HOSTILE.format("vendor")
    item = {"id": HOSTILE.format("item"), "properties": {"title": HOSTILE.format("title")}}
    events = [
        {"id": HOSTILE.format("event"), "type": "view", "user": {"id": f"u{n}<b>"}, "items": [item["id"]]}
        for n in range(3)
    ]
    async with opened(browser, f"{well.admin}/ui") as seen:
        page = seen.page
        async with (
            well.shop.broken("algolia", status=400, body=f'{{"message": {told!r}}}'),
            well.shop.broken("recomendo", status=503, body=told),
            well.shop.broken("xayn", status=403, body=told),
        ):
            assert (await well.shop.request("POST", "/v1/items", json={"items": [item]})).status == 202
            assert (await well.shop.request("POST", "/v1/events", json={"events": events})).status == 202
            for name in ("recomendo", "xayn", "algolia"):
                await well.shop.ask(name, user={"id": HOSTILE.format("user")})
            await shown(page, HOSTILE.format("event"), "#letters")
            await page.fill("#explorer input[name=user]", HOSTILE.format("user"))
            await page.select_option("#explorer select[name=placement]", "local")
            await page.select_option("#explorer select[name=kind]", "trending_items")
            await page.fill("#explorer input[name=count]", "100")
            await until(lambda: _finds(page, HOSTILE.format("title")))
        assert await page.evaluate("window.pwned") is None
        assert await page.locator("#main img, #main script, #main b").count() == 0
        with pytest.raises(Exception, match="requires 'TrustedHTML' assignment"):
            await page.evaluate("() => { document.body.innerHTML = '<b>x</b>'; }")
        smuggled = "() => { const one = document.createElement('script'); one.append('window.pwned = 1');"
        with pytest.raises(Exception, match="Trusted"):
            await page.evaluate(smuggled + " one.text = 'window.pwned = 1'; document.body.append(one); }")
        assert await page.evaluate("window.pwned") is None
    await well.shop.request("DELETE", "/v1/users/u0%3Cb%3E")
    async with well.shop.session.post(f"{well.admin}/ui/retry", json={"provider": "algolia"}) as answer:
        assert answer.status == 200
    await until(lambda: _nothing_dead(well))


async def _finds(page: Page, words: str) -> bool:
    await page.click("#explorer button")
    await page.wait_for_timeout(200)
    return words in await page.locator("#explained").inner_text()


async def test_nothing_is_lost_while_it_is_drawn_anew(browser: Browser, well: Scene) -> None:
    """Focus, what is typed, what is folded out, and the span that was chosen."""
    async with opened(browser, f"{well.admin}/ui") as seen:
        page = seen.page
        await shown(page, "All is well", "#headline")
        await page.locator("#placements summary").click()
        await page.get_by_role("radio", name="five minutes").check()
        await page.fill("#explorer input[name=user]", "u1")
        await page.focus("#explorer input[name=items]")
        await page.keyboard.type("d0")
        async with page.expect_response("**/ui/state"), page.expect_response("**/ui/state"):
            await well.traffic(5)
        await page.wait_for_timeout(100)
        assert await page.evaluate("document.activeElement.name") == "items"
        assert await page.input_value("#explorer input[name=items]") == "d0"
        assert await page.locator("#placements details").get_attribute("open") is not None
        assert await page.get_by_role("radio", name="five minutes").is_checked()
        assert seen.complaints == []


async def test_by_keyboard_alone(browser: Browser, well: Scene) -> None:
    async with opened(browser, f"{well.admin}/ui") as seen:
        page = seen.page
        await shown(page, "All is well", "#headline")
        reached = []
        for _ in range(30):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.name || document.activeElement.nodeName"))
            if await page.evaluate("document.activeElement.type") == "submit":
                break
        assert [name for name in reached if name in ("span", "placement", "kind", "user", "filter")] == [
            "span", "placement", "kind", "user", "filter",
        ]  # fmt: skip
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#explained .panel")


async def test_a_gateway_that_is_away_and_a_page_that_nobody_sees(browser: Browser, well: Scene) -> None:
    async with opened(browser, f"{well.admin}/ui") as seen:
        page = seen.page
        await shown(page, "All is well", "#headline")
        asked: list[float] = []
        page.on("request", lambda request: asked.append(time.monotonic()) if "/ui/state" in request.url else None)

        await page.route("**/ui/state", lambda route: route.abort())
        await page.locator("#live", has_text="No news for").wait_for()
        assert "it cannot be reached. Asking again in" in await page.locator("#live").inner_text()
        assert await page.locator("#headline").is_visible()  # what was known stays
        await until(lambda: len(asked) >= 3)
        assert asked[2] - asked[1] > 1.5 * 2  # later each time
        await page.unroute("**/ui/state")
        await page.locator("#live", has_text=re.compile("^live$")).wait_for(timeout=20_000)

        hide = "Object.defineProperty(document, 'hidden', {{get: () => {}, configurable: true}})"
        change = "document.dispatchEvent(new Event('visibilitychange'))"
        await page.evaluate(f"{hide.format('true')}; {change}")
        await page.wait_for_timeout(300)
        asked.clear()
        await page.wait_for_timeout(2600)
        assert asked == []
        await page.evaluate(f"{hide.format('false')}; {change}")
        await until(lambda: asked)


async def test_a_key_is_asked_for_where_there_is_auth(browser: Browser, tmp_path: Path) -> None:
    keys = {name: {"key": f"{name}-key", "scopes": scopes} for name, scopes in {
        "ops": ["ops", "recommend"], "shop": ["recommend"],
    }.items()}  # fmt: skip
    async with (
        doors(tmp_path, {"auth": {"api_keys": keys}}) as gateway,
        opened(browser, f"{gateway.admin_url}/ui") as seen,
    ):
        page = seen.page
        door = page.locator("#door")
        await door.wait_for()
        assert await page.locator("#main").is_hidden() and await page.locator("#refused").inner_text() == ""
        for key, said in (("wrong", "the key is not known here"), ("shop-key", "lack the scope `ops`")):
            await page.keyboard.type(key)
            await page.keyboard.press("Enter")
            await shown(page, said, "#refused")
            assert await page.locator("#main").is_hidden()
        await page.keyboard.type("ops-key")
        await page.keyboard.press("Enter")
        await shown(page, "All is well", "#headline")
        assert await door.is_hidden()
        kept = "[localStorage.length, document.cookie, sessionStorage.length, location.href]"
        assert await page.evaluate(kept) == [0, "", 1, f"{gateway.admin_url}/ui"]
        assert "ops-key" not in await page.content()
        await page.reload()
        await shown(page, "All is well", "#headline")
        await page.select_option("#explorer select[name=placement]", "home")
        await page.click("#explorer button")
        await page.wait_for_selector("#explained .way")
        await page.click("#forget")
        await door.wait_for()
        assert await page.evaluate("sessionStorage.length") == 0

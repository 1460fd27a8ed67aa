"""A shadow is asked too, never awaited, and compared; whatever becomes of it, nobody else notices."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from gateway.config import load
from gateway.policies.shadow import MOST, Shadow, overlap
from tests.serving import until
from tests.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACE: Final = "c" * 32
U0: Final = {"id": "u0"}
USERS: Final = [{"id": f"u{n}"} for n in range(30)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shadow")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(directory: Path) -> AsyncIterator[World]:
    always = {"provider": "xayn", "share": "100%"}
    more: dict[str, Any] = {
        "defaults": {"breaker": {"open": "100ms", "close_after": 1}},
        "providers": {"xayn": {"max_in_flight": 40}},
        "placements": {
            "plain": {"providers": ["recomendo"]},
            "shadowed": {"providers": ["recomendo"], "shadow": always},
            "never": {"providers": ["recomendo"], "shadow": {**always, "share": "0%"}},
            "cached": {"providers": ["recomendo"], "cache": {"ttl": "1h"}, "shadow": always},
            "itself": {"providers": ["local"], "shadow": {"provider": "local", "share": "100%"}},
        },
    }
    async with world(directory, more) as shop:
        yield shop


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _mended(shop: World, directory: Path) -> AsyncIterator[None]:
    """Before each test: the configuration as written, every provider new, no shadow under way."""
    asyncio.get_running_loop().set_exception_handler(_fail)
    shop.forget_failures()
    changed(shop, directory, xayn={"max_in_flight": 40, "max_answer": f"{next(sizes)}B"})
    unheard.clear()
    yield
    await until(lambda: not running(shop))
    assert unheard == []


sizes: Final = itertools.count(1_000_000)
"""Another each time, so that the provider is made anew."""
unheard: list[Any] = []
"""Exceptions that nobody waited for."""


def _fail(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    unheard.append(context)


def changed(shop: World, directory: Path, *, without: str | None = None, **providers: dict[str, Any]) -> None:
    """The configuration in force is the file's but for this."""
    written = yaml.safe_load((directory / "gateway.yaml").read_text())
    for name, settings in providers.items():
        written["providers"][name].update(settings)
    if without is not None:
        del written["placements"]["shadowed"]["shadow"]
        for placement in written["placements"].values():
            if "shadow" in placement and placement["shadow"]["provider"] == without:
                del placement["shadow"]
            if without in placement["providers"]:
                placement["providers"] = ["local"]
        del written["providers"][without]
    file = directory / "changed.yaml"
    file.write_text(yaml.safe_dump(written))
    shop.runtime.apply(load(file, {}))


def running(shop: World) -> int:
    shadows = [one.shadow for one in shop.runtime.pipeline.plan.placements.values()]
    return sum(len(one._running) for one in shadows if one is not None)


def counted(shop: World, placement: str) -> dict[str, float]:
    """Shadow requests by outcome."""
    return {
        sample.labels["outcome"]: sample.value
        for family in text_string_to_metric_families(shop.metrics())
        for sample in family.samples
        if sample.name == "gateway_shadow_requests_total" and sample.labels["placement"] == placement
    }


def measured(shop: World, name: str, placement: str) -> float:
    for family in text_string_to_metric_families(shop.metrics()):
        for sample in family.samples:
            if sample.name == name and sample.labels["placement"] == placement:
                return sample.value
    return 0.0


async def grown(shop: World, placement: str, before: dict[str, float]) -> dict[str, float]:
    """What has been counted since, once nothing runs any more."""
    await until(lambda: not running(shop))
    return {
        word: n - before.get(word, 0) for word, n in counted(shop, placement).items() if n > before.get(word, 0)
    }


def asked(shop: World) -> int:
    """Questions that have reached the shadow's vendor."""
    return sum(n for (name, path), n in shop.calls.items() if name == "xayn" and path.endswith("recommendations"))


# --- the caller notices nothing ---------------------------------------------------------------------------------


async def test_it_is_asked_and_the_caller_sees_nothing(shop: World) -> None:
    before, calls = counted(shop, "shadowed"), asked(shop)
    plain, shadowed = await shop.ask("plain", user=U0), await shop.ask("shadowed", user=U0)
    assert shadowed.ids == plain.ids
    assert shadowed.headers.keys() == plain.headers.keys()
    assert "xayn" not in shadowed.text + str(shadowed.headers)
    assert await grown(shop, "shadowed", before) == {"answered": 1}
    assert asked(shop) == calls + 1


async def test_it_is_never_awaited(shop: World) -> None:
    async with shop.broken("xayn", delay="3s"):
        for user in USERS[:5]:
            started = time.monotonic()
            assert (await shop.ask("shadowed", user=user)).provider == "recomendo"
            assert time.monotonic() - started < 2.5
        assert running(shop) == 5


FAULTS: Final[dict[str, dict[str, Any]]] = {
    "failed": {"status": 503},
    "disconnected": {"close": True},
    "malformed": {"body": "html"},
    "misconfigured": {"status": 403},
    "refused": {"status": 400},
    "throttled": {"status": 429},
    "empty": {"body": '{"documents": []}'},
}


@pytest.mark.parametrize("word", FAULTS)
async def test_its_failures_are_only_counted(shop: World, word: str) -> None:
    before = counted(shop, "shadowed")
    async with shop.broken("xayn", **FAULTS[word]):
        reply = await shop.ask("shadowed", user=U0)
        assert (reply.status, reply.provider, reply.json["source"]["fallback"]) == (200, "recomendo", False)
        assert await grown(shop, "shadowed", before) == {word: 1}


async def test_a_fault_of_our_own_is_logged_and_counted(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    before = counted(shop, "shadowed")
    monkeypatch.setattr(shop.provider("xayn"), "call", broken)
    with capture_logs() as lines:
        parent = {"traceparent": f"00-{TRACE}-{'1' * 16}-01"}
        assert (await shop.ask("shadowed", user=U0, headers=parent)).status == 200
        assert await grown(shop, "shadowed", before) == {"internal": 1}
    said = [(line["provider"], line["trace_id"]) for line in lines if line["event"] == "shadow"]
    assert said == [("xayn", TRACE)], "whose answer it is compared with"


async def test_a_reload_takes_the_shadow_away_while_it_is_asked(shop: World, directory: Path) -> None:
    async with shop.broken("recomendo", delay="1s", path="queries"):
        under_way = asyncio.create_task(shop.ask("shadowed", user=U0))
        calls = shop.calls["recomendo", "/v1/queries.json"]
        await until(lambda: shop.calls["recomendo", "/v1/queries.json"] > calls)
        changed(shop, directory, without="xayn")
        assert (await under_way).provider == "recomendo"
    await asyncio.sleep(0.05)
    assert unheard == []


# --- how often --------------------------------------------------------------------------------------------------


async def test_only_what_is_fetched_for_a_caller_has_a_shadow(shop: World) -> None:
    before = counted(shop, "cached")
    wishes: list[dict[str, str]] = [{}, {}, {"Gateway-Explain": "1"}, {"Gateway-Provider": "recomendo"}]
    for headers in wishes:
        await shop.ask("cached", user={"id": "u3"}, headers=headers)
    assert await grown(shop, "cached", before) == {"answered": 1}
    async with shop.broken("recomendo", status=500):
        await shop.ask("cached", user={"id": "u4"})
    assert await grown(shop, "cached", before) == {"answered": 1}
    await shop.ask("never", user=U0)
    assert counted(shop, "never") == {}


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
async def test_the_share(share: float) -> None:
    async def nothing() -> None:
        return None

    shadow = Shadow("x", share, random.Random(3))
    taken = 0
    for _ in range(2000):
        taken += shadow.consider(nothing)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert taken == pytest.approx(2000 * share, abs=60)
    await shadow.close()


async def test_so_many_at_once_and_no_more(shop: World) -> None:
    before = counted(shop, "shadowed")
    async with shop.broken("xayn", delay="3s"):
        replies = await asyncio.gather(*(shop.ask("shadowed", user=user) for user in USERS))
        assert {reply.provider for reply in replies} == {"recomendo"}
        assert running(shop) == MOST
    assert sum((await grown(shop, "shadowed", before)).values()) == MOST


# --- real traffic comes first -----------------------------------------------------------------------------------


async def test_half_of_the_places_stay_free(shop: World, directory: Path) -> None:
    changed(shop, directory, xayn={"max_in_flight": 4})
    before = counted(shop, "shadowed")
    async with shop.broken("xayn", delay="2s"):
        await asyncio.gather(*(shop.ask("shadowed", user=user) for user in USERS[:12]))
        assert shop.provider("xayn").gates.bulkhead.in_flight <= 2
        real = await asyncio.gather(*(shop.ask("xayn", user=user) for user in USERS[:2]))
    assert [reply.provider for reply in real] == ["xayn", "xayn"]
    assert (await grown(shop, "shadowed", before))["passed_over"] >= 10


async def test_half_of_the_rate_stays_free(shop: World, directory: Path) -> None:
    changed(shop, directory, xayn={"rate": "6/m"})  # at once 1: nothing to spare
    before = counted(shop, "shadowed")
    await shop.ask("shadowed", user=U0)
    assert await grown(shop, "shadowed", before) == {"passed_over": 1}
    changed(shop, directory, xayn={"rate": "12/s"})
    calls = asked(shop)
    for user in USERS[:20]:
        await shop.ask("shadowed", user=user)
    room = shop.provider("xayn").gates.pace
    assert room is not None
    assert room.remaining(time.monotonic()) >= 5
    assert asked(shop) - calls >= 5


async def test_one_that_is_asked_as_a_shadow_alone_heals_too(shop: World) -> None:
    async with shop.broken("xayn", status=500):
        for user in USERS[:6]:
            await shop.ask("shadowed", user=user)
            await until(lambda: not running(shop))
        assert shop.provider("xayn").gates.reads.state != "closed"
    before = counted(shop, "shadowed")

    async def healed() -> bool:
        await shop.ask("shadowed", user=U0)
        return shop.provider("xayn").gates.reads.state == "closed"

    await until(healed)
    assert (await grown(shop, "shadowed", before))["answered"] >= 1


# --- how it compares --------------------------------------------------------------------------------------------


async def test_the_same_answer_overlaps_wholly(shop: World) -> None:
    before = counted(shop, "itself")
    await shop.ask("itself", user=U0)
    assert await grown(shop, "itself", before) == {"answered": 1}
    assert measured(shop, "gateway_shadow_overlap_ratio_sum", "itself") == 1
    assert measured(shop, "gateway_shadow_duration_seconds_count", "itself") == 1


@pytest.mark.parametrize(
    "served, shadowed, share",
    [
        ("abcd", "abcd", 1), ("abcd", "dcba", 1), ("abcd", "abxy", 0.5), ("abcd", "b", 0), ("a", "ab", 1),
        ("", "a", 0), ("ab", "cd", 0),
    ],
)  # fmt: skip
async def test_overlap(served: str, shadowed: str, share: float) -> None:
    assert overlap(served, shadowed) == share

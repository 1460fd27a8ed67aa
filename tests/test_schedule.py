"""A scripted schedule of faults under load: whatever the vendors do, callers are answered, in time.

    each vendor in turn   dead first host · refused · hung · 5xx · 429 · garbage · flapping · slow
    all at once           from stale answers
    after each            traffic returns to the healed vendor within twice its open time

A gateway of its own process answers; vendors, relays and callers share this one. In `make test` the vendors' turns
are taken side by side and times are only held to be sane; `make test-all` runs it as written above, strictly.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from tests.serving import PATIENCE, Process, Relay, providers, relays, serving
from tests.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTEN: Final = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain": "1s"}
VENDORS: Final = ("recomendo", "algolia", "discerner", "xayn")
DEADLINE: Final = 0.6
OPEN: Final = 0.4
"""Seconds: how long a breaker stays open at most, here."""
THROTTLED: Final = 1.0
"""Seconds for which a 429 without Retry-After is heeded."""
FAULTS: Final[Mapping[str, dict[str, Any]]] = {
    "hung": {"delay": "5s"},
    "5xx": {"status": 503},
    "429": {"status": 429},
    "garbage": {"body": "<html>come back later"},
    "cut off": {"body": "truncated"},
    "flapping": {"status": 500, "share": 0.5},
    "slow": {"delay": "140ms"},
}


class Asked(msgspec.Struct, frozen=True):
    """One answered question."""

    at: float
    """When it was asked."""
    seconds: float
    placement: str
    status: int
    items: int
    provider: str | None
    cache: str


class Load:
    """So many questions a second, however long the answers take; at most so many under way."""

    def __init__(self, gateway: Process, placements: Iterable[str], rate: float) -> None:
        self._gateway = gateway
        self._placements = tuple(placements)
        self._rate = rate
        self._rng = random.Random(7)
        self._room = asyncio.Semaphore(200)
        self.asked: list[Asked] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as under_way:
            begun = time.monotonic()
            for n in range(10**9):
                await asyncio.sleep(max(0.0, begun + n / self._rate - time.monotonic()))
                await self._room.acquire()
                under_way.create_task(self._ask(self._placements[n % len(self._placements)]))

    async def _ask(self, placement: str) -> None:
        at = time.monotonic()
        try:
            reply = await self._gateway.ask(placement, user={"id": f"u{self._rng.randrange(30)}"})
        finally:
            self._room.release()
        ids, provider = (reply.ids, reply.provider) if reply.status == 200 else ([], None)
        seconds = time.monotonic() - at
        self.asked.append(
            Asked(at, seconds, placement, reply.status, len(ids), provider, reply.headers.get("Cache-Status", ""))
        )

    def since(self, moment: float, *placements: str) -> list[Asked]:
        return [
            one for one in self.asked if one.at >= moment and one.placement in (placements or self._placements)
        ]


@asynccontextmanager
async def under_load(gateway: Process, placements: Iterable[str], rate: float) -> AsyncIterator[Load]:
    load = Load(gateway, placements, rate)
    running = asyncio.create_task(load.run())
    try:
        yield load
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("schedule")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(directory: Path) -> AsyncIterator[World]:
    async with world(directory) as shop:
        yield shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def through(shop: World) -> AsyncIterator[dict[str, Relay]]:
    async with relays(shop) as through:
        yield through


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second_host(shop: World) -> AsyncIterator[Relay]:
    relay = Relay(shop.vendors["algolia"])
    await relay.listen()
    yield relay
    await relay.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(directory: Path, through: dict[str, Relay], second_host: Relay) -> AsyncIterator[Process]:
    async with serving(directory / "served.yaml", configuration(directory, through, second_host)) as process:
        yield process


def configuration(
    directory: Path,
    through: Mapping[str, Relay],
    second_host: Relay,
    max_answer: str = "4MiB",
    *,
    strict: bool = False,
    patient: bool = False,
) -> dict[str, Any]:
    """With another `max_answer` it makes the provider with two hosts anew, which remembers no dead host then.

    `strict`: in the times that are asserted; else with room for a machine that is busy. `patient`: where no vendor
    is to be slow at all.
    """
    deadline, timeout = (f"{DEADLINE}s", "150ms") if strict else ("20s", "500ms")
    if patient:
        timeout = "5s"
    settings = providers(through)
    settings["algolia"]["max_answer"] = max_answer
    settings["algolia"]["options"]["hosts"]["read"] = [through["algolia"].url, second_host.url]
    cache = {"ttl": "50ms", "stale_if_error": "1h"}
    stale = {"cache": cache, "count": 5}
    return {
        "server": {**LISTEN, "deadline": deadline},
        "state": {"url": f"sqlite:{directory}/state.db"},
        "telemetry": {"logs": {"requests": "errors"}},
        "defaults": {
            "timeout": timeout,
            "breaker": {
                "slow": "4s" if patient else "120ms",
                "window": "2s", "min_calls": 8, "consecutive": 4, "open": f"{OPEN / 2}s", "max_open": f"{OPEN}s",
            },
        },
        "providers": settings,
        "placements": {
            **{f"{one}_then": {"providers": [one, "local"]} for one in VENDORS},
            **{f"{one}_stale": {"providers": [one], **stale} for one in VENDORS},
            "all_stale": {"providers": [*VENDORS], **stale},
            "untouched": {"providers": ["local"]},
        },
    }  # fmt: skip


@asynccontextmanager
async def refused(relay: Relay) -> AsyncIterator[None]:
    await relay.refuse()
    try:
        yield
    finally:
        await relay.mend()


def unanswered(asked: Iterable[Asked]) -> list[Asked]:
    return [one for one in asked if one.status != 200 or not one.items]


async def heals(gateway: Process, load: Load, vendor: str, open_for: float, patience: float) -> float:
    """Wait until a vendor that was mended just now answers and its breaker is closed; how long it did not."""
    mended = time.monotonic()

    def back() -> list[Asked]:
        return [one for one in load.since(mended, f"{vendor}_then") if one.provider == vendor]

    while not back():
        assert time.monotonic() - mended < 2 * open_for + patience, f"no traffic returns to {vendor}"
        await asyncio.sleep(0.01)
    took = back()[0].at - mended
    while (await gateway.state(vendor))["breaker"]["reads"] != "closed":
        assert time.monotonic() - mended < 2 * open_for + patience, f"the breaker of {vendor} stays open"
        await asyncio.sleep(0.02)
    return took


async def suffers(
    gateway: Process, shop: World, load: Load, vendor: str, fault: str, seconds: float, patience: float
) -> float:
    """A vendor breaks under load for a while, nobody is left without an answer, and it heals."""
    async with shop.broken(vendor, **FAULTS[fault]):
        await asyncio.sleep(seconds)
    open_for = THROTTLED if fault == "429" else OPEN
    return await heals(gateway, load, vendor, open_for, patience)


async def warm(gateway: Process, *placements: str) -> None:
    """Have an answer of everybody's in the cache, however often a busy machine is too slow for it."""
    missing = [(placement, n) for placement in placements for n in range(30)]

    async def answered(placement: str, n: int) -> bool:
        return (await gateway.ask(placement, user={"id": f"u{n}"})).status == 200

    async with asyncio.timeout(PATIENCE):
        while missing:
            few, missing = missing[:10], missing[10:]
            well = await asyncio.gather(*(answered(*one) for one in few))
            missing += [one for one, is_well in zip(few, well, strict=True) if not is_well]


def told(asked: Iterable[Asked], what: str) -> str:
    """What was measured, for `pytest -s`."""
    seconds = sorted(one.seconds for one in asked)
    parts = ", ".join(
        f"p{part} {seconds[int(len(seconds) * part / 100)] * 1000:.0f} ms" for part in (50, 99, 99.9)
    )
    return f"{what}: {len(seconds)} requests, {parts}, longest {seconds[-1] * 1000:.0f} ms"


def late(asked: Iterable[Asked]) -> list[Asked]:
    return [one for one in asked if one.seconds > DEADLINE + 0.05]


# --- each in turn -----------------------------------------------------------------------------------------------


async def test_short_turns_side_by_side(gateway: Process, shop: World, through: dict[str, Relay]) -> None:
    """Every vendor suffers every fault, all of them at the same time but each in another order."""
    placements = [f"{one}_{how}" for one in VENDORS for how in ("then", "stale")]
    await warm(gateway, *placements)

    async def turns(vendor: str) -> None:
        names = [*FAULTS]
        start = VENDORS.index(vendor) * 2 % len(names)
        for fault in (*names[start:], *names[:start]):
            await suffers(gateway, shop, load, vendor, fault, 0.25, patience=60)
        async with refused(through[vendor]):
            await asyncio.sleep(0.25)
        await heals(gateway, load, vendor, OPEN, patience=60)

    async with under_load(gateway, placements, 80) as load:
        await asyncio.gather(*map(turns, VENDORS))
    assert len(load.asked) > 100
    assert unanswered(load.asked) == []
    assert max(one.seconds for one in load.asked) < 30


async def test_a_dead_first_host_is_not_a_dead_vendor(
    gateway: Process, directory: Path, through: dict[str, Relay], second_host: Relay
) -> None:
    await gateway.takes(configuration(directory, through, second_host, "3MiB", patient=True))
    await warm(gateway, "algolia_then")
    before = second_host.accepted
    async with under_load(gateway, ["algolia_then"], 40) as load:
        await asyncio.sleep(0.1)
        async with refused(through["algolia"]):
            dead = time.monotonic()
            await asyncio.sleep(0.6)
            state = await gateway.state("algolia")
            asked = load.since(dead)
    assert state["breaker"]["reads"] == "closed"
    assert second_host.accepted > before
    assert unanswered(asked) == []
    assert sum(one.provider == "algolia" for one in asked) > 0.9 * len(asked) > 5


async def test_all_at_once_from_stale_answers(gateway: Process, shop: World) -> None:
    placements = [*(f"{one}_stale" for one in VENDORS), "all_stale"]
    await warm(gateway, *placements)
    await asyncio.sleep(0.06)
    async with under_load(gateway, placements, 60) as load:
        for fault in ("hung", "5xx", "garbage"):
            async with shop.broken(*VENDORS, **FAULTS[fault]):
                await asyncio.sleep(0.4)
    assert unanswered(load.asked) == []
    assert any("fwd=stale" in one.cache for one in load.asked)


# --- as it is written -------------------------------------------------------------------------------------------


@pytest.mark.more("long faults")
@pytest.mark.timeout(600)
async def test_the_whole_schedule(
    gateway: Process, shop: World, directory: Path, through: dict[str, Relay], second_host: Relay
) -> None:
    await gateway.takes(configuration(directory, through, second_host, "2MiB", strict=True))
    placements = [f"{one}_{how}" for one in VENDORS for how in ("then", "stale")]
    await warm(gateway, *placements, "all_stale")
    returned: dict[tuple[str, str], float] = {}

    async def gone(relay: Relay) -> None:
        async with refused(relay):
            await asyncio.sleep(2)

    async with under_load(gateway, [*placements, "all_stale"], 100) as load:
        dying = time.monotonic()
        await gone(through["algolia"])  # its first host alone
        asked = load.since(dying, "algolia_then")
        assert sum(one.provider == "algolia" for one in asked) > 0.95 * len(asked)
        for vendor in VENDORS:
            for fault in FAULTS:
                returned[vendor, fault] = await suffers(gateway, shop, load, vendor, fault, 2, patience=0.1)
            if vendor == "algolia":
                await second_host.refuse()
            await gone(through[vendor])
            if vendor == "algolia":
                await second_host.mend()
            returned[vendor, "refused"] = await heals(gateway, load, vendor, OPEN, patience=0.1)
        for fault in FAULTS:
            async with shop.broken(*VENDORS, **FAULTS[fault]):
                await asyncio.sleep(2)
            open_for = THROTTLED if fault == "429" else OPEN
            back = await asyncio.gather(*(heals(gateway, load, one, open_for, 0.1) for one in VENDORS))
            returned["all", fault] = max(back)
    print(told(load.asked, "the whole schedule"), returned)
    assert unanswered(load.asked) == []
    assert len(late(load.asked)) <= 0.001 * len(load.asked), told(load.asked, "too late")


async def ratio(gateway: Process, shop: World, vendor: str, rate: float, seconds: float) -> float:
    """How much longer a placement takes that does not use a vendor, while that vendor hangs."""
    async with under_load(gateway, ["untouched", f"{vendor}_then"], rate) as load:
        well = time.monotonic()
        await asyncio.sleep(seconds)
        ill = time.monotonic()
        async with shop.broken(vendor, **FAULTS["slow"]):
            await asyncio.sleep(seconds)
            asked = load.since(well, "untouched")
    before = median(one.seconds for one in asked if one.at < ill)
    return median(one.seconds for one in asked if one.at >= ill) / before


async def test_a_slow_vendor_slows_nobody_else(gateway: Process, shop: World) -> None:
    await warm(gateway, "untouched", "xayn_then")
    assert await ratio(gateway, shop, "xayn", 60, 0.7) < 8  # sanity alone: the machine may be busy


@pytest.mark.more("long faults")
async def test_a_slow_vendor_slows_nobody_else_at_all(
    gateway: Process, shop: World, directory: Path, through: dict[str, Relay], second_host: Relay
) -> None:
    await gateway.takes(configuration(directory, through, second_host, strict=True))
    await warm(gateway, "untouched", "xayn_then")
    measured = [await ratio(gateway, shop, "xayn", 100, 5) for _ in range(3)]
    assert median(measured) < 1.2, measured

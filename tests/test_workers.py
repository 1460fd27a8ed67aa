"""Several workers behind one port, over sockets: whatever becomes of one of them, nobody outside notices.

callers ─▸ `gateway serve` with two workers (tests/crew.py) ─▸ a vendor that remembers what it is told
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio
import yaml

from gateway.server.workers.merging import Family
from gateway.server.workers.siblings import AskMetrics
from tests.crew import WORKERS, Crew, alive, crew
from tests.listening import listening
from tests.serving import put, until
from tests.test_kill import Vendor

pytestmark = pytest.mark.asyncio(loop_scope="module")

ITEMS: Final = [f"i{n}" for n in range(6)]
CALLERS: Final = 8


@pytest.fixture(scope="module")
def vendor() -> Vendor:
    vendor = Vendor(seed=1)
    vendor.fails = False
    return vendor


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor_url(vendor: Vendor) -> AsyncIterator[str]:
    async with listening(vendor.app()) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(directory: Path, vendor_url: str) -> AsyncIterator[Crew]:
    """`local` answers in both workers."""
    async with crew(directory, configuration(directory, vendor_url)) as gateway:
        items = [{"id": item, "properties": {}} for item in ITEMS]
        assert (await gateway.fresh("POST", "/v1/items", json={"items": items}))[0] == 202
        await tell(gateway, [(f"u{n}", item) for n in range(3) for item in ITEMS])

        async def learned() -> bool:
            told = (await gateway.told()).values()
            return all(await gateway.items()) and all(one.providers["local"].seen.calls for one in told)

        await until(learned)
        yield gateway


def configuration(directory: Path, vendor_url: str, **more: Any) -> dict[str, Any]:
    addresses = dict.fromkeys(("auth_url", "events_url", "client_url", "predictions_url"), vendor_url)
    return {
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain": "2s", "workers": WORKERS},
        "state": {"url": f"sqlite:{directory}/state.db"},
        "providers": {
            "vendor": {"adapter": "recomendo", "options": {"client_id": "a", "client_secret": "b", **addresses}},
            "local": {"adapter": "local"},
        },
        "placements": {
            "default": {"providers": ["local"]},
            "cached": {"providers": ["local"], "cache": {"ttl": "1h"}},
        },
        "events": {"linger": "5ms"},
        "catalog": {"providers": ["local"]},
        "cache": {"max_bytes": "1MiB"},
        "telemetry": {"logs": {"requests": "errors"}},
        **more,
    }


async def tell(gateway: Crew, deeds: list[tuple[str, str]]) -> None:
    events = [{"type": "view", "user": {"id": user}, "items": [item]} for user, item in deeds]
    status, said = await gateway.fresh("POST", "/v1/events", json={"events": events})
    assert status == 202, said


async def cached_in_both(gateway: Crew, **body: Any) -> None:
    """Each worker has the answer in its cache when this returns."""
    before = await gateway.metric("gateway_cache_entries")

    async def kept() -> bool:
        assert all(await gateway.items(placement="cached", **body))
        return await gateway.metric("gateway_cache_entries") == before + WORKERS

    await until(kept)


# --- one gateway ------------------------------------------------------------------------------------------------


async def test_all_answer_and_whoever_is_asked_answers_for_all(gateway: Crew) -> None:
    assert len(gateway.workers()) == WORKERS
    assert gateway.said("listening")[0]["workers"] == WORKERS
    await until(gateway.complete)
    before = await gateway.metric("gateway_answers_total")

    asked = len(await gateway.items())
    told = await gateway.each(AskMetrics(), list[Family])
    assert sorted(told) == [*range(WORKERS)]
    assert all(map(answers, told.values()))
    total = sum(map(answers, told.values()))
    assert total == before + asked
    for _ in range(4):
        assert await gateway.metric("gateway_answers_total") == total
        buckets = await gateway.series("gateway_round_duration_seconds_bucket")
        assert sum(value for labels, value in buckets if labels["le"] == "+Inf") == total


def answers(told: list[Family]) -> float:
    return sum(sum(family.samples.values()) for family in told if family.name == "gateway_answers")


async def test_the_providers_are_told_of_as_one(gateway: Crew) -> None:
    told = await gateway.told()
    calls = [one.providers["local"].seen.calls for one in told.values()]
    assert all(calls), "only one worker was asked"
    for said in await gateway.everywhere("/v1/providers"):
        (local,) = [one for one in said["providers"] if one["name"] == "local"]
        assert local["requests"] == sum(calls)
        assert local["latency_ms"]["p99"] > 0
        assert local["breaker"] == {"reads": "closed", "writes": "closed"}


async def test_limits_are_divided(gateway: Crew) -> None:
    told = await gateway.each(AskMetrics(), list[Family])
    limits = [
        one.samples["gateway_cache_limit_bytes"]
        for of in told.values()
        for one in of
        if one.name == "gateway_cache_limit_bytes"
    ]
    assert limits == [2**20 / WORKERS] * WORKERS


async def test_a_drop_reaches_all_caches(gateway: Crew) -> None:
    await cached_in_both(gateway)
    assert await gateway.fresh("DELETE", "/v1/cache?placement=cached") == (200, {"dropped": WORKERS})
    assert await gateway.metric("gateway_cache_entries") == 0


async def test_what_a_user_does_drops_their_answers_in_all_within_a_second(gateway: Crew) -> None:
    await cached_in_both(gateway, user={"id": "new"})
    await tell(gateway, [("new", "i0")])

    async def gone() -> bool:
        return await gateway.metric("gateway_cache_entries") == 0

    await until(gone, 1.5)  # 1 s by CONFIG.md, and a busy machine


async def test_a_deleted_item_is_in_no_answer_from_that_moment(gateway: Crew) -> None:
    await cached_in_both(gateway)
    status, _ = await gateway.fresh("DELETE", "/v1/items/i5")
    assert status == 202
    for placement in ("default", "cached"):
        for items in await gateway.items(placement=placement):
            assert items == {*ITEMS[:5]}


async def test_a_change_reaches_all_and_a_bad_one_none(gateway: Crew, directory: Path, vendor_url: str) -> None:
    async def epochs() -> set[str]:
        return {labels["epoch"] for labels, _ in await gateway.series("gateway_config_info")}

    (before,) = await epochs()
    changed = configuration(directory, vendor_url)
    changed["placements"]["more"] = {"providers": ["local"]}
    gateway.write(changed)

    async def one_new_epoch() -> bool:
        return len(await epochs()) == 1 and before not in await epochs()

    await until(one_new_epoch)
    assert all(await gateway.items(placement="more"))
    good = gateway.file.read_text()

    put(gateway.file, good.replace("placements:", "placement:"))
    gateway.hang_up()

    async def refused_by_all() -> bool:
        told = await gateway.told()
        return len(told) == WORKERS and all(one.errors for one in told.values())

    await until(refused_by_all)
    assert {said["config"]["status"] for said in await gateway.everywhere("/v1/providers")} == {"rejected"}
    assert all(await gateway.items(placement="more"))
    assert gateway.said("configuration rejected"), "said once, by the supervisor"


async def test_a_worker_that_is_killed_costs_nobody_an_answer(gateway: Crew) -> None:
    """While the file is bad: the new one begins with the last good configuration, and knows that it is bad."""
    dead, counted = gateway.worker(0), await gateway.metric("gateway_answers_total")
    load = Load(gateway.url, retries=5)
    async with load.running():
        await load.answers(100)
        gateway.kill_hard(dead)

        async def replaced() -> bool:
            return dead not in gateway.workers() and await gateway.complete()

        await until(replaced)
        await load.answers(100)
    assert not load.lost, load.lost
    assert gateway.said("worker died")[0]["slot"] == 0
    assert await gateway.metric("gateway_answers_total") >= counted + 100, "what the dead one counted has gone"
    told = await gateway.told()
    assert all(one.errors for one in told.values())
    assert all(await gateway.items(placement="more"))


async def test_events_go_out_once_though_the_worker_that_tells_them_is_killed(
    gateway: Crew, vendor: Vendor
) -> None:
    deeds = [(f"v{n % 7}", f"e{n:03}") for n in range(150)]
    arrived = {item for _, item in vendor.arrived}
    await asyncio.gather(*(tell(gateway, [deed]) for deed in deeds[:50]))
    await until(lambda: {item for _, item in deeds[:50]} <= {item for _, item in vendor.arrived})
    counts = Counter(item for _, item in vendor.arrived if item not in arrived)
    assert set(counts.values()) == {1}, "told by one, once"

    before = {slot: one.providers["vendor"].seen.calls for slot, one in (await gateway.told()).items()}
    await asyncio.gather(*(tell(gateway, [deed]) for deed in deeds[50:60]))
    await until(lambda: {item for _, item in deeds[50:60]} <= {item for _, item in vendor.arrived})
    after = {slot: one.providers["vendor"].seen.calls for slot, one in (await gateway.told()).items()}
    (teller,) = [slot for slot in after if after[slot] > before[slot]]
    pid = gateway.worker(teller)
    telling = asyncio.gather(*(tell(gateway, [deed]) for deed in deeds[60:100]), return_exceptions=True)
    await asyncio.sleep(0.05)
    gateway.kill_hard(pid)
    accepted = [deed for deed, fate in zip(deeds[60:100], await telling, strict=True) if fate is None]
    await until(lambda: {item for _, item in accepted} <= {item for _, item in vendor.arrived})
    await until(gateway.complete)


async def test_the_end_loses_no_request(gateway: Crew) -> None:
    workers = gateway.workers()
    load = Load(gateway.url, retries=0)
    async with load.running():
        await load.answers(100)
        assert await gateway.stop() == 0, gateway.errors.decode()
        await asyncio.wait_for(load.over(), 60)
    assert not load.lost, load.lost
    assert load.refused == CALLERS, "everybody heard of the end"
    assert not any(map(alive, workers))
    assert not [*gateway.directory.glob("gateway-*")]
    assert gateway.errors == b""


class Load:
    """Callers that keep their connections and ask one thing after another, until nobody listens any more."""

    def __init__(self, url: str, *, retries: int) -> None:
        self._url = f"{url}/v1/recommendations"
        self._retries = retries
        self.answered = self.refused = 0
        self.lost: list[str] = []
        self._callers: list[asyncio.Task[None]] = []

    def running(self) -> Load:
        return self

    async def __aenter__(self) -> Load:
        self._callers = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for caller in self._callers:
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)

    async def answers(self, more: int) -> None:
        """Wait for so many."""
        wanted = self.answered + more
        await until(lambda: self.answered > wanted or self.lost)
        assert not self.lost, self.lost

    async def over(self) -> None:
        """All of them have given up."""
        await asyncio.gather(*self._callers)

    async def _call(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    await self._ask(session)
                except aiohttp.ClientConnectorError:  # nothing was sent
                    self.refused += 1
                    return
                except aiohttp.ClientError as error:
                    self.lost.append(repr(error))
                    return

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        for left in range(self._retries, -1, -1):
            try:
                async with session.post(self._url, json={}) as answer:
                    said = await answer.text()
                    if answer.status == 200:
                        self.answered += 1
                    else:
                        self.lost.append(said)
                    return
            except aiohttp.ClientError:
                if not left:
                    raise


# --- gateways that go wrong -------------------------------------------------------------------------------------


async def test_a_supervisor_that_is_killed_leaves_nobody_behind(tmp_path: Path, vendor_url: str) -> None:
    async with crew(tmp_path, configuration(tmp_path, vendor_url), code=-signal.SIGKILL) as gateway:
        workers = gateway.workers()
        assert len(workers) == WORKERS
        gateway.kill_hard(gateway.pid)
        await until(lambda: not any(map(alive, workers)))
        await until(lambda: not [*tmp_path.glob("gateway-*")])


def written(directory: Path, **server: Any) -> Path:
    file = directory / "gateway.yaml"
    settings = configuration(directory, "http://127.0.0.1:1")
    settings["server"] |= server
    file.write_text(yaml.safe_dump(settings))
    return file


def ended(file: Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a gateway that ends by itself."""
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=100, env={**os.environ, **environment}
    )
    return done.returncode, done.stdout, done.stderr


async def test_a_port_that_is_taken_is_said_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, errors = await asyncio.to_thread(ended, written(tmp_path, listen=f"127.0.0.1:{port}"))
    assert code == 1
    assert errors == f"gateway: the port is taken: 127.0.0.1:{port}: Address already in use\n"


async def test_workers_that_cannot_start_say_why_once(tmp_path: Path) -> None:
    """What they cannot do, the supervisor could: only in them is a part of the gateway broken."""
    broken = 'import asyncio, sys\nif "worker" in sys.orig_argv: asyncio.start_unix_server = None\n'
    (tmp_path / "sitecustomize.py").write_text(broken)
    code, _, errors = await asyncio.to_thread(ended, written(tmp_path), PYTHONPATH=str(tmp_path))
    assert code == 1
    assert errors.count("TypeError: 'NoneType' object is not callable") == errors.count("Traceback") == 1, errors

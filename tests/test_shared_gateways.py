"""Two gateways on one shared store, over real sockets: answers, drops, deletions and logins are everybody's."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml

from gateway.answering.second_level import SecondLevel
from gateway.config import load
from gateway.server.front import Front
from gateway.server.runtime import Runtime
from gateway.state.opening import open_at
from tests.serving import until
from tests.stores import ValkeyServer, fresh_url, wait_longer
from tests.world import World, _listen, feed_one, options, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
ASKED: Final = ("algolia", "/1/indexes/*/recommendations")
LOGIN: Final = ("recomendo", "/v1/auth")
_files: Final = count()


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_longer(monkeypatch, unless="gone" in request.node.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The vendors; what stands before them here is not asked."""
    async with world(tmp_path_factory.mktemp("vendors"), fed=False) as shop:
        await feed_one(shop, "algolia")
        yield shop


@asynccontextmanager
async def gateway(
    shop: World, directory: Path, url: str, *, shared: bool = True, **more: Any
) -> AsyncIterator[World]:
    caching = {"ttl": "1m", "stale_while_revalidate": "1m", "stale_if_error": "1h"}
    names = ("algolia", "recomendo", "local")
    written = {
        "server": {"deadline": "20s"},
        "state": {"url": url},
        "cache": {"shared": shared},
        "defaults": {"timeout": "10s", "breaker": {"mode": "observe"}},
        "providers": {name: one for name, one in options(shop.vendors).items() if name in names},
        "events": {"providers": ["local"]},
        "catalog": {"providers": ["local"]},
        "placements": {
            "default": {"providers": ["algolia"], "cache": caching},
            "other": {"providers": ["algolia"], "cache": caching},
            "open": {"providers": ["algolia"]},
        },
        **more,
    }
    file = directory / f"gateway-{next(_files)}.yaml"
    file.write_text(yaml.safe_dump(written))
    async with AsyncExitStack() as stack:
        runtime = await Runtime.start(load(file, {}), await open_at(url))
        stack.push_async_callback(runtime.close)
        second = runtime.pipeline.second
        if shared and second is not None:
            await until(lambda: second._marks is not None)
        yield World(await _listen(Front(runtime).app(), stack), runtime, shop.session, shop.vendors, shop.calls)


@asynccontextmanager
async def two(shop: World, directory: Path, **more: Any) -> AsyncIterator[tuple[World, World]]:
    url = fresh_url()
    async with gateway(shop, directory, url, **more) as here, gateway(shop, directory, url, **more) as there:
        yield here, there


def second(one: World) -> SecondLevel:
    found = one.runtime.pipeline.second
    assert found is not None
    return found


async def kept(one: World) -> None:
    """What was asked for is in the store."""
    await until(lambda: not second(one)._waiting and not second(one)._some.is_set())


def later(one: World, seconds: float) -> None:
    """For this process all that is shared is so much older."""
    second(one)._wall = lambda: time.time() + seconds


async def test_what_one_asked_for_the_other_has(shop: World, tmp_path: Path) -> None:
    async with two(shop, tmp_path) as (here, there):
        before = shop.calls[ASKED]
        first = await here.ask(kind="trending_items", count=5)
        assert first.cache == "gateway; fwd=miss; stored" and len(first.ids) == 5
        await kept(here)
        again = await there.ask(kind="trending_items", count=5)
        assert (again.text, again.headers["ETag"]) == (first.text, first.headers["ETag"])
        assert 30 <= int(again.cache.removeprefix("gateway; hit; ttl=")) < 60
        assert 30 <= int(again.headers["Cache-Control"].removeprefix("private, max-age=")) < 60
        assert (await there.ask(kind="trending_items", count=5)).cache.startswith("gateway; hit; ttl=")
        assert (await there.ask("other", kind="trending_items", count=5)).cache.startswith("gateway; fwd=miss")
        assert (await there.ask(kind="trending_items", count=4)).cache.startswith("gateway; fwd=miss")
        assert shop.calls[ASKED] == before + 3


async def test_it_is_shared_only_where_that_is_wanted(shop: World, tmp_path: Path) -> None:
    async with two(shop, tmp_path, shared=False) as (here, there):
        await here.ask(kind="trending_items", count=5)
        assert (await there.ask(kind="trending_items", count=5)).cache == "gateway; fwd=miss; stored"


def rewritten(directory: Path, *, shared: bool) -> Path:
    """A gateway's file, with that changed."""
    file = next(directory.glob("gateway-*.yaml"))
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "cache": {"shared": shared}}))
    return file


async def test_a_reload_begins_and_ends_it(shop: World, tmp_path: Path) -> None:
    async with two(shop, tmp_path) as (here, there):
        for wanted in (False, True):
            there.runtime.apply(load(rewritten(tmp_path, shared=wanted), {}))
            count_ = 7 + wanted
            await here.ask(kind="trending_items", count=count_)
            await kept(here)
            assert ("hit" in (await there.ask(kind="trending_items", count=count_)).cache) is wanted


async def test_many_at_once_look_once(shop: World, tmp_path: Path) -> None:
    async with two(shop, tmp_path) as (here, there):
        first = await here.ask(kind="trending_items", count=5)
        await kept(here)
        replies = await asyncio.gather(*(there.ask(kind="trending_items", count=5) for _ in range(10)))
        assert {reply.text for reply in replies} == {first.text}
        assert all("hit" in reply.cache or "collapsed" in reply.cache for reply in replies)


async def test_a_users_event_drops_that_users_answers_everywhere_within_a_second(
    shop: World, tmp_path: Path
) -> None:
    async with two(shop, tmp_path) as (here, there):
        ann: dict[str, Any] = {"kind": "trending_items", "count": 5, "user": {"id": "ann"}}
        bob: dict[str, Any] = {**ann, "user": {"id": "bob"}}
        for body in (ann, bob):
            await here.ask(**body)
            await kept(here)
            assert "hit" in (await there.ask(**body)).cache
        event = {"type": "view", "user": {"id": "ann"}, "items": ["d0"]}
        hearing = there.runtime.writes.hearing
        before = hearing._event
        assert (await there.request("POST", "/v1/events", json={"events": [event]})).status == 202
        assert "fwd=miss" in (await there.ask(**ann)).cache, "at once where it was told"

        async def dropped_here() -> bool:
            return here.runtime.pipeline.cache.drop_subject(b"") == 0 and len(here.runtime.pipeline.cache) == 1

        await until(dropped_here, 1.0)
        assert "hit" in (await here.ask(**bob)).cache
        await until(lambda: hearing._event > before)  # it hears of its own event too, which is a drop once more
        await there.ask(**ann)
        await kept(there)
        assert "hit" in (await here.ask(**ann)).cache, "what the other asked for since"


async def test_drops_by_ops_are_everybodys_within_a_second(shop: World, tmp_path: Path) -> None:
    async with two(shop, tmp_path) as (here, there):
        for placement in ("default", "other"):
            await here.ask(placement, kind="trending_items", count=5)
            await kept(here)
            await there.ask(placement, kind="trending_items", count=5)
        assert (await there.request("DELETE", "/v1/cache?placement=default")).json == {"dropped": 1}
        await until(lambda: len(here.runtime.pipeline.cache) == 1, 1.0)
        assert "fwd=miss" in (await here.ask(kind="trending_items", count=5)).cache
        assert "hit" in (await here.ask("other", kind="trending_items", count=5)).cache
        await there.request("DELETE", "/v1/cache")
        await until(lambda: len(here.runtime.pipeline.cache) == 0, 1.0)
        assert "fwd=miss" in (await here.ask("other", kind="trending_items", count=5)).cache


async def test_a_deleted_item_is_in_no_shared_answer(shop: World, tmp_path: Path) -> None:
    async with two(shop, tmp_path) as (here, there):
        first = await here.ask(kind="trending_items", count=5)
        await kept(here)
        gone = first.ids[0]
        assert (await there.request("DELETE", f"/v1/items/{gone}")).status == 202
        assert gone not in (await there.ask(kind="trending_items", count=5)).ids

        async def hidden_here() -> bool:
            return gone not in (await here.ask(kind="trending_items", count=5)).ids

        await until(hidden_here, 1.2)


async def test_stale_while_it_is_renewed_for_all(shop: World, tmp_path: Path) -> None:
    async with two(shop, tmp_path) as (here, there):
        first = await here.ask(kind="trending_items", count=5)
        await kept(here)
        later(there, 70)
        before = shop.calls[ASKED]
        stale = await there.ask(kind="trending_items", count=5)
        assert stale.text == first.text and -40 < int(stale.cache.removeprefix("gateway; hit; ttl=")) <= -10
        assert stale.headers["Cache-Control"] == "private, max-age=0"
        await until(lambda: shop.calls[ASKED] == before + 1)
        await until(lambda: not there.runtime.pipeline.fetching._flights._flights)
        again = await there.ask(kind="trending_items", count=5)
        assert 30 <= int(again.cache.removeprefix("gateway; hit; ttl=")) < 60


async def test_stale_where_the_providers_fail(shop: World, tmp_path: Path) -> None:
    async with two(shop, tmp_path) as (here, there):
        first = await here.ask(kind="trending_items", count=5)
        await kept(here)
        later(there, 200)
        async with shop.broken("algolia", status=503):
            stale = await there.ask(kind="trending_items", count=5)
            assert stale.text == first.text and stale.cache.startswith("gateway; hit; fwd=stale; ttl=-1")
        later(there, 2 * 3600 + 100)
        there.runtime.pipeline.cache.drop()
        async with shop.broken("algolia", status=503):
            (await there.ask(kind="trending_items", count=5)).problem("unavailable", 503)


async def test_one_login_for_both(shop: World, tmp_path: Path) -> None:
    before = shop.calls[LOGIN]
    async with two(shop, tmp_path) as (here, there):
        for one in (here, there):
            token = one.provider("recomendo").token
            assert token is not None
            await until(token.current)
        assert shop.calls[LOGIN] == before + 1


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_no_answer_waits_for_a_store_that_is_gone(shop: World, tmp_path: Path, how: str) -> None:
    """Fresh ones, cached ones and misses; and all is shared again when it is back."""
    server = ValkeyServer()
    server.start()
    try:
        async with gateway(shop, tmp_path, server.url()) as one:
            await one.ask(kind="trending_items", count=5)
            if how == "frozen":
                server.signal(signal.SIGSTOP)
            else:
                server.kill()
            took: list[float] = []
            for n in range(40):
                started = time.monotonic()
                cached = await one.ask(kind="trending_items", count=5)
                missed = await one.ask(kind="trending_items", count=6 + n)
                took.append(time.monotonic() - started)
                assert "hit" in cached.cache and "fwd=miss" in missed.cache and missed.status == 200
                await asyncio.sleep(0.02)
            assert sorted(took)[20] < 0.5 and max(took) < 5, took  # a busy machine is no store that is waited for
            (await one.request("DELETE", "/v1/cache")).problem("unavailable", 503)
            assert len(one.runtime.pipeline.cache) == 0, "here they are dropped all the same"
            if how == "frozen":
                server.signal(signal.SIGCONT)
            else:
                server.start()
            async with gateway(shop, tmp_path, server.url()) as other:

                async def shared() -> bool:
                    many = 3 + next(_files)
                    await one.ask(kind="similar_items", items=["d0"], count=many)
                    await asyncio.sleep(0.05)
                    return "hit" in (await other.ask(kind="similar_items", items=["d0"], count=many)).cache

                await until(shared, 15)
    finally:
        server.close()

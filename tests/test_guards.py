"""What stands between a question and a vendor, over sockets: throttles, rates, places, hurry, tokens, lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from gateway.adapter import Token
from gateway.config import load
from gateway.server.front import Front
from gateway.server.runtime import Runtime
from gateway.state.sqlite import SqliteStore
from gateway.state.store import StoreError
from tests.serving import Relay, providers, relays, until
from tests.world import World, world
from tests.world import _listen as listen

pytestmark = pytest.mark.asyncio(loop_scope="module")

U0: Final = {"id": "u0"}
LOGIN: Final = ("recomendo", "/v1/auth")
DOCUMENTS: Final = {"documents": [{"snippet_id": {"document_id": "d1", "sub_id": 0}, "score": 0.5}]}


class Scripted:
    """A vendor that answers as the test says: status, headers, after so many seconds."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.next: list[tuple[int, Mapping[str, str]]] = []
        """The answers to the next questions; then good ones."""
        self.takes = 0.0
        self.most = self._at_once = 0
        self.url = ""

    async def start(self, stack: AsyncExitStack) -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        self.url = await listen(app, stack)

    async def _answer(self, _: web.Request) -> web.Response:
        self.calls.append(time.monotonic())
        self._at_once += 1
        self.most = max(self.most, self._at_once)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self._at_once -= 1
        status, headers = self.next.pop(0) if self.next else (200, {})
        return web.json_response(DOCUMENTS, status=status, headers=headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guards")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(directory: Path) -> AsyncIterator[World]:
    async with world(directory) as shop:
        yield shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def through(shop: World) -> AsyncIterator[dict[str, Relay]]:
    async with relays(shop) as through:
        yield through


@pytest_asyncio.fixture(loop_scope="module")
async def vendor() -> AsyncIterator[Scripted]:
    async with AsyncExitStack() as stack:
        vendor = Scripted()
        await vendor.start(stack)
        yield vendor


@asynccontextmanager
async def gateway(
    shop: World, directory: Path, settings: Mapping[str, Any], placements: Mapping[str, list[str]], **more: Any
) -> AsyncIterator[World]:
    """Another gateway before the same vendors, just started."""
    written = {
        "server": {"deadline": "20s"},
        "state": {"url": f"sqlite:{directory}/state.db"},
        "defaults": {"timeout": "10s"},
        "providers": {"local": {"adapter": "local"}, **settings},
        "placements": {name: {"providers": names} for name, names in placements.items()},
        **more,
    }
    file = directory / "guards.yaml"
    file.write_text(yaml.safe_dump(written))
    async with AsyncExitStack() as stack:
        runtime = await Runtime.start(load(file, {}), await SqliteStore.open(f"{directory}/state.db"))
        stack.push_async_callback(runtime.close)
        url = await listen(Front(runtime).app(), stack)
        yield World(url, runtime, shop.session, shop.vendors, shop.calls)


@asynccontextmanager
async def before(
    shop: World, directory: Path, vendor: Scripted, more: Mapping[str, Any] | None = None, **settings: Any
) -> AsyncIterator[World]:
    """A gateway before the scripted vendor: `alone` asks it and nobody else, `then` asks `local` after it."""
    one = {"adapter": "xayn", "options": {"url": vendor.url, "token": "t"}, **settings}
    placements = {"alone": ["vendor"], "then": ["vendor", "local"]}
    async with gateway(shop, directory, {"vendor": one}, placements, **(more or {})) as asked:
        await until(lambda: bool(asked.provider("vendor")._transport._origins))  # type: ignore[attr-defined]
        yield asked


# --- throttles --------------------------------------------------------------------------------------------------


async def test_a_throttled_vendor_is_left_alone_until_then(shop: World, directory: Path, vendor: Scripted) -> None:
    async with before(shop, directory, vendor) as asked:
        vendor.next = [(429, {"Retry-After": "2"})]
        assert [(await asked.ask("then", user=U0)).provider for _ in range(5)] == ["local"] * 5
        assert len(vendor.calls) == 1
        await asyncio.sleep(2.05)
        assert (await asked.ask("then", user=U0)).provider == "vendor"
        assert asked.provider("vendor").gates.reads.state == "closed"


async def test_until_a_date(shop: World, directory: Path, vendor: Scripted) -> None:
    async with before(shop, directory, vendor) as asked:
        now = time.time()
        vendor.next = [
            (429, {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now + 60, usegmt=True)})
        ]
        assert (await asked.ask("then", user=U0)).provider == "local"
        assert 55 < asked.provider("vendor").gates.throttle.wait() <= 60


async def test_the_last_of_a_list_waits_where_that_fits(shop: World, directory: Path, vendor: Scripted) -> None:
    async with before(shop, directory, vendor) as asked:
        vendor.next = [(429, {"Retry-After": "0.3"})]
        assert (await asked.ask("alone", user=U0)).provider == "vendor"
        first, second = vendor.calls
        assert second - first >= 0.3
        vendor.next = [(429, {"Retry-After": "30"})]
        problem = (await asked.ask("alone", user=U0)).problem("unavailable", 503)
        assert problem["attempts"][0]["error"] == "throttled"
        assert problem["attempts"][0]["ms"] < 1000
        assert len(vendor.calls) == 3


async def test_a_vendor_that_asks_for_hardly_any_rest_is_not_hammered(
    shop: World, directory: Path, vendor: Scripted
) -> None:
    async with before(shop, directory, vendor) as asked:
        vendor.next = [(429, {"Retry-After": "0.001"})] * 1000
        problem = (await asked.ask("alone", user=U0, headers={"Request-Timeout": "3"})).problem("unavailable", 503)
        assert problem["attempts"][0]["error"] == "throttled"
        assert 2 <= len(vendor.calls) <= 6 * 12


# --- rate and places --------------------------------------------------------------------------------------------


async def test_its_own_rate_is_never_exceeded(shop: World, directory: Path, vendor: Scripted) -> None:
    async with before(shop, directory, vendor, rate="5/s") as asked:
        replies = await asyncio.gather(*(asked.ask("then", user=U0) for _ in range(12)))
        assert sorted(str(reply.provider) for reply in replies) == ["local"] * 7 + ["vendor"] * 5
        assert len(vendor.calls) == 5


async def test_above_its_places_the_next_one_is_asked(shop: World, directory: Path, vendor: Scripted) -> None:
    """And what was refused there has cost nothing of its rate."""
    async with before(shop, directory, vendor, max_in_flight=2, rate="9/s") as asked:
        vendor.takes = 1.5
        replies = await asyncio.gather(*(asked.ask("then", user=U0) for _ in range(12)))
        assert sorted(str(reply.provider) for reply in replies) == ["local"] * 10 + ["vendor"] * 2
        assert vendor.most == 2
        vendor.takes = 0
        assert [(await asked.ask("then", user=U0)).provider for _ in range(6)] == ["vendor"] * 6


# --- time -------------------------------------------------------------------------------------------------------


async def test_a_hurry_shortens(shop: World, directory: Path, vendor: Scripted) -> None:
    async with before(shop, directory, vendor) as asked:
        vendor.takes = 8
        started = time.monotonic()
        hurried = {"Request-Timeout": "2"}
        assert (await asked.ask("then", user=U0, headers=hurried)).provider == "local"
        assert (await asked.ask("alone", user=U0, headers=hurried)).problem("deadline-exceeded", 504)
        assert time.monotonic() - started < 7


async def test_without_time_nobody_is_asked(shop: World, directory: Path, vendor: Scripted) -> None:
    async with before(shop, directory, vendor) as asked:
        reply = await asked.ask("alone", user=U0, headers={"Request-Timeout": "0.04"})
        (attempt,) = reply.problem("deadline-exceeded", 504)["attempts"]
        assert (attempt["provider"], attempt["error"]) == ("vendor", "passed_over")
        assert vendor.calls == []


async def test_callers_in_a_hurry_open_nobodys_breaker(shop: World, directory: Path, vendor: Scripted) -> None:
    breaker = {"breaker": {"consecutive": 3, "open": "1m"}}
    async with before(shop, directory, vendor, timeout="1s", **breaker) as asked:
        vendor.takes = 0.3
        for _ in range(6):
            (await asked.ask("alone", user=U0, headers={"Request-Timeout": "0.15"})).problem(
                "deadline-exceeded", 504
            )
        vendor.takes = 0
        assert (await asked.ask("alone", user=U0)).provider == "vendor"
        assert asked.provider("vendor").gates.health.report()["error_rate"] == 0
        vendor.takes = 2

        async def opens() -> bool:
            await asked.ask("alone", user=U0, headers={"Request-Timeout": "0.7"})
            return asked.provider("vendor").gates.reads.state == "open"

        await until(opens)  # with most of its time it is the vendor's fault


async def test_callers_who_hang_up_open_nobodys_breaker(shop: World, directory: Path, vendor: Scripted) -> None:
    async with before(shop, directory, vendor, breaker={"consecutive": 2}) as asked:
        vendor.takes = 0.8
        for _ in range(5):
            asking = asyncio.create_task(asked.ask("alone", user=U0))
            calls = len(vendor.calls)
            await until(lambda calls=calls: len(vendor.calls) > calls)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: not asked.provider("vendor").gates.bulkhead.in_flight)
        assert asked.provider("vendor").gates.reads.state == "closed"
        assert asked.provider("vendor").gates.health.report()["requests"] == 0


# --- the store in trouble ---------------------------------------------------------------------------------------


async def test_a_store_that_fails_is_no_fault_of_a_vendors(
    shop: World, directory: Path, through: dict[str, Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one provider needs the store's ids, another one that does not is asked."""

    async def fails(*_: object) -> NoReturn:
        raise StoreError("the disk is full")

    placements = {"home": ["discerner", "xayn"], "alone": ["discerner"]}
    async with gateway(shop, directory, providers(through), placements) as asked:
        assert (await asked.ask("home", user=U0)).provider == "discerner"
        monkeypatch.setattr(asked.runtime._store, "lookup", fails)
        for _ in range(6):
            assert (await asked.ask("home", user=U0)).provider == "xayn"
        assert asked.provider("discerner").gates.reads.state == "closed"
        problem = (await asked.ask("alone", user=U0)).problem("unavailable", 503)
        assert problem["attempts"][0]["error"] == "passed_over"


async def test_a_store_that_hangs_does_not_outlast_the_deadline(
    shop: World, directory: Path, through: dict[str, Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object) -> NoReturn:
        await asyncio.sleep(30)
        raise AssertionError

    server = {"server": {"deadline": "300ms"}}
    async with gateway(shop, directory, providers(through), {"home": ["discerner"]}, **server) as asked:
        monkeypatch.setattr(asked.runtime._store, "lookup", hangs)
        for headers in ({}, {"Gateway-Explain": "1"}):
            started = time.monotonic()
            (await asked.ask("home", user=U0, headers=headers)).problem("deadline-exceeded", 504)
            assert time.monotonic() - started < 10  # 30 s is what it hangs for


# --- ahead of requests ------------------------------------------------------------------------------------------


async def test_the_first_request_neither_logs_in_nor_connects(
    shop: World, directory: Path, through: dict[str, Relay]
) -> None:
    store = shop.runtime.store
    assert isinstance(store, SqliteStore)
    await store.db.change(
        lambda: store.db.connection.execute("DELETE FROM tokens") and None
    )  # others' of the file
    names = ("recomendo", "discerner", "xayn", "algolia")
    logins = shop.calls[LOGIN]
    connections = {name: through[name].accepted for name in names}
    async with gateway(shop, directory, providers(through), {name: [name] for name in names}) as asked:
        await until(lambda: all(through[name].accepted > connections[name] for name in names))
        tokens = [asked.provider(name).token for name in ("recomendo", "discerner")]
        await until(lambda: all(token and token.current() for token in tokens))
        await asyncio.sleep(0.1)  # a connection is opened after the login
        assert shop.calls[LOGIN] == logins + 1
        ready = shop.calls[LOGIN], {name: through[name].accepted for name in names}
        for name in names:
            about = {"items": ["d0"]} if name == "algolia" else {"user": U0}
            assert (await asked.ask(name, **about)).provider == name
        assert (shop.calls[LOGIN], {name: through[name].accepted for name in names}) == ready
    await until(lambda: not sum(through[name].open for name in names))


async def test_connections_and_tokens_come_back_after_a_cut(
    shop: World, directory: Path, through: dict[str, Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a request that would pay for it."""
    monkeypatch.setattr("gateway.server.runtime.KEEP_WARM", 0.2)
    async with gateway(shop, directory, providers(through), {"home": ["recomendo"]}) as asked:
        relay = through["recomendo"]
        await until(lambda: relay.open)
        await relay.refuse()
        token = asked.provider("recomendo").token
        assert token is not None
        token.preset(Token("", 0.0))
        await asyncio.sleep(0.5)
        assert not relay.open
        await relay.mend()
        await until(lambda: relay.open > 0)
        await until(token.current)
        await asyncio.sleep(0.5)  # on a busy machine one look may begin before the other has ended
        accepted, logins = relay.accepted, shop.calls[LOGIN]
        await asyncio.sleep(0.7)  # it looks three times more, and finds all there
        assert (relay.accepted, shop.calls[LOGIN]) == (accepted, logins)
        assert (await asked.ask("home", user=U0)).provider == "recomendo"
        assert relay.accepted == accepted


async def test_a_token_is_renewed_ahead_beside_the_requests(
    shop: World, directory: Path, through: dict[str, Relay]
) -> None:
    async with gateway(shop, directory, providers(through), {"home": ["recomendo"]}) as asked:
        token = asked.provider("recomendo").token
        assert token is not None
        await until(token.current)
        value = token.current()
        assert value is not None
        token.preset(Token(value, 1000.0))
        token._since -= 950  # past nine tenths of its life
        logins = shop.calls[LOGIN]
        async with shop.broken("recomendo", path="auth", delay="2s"):
            started = time.monotonic()
            assert (await asked.ask("home", user=U0)).provider == "recomendo"
            assert time.monotonic() - started < 1.8
            assert token.current() == value
            assert (token.expires_in or 0) < 50
            await until(lambda: (token.expires_in or 0) > 50)  # the value may be the same within one second
        assert shop.calls[LOGIN] == logins + 1
        assert (await asked.ask("home", user=U0)).provider == "recomendo"

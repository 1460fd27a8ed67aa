"""One login for all processes; what is kept is sealed; a store that fails or hangs never stops a login."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest
from pydantic import SecretStr

from gateway.adapter import Adapter, Token
from gateway.errors import Failed
from gateway.provider import token_sharing
from gateway.provider.token import TokenKeeper
from gateway.provider.token_sharing import TokenSharing
from gateway.state.store import Store, StoreError
from gateway.state.valkey import ValkeyStore
from gateway.state.valkey.script import Script
from tests.clock import FakeClock

pytest_plugins = "tests.stores"
KEY = b"k" * 32


class Account(Adapter):
    """Two options, one of them secret."""

    client: str = "shop"
    password: SecretStr = SecretStr("swordfish")


class Vendor:
    """Hands out t1, t2, … when its gate is open."""

    def __init__(self, life: float | None = 100.0) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.logins = 0
        self.error: Exception | None = None
        self.life = life

    async def login(self) -> Token:
        self.logins += 1
        made = Token(f"t{self.logins}", self.life)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return made


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need longer than the bounds: only the tests of the bounds hold them."""
    if "broken" not in request.node.name and "breaks" not in request.node.name:
        monkeypatch.setattr(token_sharing, "BOUND", 10.0)
        monkeypatch.setattr(token_sharing, "PATIENCE", 60.0)
        monkeypatch.setattr(token_sharing, "LEASE", 60.0)


@pytest.fixture
def stores(store: Store, other: Store) -> list[Store]:
    """Two processes' of one deployment."""
    return [store, other]


_ELAPSE = Script("""
for _, token in ipairs(redis.call('KEYS', KEYS[1]:gsub('[{}]', '?') .. 'token:*')) do
  redis.call('PEXPIRE', token, redis.call('PTTL', token) - A)
end
""")


async def passes(seconds: float, stores: list[Store], *clocks: FakeClock) -> None:
    """Here, and where the time is the server's own."""
    for clock in clocks:
        clock.passes(seconds)
    if isinstance(stores[0], ValkeyStore):
        await stores[0].server.change(_ELAPSE, round(seconds * 1000))


def sharing(store: Store, wall: FakeClock, account: Adapter | None = None, key: bytes = KEY) -> TokenSharing:
    return TokenSharing("vendor", account or Account(), key, store, wall=wall)


async def test_one_login_for_all_processes(stores: list[Store]) -> None:
    vendor, wall, clock = Vendor(), FakeClock(time.time()), FakeClock()
    vendor.gate.clear()
    keepers = [TokenKeeper(vendor.login, clock, sharing(one, wall)) for one in stores * 3]
    waiting = [asyncio.create_task(keeper.fetched()) for keeper in keepers]
    await asyncio.sleep(0.15)
    vendor.gate.set()
    assert await asyncio.gather(*waiting) == ["t1"] * 6
    assert vendor.logins == 1


async def test_its_age_is_taken_over_too(stores: list[Store]) -> None:
    vendor, wall, clock = Vendor(), FakeClock(time.time()), FakeClock()
    await TokenKeeper(vendor.login, clock, sharing(stores[0], wall)).fetched()
    await passes(60, stores, wall)
    other = TokenKeeper(vendor.login, clock, sharing(stores[1], wall))
    assert await other.fetched() == "t1" and vendor.logins == 1
    assert other.expires_in == pytest.approx(40, abs=1)


@pytest.mark.parametrize("seconds", [91, 101])
async def test_one_that_is_nearly_over_is_not_taken_over(stores: list[Store], seconds: float) -> None:
    vendor, wall, clock = Vendor(), FakeClock(time.time()), FakeClock()
    await TokenKeeper(vendor.login, clock, sharing(stores[0], wall)).fetched()
    await passes(seconds, stores, wall)
    assert await TokenKeeper(vendor.login, clock, sharing(stores[1], wall)).fetched() == "t2"


async def test_one_renewal_ahead_for_all(stores: list[Store]) -> None:
    vendor, wall, clock = Vendor(), FakeClock(time.time()), FakeClock()
    keepers = [TokenKeeper(vendor.login, clock, sharing(one, wall)) for one in stores]
    for keeper in keepers:
        await keeper.fetched()
    await passes(91, stores, wall, clock)
    for keeper in keepers:
        assert keeper.current() == "t1"
    async with asyncio.timeout(60):
        while {keeper.current() for keeper in keepers} != {"t2"}:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)
    assert vendor.logins == 2


async def test_what_was_refused_is_not_taken_over(stores: list[Store]) -> None:
    vendor, wall, clock = Vendor(), FakeClock(time.time()), FakeClock()
    first, second = (TokenKeeper(vendor.login, clock, sharing(one, wall)) for one in stores)
    assert await first.fetched() == await second.fetched() == "t1"
    assert await first.renewed("t1") == "t2"
    assert await second.renewed("t1") == "t2"
    assert vendor.logins == 2


async def test_a_token_without_an_end_is_shared_too(stores: list[Store]) -> None:
    vendor, wall, clock = Vendor(life=None), FakeClock(time.time()), FakeClock()
    for one in stores:
        keeper = TokenKeeper(vendor.login, clock, sharing(one, wall))
        assert await keeper.fetched() == "t1" and keeper.expires_in is None


async def test_who_shares_with_nobody_neither_takes_over_nor_keeps(stores: list[Store]) -> None:
    vendor, wall, clock = Vendor(), FakeClock(time.time()), FakeClock()
    keepers = [TokenKeeper(vendor.login, clock, sharing(one, wall)) for one in stores]
    keepers[0].share_with_nobody()
    assert await keepers[0].fetched() == "t1"
    assert await keepers[1].fetched() == "t2"
    assert await keepers[0].renewed("t1") == "t3"


async def test_a_login_that_fails_lets_the_next_one_try_at_once(stores: list[Store]) -> None:
    vendor, wall = Vendor(), FakeClock(time.time())
    vendor.error = Failed("down")
    with pytest.raises(Failed):
        await sharing(stores[0], wall)(vendor.login, ())
    vendor.error = None
    async with asyncio.timeout(30):  # half of what it would wait for the lease
        token, _ = await sharing(stores[1], wall)(vendor.login, ())
    assert token.value == "t2"


async def test_whose_login_hangs_holds_nobody_for_long(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_sharing, "PATIENCE", 0.3)
    slow, quick, wall = Vendor(), Vendor(), FakeClock(time.time())
    slow.gate.clear()
    hanging = asyncio.create_task(sharing(stores[0], wall)(slow.login, ()))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(30):
        token, _ = await sharing(stores[1], wall)(quick.login, ())
    assert token.value == "t1" and not hanging.done()
    slow.gate.set()
    await hanging


class Recording:
    """A store that shows what it is given."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def keep_token(self, name: str, sealed: bytes, seconds: float, now: float) -> None:
        self.kept[name] = sealed

    async def kept_token(self, name: str, now: float) -> tuple[bytes, float] | None:
        return (self.kept[name], 100.0) if name in self.kept else None

    async def lease(self, *_: Any) -> bool:
        return True

    async def hand_back(self, *_: Any) -> None:
        pass


async def test_what_is_kept_is_sealed_and_bound_to_the_account() -> None:
    vendor, store, wall = Vendor(), Recording(), FakeClock()
    await TokenSharing("vendor", Account(), KEY, store, wall=wall)(vendor.login, ())
    ((name, sealed),) = store.kept.items()
    for secret in (b"t1", b"swordfish"):
        assert secret not in sealed and secret not in name.encode()
    others = [
        ("vendor", Account(password=SecretStr("other")), KEY),
        ("vendor", Account(client="other"), KEY),
        ("vendor", Account(), b"o" * 32),
        ("other", Account(), KEY),
    ]
    for n, (provider, account, key) in enumerate(others, 2):
        token, _ = await TokenSharing(provider, account, key, store, wall=wall)(vendor.login, ())
        assert token.value == f"t{n}"
    assert len(store.kept) == 5
    token, _ = await TokenSharing("vendor", Account(), KEY, store, wall=wall)(vendor.login, ())
    assert token.value == "t1"


async def test_what_was_tampered_with_is_not_believed() -> None:
    vendor, store = Vendor(), Recording()
    shared = TokenSharing("vendor", Account(), KEY, store)
    await shared(vendor.login, ())
    ((name, sealed),) = store.kept.items()
    for broken in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:20], b"", b"x" * 64):
        store.kept[name] = broken
        before = vendor.logins
        token, _ = await shared(vendor.login, ())
        assert token.value == f"t{before + 1}"


class Broken:
    """Fails, or hangs."""

    def __init__(self, hangs: bool) -> None:
        self.hangs = hangs

    async def _fail(self, *_: Any) -> Any:
        if self.hangs:
            await asyncio.sleep(60)
        raise StoreError("gone")

    keep_token = kept_token = lease = hand_back = _fail


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_broken_store_never_stops_a_login(hangs: bool) -> None:
    vendor = Vendor()
    shared = TokenSharing("vendor", Account(), KEY, cast(token_sharing.Tokens, Broken(hangs)))
    async with asyncio.timeout(token_sharing.BOUND + 20):  # a minute is what the store hangs for
        token, age = await shared(vendor.login, ())
    assert (token.value, age) == ("t1", 0.0)


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("method", ["lease", "keep_token", "hand_back"])
async def test_a_store_that_breaks_meanwhile_never_stops_a_login(
    hangs: bool, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor, store = Vendor(), Recording()
    monkeypatch.setattr(store, method, Broken(hangs)._fail)
    async with asyncio.timeout(2 * token_sharing.BOUND + 20):  # as above
        token, _ = await TokenSharing("vendor", Account(), KEY, store)(vendor.login, ())
    assert token.value == "t1"

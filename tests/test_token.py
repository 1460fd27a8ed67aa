"""One vendor's token: one login at a time, renewed ahead, and seldom because of a 401."""

from __future__ import annotations

import asyncio
import gc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapter import Token
from gateway.errors import Failed
from gateway.provider.token import AFTER_401, FIRST_PAUSE, LONGEST_PAUSE, RENEW_AT, TokenKeeper
from tests.clock import FakeClock


class Vendor:
    """Hands out t1, t2, … that live for 100 s, when its gate is open."""

    def __init__(self, life: float | None = 100.0) -> None:
        self.clock = FakeClock()
        self.gate = asyncio.Event()
        self.gate.set()
        self.logins = 0
        self.running = 0
        self.most_running = 0
        self.error: Exception | None = None
        self._life = life
        self.keeper = TokenKeeper(self._login, self.clock)

    async def _login(self) -> Token:
        self.logins += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            return Token(f"t{self.logins}", self._life)
        finally:
            self.running -= 1

    async def settled(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_one_login_however_many_ask() -> None:
    vendor = Vendor()
    vendor.gate.clear()
    waiting = [asyncio.create_task(vendor.keeper.fetched()) for _ in range(9)]
    await vendor.settled()
    vendor.gate.set()
    assert await asyncio.gather(*waiting) == ["t1"] * 9
    assert vendor.logins == 1
    assert vendor.keeper.current() == "t1"
    assert vendor.keeper.expires_in == 100


async def test_renewed_ahead_of_its_end_beside_the_requests() -> None:
    vendor = Vendor()
    await vendor.keeper.fetched()
    vendor.clock.passes(100 * RENEW_AT - 0.5)
    assert vendor.keeper.current() == "t1"
    await vendor.settled()
    assert vendor.logins == 1
    vendor.clock.passes(1)
    vendor.gate.clear()
    assert [vendor.keeper.current() for _ in range(3)] == ["t1"] * 3  # it still holds
    await vendor.settled()
    assert vendor.logins == 2
    vendor.gate.set()
    await vendor.settled()
    assert vendor.keeper.current() == "t2"
    assert vendor.keeper.expires_in == 100
    assert vendor.most_running == 1


async def test_over_when_it_is_over() -> None:
    vendor = Vendor()
    assert vendor.keeper.current() is None
    assert vendor.keeper.expires_in is None
    await vendor.keeper.fetched()
    vendor.clock.passes(100)
    assert vendor.keeper.current() is None


async def test_a_token_without_an_end_is_not_renewed() -> None:
    vendor = Vendor(life=None)
    await vendor.keeper.fetched()
    vendor.clock.passes(1e9)
    assert vendor.keeper.current() == "t1"
    await vendor.settled()
    assert vendor.logins == 1


async def test_a_renewal_ahead_that_fails_is_tried_again_after_a_pause() -> None:
    vendor = Vendor()
    await vendor.keeper.fetched()
    vendor.clock.passes(91)
    vendor.error = Failed("down")
    for _ in range(5):
        assert vendor.keeper.current() == "t1"
        await vendor.settled()
    assert vendor.logins == 2
    vendor.error = None
    vendor.clock.passes(FIRST_PAUSE)
    assert vendor.keeper.current() == "t1"
    await vendor.settled()
    assert vendor.keeper.current() == "t3"


async def test_a_token_that_is_over_is_fetched_in_spite_of_the_pause() -> None:
    """Requests wait for it then, and the breaker counts them."""
    vendor = Vendor()
    await vendor.keeper.fetched()
    vendor.clock.passes(99.9)
    vendor.error = Failed("down")
    vendor.keeper.current()
    await vendor.settled()
    vendor.error = None
    vendor.clock.passes(0.2)
    assert vendor.keeper.current() is None
    assert await vendor.keeper.fetched() == "t3"


@settings(max_examples=50, deadline=None)
@given(gaps=st.lists(st.floats(0, 30), max_size=60), failures=st.integers(0, 12))
async def test_however_requests_come_a_dead_login_is_asked_ever_more_seldom(
    gaps: list[float], failures: int
) -> None:
    vendor = Vendor(life=100_000.0)
    await vendor.keeper.fetched()
    vendor.clock.passes(90_001)
    tried: list[float] = []
    for gap in [*gaps, *[LONGEST_PAUSE] * (failures + 1)]:
        vendor.clock.passes(gap)
        vendor.error = Failed("down") if len(tried) < failures else None
        before = vendor.logins
        assert vendor.keeper.current() is not None
        await vendor.settled()
        if vendor.logins > before:
            tried.append(vendor.clock())
    least = [min(LONGEST_PAUSE, FIRST_PAUSE * 2**n) for n in range(failures)]
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert all(pause >= wanted * (1 - 1e-9) for pause, wanted in zip(pauses, least, strict=True))
    assert len(tried) == failures + 1, "never given up, and renewed for good once it works"


async def test_one_renewal_in_ten_seconds_because_of_a_401() -> None:
    vendor = Vendor()
    first = await vendor.keeper.fetched()
    assert await vendor.keeper.renewed(first) == "t2"
    assert await vendor.keeper.renewed(first) == "t2"  # somebody was slower: there is another token already
    assert vendor.logins == 2
    vendor.clock.passes(AFTER_401 - 0.5)
    assert await vendor.keeper.renewed("t2") is None
    assert vendor.keeper.current() == "t2"
    vendor.clock.passes(1)
    assert await vendor.keeper.renewed("t2") == "t3"


async def test_401s_at_the_same_moment_are_one_renewal() -> None:
    vendor = Vendor()
    first = await vendor.keeper.fetched()
    vendor.gate.clear()
    waiting = [asyncio.create_task(vendor.keeper.renewed(first)) for _ in range(5)]
    await vendor.settled()
    vendor.gate.set()
    assert await asyncio.gather(*waiting) == ["t2"] * 5
    assert vendor.logins == 2


async def test_renewals_ahead_do_not_count_against_those_of_a_401() -> None:
    vendor = Vendor()
    await vendor.keeper.fetched()
    vendor.clock.passes(95)
    vendor.keeper.current()
    await vendor.settled()
    assert await vendor.keeper.renewed("t2") == "t3"


async def test_a_login_that_failed_is_told_to_all_and_may_be_tried_again() -> None:
    vendor = Vendor()
    vendor.error = Failed("down")
    waiting = [asyncio.create_task(vendor.keeper.fetched()) for _ in range(3)]
    said = await asyncio.gather(*waiting, return_exceptions=True)
    assert said == [vendor.error] * 3
    assert vendor.logins == 1
    vendor.error = None
    assert await vendor.keeper.fetched() == "t2"


async def test_who_hangs_up_breaks_off_nobodys_login() -> None:
    vendor = Vendor()
    vendor.gate.clear()
    first, second = (asyncio.create_task(vendor.keeper.fetched()) for _ in range(2))
    await vendor.settled()
    first.cancel()
    await vendor.settled()
    assert first.cancelled()
    vendor.gate.set()
    assert await second == "t1"
    assert vendor.logins == 1


async def test_a_fault_of_ours_in_a_renewal_that_nobody_waits_for_is_reported() -> None:
    vendor = Vendor()
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    await vendor.keeper.fetched()
    vendor.clock.passes(95)
    vendor.error = KeyError("ours")
    vendor.keeper.current()
    await vendor.settled()
    gc.collect()
    assert [context["exception"] for context in reported] == [vendor.error]


async def test_closing_breaks_off_what_runs() -> None:
    vendor = Vendor()
    vendor.gate.clear()
    waiting = asyncio.create_task(vendor.keeper.fetched())
    await vendor.settled()
    await vendor.keeper.close()
    assert vendor.running == 0
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_a_token_shows_itself_nowhere() -> None:
    assert "secret" not in repr(Token("secret", 3.0))

"""One flight per key: shared results and exceptions, and who may cancel what."""

from __future__ import annotations

import asyncio

import pytest

from gateway.policies.flights import Flights


class Fetch:
    """Something slow that the test lets end."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.started += 1
        try:
            return await asyncio.shield(self.gate)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_callers_one_flight() -> None:
    flights, fetch = Flights[str](), Fetch()
    callers = [asyncio.create_task(flights.join(b"k", fetch)) for _ in range(50)]
    await settle()
    assert len(flights) == 1
    fetch.gate.set_result("answer")
    results = await asyncio.gather(*callers)
    assert results == [("answer", False)] + [("answer", True)] * 49
    assert fetch.started == 1
    assert len(flights) == 0


async def test_another_key_and_a_later_caller_fly_alone() -> None:
    flights, fetch, other = Flights[str](), Fetch(), Fetch()
    fetch.gate.set_result("a")
    other.gate.set_result("b")
    both = await asyncio.gather(flights.join(b"k", fetch), flights.join(b"l", other))
    assert list(both) == [
        ("a", False),
        ("b", False),
    ]
    assert await flights.join(b"k", fetch) == ("a", False)
    assert (fetch.started, other.started) == (2, 1)


async def test_the_first_caller_may_hang_up() -> None:
    flights, fetch = Flights[str](), Fetch()
    first, second = (asyncio.create_task(flights.join(b"k", fetch)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    assert first.cancelled()
    fetch.gate.set_result("answer")
    assert await second == ("answer", True)
    assert fetch.cancelled == 0


async def test_when_the_last_hangs_up_the_flight_is_cancelled() -> None:
    flights, fetch = Flights[str](), Fetch()
    callers = [asyncio.create_task(flights.join(b"k", fetch)) for _ in range(3)]
    await settle()
    for caller in callers[:2]:
        caller.cancel()
    await settle()
    assert fetch.cancelled == 0
    callers[2].cancel()
    await settle()
    assert (fetch.cancelled, len(flights)) == (1, 0)


async def test_who_comes_while_a_flight_is_being_cancelled_gets_a_new_one() -> None:
    flights, fetch, again = Flights[str](), Fetch(), Fetch()
    caller = asyncio.create_task(flights.join(b"k", fetch))
    await settle()
    caller.cancel()
    await asyncio.sleep(0)
    second = asyncio.create_task(flights.join(b"k", again))
    await settle()
    assert (fetch.cancelled, again.started) == (1, 1)
    third = asyncio.create_task(flights.join(b"k", again))
    await settle()
    again.gate.set_result("answer")
    assert await second == ("answer", False)
    assert await third == ("answer", True), "the end of the first flight must not hide the second"


async def test_an_exception_goes_to_all() -> None:
    flights, fetch = Flights[str](), Fetch()
    callers = [asyncio.create_task(flights.join(b"k", fetch)) for _ in range(3)]
    await settle()
    fetch.gate.set_exception(LookupError("gone"))
    for result in await asyncio.gather(*callers, return_exceptions=True):
        assert isinstance(result, LookupError)
    assert len(flights) == 0


async def test_a_launched_flight_needs_nobody_and_can_be_joined() -> None:
    flights, fetch = Flights[str](), Fetch()
    assert flights.launch(b"k", fetch)
    assert not flights.launch(b"k", fetch)
    caller = asyncio.create_task(flights.join(b"k", fetch))
    await settle()
    caller.cancel()
    await settle()
    assert (fetch.started, fetch.cancelled, len(flights)) == (1, 0, 1)
    joined = asyncio.create_task(flights.join(b"k", fetch))
    await settle()
    fetch.gate.set_result("answer")
    assert await joined == ("answer", True)
    assert len(flights) == 0


async def test_closing_cancels_what_is_under_way() -> None:
    flights, fetch = Flights[str](), Fetch()
    flights.launch(b"k", fetch)
    caller = asyncio.create_task(flights.join(b"k", fetch))
    await settle()
    await flights.close()
    assert (fetch.cancelled, len(flights)) == (1, 0)
    with pytest.raises(asyncio.CancelledError):
        await caller

"""Cached answers through the pipeline, on a clock that is told to pass: fresh, renewed, stale, over.

The vendor here is an adapter that answers, fails or hangs as told, and counts how often it was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

import msgspec
import pytest
import yaml
from multidict import CIMultiDict
from structlog.testing import capture_logs

from gateway.adapter import Adapter, Flow, How
from gateway.answering.delivery import Call, Delivery
from gateway.config import load
from gateway.errors import DeadlineExceeded, Failed, Malformed, NoAnswer, ProviderError, Unavailable
from gateway.model.query import Item, Kind, Recommend, Recommendations
from gateway.policies.cache import AnswerCache
from gateway.server.runtime import Runtime
from gateway.state.sqlite import SqliteStore
from gateway.telemetry.notes import Round
from gateway.telemetry.trace import Trace
from tests.clock import FakeClock

WINDOWS: Final = {"ttl": "10s", "stale_while_revalidate": "20s", "stale_if_error": "1h"}


class Vendor:
    """What the adapter says, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.items = ["a", "b"]
        self.fails: ProviderError | None = None


vendor = Vendor()


class Obedient(Adapter):
    """Does as `vendor` says."""

    kinds: ClassVar[Mapping[Kind, How]] = {"for_you": "native", "trending_items": "native"}
    over_http: ClassVar[bool] = False

    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        vendor.asked += 1
        yield from ()
        if vendor.fails is not None:
            raise vendor.fails
        return Recommendations(tuple(Item(id_) for id_ in vendor.items))


class Gateway:
    """A pipeline whose cache is by the test's clock."""

    def __init__(self, runtime: Runtime, clock: FakeClock) -> None:
        self.runtime = runtime
        self.clock = clock

    async def ask(self, user: str = "u", placement: str = "home", **headers: str) -> Delivery:
        body = msgspec.json.encode({"placement": placement, "user": {"id": user}, "count": 2})
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        call = Call("recommend", CIMultiDict({"Host": "localhost", **named}), body=body)
        return await self.runtime.pipeline.answer(call)

    async def settled(self) -> None:
        """What runs in the background has run."""
        flights = self.runtime.pipeline.fetching._flights
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(flights) == 0


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    vendor.__init__()  # type: ignore[misc]  # as new
    file = tmp_path / "gateway.yaml"
    written = {
        "providers": {"one": {"adapter": "obedient"}},
        "placements": {
            "home": {"providers": ["one"], "cache": WINDOWS},
            "strict": {"providers": ["one"], "cache": {"ttl": "10s"}},
        },
    }
    file.write_text(yaml.safe_dump(written))
    loaded = load(file, {}, installed={"obedient": lambda: Obedient})
    runtime = await Runtime.start(loaded, await SqliteStore.open(":memory:"))
    clock = FakeClock()
    pipeline = runtime.pipeline
    pipeline._clock = pipeline.fetching._clock = clock
    pipeline.cache = pipeline.fetching._cache = AnswerCache(2**24, clock, Random(5))
    yield Gateway(runtime, clock)
    await runtime.close()


def status(delivery: Delivery) -> str:
    return dict(delivery.headers)["Cache-Status"]


def etag(delivery: Delivery) -> str:
    return dict(delivery.headers)["ETag"]


def max_age(delivery: Delivery) -> str:
    return dict(delivery.headers)["Cache-Control"]


def items(delivery: Delivery) -> list[str]:
    return [item["id"] for item in msgspec.json.decode(delivery.body)["items"]]


async def test_fresh_for_its_time(gateway: Gateway) -> None:
    first = await gateway.ask()
    assert (status(first), max_age(first)) == ("gateway; fwd=miss; stored", "private, max-age=10")
    gateway.clock.passes(3)
    second = await gateway.ask()
    assert (status(second), max_age(second)) == ("gateway; hit; ttl=7", "private, max-age=7")
    assert second.body == first.body
    assert vendor.asked == 1


async def test_many_callers_of_a_stale_answer_renew_it_once(gateway: Gateway) -> None:
    first = await gateway.ask()
    vendor.items = ["c", "d"]
    gateway.clock.passes(15)
    replies = await asyncio.gather(*(gateway.ask() for _ in range(50)))
    assert {reply.body for reply in replies} <= {first.body, (await gateway.ask()).body}
    assert status(replies[0]) == "gateway; hit; ttl=-5"
    assert max_age(replies[0]) == "private, max-age=0"
    await gateway.settled()
    assert vendor.asked == 2
    renewed = await gateway.ask()
    assert (items(renewed), status(renewed)) == (["c", "d"], "gateway; hit; ttl=10")


async def test_a_dead_vendor_is_not_hammered_by_renewals(gateway: Gateway) -> None:
    """A popular answer, asked for ten times a second through both stale windows."""
    await gateway.ask()
    gateway.clock.passes(10.125)
    vendor.fails = Failed("dead")
    vendor.asked = 0
    for _ in range(190):  # the 20 s in which it is renewed behind the callers' backs
        assert status(await gateway.ask()).startswith("gateway; hit; ttl=-")
        await gateway.settled()
        gateway.clock.passes(0.1)
    gateway.clock.passes(1)
    assert 3 <= vendor.asked <= 8
    before = vendor.asked
    for _ in range(600):  # a minute in which callers would wait for it
        assert "fwd=stale" in status(await gateway.ask())
        gateway.clock.passes(0.1)
    assert 1 <= vendor.asked - before <= 10
    vendor.fails = None
    gateway.clock.passes(30)
    assert status(await gateway.ask()) == "gateway; fwd=miss; stored"


async def test_stale_answers_end(gateway: Gateway) -> None:
    await gateway.ask()
    vendor.fails = Failed("dead")
    gateway.clock.passes(10 + 3599)
    assert status(await gateway.ask()) == "gateway; hit; fwd=stale; ttl=-3599"
    gateway.clock.passes(2)
    with pytest.raises(Unavailable):
        await gateway.ask()


async def test_without_stale_windows_a_failure_is_told(gateway: Gateway) -> None:
    await gateway.ask(placement="strict")
    vendor.fails = Failed("dead")
    gateway.clock.passes(9)
    assert status(await gateway.ask(placement="strict")) == "gateway; hit; ttl=1"
    gateway.clock.passes(2)
    with pytest.raises(Unavailable):
        await gateway.ask(placement="strict")


async def test_a_stale_answer_before_none(gateway: Gateway) -> None:
    first = await gateway.ask()
    vendor.fails = NoAnswer("nothing any more")
    gateway.clock.passes(100)
    stale = await gateway.ask()
    assert (stale.body, status(stale)) == (first.body, "gateway; hit; fwd=stale; ttl=-90")


async def test_none_is_not_cached(gateway: Gateway) -> None:
    vendor.fails = NoAnswer("nothing yet")
    assert items(await gateway.ask()) == []
    vendor.fails = None
    assert items(await gateway.ask()) == ["a", "b"]


async def test_a_renewal_that_was_overtaken_by_a_drop_is_not_kept(gateway: Gateway) -> None:
    await gateway.ask()
    gateway.clock.passes(15)
    await gateway.ask()  # launches a renewal, which has not begun
    assert gateway.runtime.pipeline.cache.drop() == 1
    await gateway.settled()
    gateway.clock.passes(1)
    assert "fwd=miss" in status(await gateway.ask())


async def test_a_failed_renewal_of_a_dropped_answer_bothers_nobody(gateway: Gateway) -> None:
    unheard: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    await gateway.ask()
    vendor.fails = Failed("dead")
    gateway.clock.passes(15)
    await gateway.ask()
    gateway.runtime.pipeline.cache.drop()
    await gateway.settled()
    assert unheard == []


async def test_a_renewal_that_breaks_is_logged_with_the_request_that_caused_it(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And takes part in its trace no further: that was answered before."""
    trace, rounds = Trace(), list[Round]()
    fetching, body = gateway.runtime.pipeline.fetching, b'{"placement": "home", "user": {"id": "u"}, "count": 2}'
    call = Call("recommend", CIMultiDict({"Host": "localhost"}), body=body, trace=trace)
    await gateway.runtime.pipeline.answer(call)
    asked = call.asked
    assert asked is not None and asked.placement.caching is not None
    gateway.runtime.notes.read()
    vendor.fails = Malformed("unexpected answer")
    gateway.clock.passes(15)
    await gateway.runtime.pipeline.answer(Call("recommend", call.headers, body=body, trace=trace))
    await gateway.settled()
    rounds += [note for note in gateway.runtime.notes._waiting if isinstance(note, Round)]
    assert [(one.trace, one.cause) for one in rounds] == [(None, trace)]

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(gateway.runtime.pipeline.plan.providers["one"], "call", broken)
    with capture_logs() as lines:
        fetching.renew(asked, asked.placement.caching, trace)
        await gateway.settled()
    said = [(line["placement"], line["trace_id"]) for line in lines if line["event"] == "renewal"]
    assert said == [("home", trace.trace_id)]


async def test_the_tag_is_of_what_is_recommended(gateway: Gateway) -> None:
    """Of a renewed answer that says the same it is the same, whatever its recommendation id."""
    first = await gateway.ask()
    gateway.clock.passes(40)
    same = await gateway.ask()
    assert same.body != first.body
    assert etag(same) == etag(first)
    unchanged = await gateway.ask(If_None_Match=etag(first))
    assert (unchanged.status, unchanged.body) == (304, b"")
    vendor.items = ["b", "a"]
    gateway.clock.passes(40)
    changed = await gateway.ask(If_None_Match=etag(first))
    assert (changed.status, items(changed)) == (200, ["b", "a"])
    assert etag(changed) != etag(first)


async def test_a_callers_hurry_keeps_no_answer_stale(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal that was late because of one caller's deadline is no failure: the next caller has it renewed."""
    await gateway.ask()
    gateway.clock.passes(100)

    async def slow(*_: object, **__: object) -> None:
        gateway.clock.passes(0.3)
        raise Failed("in no time")

    with monkeypatch.context() as slowed:
        slowed.setattr(gateway.runtime.pipeline.plan.providers["one"], "call", slow)
        hurried = await gateway.ask(Request_Timeout="0.2")
    assert "fwd=stale" in status(hurried)
    assert status(await gateway.ask()) == "gateway; fwd=miss; stored"


async def test_a_deadline_is_one_for_those_who_joined_too(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(gateway.runtime.pipeline.plan.providers["one"], "call", hangs)
    replies = await asyncio.gather(*(gateway.ask() for _ in range(5)), return_exceptions=True)
    assert [type(reply) for reply in replies] == [DeadlineExceeded] * 5
    await gateway.settled()


async def test_nobody_shares_anothers_answer_nor_a_flight(gateway: Gateway) -> None:
    replies = await asyncio.gather(*(gateway.ask(f"u{n % 5}") for n in range(50)))
    assert vendor.asked == 5
    assert len({reply.body for reply in replies}) == 5
    assert sum("collapsed" in status(reply) for reply in replies) == 45

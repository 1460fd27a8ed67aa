"""Questions that travel together: one call, and nobody's answer lost whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.adapter import Adapter, Flow
from gateway.answering.asker import MOST, Asker, ask_alone
from gateway.deadline import Deadline
from gateway.errors import Failed, Malformed, Misconfigured, ProviderError, Refused, Throttled, Unsupported
from gateway.model.query import Item, Recommend, Recommendations, Search
from tests.clock import FakeClock


class Batching(Adapter):
    """Can be asked several questions at once."""

    def recommend_batch(self, queries: Sequence[Recommend]) -> Flow[list[Recommendations]]:
        raise NotImplementedError


def said(question: Recommend | Search) -> Recommendations:
    return Recommendations((Item(f"for {question.item if isinstance(question, Search) else question.items[0]}"),))


class Vendor:
    """Stands in for a Provider: notes how it was called."""

    def __init__(self, name: str = "p", adapter: Adapter | None = None) -> None:
        self.name = name
        self.adapter = adapter or Batching()
        self.calls: list[tuple[str, list[str], float]] = []
        self.together: Exception | None = None
        """What becomes of a common call."""
        self.bad: frozenset[str] = frozenset()
        """Seeds that are refused, also together with others."""
        self.gate: asyncio.Event | None = None

    async def call(self, operation: str, question: Any, *, deadline: Deadline) -> Any:
        questions = question if isinstance(question, list) else [question]
        seeds = [str(one.item if isinstance(one, Search) else one.items[0]) for one in questions]
        self.calls.append((operation, seeds, deadline.left()))
        if self.gate is not None:
            await self.gate.wait()
        if operation == "recommend_batch":
            if self.together is not None:
                raise self.together
            if self.bad & {*seeds}:
                raise Refused("bad")
            return [said(one) for one in questions]
        if self.bad & {*seeds}:
            raise Refused("bad")
        return said(question)


CLOCK = FakeClock()


def question(seed: str) -> Recommend:
    return Recommend(kind="similar_items", count=1, items=(seed,))


async def ask(asker: Asker, vendor: Vendor, seed: str, seconds: float = 5.0) -> str:
    answer = await asker.ask(vendor, question(seed), Deadline.within(CLOCK, seconds))  # type: ignore[arg-type]  # a stand-in
    return answer.items[0].id


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def all_of(vendor: Vendor, *seeds: str) -> list[Any]:
    asker = Asker()
    return await asyncio.gather(*(ask(asker, vendor, seed) for seed in seeds), return_exceptions=True)


async def test_together_and_in_order() -> None:
    vendor = Vendor()
    assert await all_of(vendor, "a", "b", "c") == ["for a", "for b", "for c"]
    assert [(operation, seeds) for operation, seeds, _ in vendor.calls] == [("recommend_batch", ["a", "b", "c"])]


async def test_alone_is_alone() -> None:
    vendor = Vendor()
    assert await all_of(vendor, "a") == ["for a"]
    assert [operation for operation, *_ in vendor.calls] == ["recommend"]


async def test_those_that_come_a_turn_or_two_later_come_along() -> None:
    """As a question behind a cache does, and each of several seeds behind a cache."""
    vendor, asker = Vendor(), Asker()

    async def in_a_task(depth: int, seed: str) -> str:
        if depth == 0:
            return await ask(asker, vendor, seed)
        return await asyncio.create_task(in_a_task(depth - 1, seed))

    await asyncio.gather(*(in_a_task(depth, f"{depth}{n}") for depth in range(3) for n in range(2)))
    assert [sorted(seeds) for _, seeds, _ in vendor.calls] == [["00", "01", "10", "11", "20", "21"]]


async def test_not_more_than_a_call_takes() -> None:
    vendor = Vendor()
    seeds = [f"s{n}" for n in range(2 * MOST + 1)]
    assert await all_of(vendor, *seeds) == [f"for {seed}" for seed in seeds]
    assert [len(asked) for _, asked, _ in vendor.calls] == [MOST, MOST, 1]


async def test_each_provider_has_its_own_call() -> None:
    one, other, asker = Vendor("one"), Vendor("other"), Asker()
    await asyncio.gather(*(ask(asker, vendor, seed) for seed in "ab" for vendor in (one, other)))
    assert [seeds for vendor in (one, other) for _, seeds, _ in vendor.calls] == [["a", "b"], ["a", "b"]]


async def test_who_cannot_batch_and_searches_are_asked_one_by_one() -> None:
    plain = Vendor(adapter=Adapter())
    assert await all_of(plain, "a", "b") == ["for a", "for b"]
    assert [operation for operation, *_ in plain.calls] == ["recommend", "recommend"]
    vendor, asker = Vendor(), Asker()
    search = Search(count=1, item="x")
    deadline = Deadline.within(CLOCK, 5)
    await asyncio.gather(*(asker.ask(vendor, search, deadline) for _ in range(2)))  # type: ignore[arg-type]  # a stand-in
    assert [operation for operation, *_ in vendor.calls] == ["search", "search"]
    assert (await ask_alone(vendor, search, deadline)).items[0].id == "for x"  # type: ignore[arg-type]  # a stand-in


async def test_the_earliest_deadline_holds() -> None:
    vendor, asker = Vendor(), Asker()
    await asyncio.gather(ask(asker, vendor, "a", 3), ask(asker, vendor, "b", 2), ask(asker, vendor, "c", 4))
    assert [left for *_, left in vendor.calls] == [2]


async def test_a_bad_question_spoils_only_its_own() -> None:
    vendor = Vendor()
    vendor.bad = frozenset("b")
    a, b, c = await all_of(vendor, "a", "b", "c")
    assert (a, c) == ("for a", "for c")
    assert isinstance(b, Refused)
    assert [operation for operation, *_ in vendor.calls] == ["recommend_batch"] + ["recommend"] * 3


@pytest.mark.parametrize("error", [Unsupported("no"), Misconfigured("404", status=404), Refused("400")], ids=str)
async def test_what_one_may_be_to_blame_for_is_asked_one_by_one(error: ProviderError) -> None:
    vendor = Vendor()
    vendor.together = error
    assert await all_of(vendor, "a", "b") == ["for a", "for b"]


@pytest.mark.parametrize("error", [Failed("503"), Throttled(), Malformed(), ZeroDivisionError()], ids=repr)
async def test_what_is_nobodys_fault_is_told_to_all_and_not_repeated(error: Exception) -> None:
    """A fault of ours too: nobody may wait for ever."""
    vendor = Vendor()
    vendor.together = error
    assert await asyncio.wait_for(all_of(vendor, "a", "b"), 30) == [error, error]
    assert len(vendor.calls) == 1


async def test_too_few_answers_are_malformed() -> None:
    class Forgetful(Vendor):
        async def call(self, operation: str, question: Any, *, deadline: Deadline) -> Any:
            return (await super().call(operation, question, deadline=deadline))[:1]

    a, b = await asyncio.wait_for(all_of(Forgetful(), "a", "b"), 30)
    assert isinstance(a, Malformed)
    assert isinstance(b, Malformed)


async def test_who_hung_up_is_not_asked_for() -> None:
    vendor, asker = Vendor(), Asker()
    first, second = (asyncio.create_task(ask(asker, vendor, seed)) for seed in "ab")
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "for b"
    assert [seeds for _, seeds, _ in vendor.calls] == [["b"]]


async def test_closing_breaks_off_what_nobody_waits_for() -> None:
    vendor, asker = Vendor(), Asker()
    vendor.gate = asyncio.Event()
    both = [asyncio.create_task(ask(asker, vendor, seed)) for seed in "ab"]
    await settled()
    assert len(vendor.calls) == 1
    both[0].cancel()
    await asyncio.sleep(0)
    await asker.close()
    vendor.gate.set()
    assert await both[1] == "for b"  # somebody waited for that call
    vendor.gate.clear()
    gone = [asyncio.create_task(ask(asker, vendor, seed)) for seed in "cd"]
    await settled()
    assert len(vendor.calls) == 2
    for one in gone:
        one.cancel()
    await asyncio.wait(gone)
    await asyncio.wait_for(asker.close(), 30)  # and for this one nobody does
    assert not asker._calls

"""What was told is noted while the next calls are under way: bounded, in order, and never forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from gateway.config.traffic import Retry
from gateway.events.pace import LEAST, SPEED, Pace
from gateway.events.pace import MOST as MOST_CALLS
from gateway.events.settling import AGAIN, MOST, Settling
from gateway.events.telling import Told
from gateway.state.kept import Errand, StoreError
from tests.errands import Road, Time, happened, road


class Disk:
    """Stands before a store's `settle`: holds it up, or breaks it, as told to."""

    def __init__(self, one: Road) -> None:
        self.free = asyncio.Event()
        self.fails = 0
        self.notes: list[int] = []
        """How much was noted at once."""
        self._settle = one.store.settle
        one.store.settle = self._slowly  # type: ignore[method-assign]

    async def _slowly(self, provider: str, told: Sequence[Errand], refused: Sequence[Any], now: float) -> None:
        await self.free.wait()
        if self.fails:
            self.fails -= 1
            raise StoreError("full")
        self.notes.append(len(told) + len(refused))
        await self._settle(provider, told, refused, now)


async def test_calls_go_on_while_the_disk_is_slow_and_are_noted_together() -> None:
    async with road() as one:
        desk, disk = one.vendor("vendor", 1), Disk(one)
        await one.accept(*(happened(f"e{n}", f"u{n}") for n in range(100)))
        await one.time.passes(5)
        assert len(desk.arrived) == 100 and not disk.notes
        disk.free.set()
        await one.until_told()
        assert sum(disk.notes) == 100 and len(disk.notes) < 10
        assert len(desk.arrived) == 100, "each once"


async def test_so_much_and_no_more_is_told_without_being_noted() -> None:
    """It is what a kill may have told twice."""
    async with road() as one:
        desk, disk = one.vendor("vendor", 1), Disk(one)
        await one.accept(*(happened(f"e{n}", f"u{n}") for n in range(2 * MOST)))
        await one.time.passes(10)
        assert MOST <= len(desk.arrived) < MOST + MOST_CALLS
        disk.free.set()
        await one.until_told()
        assert sorted(desk.arrived) == sorted(f"e{n}" for n in range(2 * MOST))
        assert max(disk.notes) <= MOST


async def test_who_is_not_noted_holds_up_its_own_subject_alone() -> None:
    async with road() as one:
        desk, disk = one.vendor("vendor", 1), Disk(one)
        await one.accept(*(happened(f"{user}{n}", user) for n in range(3) for user in ("a", "b")))
        await one.time.passes(5)
        assert desk.arrived == ["a0", "b0"]
        disk.free.set()
        await one.until_told()
        assert sorted(desk.arrived[2:4]) == ["a1", "b1"] and sorted(desk.arrived[4:]) == ["a2", "b2"]


@pytest.mark.parametrize("fails", [2, AGAIN + 1])
async def test_a_store_that_fails_is_asked_again_and_then_it_is_told_again(fails: int) -> None:
    async with road() as one:
        desk, disk = one.vendor("vendor", 1), Disk(one)
        disk.free.set()
        disk.fails = fails
        await one.accept(happened("e1"))
        await one.until_told()
        assert desk.arrived == ["e1"] * (1 if fails <= AGAIN else 2)


async def test_it_ends_though_the_disk_does_not() -> None:
    async with road() as one:
        desk, _ = one.vendor("vendor", 1), Disk(one)
        await one.accept(happened("e1"))
        await one.time.passes(1)
        courier = one.couriers["vendor"]
        courier.stop()
        await asyncio.wait_for(courier.close(0.01), 30)
        assert desk.arrived == ["e1"]
        assert len(await one.store.errands("vendor", 0, 9)) == 1, "told, not noted: it will be told again"


class Books:
    """A store that takes notes of what it is told."""

    def __init__(self) -> None:
        self.settled: list[int] = []
        self.counted = 0
        self.full = False

    async def settle(self, _provider: str, told: list[Errand], refused: list[Any], _now: float) -> None:
        self.settled += [errand.seq for errand in told] + [errand.seq for errand, _ in refused]

    async def count_told(self, _provider: str, events: int) -> None:
        if self.full:
            raise StoreError("full")
        self.counted += events


def errand(seq: int, kind: Any = "event") -> Errand:
    return Errand(seq, kind, f"r{seq}", f"u{seq}", 0.0, 0, 0.0, False, b"")


@pytest.mark.parametrize("full", [False, True])
async def test_what_a_vendor_learns_from_is_counted_and_needs_no_more_than_that(full: bool) -> None:
    books, time = Books(), Time()
    books.full = full
    settling = Settling("vendor", books, time.wall, time.sleep)  # type: ignore[arg-type]  # all that it needs
    await asyncio.gather(
        settling.settle(Told(told=[errand(1), errand(2, "put_user")]), counts=True),
        settling.settle(Told(told=[errand(3)], refused=[(errand(4), "bad")]), counts=True),
        settling.settle(Told(told=[errand(5)]), counts=False),
        settling.settle(Told(), counts=True),
    )
    assert books.settled == [1, 2, 3, 5, 4]
    assert books.counted == (0 if full else 2)
    assert not settling.full
    await settling.close()


async def test_who_hangs_up_is_noted_all_the_same() -> None:
    books, time = Books(), Time()
    settling = Settling("vendor", books, time.wall, time.sleep)  # type: ignore[arg-type]  # all that it needs
    lane = asyncio.create_task(settling.settle(Told(told=[errand(1)]), counts=False))
    await asyncio.sleep(0)
    lane.cancel()
    await asyncio.wait([lane])
    await settling.settle(Told(told=[errand(2)]), counts=False)
    assert books.settled == [1, 2]


def test_so_many_calls_as_keep_the_speed_however_long_one_takes() -> None:
    pace = Pace(Retry(), lambda: 0.0, Random(1))
    assert pace.calls == LEAST
    for seconds, calls in ((0.001, LEAST), (0.04, round(0.04 * SPEED)), (3.0, MOST_CALLS), (0.001, LEAST)):
        for _ in range(200):
            pace.took(seconds)
        assert abs(pace.calls - calls) <= 1
    pace.is_down()
    assert pace.calls == 1

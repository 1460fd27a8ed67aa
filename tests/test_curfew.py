"""One timer for all: who is late is ended, and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from gateway.answering.curfew import Curfew


async def _forever() -> None:
    await asyncio.Event().wait()


async def _outcome(curfew: Curfew, seconds: float) -> str:
    try:
        with curfew.after(seconds):
            await _forever()
    except TimeoutError:
        return "late"
    return "in time"


async def test_each_is_ended_in_its_own_time() -> None:
    """The later one comes first: the timer that is set must be set anew for the sooner one."""
    curfew = Curfew()
    loop = asyncio.get_running_loop()
    ended: dict[str, float] = {}
    started = loop.time()

    async def one(name: str, seconds: float) -> None:
        assert await _outcome(curfew, seconds) == "late"
        ended[name] = loop.time() - started

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for name, seconds in {"late": 0.6, "soon": 0.2, "later": 0.61}.items():
            group.create_task(one(name, seconds))
    assert next(iter(ended)) == "soon" and len(ended) == 3
    assert ended["soon"] >= 0.198 and ended["late"] >= 0.598  # the loop's clock counts milliseconds


async def test_who_is_done_is_left_alone() -> None:
    curfew = Curfew()
    with curfew.after(0.2):
        await asyncio.sleep(0)
    await asyncio.sleep(0.25)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    assert await _outcome(curfew, 0.01) == "late"  # the timer had nothing more to do, and is set again
    assert not task.cancelling()


async def test_who_is_late_already_is_ended_at_the_next_await() -> None:
    assert await _outcome(Curfew(), -1.0) == "late"


async def test_another_ones_cancelling_stays() -> None:
    """Somebody hangs up at the very moment: that is what it ends with."""
    curfew = Curfew()
    task = asyncio.create_task(_outcome(curfew, 0.01))
    await asyncio.sleep(0)
    task.cancel()
    for stay in set(curfew._staying):
        stay.end()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_exception_passes() -> None:
    curfew = Curfew()
    with pytest.raises(KeyError), curfew.after(1):
        raise KeyError("k")
    assert not curfew._staying
    curfew.close()
    assert await asyncio.wait_for(_outcome(curfew, 0.01), 30) == "late"

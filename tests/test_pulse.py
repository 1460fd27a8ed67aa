"""Who is judged to hang, by a clock that the tests move: whoever says nothing, for as long as somebody listens."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.workers import pulse
from gateway.server.workers.channel import Up
from gateway.server.workers.pulse import BEAT, LATE, Pulse, Silences
from gateway.server.workers.worker import _mention
from tests.clock import FakeClock
from tests.more import examples

LIMIT = 8.0
SLOT = 3

on_time = st.integers(512, 2047).map(lambda n: n / 1024)  # below LATE, whatever they add up to
too_late = st.integers(2048, 10**9).map(lambda n: n / 1024)


class Watch:
    """A supervisor that looks when told to; `hanging`: whom it has judged so far."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.silences = Silences(self.clock, LIMIT)
        self.hanging: list[int] = []

    def looks(self, *after: float) -> Watch:
        for seconds in after:
            self.clock.passes(seconds)
            self.hanging += self.silences.look()
        return self

    def hears(self, *slots: int, watched: bool = True) -> Watch:
        for slot in slots:
            self.silences.heard(slot, watched=watched)
        return self


def test_a_look_that_is_late_is_one_that_came_twice_as_late_as_it_should() -> None:
    assert LATE == 2 * BEAT == 2.0  # what the strategies above stand for
    assert pulse.SILENT >= 10 * BEAT


@given(st.lists(on_time, min_size=1, max_size=60))
def test_whoever_says_nothing_is_judged_once_when_the_limit_is_reached(looks: list[float]) -> None:
    watch = Watch().hears(SLOT, SLOT + 1)
    passed = 0.0
    for seconds in looks:
        watch.hears(SLOT + 1).looks(seconds)
        passed += seconds
        assert watch.hanging == ([SLOT] if passed >= LIMIT else [])


@given(st.lists(st.tuples(on_time, st.booleans()), max_size=60))
def test_whoever_says_something_before_the_limit_is_never_judged(looks: list[tuple[float, bool]]) -> None:
    watch, quiet = Watch().hears(SLOT), 0.0
    for seconds, speaks in looks:
        if speaks or quiet + seconds >= LIMIT:
            watch.hears(SLOT)
            quiet = 0.0
        watch.looks(seconds)
        quiet += seconds
    assert watch.hanging == []


@given(st.lists(too_late, max_size=20))
def test_what_a_supervisor_slept_through_makes_nobody_silent(pauses: list[float]) -> None:
    watch = Watch().hears(SLOT).looks(*[1.0] * 7)
    assert watch.looks(*pauses).hanging == [], "a machine that was suspended, a supervisor that was stopped"
    assert watch.looks(1.0).hanging == [SLOT], "and what it heard of before is not forgotten"


@given(st.lists(on_time, min_size=20, max_size=60))
def test_nobody_is_judged_who_is_not_watched(looks: list[float]) -> None:
    assert Watch().looks(*looks).hanging == [], "starts: has said nothing yet"
    assert Watch().hears(SLOT).hears(SLOT, watched=False).looks(*looks).hanging == [], (
        "takes its time, and said so"
    )
    ended = Watch().hears(SLOT)
    ended.silences.forget(SLOT)
    assert ended.looks(*looks).hanging == []
    again = Watch().hears(SLOT).looks(*looks[:2]).hears(SLOT, watched=False).looks(*looks).hears(SLOT)
    assert again.hanging == [] and again.looks(*looks).hanging == [SLOT], "from when it was done"


def test_several_may_hang_at_once() -> None:
    assert Watch().hears(2, 0, 1).looks(*[1.0] * 7).hears(1).looks(1.0).hanging == [2, 0]


# --- what a worker says -----------------------------------------------------------------------------------------


class Said(list[bool]):
    """Whether it wants to be watched, each time that it said something."""

    def __call__(self, said: Up) -> None:
        assert not said.ready and not said.failed
        self.append(said.watched)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT", 0.001)


async def beats(said: Said, more: int = 3) -> set[bool]:
    """What it says in so many beats."""
    del said[:]
    async with asyncio.timeout(60):
        while len(said) < more:  # noqa: ASYNC110  # whoever says it tells nobody
            await asyncio.sleep(0.001)
    return set(said)


async def test_it_beats_while_its_loop_turns_however_much_there_is_to_do() -> None:
    busy = [asyncio.create_task(_turns()) for _ in range(50)]
    said = Said()
    try:
        with Pulse(said).beating():
            assert await beats(said, examples(20, 200)) == {True}
    finally:
        for task in busy:
            task.cancel()


async def _turns() -> None:
    while True:
        sum(range(1000))
        await asyncio.sleep(0)


async def test_what_may_take_its_time_is_said_before_it_begins_and_when_it_is_done() -> None:
    said = Said()
    one = Pulse(said)
    with one.beating():
        assert await beats(said) == {True}
        with one.excused():
            assert said[-1:] == [False], "at once: there may be no other turn"
            assert await beats(said) == {False}
        assert said[-1:] == [True]
        assert await beats(said) == {True}


async def test_whoever_leaves_is_not_watched_again() -> None:
    said = Said()
    one = Pulse(said)
    with ExitStack() as taking:
        with one.beating():
            taking.enter_context(one.excused())
        assert said[-1:] == [False]
    assert said[-1:] == [False], "a configuration is taken no more, and it has left all the same"
    del said[:]
    await asyncio.sleep(0.02)
    assert not said


def test_a_supervisor_that_does_not_read_costs_a_worker_nothing() -> None:
    """It is stopped, perhaps for hours: nobody waits for it, and what it cannot take is not kept."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            for _ in range(20_000):  # more than the kernel keeps
                _mention(theirs, Up(watched=True))
        ours.setblocking(False)
        assert ours.recv(1)
    left, gone = socket.socketpair()
    gone.close()
    with left:
        _mention(left, Up(watched=True))

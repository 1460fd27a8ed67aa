"""What is written in one turn of the event loop goes out together, in order, and is lost to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.departures import Departures


class Turns:
    """As much of an event loop as is asked for: what is to come in the next turn."""

    def __init__(self) -> None:
        self.next: list[Callable[[], Any]] = []

    def call_soon(self, callback: Callable[[], Any]) -> None:
        self.next.append(callback)

    def turn(self) -> None:
        due, self.next = self.next, []
        for callback in due:
            callback()


class Bench:
    def __init__(self) -> None:
        self.loop: Any = Turns()
        self.departures = Departures()
        self.written: list[bytes] = []

    def put(self, *data: bytes) -> None:
        for one in data:
            self.departures.put(self.written.append, one, self.loop)


def test_who_is_alone_does_not_wait() -> None:
    bench = Bench()
    for data in (b"a", b"b"):
        bench.put(data)
        assert bench.written[-1] == data
        bench.loop.turn()


def test_many_leave_together_in_their_order() -> None:
    bench = Bench()
    bench.put(b"a", b"b")  # nobody knew that there would be many
    bench.loop.turn()
    bench.put(b"c", b"d", b"e")
    assert bench.written == [b"a", b"b"]
    bench.loop.turn()
    assert bench.written == [b"a", b"b", b"c", b"d", b"e"]
    bench.put(b"f")
    bench.loop.turn()
    assert bench.written[-1] == b"f"
    assert not bench.loop.next, "and then there is nothing to do"


def test_before_somebody_else_writes_all_leave() -> None:
    bench = Bench()
    bench.put(b"a", b"b")
    bench.loop.turn()
    bench.put(b"c")
    bench.departures.leave()
    assert bench.written == [b"a", b"b", b"c"]
    bench.loop.turn()
    assert bench.written == [b"a", b"b", b"c"], "once"


def test_one_that_cannot_be_written_to_costs_nobody_his() -> None:
    bench = Bench()
    bench.put(b"a", b"b")
    bench.loop.turn()

    def broken(data: bytes) -> None:
        raise RuntimeError(data)

    bench.put(b"c")
    for _ in range(2):
        bench.departures.put(broken, b"x", bench.loop)
        bench.put(b"d")
    with pytest.raises(RuntimeError):
        bench.loop.turn()
    assert bench.written == [b"a", b"b", b"c", b"d", b"d"]


@pytest.mark.parametrize("many", [False, True])
async def test_in_a_loop(many: bool) -> None:
    departures, written, loop = Departures(), list[bytes](), asyncio.get_running_loop()
    for n in range(20):
        departures.put(written.append, b"%d" % n, loop)
        if not many:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert written == [b"%d" % n for n in range(20)]

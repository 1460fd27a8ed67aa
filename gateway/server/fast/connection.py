"""One connection that two readers take turns with, at the ends of messages and nowhere else.

    IDLE     ──one whole, plain request of the lane's──▸ answered at once, or ASKING ─▸ IDLE
             ──such a one whose body is not whole yet──▸ HELD ─▸ whole, or given to aiohttp after a while
             ──any other plain messages──────────────▸ AIOHTTP, until it waits again ─▸ IDLE
             ──anything else─────────────────────────▸ AIOHTTP for good
    ASKING   bytes that come meanwhile wait; a caller that hangs up ends it
    AIOHTTP  bytes that come meanwhile wait too, but for those of the message that it has, and where it is for good

aiohttp's parser is known to be empty only where every byte that it had belonged to messages whose ends were known
here; for that a head must be plain (heads.py). It waits again a few turns of the event loop after its answer went
out, and for the first time one after the connection was made: a caller's next request may be here before that, and
must not be aiohttp's for it, or on a busy machine the one after it would be too, and so on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from gateway.server import bodies
from gateway.server.edges import IDLE, Edge
from gateway.server.fast.heads import END, MOST, read

if TYPE_CHECKING:
    from gateway.server.fast.lane import Lane
    from gateway.telemetry.active import Active

HELD: Final = 64 * 1024
"""Bytes that wait here at most; above it reading pauses, or they are given to aiohttp."""
TAKEN, NOT_WHOLE, NOT_OURS = range(3)
"""What the lane says of some bytes."""


class FastEdge(Edge):
    """aiohttp's side of a connection, and the lane's beside it."""

    __slots__ = ("_active", "_asking", "_awaited", "_held", "_lane", "_left", "_method", "_owed", "_timer")

    def __init__(self, lane: Lane, active: Active, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lane = lane
        self._active = active
        self._method = ""  # of the request that is asked for
        self._asking: asyncio.Task[None] | None = None
        self._held = b""
        self._timer: asyncio.TimerHandle | None = None
        self._owed = 0  # bytes that are still to come of the last message that aiohttp has
        self._left = False  # aiohttp's for good

    @property
    def last(self) -> bool:
        """Is what is said now the last on this connection?"""
        return self._close or self._runner.leaving

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp's own way of having its parser go on
            super().data_received(data)
            return
        passes, asking = self._left or self._owed > 0, self._asking
        if asking is not None or not (passes or self._aiohttp_waits()):
            self._wait(data)
            return
        held = self._let_go() if self._held else b""
        verdict, whole = NOT_OURS, held + data
        if not (passes or self._force_close or self._paused or self.transport is None or self.last):
            verdict = self._lane.take(self, whole)
        if verdict == TAKEN:
            if self._asking is not None:
                self._under_way(whole)
        elif verdict == NOT_WHOLE and len(whole) <= HELD:
            self._held = whole
            self._timer = self._loop.call_later(bodies.TIME, self._late)
        else:
            if held:  # by itself, as it came: what is wrong behind it must not cost it its answer
                self._pass_on(held)
            self._pass_on(data)

    def ask(self, answering: Coroutine[Any, Any, None]) -> None:
        """The answer takes a while: it ends with `say`, and the connection with it if the caller hangs up."""
        self._asking = self._loop.create_task(answering)
        self._asking.add_done_callback(self._asked)

    def _under_way(self, plain: bytes) -> None:
        """Until its task has ended: what was answered at once never comes here."""
        self._method = plain[: plain.index(b" ")].decode("ascii")
        self._active.begin(self._method)

    def say(self, answer: bytes, *, last: bool) -> None:
        """These bytes are the answer."""
        if self.transport is None:
            return
        self._lane.departures.put(self._write, answer, self._loop)
        self._next_keepalive_close_time = self._loop.time() + IDLE
        if last:
            self._lane.departures.leave()
            self.force_close()

    def _write(self, answer: bytes) -> None:
        if self.transport is not None:
            self.transport.write(answer)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._let_go()
        if self._asking is not None:
            self._asking.cancel()
        super().connection_lost(exc)

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  # as aiohttp calls it
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=timeout)
        await super().shutdown(timeout)

    def _process_keepalive(self) -> None:
        if self._asking is not None or self._held:  # to aiohttp this looks idle
            self._next_keepalive_close_time = self._loop.time() + IDLE
        super()._process_keepalive()

    def _refuse(self, why: str) -> None:
        self._lane.departures.leave()
        super()._refuse(why)

    # --- whose turn it is ---------------------------------------------------------------------------------------

    def _aiohttp_waits(self) -> bool:
        """Is nothing in flight there?"""
        waiter = self._awaited
        return waiter is not None and not waiter.done()

    @property
    def _waiter(self) -> asyncio.Future[None] | None:
        """aiohttp's own: what it waits with for its next message; None while it deals with one."""
        return self._awaited

    @_waiter.setter
    def _waiter(self, waiter: asyncio.Future[None] | None) -> None:
        self._awaited = waiter
        if waiter is not None and self._held:
            self._loop.call_soon(self._go_on)

    def _pass_on(self, data: bytes) -> None:
        if not self._left:
            self._count(data)
        super().data_received(data)

    def _count(self, data: bytes) -> None:
        """Follow where the messages end that aiohttp gets; once that is not known, never take over again."""
        at = self._owed
        while at < len(data):
            size = _size(data, at)
            if size is None:
                self._left = True
                return
            at += size
        self._owed = at - len(data)

    # --- bytes that wait ----------------------------------------------------------------------------------------

    def _wait(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > HELD and self.transport is not None:
            self.transport.pause_reading()

    def _let_go(self) -> bytes:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, b""
        if len(held) > HELD and self.transport is not None:
            self.transport.resume_reading()
        return held

    def _late(self) -> None:
        """The rest of a body does not come: aiohttp's handler says so, in its time."""
        self._pass_on(self._let_go())

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        self._active.end(self._method)
        if not task.cancelled() and task.exception() is not None:  # a fault of the lane's own
            self.force_close()
        self._go_on()

    def _go_on(self) -> None:
        """With what has waited."""
        if self._held and self.transport is not None:
            self.data_received(self._let_go())


def _size(data: bytes, at: int) -> int | None:
    """Bytes of the message that begins here; None where that is not known (not plain, or no whole head)."""
    end = data.find(END, at, at + MOST)
    head = read(data[at:end]) if end >= 0 else None
    return None if head is None else end - at + len(END) + (head.length or 0)

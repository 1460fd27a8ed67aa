"""One connection to a vendor, asked one question at a time.

idle ─ ask ─▸ busy ─ whole answer ─▸ idle                          its pool has it back
  │             ├─ whole, but the server closes or says more ─▸ closed
  │             └─ broken, malformed, too late, left by its asker ─▸ closed
  └─ end, or bytes that nobody asked for ─▸ closed
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from gateway.adapter import Response
from gateway.deadline import Clock
from gateway.departures import Departures
from gateway.errors import Disconnected, Malformed, ProviderError, TimedOut
from gateway.transport.reading import Reading


class Home(Protocol):
    """Where a connection belongs."""

    def give_back(self, connection: Connection) -> None:
        """It can be asked again."""

    def lost(self, connection: Connection) -> None:
        """It is closed; told once."""


class Connection(asyncio.Protocol):
    """`asyncio.Protocol` over TCP or TLS. Its `waiter`s are futures of one answer each."""

    __slots__ = (
        "_alarm", "_asked", "_clock", "_closed", "_departures", "_home", "_loop", "_reading", "_seconds",
        "_transport", "_waiter", "address", "deadline", "retired", "since", "stale",
    )  # fmt: skip

    def __init__(
        self,
        home: Home,
        address: str,
        max_answer: int,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        departures: Departures,
    ) -> None:
        self._home = home
        self._departures = departures
        self._loop = loop
        self._clock = clock
        self._reading = Reading(max_answer)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._asked = 0
        self._seconds = 0.0
        self._closed = False
        self.address = address
        """The IP address at its other end."""
        self.deadline = 0.0
        """Of the present question, by the loop's clock."""
        self.since = clock()
        """Idle since."""
        self.retired = False
        """Not to be asked again: the host's name does not mean this address any more."""
        self.stale = False
        """Was it kept from an earlier question, and lost before anything of an answer came?"""

    def ask(self, request: bytes, seconds: float, *, without_body: bool) -> asyncio.Future[Response]:
        """Send a request; the future has its answer, or the ProviderError, within `seconds`."""
        assert self._transport is not None  # noqa: S101  # connected before anybody has it
        self._reading.begin(without_body=without_body)
        self._asked += 1
        self._seconds = seconds
        self._waiter = waiter = self._loop.create_future()
        self.deadline = deadline = self._loop.time() + seconds
        # One timer serves many questions: it looks again where it rings too early, which costs less than
        # setting and cancelling one each time.
        if self._alarm is None or self._alarm.when() > deadline:
            self._set_alarm(deadline)
        self._departures.put(self._write, request, self._loop)
        return waiter

    def _write(self, request: bytes) -> None:
        if self._transport is not None and not self._closed:
            self._transport.write(request)

    def leave(self, waiter: asyncio.Future[Response]) -> None:
        """Its asker does not wait any more: what comes would be read as the next one's answer, so it is closed.

        Nothing happens where the question was over; the connection may be somebody else's by now.
        """
        if self._waiter is waiter:
            self.abort()

    def close(self) -> None:
        """In good order. Only where nobody waits for an answer."""
        self._gone()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """At once, with whatever has not been sent; an asker is told that it broke."""
        self._fail(Disconnected("the connection broke"))

    @property
    def closed(self) -> bool:
        """By us or by the other end."""
        return self._closed

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():  # nobody asked, or nobody wants to know
            self.abort()
            return
        try:
            answer = self._reading.feed(data)
        except Malformed as error:
            self._fail(error)
            return
        if answer is not None:
            self._waiter = None
            self._keep_or_close()
            waiter.set_result(answer)

    def eof_received(self) -> None:
        if self._waiter is None:
            self._gone()  # before anybody takes it; the loop closes it next

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()
        if self._waiter is None:
            return
        self.stale = self._asked > 1 and self._reading.untouched
        try:
            answer = self._reading.end(in_order=exc is None)
        except Malformed as error:
            self._fail(error)
            return
        if answer is None:
            self._fail(Disconnected("the connection broke"))
            return
        waiter, self._waiter = self._waiter, None
        if not waiter.done():
            waiter.set_result(answer)

    def _keep_or_close(self) -> None:
        assert self._transport is not None  # noqa: S101  # it has just read from it
        if self._transport.get_write_buffer_size():
            self.abort()  # answered before it had heard all: the rest must not go out as another request
        elif self._reading.reusable and not self.retired:
            self.since = self._clock()
            self._home.give_back(self)
        else:
            self.close()

    def _set_alarm(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter is None:
            return
        if self._loop.time() < self.deadline:
            self._set_alarm(self.deadline)
        else:
            self._fail(TimedOut(f"no answer within {self._seconds:.3f} s"))

    def _fail(self, error: ProviderError) -> None:
        waiter, self._waiter = (
            self._waiter,
            None,
        )  # first: what is broken off by us must not pass for an answer's end
        self._gone()
        if self._transport is not None:
            self._transport.abort()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _gone(self) -> None:
        if not self._closed:
            self._closed = True
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            self._home.lost(self)

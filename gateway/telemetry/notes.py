"""What can be noted, and the bounded list that keeps it until it is read.

Served     a request that was answered         Round     its way through a placement's providers
Called     one operation of one provider       Shadowed  what a shadow answered
Exchange   one HTTP exchange with a vendor     Unknown   what no document of the vendor's names
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import structlog

if TYPE_CHECKING:
    from gateway.answering.delivery import Call
    from gateway.errors import ProviderError
    from gateway.policies.failover import Attempt
    from gateway.telemetry.propagation import Propagation
    from gateway.telemetry.sorts import Sort
    from gateway.telemetry.trace import Trace

EVERY: Final = 0.02
"""Seconds between two readings: who comes meanwhile waits for it, and little at once is soon read."""
CHUNK: Final = 128
"""Notes that are read in one go, in half a millisecond; the event loop has its turn in between."""
MOST: Final = 100_000
"""Notes that wait at once."""

log = structlog.get_logger("gateway")


class Served(msgspec.Struct, gc=False):
    """A request that was answered, or whose caller hung up. Moments are those of the monotonic clock.

    (Without `gc`: nothing that it holds leads back to it.)
    """

    method: str
    route: str
    """The path with names for ids."""
    status: int
    """499: the caller hung up."""
    started: float
    ended: float
    trace: Trace
    call: Call | None
    """What the pipeline found out; a batch has its parts there. None where no operation was reached."""
    problem: str | None = None
    """The slug of the problem that it ended in."""
    epoch: str = ""
    """Of the configuration that was in force when it ended."""
    sort: Sort | None = None
    """What it is of, once a reader asked (`Sorts.of`)."""


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """One HTTP exchange with a vendor."""

    provider: str
    method: str
    host: str
    """What stands before the path."""
    route: str
    """The path with names for ids where the adapter gives one."""
    outcome: int | str
    """The status, or what went wrong before there was one: the error's name, or `cancelled`."""
    started: float
    """Of the monotonic clock."""
    seconds: float
    resend: int = 0
    """How many attempts at the same request there were before."""
    trace: Trace | None = None
    """Of the request that it was made for; None: nobody's."""
    span: str | None = None
    """The id that the vendor was told, where it was."""
    breaker: str | None = None
    """The state of the breaker that let it through; None: none was asked (a login)."""

    @property
    def ms(self) -> float:
        """Milliseconds, as people read them."""
        return round(self.seconds * 1000, 2)


class Called(msgspec.Struct, frozen=True, gc=False):
    """One operation of one provider's, its gates included, that came to an end: nobody hung up on it."""

    provider: str
    adapter: str
    """What `adapter:` says in the configuration."""
    operation: str
    seconds: float
    result: object = None
    """What came back, in the caller's words."""
    error: ProviderError | None = None
    """What came instead."""


class Unknown(msgspec.Struct, frozen=True):
    """An answer had members that the adapter does not list as documented (`Adapter.documented`)."""

    provider: str
    adapter: str
    route: str
    members: tuple[str, ...]
    """Their paths, such as `items[].rank`: names of members, no values."""


class Round(msgspec.Struct, frozen=True, gc=False):
    """One way through a placement's providers: those that did not answer, and the one that did."""

    placement: str
    kind: str
    arm: str | None
    wanted: int
    """`count`."""
    attempts: tuple[Attempt, ...]
    provider: str | None
    """None: nobody answered."""
    items: tuple[str, ...]
    seconds: float
    subject: bytes = b""
    """Whose answer it is; empty when it is nobody's."""
    question: bytes = b""
    """The same for the same question, and for no other."""
    ended: float = 0.0
    """Of the monotonic clock."""
    trace: Trace | None = None
    """Of the request that it was made for; None: nobody's."""
    cause: Trace | None = None
    """Of the request that was answered before, and made it worth doing (a renewal)."""


class Shadowed(msgspec.Struct, frozen=True):
    """What became of a shadow request."""

    placement: str
    provider: str
    outcome: str
    """`answered`, `empty`, or the error's name."""
    seconds: float
    overlap: float | None = None
    """overlap@k with what was served; None where there is nothing to compare."""


Note = Served | Exchange | Called | Unknown | Round | Shadowed


class Reader(Protocol):
    """Something that tells of what happened."""

    def read(self, notes: Sequence[Note]) -> None:
        """These happened, in this order. Must not wait for anything."""


class Notes:
    """One process's. `note` is all that a request pays for."""

    __slots__ = ("_waiting", "dropped", "propagation", "readers")

    def __init__(self) -> None:
        self._waiting: deque[Note] = deque()
        self.readers: list[Reader] = []
        self.dropped = 0
        """Notes that found no place: of them nothing is told anywhere."""
        self.propagation: Propagation | None = None
        """How vendors are told which trace they take part in; None: they are not."""

    def note(self, one: Note) -> None:
        """Keep this until it is read."""
        if len(self._waiting) < MOST:
            self._waiting.append(one)
        else:
            self.dropped += 1

    def read(self, most: int | None = None) -> None:
        """Have the readers read what waits (so many at most)."""
        waiting = self._waiting
        batch = [waiting.popleft() for _ in range(len(waiting) if most is None else min(most, len(waiting)))]
        if not batch:
            return
        for reader in self.readers:
            try:
                reader.read(batch)
            except Exception:  # here a reading ends: what cannot be told must not stop what can
                log.exception("telemetry", reader=type(reader).__name__, notes=len(batch))

    async def run(self) -> None:
        """Read again and again."""
        while True:
            await asyncio.sleep(EVERY)
            while self._waiting:
                self.read(CHUNK)
                await asyncio.sleep(0)

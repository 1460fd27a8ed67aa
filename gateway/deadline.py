"""How much time a request has left, and how it is shared out over the tries that remain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.telemetry.notes import Exchange
    from gateway.telemetry.trace import Trace

Clock = Callable[[], float]
"""Monotonic seconds."""

MARGIN: Final = 0.020
"""Seconds kept back for our own work, so that an answer still leaves in time."""
LEAST: Final = 0.050
"""Seconds that any attempt gets: less is not worth asking for."""


class Deadline:
    """A moment after which nobody waits any more. Narrowed once for each provider of a list."""

    __slots__ = ("_clock", "after", "at", "breaker", "cause", "trace", "trail")

    def __init__(
        self,
        clock: Clock,
        at: float,
        after: int = 0,
        trail: list[Exchange] | None = None,
        trace: Trace | None = None,
        cause: Trace | None = None,
    ) -> None:
        self._clock = clock
        self.at = at
        self.after = after
        """How many providers could still be asked after the present one."""
        self.trail = trail
        """Where every exchange within this deadline is listed; None: nobody wants to know."""
        self.trace = trace
        """Of the request that ends then; None: nobody's."""
        self.cause = cause
        """Of the request that has its answer and made more to be done, which nobody waits for: what goes wrong
        with that is logged with it. It is no part of that trace: its spans would end after their parent."""
        self.breaker: str | None = None
        """The state of the breaker that let the present provider be asked, for its spans."""

    @property
    def logged_as(self) -> str | None:
        """The id of the trace that a line in the log is about."""
        trace = self.trace or self.cause
        return None if trace is None else trace.trace_id

    @classmethod
    def within(cls, clock: Clock, seconds: float) -> Deadline:
        """The deadline that many seconds from now."""
        return cls(clock, clock() + seconds)

    def before(self, others: int) -> Deadline:
        """The same moment, with that many providers still to come."""
        return Deadline(self._clock, self.at, others, self.trail, self.trace, self.cause)

    def left(self) -> float:
        """Seconds; negative when over."""
        return self.at - self._clock()

    def worth_trying(self) -> bool:
        """Is there time for one more attempt?"""
        return self.left() >= LEAST

    def share(self, timeout: float, tries_left: int) -> float:
        """Seconds for one attempt: `timeout` at most, and a fair part of what is left, but `LEAST`.

        `tries_left` counts this attempt and the later ones at this provider; the providers after it are
        counted here (CONFIG.md, `timeout`).
        """
        fair = (self.left() - MARGIN) / (tries_left + self.after)
        return min(timeout, max(LEAST, fair))


class Hurried(Deadline):
    """A deadline that the caller made shorter than the configuration's.

    What is not had in time then says little of the vendor: a caller in a hurry must not open everybody's breaker.
    """

    __slots__ = ()

    def before(self, others: int) -> Hurried:
        return Hurried(self._clock, self.at, others, self.trail, self.trace, self.cause)

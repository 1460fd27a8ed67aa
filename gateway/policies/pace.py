"""Never more than so many requests in any second, wherever that second begins: what a vendor's contract says.

The moments of the last `burst` requests are kept; one more may go when the oldest of them is a span away:

    ├─ span ──────────────┤
      ||  |   | |     |     ▸ now          room = burst − those within the span

A token bucket would let through up to twice the rate in one second, its burst and what fills it meanwhile, and a
vendor that counts by the second refuses that. `SLACK` is for requests that are longer under way than later ones.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SLACK: Final = 0.02
"""Seconds added to the span."""
ROUNDING: Final = 1e-9


class Pace:
    """One for each provider with a `rate`."""

    __slots__ = ("_sent", "_span", "burst")

    def __init__(self, per_second: float) -> None:
        """`per_second`: above 0; below 1 a single request goes in every 1 / per_second seconds."""
        if per_second <= 0:
            raise ValueError("a rate must be above 0")
        self.burst: int = max(1, int(per_second))
        self._span = self.burst / per_second + SLACK
        self._sent: deque[float] = deque(maxlen=self.burst)

    def admit(self, now: float) -> float:
        """0: go, and it is counted. Otherwise: seconds after which it would go, and nothing is counted."""
        if len(self._sent) == self.burst and (wait := self._sent[0] + self._span - now) > ROUNDING:
            return wait
        self._sent.append(now)
        return 0.0

    def remaining(self, now: float) -> int:
        """How many would go at once."""
        return self.burst - sum(1 for sent in self._sent if sent + self._span - now > ROUNDING)

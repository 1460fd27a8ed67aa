"""How many requests in a second: the generic cell rate algorithm.

One number is kept, the moment at which everything spent will have been regained ("theoretical arrival time").
A request moves it on by 1 / rate and is let through while it is at most burst / rate ahead of now:

    now ├────────── spent ──────────┤ regained       room = burst − spent · rate

A bucket of `burst` tokens filled at `rate` does the same; this one needs neither a timer nor a second number.
Source: ITU-T I.371, annex A (virtual scheduling).
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from gateway import units
from gateway.policies.settings import Settings

ROUNDING: Final = 1e-9
"""Seconds; so that whoever waited exactly as long as told is let through."""


class RateSettings(Settings):
    """Part of a provider's settings."""

    rate: units.Rate | None = Field(None, gt=0)
    """Requests sent to this provider, over all processes; above it the next provider is asked. Absent: no limit
    of our own, because the vendor's 429 is heeded anyway."""


class Rate:
    """A limit for one sender or one caller."""

    __slots__ = ("_burst", "_each", "_regained", "per_second")

    def __init__(self, per_second: float, burst: int | None = None) -> None:
        """`burst`: how many may come at once; default: what comes in a second, one at least."""
        if per_second <= 0:
            raise ValueError("a rate must be above 0")
        self.per_second = per_second
        self._each = 1 / per_second
        self._burst = max(1, int(per_second)) if burst is None else burst
        self._regained = float("-inf")

    @property
    def burst(self) -> int:
        """The most that may come at once: the quota of the `RateLimit-Policy` header."""
        return self._burst

    def admit(self, now: float, cost: int = 1) -> float:
        """0: go, and it is counted. Otherwise: seconds after which it would go, and nothing is counted.

        One that costs more than the burst goes when nothing is spent, and the next ones wait the longer.
        """
        room_needed = (self._burst - min(cost, self._burst)) * self._each
        wait = self._regained - room_needed - now
        if wait > ROUNDING:
            return wait
        self._regained = max(self._regained, now) + cost * self._each
        return 0.0

    def state(self, now: float) -> tuple[int, float]:
        """How many would go at once, and seconds until everything is regained."""
        spent = self._regained - now
        if spent <= 0:
            return self._burst, 0.0
        return max(0, int(self._burst - (spent - ROUNDING) * self.per_second)), spent

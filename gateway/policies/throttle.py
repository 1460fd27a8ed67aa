"""Left alone until: a provider that answered 429 is not asked before the time that it named has passed.

It is no failure, so no breaker counts it. Whether the last provider of a list waits instead of being passed over
is for the caller to decide: `wait` says how long, and the deadline whether that fits.
"""

from __future__ import annotations

from typing import Final

from gateway.deadline import Clock
from gateway.errors import PassedOver

LEAST: Final = 0.1
"""Seconds, where it asked for less: it did ask to be left alone, and who waits for it asks again after that."""
NEVER: Final = float("-inf")
LONGEST: Final = 3600.0
"""Seconds: a mistaken wish for weeks must not need a restart to end; a meant one is said again in an hour."""


class Throttle:
    """One for each provider."""

    __slots__ = ("_clock", "until")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.until = NEVER
        """Monotonic seconds; in the past when it may be asked."""

    def note(self, seconds: float) -> None:
        """It asked to be left alone that long. The longest wish counts; one that is no number does not."""
        if seconds > 0:
            self.until = max(self.until, self._clock() + min(max(seconds, LEAST), LONGEST))

    def wait(self) -> float:
        """Seconds until it may be asked; 0: now."""
        return max(0.0, self.until - self._clock()) if self.until > NEVER else 0.0

    def admit(self) -> None:
        """Raise PassedOver while it wants to be left alone."""
        seconds = self.wait()
        if seconds:
            raise PassedOver(f"throttled for {seconds:.1f} s more")

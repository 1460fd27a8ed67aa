"""How fast one provider is told: at once while it works, later each time while it does not.

      one failure may be one errand's own fault: it waits, the others go on.
      As many calls at once as keep `SPEED` of them a second going, however long the vendor takes for one
WORKS ──── `DOWN` failures in a row, or its breaker says so ────▸ DOWN: one attempt at a time, each later
  ▴                                                               │
  └──────────────────── an attempt succeeds ──────────────────────┘
"""

from __future__ import annotations

import math
from random import Random
from typing import Final

from gateway.config.traffic import Retry
from gateway.deadline import Clock

DOWN: Final = 3
"""Failures in a row after which the provider counts as down."""
LEAST, MOST = 8, 32
"""Calls that may be under way at once."""
SPEED: Final = 500.0
"""Calls a second: a vendor that takes one event a call is told several times what a busy shop's users do."""
WEIGHT: Final = 0.1
"""Of one call in the usual duration."""


class Pace:
    """Of one provider, in one process."""

    def __init__(self, retry: Retry, clock: Clock, rng: Random) -> None:
        self.retry = retry
        self._clock = clock
        self._rng = rng
        self._failures = 0
        self._attempts = 0
        self._until = float("-inf")
        self._takes = 0.0

    @property
    def calls(self) -> int:
        """How many may be under way at once."""
        return 1 if self.down else min(MOST, max(LEAST, math.ceil(SPEED * self._takes)))

    def took(self, seconds: float) -> None:
        """So long did one call take that did not fail."""
        self._takes += WEIGHT * (seconds - self._takes)

    @property
    def down(self) -> bool:
        """Does it count as down?"""
        return self._attempts > 0

    def wait(self) -> float:
        """Seconds until it may be told something; 0: now."""
        return max(0.0, self._until - self._clock())

    def works(self) -> bool:
        """It took something. True where it was down until now."""
        was_down = self.down
        self._failures = self._attempts = 0
        self._until = float("-inf")
        return was_down

    def failed(self, *, probe: bool) -> None:
        """It failed; `probe`: in an attempt that was begun while it was down."""
        self._failures += 1
        if probe or (not self.down and self._failures >= DOWN):
            self._attempts += 1
            self.pause(self.delay(self._attempts))

    def is_down(self) -> None:
        """Its breaker says so: nothing was tried."""
        self._attempts = self._attempts or 1
        self.pause(self.delay(1))

    def pause(self, seconds: float) -> None:
        """Leave it alone so long at least."""
        self._until = max(self._until, self._clock() + seconds)

    def delay(self, attempt: int) -> float:
        """Seconds before the next attempt: doubled each time, up to `retry.max`, half of it at random."""
        longest = min(self.retry.max, self.retry.first * 2.0 ** min(attempt - 1, 32))
        return longest * self._rng.uniform(0.5, 1)

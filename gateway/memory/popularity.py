"""What is wanted now: the sum of what was done to each item, every deed fading with its age.

    score(now) = Σ worth · 2^(−age / HALF_LIFE)

kept as Σ worth · 2^((time − LANDMARK) / HALF_LIFE), which never changes as time goes by and grows by addition
alone: forward decay (Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay", ICDE 2009). The order of the deeds
plays no part, and a double holds a thousand half-lives, 19 years.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final

HALF_LIFE: Final = 7 * 86400.0
"""Seconds: what was done a week ago counts half. Shops and media both have a rhythm of a week."""
LANDMARK: Final = 1_735_689_600.0
"""2025-01-01T00:00:00Z."""
ITEMS: Final = 100_000
"""Items whose popularity is kept; a tenth more before the least wanted are forgotten."""
SORT_ANEW: Final = 20
"""Where more than one in so many items changed, sorting all is faster than moving each."""

Ranked = tuple[float, str]
"""Minus the score, and the item: sorts best first, and ties by id."""


class Popularity:
    """Scores of items, and their order. The order is only up to date after `settle`."""

    def __init__(self) -> None:
        self._scores: dict[str, float] = {}
        self._placed: dict[str, float] = {}
        self._changed: set[str] = set()
        self._newest = LANDMARK
        self.order: list[Ranked] = []
        """Best first. Never changed in place, so that who walks it is not disturbed."""

    def add(self, item: str, worth: float, time: float) -> None:
        """Somebody did something to the item; `time` in Unix seconds."""
        self._newest = max(self._newest, time)
        self._scores[item] = self._scores.get(item, 0.0) + worth * _grown(time)
        self._changed.add(item)

    def know(self, item: str) -> None:
        """There is such an item, even if nobody wanted it yet."""
        if item not in self._scores:
            self._scores[item] = 0.0
            self._changed.add(item)

    def of(self, item: str) -> float:
        """How much it is wanted, as of the newest deed."""
        return self._scores.get(item, 0.0) / _grown(self._newest)

    def ranked(self) -> Iterable[tuple[str, float]]:
        """Items and scores, best first."""
        now = _grown(self._newest)
        return ((item, -score / now) for score, item in self.order)

    def settle(self) -> None:
        """Bring the order up to date."""
        if not self._changed:
            return
        if len(self._scores) > ITEMS + ITEMS // 10:
            self._forget_the_least()
        if len(self._changed) * SORT_ANEW > len(self.order):
            self.order = sorted((-score, item) for item, score in self._scores.items())
            self._placed = dict(self._scores)
        else:
            self.order = list(self.order)
            for item in self._changed:
                self._move(item)
        self._changed = set()

    def _move(self, item: str) -> None:
        before, now = self._placed.get(item), self._scores.get(item)
        if before is not None:
            del self.order[bisect_left(self.order, (-before, item))]
            del self._placed[item]
        if now is not None:
            insort(self.order, (-now, item))
            self._placed[item] = now

    def _forget_the_least(self) -> None:
        best = sorted((-score, item) for item, score in self._scores.items())[:ITEMS]
        self._scores = {item: -score for score, item in best}
        self._changed = {*self._scores, *self._placed}


def _grown(time: float) -> float:
    """2^((time − LANDMARK) / HALF_LIFE), within what a double holds."""
    exponent: float = min(1000.0, (time - LANDMARK) / HALF_LIFE)
    return float(2.0**exponent)

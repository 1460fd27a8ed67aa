"""Counts over the last seconds, in a ring of buckets.

    now ──▸ [ 3 | 1 | 0 | 7 | … ]      each bucket `seconds / buckets` long; the oldest leaves as a whole

So a window of 30 s in 10 buckets looks back over 27 to 30 s. Adding and reading cost the same however much was
counted.
"""

from __future__ import annotations


class Window:
    """`columns` counters over the last `seconds`. `totals[column]` is right after `roll(now)` or `add(now, …)`."""

    __slots__ = ("_buckets", "_now", "_tick", "_until", "_width", "totals")

    def __init__(self, seconds: float, buckets: int, columns: int) -> None:
        self._width = seconds / buckets
        self._buckets = [[0] * columns for _ in range(buckets)]
        self._tick = -1
        self._now = self._buckets[0]
        self._until = 0.0
        """When the present bucket's time ends."""
        self.totals = [0] * columns

    def roll(self, now: float) -> list[int]:
        """Forget what is too old; the present bucket, one count a column. `now`: monotonic seconds, from 0."""
        if now < self._until:
            return self._now
        tick = int(now / self._width)
        passed = tick - self._tick
        if passed > 0:
            size = len(self._buckets)
            for old in range(tick - min(passed, size) + 1, tick + 1):
                self._empty(self._buckets[old % size])
            self._tick = tick
            self._now = self._buckets[tick % size]
            self._until = (tick + 1) * self._width
        return self._buckets[tick % len(self._buckets)]

    def add(self, now: float, column: int) -> None:
        """Count one."""
        self.roll(now)[column] += 1
        self.totals[column] += 1

    def clear(self) -> None:
        """Forget everything."""
        for bucket in self._buckets:
            self._empty(bucket)

    def _empty(self, bucket: list[int]) -> None:
        for column, count in enumerate(bucket):
            if count:
                self.totals[column] -= count
                bucket[column] = 0

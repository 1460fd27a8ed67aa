"""Counters and histograms that one thread counts with: a dictionary look-up and an addition.

Why not prometheus_client's own: they lock, and look for exemplars, for every count (some 0.6 µs, 1.5 µs for a
histogram); with several for each request that would be most of what a cached answer costs. What is exposed is the
same.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Generic, TypeVar

from gateway.telemetry.exposition import Shown, labelled
from gateway.telemetry.families import Family

Labels = tuple[str | int, ...]
"""Values in the order of the family's labels; a number is spelled when it is exposed."""

V = TypeVar("V")


class Tally(Generic[V]):
    """The children of one family, by their labels."""

    __slots__ = ("by_labels", "family")

    def __init__(self, family: Family) -> None:
        self.family = family
        self.by_labels: dict[Labels, V] = {}


class Counts(Tally[float]):
    """A counter."""

    __slots__ = ()

    def add(self, labels: Labels, more: float = 1) -> None:
        """So many more."""
        by_labels = self.by_labels
        by_labels[labels] = by_labels.get(labels, 0.0) + more

    def begin(self, labels: Labels) -> None:
        """Show it at 0 before it counts: a rate needs to see where it began."""
        self.by_labels.setdefault(labels, 0.0)

    def shown(self) -> Shown:
        """As Prometheus has it."""
        name, names = f"{self.family.name}_total", self.family.labels
        samples = {f"{name}{{{labelled(names, labels)}}}": count for labels, count in self.by_labels.items()}
        return Shown(self.family.name, self.family.what, "counter", samples)


class Distribution(Tally[list[float]]):
    """A histogram. For each child: how many are in each bucket (not those below), and the sum."""

    __slots__ = ("_bounds", "_names")

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self._bounds = family.buckets
        self._names = [*(f"{bound:g}" if bound % 1 else f"{bound:.1f}" for bound in family.buckets), "+Inf"]

    def observe(self, labels: Labels, value: float) -> None:
        """One more of this value."""
        child = self.by_labels.get(labels)
        if child is None:
            child = self.by_labels[labels] = [0.0] * (len(self._bounds) + 2)
        child[bisect_left(self._bounds, value)] += 1
        child[-1] += value

    def observe_all(self, labels: Labels, values: list[float]) -> None:
        """These, whose order is lost: sorted, they fall into their buckets at one look for each bucket."""
        child = self.by_labels.get(labels)
        if child is None:
            child = self.by_labels[labels] = [0.0] * (len(self._bounds) + 2)
        values.sort()
        child[-1] += sum(values)
        below, count = 0, len(values)
        for bucket, bound in enumerate(self._bounds):
            upto = bisect_right(values, bound, below)
            if upto != below:
                child[bucket] += upto - below
                below = upto
                if upto == count:
                    return
        child[-2] += count - below

    def shown(self) -> Shown:
        """As Prometheus has it: each bucket holds those below too."""
        name, names = self.family.name, self.family.labels
        samples: dict[str, float] = {}
        for labels, child in self.by_labels.items():
            said, below = labelled(names, labels), 0.0
            for bound, count in zip(self._names, child, strict=False):  # the sum, which is last, has no bound
                below += count
                samples[f'{name}_bucket{{{said},le="{bound}"}}'] = below
            samples[f"{name}_count{{{said}}}"] = below
            samples[f"{name}_sum{{{said}}}"] = child[-1]
        return Shown(name, self.family.what, "histogram", samples)

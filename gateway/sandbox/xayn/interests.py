"""A person's centres of interest, from what he looked at.

Each document looked at either joins the nearest centre, which moves towards it, or is far from all and
begins a new one. A centre counts by how often it was joined and how long ago that was last.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.sandbox.xayn.index import Vector, unit

NEAR = 0.4  # a cosine from which on a document belongs to a centre
GAIN = 1.25  # each document weighs this much more in a centre than the one before it
CENTRES = 10  # at most so many of the most relevant are searched with
TERMS = 48  # the heaviest terms of a centre; the tail changes nothing but the time
HALF_LIFE = 30 * 86400.0  # seconds after which a centre that nothing joins counts half


@dataclass(slots=True)
class Centre:
    """The weighted sum of the unit vectors that joined, with its length kept beside it."""

    total: dict[str, float] = field(default_factory=dict)
    length: float = 0.0
    weight: float = 1.0
    views: int = 0
    last: float = -math.inf

    def likeness(self, vector: Vector) -> float:
        if not self.length:
            return 0.0
        shared = math.fsum(self.total.get(term, 0.0) * weight for term, weight in vector.items())
        return shared / self.length

    def join(self, vector: Vector, at: float, likeness: float) -> None:
        if vector:
            # |s + w·v|² = |s|² + 2·w·(s·v) + w², v being of unit length.
            squared = self.length**2 + 2 * self.weight * likeness * self.length + self.weight**2
            self.length = math.sqrt(max(squared, 0.0))
            for term, weight in vector.items():
                self.total[term] = self.total.get(term, 0.0) + self.weight * weight
        self.weight *= GAIN
        self.views += 1
        self.last = max(self.last, at)


@dataclass(frozen=True, slots=True)
class Interest:
    """A centre ready for search: a unit vector, and how much it counts, 1 being the most relevant."""

    vector: Vector
    views: int
    last: float

    def weight(self, now: float) -> float:
        """log₂(1 + views) · 2^(−age ÷ 30 days)."""
        return math.log2(1 + self.views) * math.exp2(-max(now - self.last, 0.0) / HALF_LIFE)


def derive(looked_at: Iterable[tuple[Vector, float]]) -> tuple[Interest, ...]:
    """The centres of these vectors and Unix times, given oldest first."""
    centres: list[Centre] = []
    for vector, at in looked_at:
        nearest, likeness = _nearest(centres, vector)
        if nearest is None or likeness < NEAR:
            nearest, likeness = Centre(), 0.0
            centres.append(nearest)
        nearest.join(vector, at, likeness)
    return tuple(Interest(_heaviest(centre.total), centre.views, centre.last) for centre in centres)


def most_relevant(interests: Iterable[Interest], now: float) -> list[tuple[Interest, float]]:
    """At most ten interests with their weights, the first one's being 1."""
    weighed = [(interest, interest.weight(now)) for interest in interests]
    weighed.sort(key=lambda pair: -pair[1])
    most = weighed[0][1] if weighed else 1.0
    return [(interest, weight / most if most else 1.0) for interest, weight in weighed[:CENTRES]]


def _nearest(centres: list[Centre], vector: Vector) -> tuple[Centre | None, float]:
    best: Centre | None = None
    most = 0.0
    for centre in centres:
        likeness = centre.likeness(vector)
        if best is None or likeness > most:
            best, most = centre, likeness
    return best, most


def _heaviest(total: dict[str, float]) -> Vector:
    heaviest = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))[:TERMS]
    return unit(dict(heaviest))

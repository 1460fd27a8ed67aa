"""Reciprocal rank fusion: one list out of several whose scores cannot be compared.

score(item) = Σ over lists 1 / (k + rank), rank from 1, k = 60: Cormack, Clarke, Büttcher, "Reciprocal Rank
Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.model.query import Item

K: Final = 60


def fuse(rankings: Sequence[Sequence[Item]], count: int) -> tuple[Item, ...]:
    """The best `count` items over all rankings, best first, without scores; ties keep the order of arrival."""
    totals: dict[str, float] = {}
    first: dict[str, Item] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            totals[item.id] = totals.get(item.id, 0.0) + 1 / (K + rank)
            first.setdefault(item.id, item)
    best = sorted(totals, key=lambda id_: -totals[id_])[:count]
    return tuple(msgspec.structs.replace(first[id_], score=None) for id_ in best)

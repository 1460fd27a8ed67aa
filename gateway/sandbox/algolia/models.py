"""The recommendation models, each a ranking `[(objectID or facet value, 0 < score ≤ 100)]`, best first.

* related-products: how many people touched both, over √(people of one · people of the other), damped where few
  did; where behaviour is thin, what looks alike follows, below all that behaviour found.
* bought-together: the same over purchases alone.
* trending-items, trending-facets: heat (`behaviour.py`), the hottest being 100.
* looking-similar: likeness of the records' words (`likeness.py`).

A ranking is made when it is first asked for and kept until an event or a record changes what it was made from.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from gateway.sandbox.algolia.behaviour import Behaviour, Pairs
from gateway.sandbox.algolia.conditions import text_of, values
from gateway.sandbox.algolia.likeness import Likeness

Ranking = list[tuple[str, float]]

ENOUGH = 30  # recommendations: the most that one answer carries
DAMPING = 1.0


class Models:
    """The models of one index. `records` and `behaviour` are the index's own and change under it."""

    def __init__(self, records: Mapping[str, Mapping[str, Any]], behaviour: Behaviour) -> None:
        self._records = records
        self._behaviour = behaviour
        self._kept: dict[tuple[str, str], Ranking] = {}
        self._kept_at = (-1, -1)
        self._likeness = Likeness({})
        self._likeness_at = -1
        self.records_version = 0

    def related(self, item: str) -> Ranking:
        """related-products."""
        return self._keep("related-products", item, lambda: self._related(item))

    def bought_together(self, item: str) -> Ranking:
        """bought-together."""
        return self._keep("bought-together", item, lambda: self._together(item, self._behaviour.bought))

    def looking_similar(self, item: str) -> Ranking:
        """looking-similar."""
        return self._keep("looking-similar", item, lambda: _ranked(self._alike(item)))

    def trending(self, facet: str = "", value: str = "") -> Ranking:
        """trending-items, of all records or of those that carry one facet value."""
        return self._keep("trending-items", f"{facet}\0{value}", lambda: self._trending(facet, value))

    def trending_values(self, facet: str) -> Ranking:
        """trending-facets: the values of one attribute."""
        return self._keep("trending-facets", facet, lambda: self._trending_values(facet))

    def _keep(self, model: str, key: str, make: Callable[[], Ranking]) -> Ranking:
        now = (self.records_version, self._behaviour.version)
        if now != self._kept_at:
            self._kept.clear()
            self._kept_at = now
        if (model, key) not in self._kept:
            self._kept[model, key] = make()
        return self._kept[model, key]

    def _related(self, item: str) -> Ranking:
        ranking = self._together(item, self._behaviour.touched)
        if len(ranking) >= ENOUGH:
            return ranking
        ceiling = min((score for _, score in ranking), default=50.0)
        known = {other for other, _ in ranking}
        alike = {
            other: likeness * ceiling / 100 for other, likeness in self._alike(item).items() if other not in known
        }
        return ranking + _ranked(alike)

    def _together(self, item: str, pairs: Pairs) -> Ranking:
        mine = pairs.people(item)
        return _ranked(
            {
                other: count / math.sqrt(mine * pairs.people(other)) * count / (count + DAMPING)
                for other, count in pairs.both(item).items()
                if other in self._records
            }
        )

    def _alike(self, item: str) -> Mapping[str, float]:
        if self._likeness_at != self.records_version:
            self._likeness = Likeness(self._records)
            self._likeness_at = self.records_version
        return self._likeness.of(item)

    def _trending(self, facet: str, value: str) -> Ranking:
        wanted = value.casefold()
        return _ranked(
            _of_the_hottest(
                {
                    item: heat
                    for item, heat in self._behaviour.heat().items()
                    if item in self._records
                    and (
                        not facet
                        or any(text_of(one).casefold() == wanted for one in values(self._records[item], facet))
                    )
                }
            )
        )

    def _trending_values(self, facet: str) -> Ranking:
        sums: defaultdict[str, float] = defaultdict(float)
        for item, heat in self._behaviour.heat().items():
            for value in values(self._records.get(item, {}), facet):
                sums[text_of(value)] += heat
        return _ranked(_of_the_hottest(sums))


def _of_the_hottest(heat: Mapping[str, float]) -> dict[str, float]:
    hottest = max(heat.values(), default=1.0)
    return {name: one / hottest for name, one in heat.items()}


def _ranked(shares: Mapping[str, float]) -> Ranking:
    """Shares of 1 as scores of 100 with two digits, best first, ties by name so that answers repeat."""
    scores = [(name, min(100.0, round(100 * share, 2))) for name, share in shares.items()]
    return sorted((one for one in scores if one[1] > 0), key=lambda one: (-one[1], one[0]))

"""All that was learned, put together: which items rank for which question, best first.

trending_items   popularity
similar_items    wanted by the same people + a little for likeness
bought_together  bought by the same people + a little for similar
for_you          similar to the user's last items, the newest counting most; then what is popular
search           BM25; by an item: as similar_items
trending_facets  values of a property by the popularity of the items that have them
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

import msgspec

from gateway.memory.catalogue import Catalogue, Properties
from gateway.memory.deeds import BOUGHT, MOST, worth
from gateway.memory.popularity import Popularity
from gateway.memory.together import RECENT, Together
from gateway.model.query import Recommend, Search
from gateway.state.learned import Deed, Record

WEAKER: Final = 0.1
"""What a weaker reason counts beside a stronger one: likeness beside behaviour, interest beside purchases."""
FADING: Final = 0.9
"""A user's item counts so much less than the one after it."""
LIKED: Final = 5
"""The user's last items whose likes are looked for."""
POPULAR: Final = 1000
"""The most popular items, where not all can be looked at."""

Ranked = Iterable[tuple[str, float]]


class Personal(msgspec.Struct, frozen=True):
    """What is known of whoever asks."""

    wants: Mapping[str, float]
    """Items with how much each is wanted, 0..1; the newest last."""
    seen: frozenset[str]
    """What is not to be shown."""


class Ranking(msgspec.Struct, frozen=True):
    """What fits a question, best first."""

    items: Ranked
    cold: bool = False
    """Nothing of it was made from what is known of the user."""


class Model:
    """What one process has learned."""

    def __init__(self) -> None:
        self.popularity = Popularity()
        self.together = Together()
        self.bought = Together()
        self.catalogue = Catalogue()
        self._catalogued = False

    # --- learning
    def take_deed(self, deed: Deed) -> None:
        """Somebody did something to an item."""
        value = worth(deed.type, deed.value)
        if value:
            self.popularity.add(deed.item, value, deed.time)
        self.together.add(deed.user, deed.item, value / MOST)
        if deed.type in BOUGHT:
            self.bought.add(deed.user, deed.item, value / MOST)

    def take_record(self, record: Record) -> None:
        """A record was put or deleted. How much the item was wanted stays, should it come back."""
        self._catalogued = True
        if record.properties is None:
            self.catalogue.remove(record.id)
        else:
            self.catalogue.put(record.id, record.properties)
            self.popularity.know(record.id)

    def forget_user(self, user: str) -> None:
        """As far as that can be without learning anew."""
        self.together.forget_user(user)
        self.bought.forget_user(user)

    def settle(self) -> None:
        """After learning, before answering."""
        self.popularity.settle()

    # --- what is there
    def has(self, item: str) -> bool:
        """May it be recommended? Once there is a catalogue, only what stands in it."""
        return item in self.catalogue or not self._catalogued

    def properties(self, item: str) -> Properties:
        """The item's record."""
        return self.catalogue.properties(item)

    # --- ranking
    def ranking(self, question: Recommend | Search, personal: Personal) -> Ranking:
        """What fits the question; what must be left out is still in it."""
        if isinstance(question, Search):
            if question.item is not None:
                return Ranking(self._sorted(self._similar((question.item,))))
            return Ranking(self._sorted(self.catalogue.found(question.query or "")))
        match question.kind:
            case "similar_items":
                return Ranking(self._sorted(self._similar(question.items)))
            case "bought_together":
                return Ranking(self._sorted(self._bought(question.items)))
            case "for_you":
                return self._for_you(personal.wants)
        return Ranking(self.popularity.ranked())

    def facet(self, name: str, item: str) -> list[str]:
        """The item's values of a property that can trend."""
        value = self.properties(item).get(name)
        listed = value if isinstance(value, list) else [value]
        return list(dict.fromkeys(one for one in listed if isinstance(one, str)))

    def _similar(self, seeds: Sequence[str]) -> dict[str, float]:
        scores: dict[str, float] = {}
        for seed in seeds:
            _add(scores, self.together.alike(seed), 1.0)
            _add(scores, self.catalogue.alike(seed, self._popular()), WEAKER)
        return scores

    def _bought(self, seeds: Sequence[str]) -> dict[str, float]:
        scores: dict[str, float] = {}
        for seed in seeds:
            _add(scores, self.bought.alike(seed), 1.0)
        _add(scores, self._similar(seeds), WEAKER)
        return scores

    def _for_you(self, wants: Mapping[str, float]) -> Ranking:
        scores: dict[str, float] = {}
        newest_first = list(wants.items())[: -RECENT - 1 : -1]
        for age, (item, want) in enumerate(newest_first):
            weight = want * FADING**age
            if not weight:
                continue
            _add(scores, self.together.alike(item), weight)
            if age < LIKED:
                _add(scores, self.catalogue.alike(item, self._popular()), weight * WEAKER)
        best = self._sorted(scores)
        return Ranking(chain(best, self._others(scores, best)), cold=not any(self.has(item) for item in scores))

    def _others(self, scores: Mapping[str, float], best: Sequence[tuple[str, float]]) -> Ranked:
        """What is popular besides, scored below all that was found."""
        below = best[-1][1] if best else 1.0
        most = -self.popularity.order[0][0] if self.popularity.order else 0.0
        for score, item in self.popularity.order:
            if item not in scores:
                yield item, below * (-score / most) if most else 0.0

    def _sorted(self, scores: Mapping[str, float]) -> list[tuple[str, float]]:
        return sorted(scores.items(), key=lambda pair: (-pair[1], -self.popularity.of(pair[0]), pair[0]))

    def _popular(self) -> Iterator[str]:
        return (item for _, item in islice(self.popularity.order, POPULAR))


def _add(scores: dict[str, float], more: Mapping[str, float], weight: float) -> None:
    for item, score in more.items():
        scores[item] = scores.get(item, 0.0) + weight * score

"""What items are, by their records: alike by what they share, found by words.

Likeness is the part of a seed's properties that another item shares, the rarer ones counting more. Search is BM25
(Robertson, Zaragoza, "The Probabilistic Relevance Framework", 2009, §3.4) over all texts of a record. Numbers are
no categories: two items of one price are not alike by that.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import log
from typing import Any, Final

RECORDS: Final = 100_000
"""Records that are kept; whose last change is longest ago goes first."""
CATEGORY: Final = 64
"""Characters: a longer text is prose, and no category."""
WORDS: Final = 300
"""Words of one record that can be found."""
TYPICAL: Final = 500
"""A property of more items than this says so little of likeness that only the popular ones are looked at."""
CANDIDATES: Final = 20_000
"""Items that one search weighs; the rarest of its words choose them."""
K1: Final = 1.2
B: Final = 0.75
"""BM25's usual parameters."""

Properties = Mapping[str, Any]
Category = tuple[str, str | bool]


def words(text: str) -> list[str]:
    """The words of a text, folded: case and accents play no part."""
    folded = text.casefold()
    if not folded.isascii():
        folded = "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
    return re.findall(r"\w+", folded)


def values(properties: Properties) -> Iterator[tuple[str, str | float | bool]]:
    """Every single value of a record."""
    for name, value in properties.items():
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, str | int | float):
                yield name, one


def categories(properties: Properties) -> set[Category]:
    """The values that items are alike by."""
    return {
        (name, value)
        for name, value in values(properties)
        if isinstance(value, bool) or (isinstance(value, str) and len(value) <= CATEGORY)
    }


def _counted(properties: Properties) -> Counter[str]:
    """How often each word stands in a record."""
    found: list[str] = []
    for _, value in values(properties):
        if isinstance(value, str):
            found += words(value)
        if len(found) >= WORDS:
            break
    return Counter(found[:WORDS])


class Catalogue:
    """Records, and what finds them."""

    def __init__(self) -> None:
        self._records: dict[str, Properties] = {}
        self._lengths: dict[str, int] = {}
        self._length = 0
        self._by_category: dict[Category, dict[str, None]] = {}
        self._by_word: dict[str, dict[str, int]] = {}

    def __contains__(self, item: str) -> bool:
        return item in self._records

    def properties(self, item: str) -> Properties:
        """What is known of the item; nothing of one that is not on record."""
        return self._records.get(item, {})

    def put(self, item: str, properties: Properties) -> None:
        """The item's record is this now."""
        self.remove(item)
        self._records[item] = properties
        for category in categories(properties):
            self._by_category.setdefault(category, {})[item] = None
        counted = _counted(properties)
        for word, times in counted.items():
            self._by_word.setdefault(word, {})[item] = times
        self._lengths[item] = counted.total()
        self._length += counted.total()
        if len(self._records) > RECORDS:
            self.remove(next(iter(self._records)))

    def remove(self, item: str) -> None:
        """There is no such record any more."""
        properties = self._records.pop(item, None)
        if properties is None:
            return
        for category in categories(properties):
            _without(self._by_category, category, item)
        for word in _counted(properties):
            _without(self._by_word, word, item)
        self._length -= self._lengths.pop(item)

    def having(self, category: Category) -> Mapping[str, None]:
        """The items with this value of a property."""
        return self._by_category.get(category, {})

    # --- likeness
    def alike(self, seed: str, popular: Iterable[str]) -> dict[str, float]:
        """Items like the seed, 0..1. `popular`: where to look for those that share what is common."""
        own = {category: self._rarity(len(self.having(category))) for category in self._own(seed)}
        whole = sum(own.values())
        likeness: dict[str, float] = {}
        looked_at = list(popular) if any(len(self.having(one)) > TYPICAL for one in own) else []
        for category, rarity in own.items():
            having = self.having(category)
            sharing: Iterable[str] = having
            if len(having) > TYPICAL:
                sharing = (item for item in looked_at if item in having)
            for item in sharing:
                likeness[item] = likeness.get(item, 0.0) + rarity / whole
        likeness.pop(seed, None)
        return likeness

    def _own(self, seed: str) -> list[Category]:
        """In one order in every process, so that sums of floats come out alike to the last bit."""
        return sorted(categories(self.properties(seed)), key=repr)

    def _rarity(self, having: int) -> float:
        return log(1 + len(self._records) / having)

    # --- words
    def found(self, query: str) -> dict[str, float]:
        """Items that have words of the query, by BM25."""
        asked = sorted(set(words(query)), key=lambda word: (len(self._by_word.get(word, ())), word))
        mean = self._length / len(self._records) if self._records else 1.0
        scores: dict[str, float] = {}
        for word in asked:
            having = self._by_word.get(word, {})
            rarity = log(1 + (len(self._records) - len(having) + 0.5) / (len(having) + 0.5))
            full = len(scores) > CANDIDATES
            for item, times in having.items():
                if full and item not in scores:
                    continue
                long = 1 - B + B * self._lengths[item] / mean
                scores[item] = scores.get(item, 0.0) + rarity * times * (K1 + 1) / (times + K1 * long)
        return scores


def _without(index: dict[Any, dict[str, Any]], key: object, item: str) -> None:
    having = index[key]
    del having[item]
    if not having:
        del index[key]

"""How alike records look by their words: TF-IDF over every text attribute (titles, genres), cosine of the two.

A genre is a word of its own attribute, so that `genre: Crime` and a title with the word "crime" are told apart.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.sandbox.algolia.conditions import values

WORD = re.compile(r"\w+")


class Likeness:
    """An inverted index over the records of one index, made once per state of its records."""

    def __init__(self, records: Mapping[str, Mapping[str, Any]]) -> None:
        counts = {item: Counter(_words(record)) for item, record in records.items()}
        spread = Counter(word for words in counts.values() for word in words)
        self._vectors: dict[str, dict[str, float]] = {}
        self._holders: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
        for item, words in counts.items():
            weights = {word: count * math.log(1 + len(records) / spread[word]) for word, count in words.items()}
            length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
            self._vectors[item] = {word: weight / length for word, weight in weights.items()}
            for word, weight in self._vectors[item].items():
                self._holders[word].append((item, weight))

    def of(self, item: str) -> dict[str, float]:
        """Every other item that shares a word with this one → how alike they are, above 0 and at most 1."""
        alike: defaultdict[str, float] = defaultdict(float)
        for word, weight in self._vectors.get(item, {}).items():
            for other, its_weight in self._holders[word]:
                alike[other] += weight * its_weight
        alike.pop(item, None)
        return alike


def _words(record: Mapping[str, Any]) -> Iterator[str]:
    for attribute in record:
        if attribute == "objectID":
            continue
        for value in values(record, attribute):
            if isinstance(value, str):
                yield from (f"{attribute}:{word}" for word in WORD.findall(value.casefold()))

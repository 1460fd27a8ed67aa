"""TF-IDF vectors of snippets in an inverted index: which snippets are near a vector, by cosine.

A snippet has two blocks of terms, its text and its labels (genres, categories, tags). Each block is brought
to unit length before they are added, or the rare words of a title would drown what the item is about.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

Vector = Mapping[str, float]
NOTHING: Final[Mapping[int, float]] = {}


class Index:
    """Term counts by key, their vectors made when next asked for. `revision` changes whenever vectors do.

    A term's weight depends on how many snippets have it, so that strictly each change concerns all vectors.
    Few changes renew only their own; when a twentieth of all snippets has changed, every vector is renewed.
    """

    def __init__(self) -> None:
        self.revision = 0
        self._blocks: dict[int, tuple[Counter[str], Counter[str]]] = {}
        self._occurrences: Counter[str] = Counter()  # in how many snippets a term is
        self._vectors: dict[int, Vector] = {}
        self._postings: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._stale: set[int] = set()
        self._drift = 0  # changes since every vector was renewed

    def put(self, key: int, text: Counter[str], labels: Counter[str]) -> None:
        if self._blocks.get(key) == (text, labels):
            return
        self.remove(key)
        self._blocks[key] = (text, labels)
        self._occurrences.update(text.keys() | labels.keys())
        self._changed(key)

    def remove(self, key: int) -> None:
        blocks = self._blocks.pop(key, None)
        if blocks is None:
            return
        self._occurrences.subtract(blocks[0].keys() | blocks[1].keys())
        self._changed(key)

    def vector(self, key: int) -> Vector:
        self._refresh()
        return self._vectors[key]

    def vector_of(self, text: Counter[str]) -> Vector:
        """The unit vector of a text that is not in the index, such as a query."""
        return self._weighed(text)

    def rarity(self, term: str) -> float:
        """The idf, ln(1 + N / df); a term that no snippet has is as rare as one that a single one has."""
        return math.log(1 + max(len(self._blocks), 1) / max(self._occurrences[term], 1))

    def scores(self, vector: Vector) -> dict[int, float]:
        """The cosine with every snippet that shares a term with this unit vector."""
        self._refresh()
        found: defaultdict[int, float] = defaultdict(float)
        for term, weight in vector.items():
            for key, other in self._postings.get(term, NOTHING).items():
                found[key] += weight * other
        return found

    def _changed(self, key: int) -> None:
        self.revision += 1
        self._stale.add(key)
        self._drift += 1

    def _refresh(self) -> None:
        if not self._stale:
            return
        if self._drift * 20 > len(self._blocks):
            self._drift = 0
            self._stale = set(self._blocks)
            self._vectors.clear()
            self._postings.clear()
        for key in sorted(self._stale):
            self._renew(key)
        self._stale.clear()

    def _renew(self, key: int) -> None:
        for term in self._vectors.pop(key, {}):
            del self._postings[term][key]
        if key in self._blocks:
            text, labels = self._blocks[key]
            vector = unit(_sum(self._weighed(text), self._weighed(labels)))
            self._vectors[key] = vector
            for term, weight in vector.items():
                self._postings[term][key] = weight

    def _weighed(self, counts: Counter[str]) -> Vector:
        """(1 + ln tf) · idf, to unit length."""
        return unit({term: (1 + math.log(count)) * self.rarity(term) for term, count in counts.items()})


def unit(vector: Vector) -> Vector:
    """The vector brought to length 1; one without length stays as it is."""
    length = math.sqrt(sum(weight * weight for weight in vector.values()))
    return {term: weight / length for term, weight in vector.items()} if length else vector


def _sum(left: Vector, right: Vector) -> Vector:
    added = dict(left)
    for term, weight in right.items():
        added[term] = added.get(term, 0.0) + weight
    return added

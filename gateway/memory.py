"""The gateway's own model of what is wanted: what the adapter `local` answers from.

First form: popularity counted from the events that it was fed, likeness of item properties, and keywords over
the records. It is rebuilt from the state store when that has changed, at most every `REFRESH` seconds, so that
every process answers alike.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.deadline import Clock
from gateway.errors import NoAnswer
from gateway.model.filters import matches
from gateway.model.query import FacetScore, Item, Recommend, Recommendations, Search, User
from gateway.state.store import Knowledge, Store

REFRESH: Final = 2.0
"""Seconds between two looks at the store."""
TYPICAL: Final = 200
"""A property value shared by more items than this says little of their likeness (and costs much to compare)."""

Properties = Mapping[str, Any]


def words(text: str) -> list[str]:
    """The words of a text, folded."""
    return re.findall(r"\w+", text.casefold())


def values(properties: Properties) -> Iterator[tuple[str, str | float | bool]]:
    """Every single value of a record."""
    for name, value in properties.items():
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, str | int | float):
                yield name, one


class Memory:
    """Answers from what the store has learned; empty until something was."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._looked = float("-inf")
        self._version = -1
        self._items: Mapping[str, Properties] = {}
        self._popularity: Mapping[str, float] = {}
        self._ranking: list[str] = []
        self._by_value: dict[tuple[str, Any], list[str]] = {}
        self._by_word: dict[str, set[str]] = {}

    async def recall(self, question: Recommend | Search) -> Recommendations:
        """What there is to recommend. Raises NoAnswer when nothing was learned that fits."""
        await self._refresh()
        if isinstance(question, Search):
            return self._answer(question, self._found(question))
        if question.kind == "trending_facets":
            return self._facets(question)
        if question.items and question.kind == "similar_items":
            return self._answer(question, self._alike(question.items))
        if question.kind == "bought_together":
            self._check_known(question.items)
        return self._answer(question, ((id_, self._popularity.get(id_, 0.0)) for id_ in self._ranking))

    def _check_known(self, seeds: Iterable[str]) -> None:
        """Raises NoAnswer for seeds of which nothing was ever learned: what is popular does not go with them."""
        if not any(seed in self._items or seed in self._popularity for seed in seeds):
            raise NoAnswer("none of the items is known")

    async def _refresh(self) -> None:
        if self._clock() - self._looked < REFRESH:
            return
        self._looked = self._clock()
        knowledge = await self._store.knowledge(self._version)
        if knowledge is not None:
            self._learn(knowledge)

    def _learn(self, knowledge: Knowledge) -> None:
        self._version, self._items = knowledge.version, knowledge.items
        self._popularity = {
            id_: w for id_, w in knowledge.popularity.items() if id_ in self._items or not self._items
        }
        everything = {**dict.fromkeys(self._items, 0.0), **self._popularity}
        self._ranking = sorted(everything, key=lambda id_: (-everything[id_], id_))
        by_value: defaultdict[tuple[str, Any], list[str]] = defaultdict(list)
        by_word: defaultdict[str, set[str]] = defaultdict(set)
        for id_ in self._ranking:
            for name, value in values(self._items.get(id_, {})):
                by_value[name, value].append(id_)
                if isinstance(value, str):
                    for word in words(value):
                        by_word[word].add(id_)
        self._by_value, self._by_word = dict(by_value), dict(by_word)

    def _alike(self, seeds: Iterable[str]) -> list[tuple[str, float]]:
        """Items that share property values with the seeds; rarer values count more."""
        likeness: Counter[str] = Counter()
        for seed in seeds:
            for value in set(values(self._items.get(seed, {}))):
                sharing = self._by_value.get(value, [])
                for id_ in sharing[:TYPICAL]:
                    likeness[id_] += 1 / len(sharing)  # type: ignore[assignment]  # a Counter of floats
        for seed in seeds:
            likeness.pop(seed, None)
        return self._sorted(likeness)

    def _found(self, search: Search) -> list[tuple[str, float]]:
        """Items by the share of the query's words that their texts have."""
        if search.item is not None:
            return self._alike((search.item,))
        asked = set(words(search.query or ""))
        hits: Counter[str] = Counter(id_ for word in asked for id_ in self._by_word.get(word, ()))
        return self._sorted({id_: count / len(asked) for id_, count in hits.items()})

    def _sorted(self, scores: Mapping[str, float]) -> list[tuple[str, float]]:
        return sorted(scores.items(), key=lambda pair: (-pair[1], -self._popularity.get(pair[0], 0.0), pair[0]))

    def _answer(self, question: Recommend | Search, ranked: Iterable[tuple[str, float]]) -> Recommendations:
        left_out = {*question.exclude_items, *seen_by(question)}
        if isinstance(question, Recommend):
            left_out |= {*question.items}
        chosen: list[Item] = []
        for id_, score in ranked:
            properties = self._items.get(id_, {})
            if id_ in left_out or not self._fits(question, id_, properties):
                continue
            chosen.append(Item(id_, score, dict(properties) if question.properties else None))
            if len(chosen) == question.count:
                break
        if not chosen:
            raise NoAnswer("nothing was learned yet that fits")
        cold = isinstance(question, Recommend) and question.kind == "for_you"
        return Recommendations(tuple(chosen), cold_start=cold)

    def _fits(self, question: Recommend | Search, id_: str, properties: Properties) -> bool:
        if question.filter is not None and not matches(question.filter, id_, properties):
            return False
        facet = question.facet if isinstance(question, Recommend) else None
        return facet is None or facet.value is None or (facet.name, facet.value) in set(values(properties))

    def _facets(self, question: Recommend) -> Recommendations:
        assert question.facet is not None  # noqa: S101  # the API has checked it
        name = question.facet.name
        scores: Counter[str] = Counter()
        for id_, weight in self._popularity.items():
            if not self._fits(question, id_, self._items.get(id_, {})):
                continue
            for key, value in set(values(self._items.get(id_, {}))):
                if key == name and isinstance(value, str):
                    scores[value] += weight  # type: ignore[assignment]  # a Counter of floats
        if not scores:
            raise NoAnswer("no item on record has this facet")
        best = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[: question.count]
        return Recommendations(facets=tuple(FacetScore(name, value, float(score)) for value, score in best))


def seen_by(question: Recommend | Search) -> set[str]:
    """What the asker is known to have seen, where that is not wanted again."""
    user: User | None = question.user
    if user is None or question.exclude_seen is False:
        return set()
    recent = question.recent if isinstance(question, Recommend) else ()
    return {seen.item for seen in user.history} | {*recent}

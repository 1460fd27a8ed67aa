"""Which snippets answer, and in which order. Like the vendor's nearest-neighbour search it always gives as
many as asked for while there are any: what shares nothing comes last, with score 0, in order of ingestion.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from gateway.sandbox.xayn.filters import Test
from gateway.sandbox.xayn.index import Vector
from gateway.sandbox.xayn.interests import Interest, most_relevant
from gateway.sandbox.xayn.store import Snippet, Tenant
from gateway.sandbox.xayn.text import stem, words

KEYWORD_SHARE = 0.5  # of the score in hybrid search
WIDE = 50  # at least so many snippets are scored by every interest
INTEREST_SHARE = 0.4  # of the score when a search is personalized

Hit = tuple[Snippet, float]


@dataclass(frozen=True, slots=True)
class Selection:
    """How many snippets, of which documents: candidates that pass the test and are not excluded."""

    count: int
    test: Test | None = None
    without_documents: Set[str] = frozenset()
    without_snippets: Set[tuple[str, int]] = frozenset()  # document id and sub_id

    def takes(self, snippet: Snippet) -> bool:
        document = snippet.document
        return (
            document.is_candidate
            and document.id not in self.without_documents
            and (document.id, snippet.sub_id) not in self.without_snippets
            and (self.test is None or self.test(document.id, document.properties))
        )


def by_interests(tenant: Tenant, interests: Iterable[Interest], now: float, selection: Selection) -> list[Hit]:
    """Scored by the nearest interest: the cosine with it times its weight.

    What comes nearest to all interests together is found first and then scored by each of them, which takes
    a tenth of the time of searching with one after the other.
    """
    weighed = most_relevant(interests, now)
    together: defaultdict[str, float] = defaultdict(float)
    for interest, weight in weighed:
        for term, value in interest.vector.items():
            together[term] += weight * value
    wide = replace(selection, count=max(WIDE, 2 * selection.count))
    found = _selected(tenant, tenant.index.scores(together), wide)
    hits = [(snippet, _nearness(tenant, snippet, weighed)) for snippet, _ in found]
    return _in_order(hits)[: selection.count]


def by_vector(tenant: Tenant, vector: Vector, selection: Selection) -> list[Hit]:
    return _selected(tenant, tenant.index.scores(vector), selection)


def by_query_and_keywords(tenant: Tenant, query: str, vector: Vector, selection: Selection) -> list[Hit]:
    """Hybrid: half the cosine, half the share of the query's own words, unstemmed, that a snippet has.

    A word counts by its rarity.
    """
    cosines = tenant.index.scores(vector)
    weights = {word: tenant.index.rarity(stem(word)) for word in sorted(set(words(query)))}
    total = sum(weights.values()) or 1.0
    scores = {}
    for key, snippet in tenant.snippets.items():
        matched = sum(weight for word, weight in weights.items() if word in snippet.words) / total
        score = (1 - KEYWORD_SHARE) * cosines.get(key, 0.0) + KEYWORD_SHARE * matched
        if score:
            scores[key] = score
    return _selected(tenant, scores, selection)


def reranked(tenant: Tenant, hits: list[Hit], interests: Iterable[Interest], now: float) -> list[Hit]:
    """The same snippets, ordered also by how near they are to a person's interests."""
    weighed = most_relevant(interests, now)
    personal = [
        (snippet, (1 - INTEREST_SHARE) * score + INTEREST_SHARE * _nearness(tenant, snippet, weighed))
        for snippet, score in hits
    ]
    return _in_order(personal)


def _nearness(tenant: Tenant, snippet: Snippet, weighed: list[tuple[Interest, float]]) -> float:
    vector = tenant.index.vector(snippet.key)
    return max(
        (
            weight * sum(value * interest.vector.get(term, 0.0) for term, value in vector.items())
            for interest, weight in weighed
        ),
        default=0.0,
    )


def _in_order(hits: list[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: (-hit[1], hit[0].key))


def _selected(tenant: Tenant, scores: Mapping[int, float], selection: Selection) -> list[Hit]:
    hits: list[Hit] = []
    for key, score in _ordered(tenant, scores):
        snippet = tenant.snippets[key]
        if selection.takes(snippet):
            hits.append((snippet, score))
            if len(hits) == selection.count:
                break
    return hits


def _ordered(tenant: Tenant, scores: Mapping[int, float]) -> Iterator[tuple[int, float]]:
    yield from sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    for key in tenant.snippets:
        if key not in scores:
            yield key, 0.0

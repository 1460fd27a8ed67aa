"""One recommendation, from a valid query to the result as it goes out.

model ▸ threshold ▸ filters, rules' filters, hide ▸ optional filters and affinities rank ▸ cut
      ▸ fallback fills up ▸ rules promote ▸ hits
"""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from gateway.sandbox.algolia.conditions import Record
from gateway.sandbox.algolia.effects import Effects
from gateway.sandbox.algolia.models import Ranking
from gateway.sandbox.algolia.parameters import Parameters
from gateway.sandbox.algolia.profiles import Profiles
from gateway.sandbox.algolia.queries import Query
from gateway.sandbox.algolia.world import Index, Shown, World

RERANKED = 200  # affinities reorder the best of a ranking, not its tail


@dataclass(frozen=True, slots=True)
class Scored:
    """A record on its way into the hits: the model's score, what optional filters and affinities add."""

    item: str
    score: float
    points: int = 0
    affinity: float = 0.0

    @property
    def order(self) -> tuple[float, float, str]:
        return (-self.points, -self.score * (1 + self.affinity), self.item)


def answer(world: World, profiles: Profiles, query: Query) -> dict[str, Any]:
    """The result of one query.

    Raises:
        Refused: 404 if the index was never fed.
    """
    started = world.clock()
    index = world.fed(query.index)
    if query.model == "trending-facets":
        hits, effects = _trending_facets(index, query), _effects(world, index, query)
    else:
        hits, effects = _items(world, profiles, index, query)
    result: dict[str, Any] = {
        "hits": hits,
        "nbHits": len(hits),
        "page": 0,
        "nbPages": 1 if hits else 0,
        "hitsPerPage": query.most,
        "processingTimeMS": max(1, round(1000 * (world.clock() - started))),
        "index": query.index,
        "exhaustive": {"nbHits": True, "typo": True},
    }
    if effects.user_data:
        result["userData"] = list(effects.user_data)
    if query.parameters.ranking_info and effects.applied:
        result["appliedRules"] = [{"objectID": rule} for rule in effects.applied]
    if query.parameters.click_analytics:
        shown = tuple(hit["objectID"] for hit in hits)
        result["queryID"] = world.show(Shown(query.index, query.model, shown))
    return result


def _trending_facets(index: Index, query: Query) -> list[dict[str, Any]]:
    return [
        {"facetName": query.facet, "facetValue": value, "_score": score}
        for value, score in index.models.trending_values(query.facet)[: query.most]
        if score >= query.threshold
    ]


def _effects(world: World, index: Index, query: Query) -> Effects:
    if not query.parameters.rules:
        return Effects()
    rules = world.rules.get((query.index, query.model), {}).values()
    source = None if query.item is None else index.records.get(query.item)
    return Effects.of(rules, query.parameters.contexts, source, world.clock())


def _items(world: World, profiles: Profiles, index: Index, query: Query) -> tuple[list[dict[str, Any]], Effects]:
    effects = _effects(world, index, query)
    hidden = effects.hide | ({query.item} if query.item else set())
    ranking = [one for one in _ranking(index, query) if one[1] >= query.threshold and one[0] not in hidden]
    found = _selected(profiles, index, ranking, query.parameters, effects, most=query.most)
    if query.fallback is not None and len(found) < query.most:
        found += _fallback(profiles, index, query, effects, hidden | {one.item for one in found})
    by_item = {one.item: one for one in found[: query.most]}
    placed = [item for item in effects.placed(list(by_item)) if item in index.records and item != query.item]
    promoted = {item for promotion in effects.promote for item in promotion.objects}
    return [
        _hit(index.records[item], by_item.get(item, Scored(item, 0.0)), query.parameters, item in promoted)
        for item in placed[: query.most]
    ], effects


def _ranking(index: Index, query: Query) -> Ranking:
    if query.item is None:
        return index.models.trending(query.facet, query.value)
    if query.model == "bought-together":
        return index.models.bought_together(query.item)
    if query.model == "looking-similar":
        return index.models.looking_similar(query.item)
    return index.models.related(query.item)


def _selected(
    profiles: Profiles, index: Index, ranking: Ranking, parameters: Parameters, effects: Effects, *, most: int
) -> list[Scored]:
    """The best of a ranking that match, in the order that optional filters, scores and affinities give them."""
    hard = parameters.hard + effects.hard
    soft = parameters.soft + effects.soft
    user = parameters.user or ""
    impact = profiles.impact(parameters.impact) if user and parameters.personal else 0.0
    matching = ((item, score) for item, score in ranking if hard.matches(index.records[item]))
    if not (impact or soft.clauses or hard.scored or parameters.ranking_info):
        return [Scored(item, score) for item, score in islice(matching, most)]
    summed = parameters.summed or effects.summed
    found: list[Scored] = []
    for place, (item, score) in enumerate(matching):
        record = index.records[item]
        affinity = impact * profiles.affinity(user, record) if impact and place < RERANKED else 0.0
        found.append(Scored(item, score, (hard + soft).points(record, summed=summed), affinity))
    return sorted(found, key=lambda one: one.order)[:most]


def _fallback(
    profiles: Profiles, index: Index, query: Query, effects: Effects, taken: set[str] | frozenset[str]
) -> list[Scored]:
    """The index's records under `fallbackParameters`, what is liked first; they carry no score of the model's."""
    if query.fallback is None:
        return []
    popular = dict(index.models.trending())
    ranking = sorted(
        ((item, popular.get(item, 0.0)) for item in index.records if item not in taken),
        key=lambda one: (-one[1], one[0]),
    )
    selected = _selected(profiles, index, ranking, query.fallback, effects, most=query.most)
    return [Scored(one.item, 0.0, one.points, one.affinity) for one in selected]


def _hit(record: Record, scored: Scored, parameters: Parameters, promoted: bool) -> dict[str, Any]:
    hit = {name: value for name, value in record.items() if _wanted(name, parameters.attributes)}
    hit |= {"objectID": scored.item, "_score": scored.score}
    if parameters.ranking_info:
        hit["_rankingInfo"] = {
            "filters": scored.points,
            "firstMatchedWord": 0,
            "geoDistance": 0,
            "nbExactWords": 0,
            "nbTypos": 0,
            "userScore": 0,
            "promoted": promoted,
        }
    return hit


def _wanted(name: str, attributes: tuple[str, ...]) -> bool:
    return name in attributes or ("*" in attributes and f"-{name}" not in attributes)

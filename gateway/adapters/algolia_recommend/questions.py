"""Questions for recommendations, many in one call.

    questions ─▸ plans (1..5 requests each) ─▸ one POST ─▸ results, in the order of the requests ─▸ answers

`for_you` is made: related products of the user's last five items, fused; trending items where none is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.adapter import Flow
from gateway.adapters.algolia_recommend.calls import asked, decoded, post
from gateway.adapters.algolia_recommend.filters import Clause, clauses, printed, sayable, without
from gateway.adapters.algolia_recommend.grammar import conjoined
from gateway.adapters.algolia_recommend.options import RECOMMENDATIONS, ModelledKind, Options
from gateway.answering.fusion import fuse
from gateway.errors import Unsupported
from gateway.model.query import FacetScore, Item, Recommend, Recommendations

MOST: Final = 30
"""The most items of one answer."""
SEEDS: Final = 5
"""How many of a user's last items `for_you` is made of."""
PARAMETERS: Final = ("queryParameters", "fallbackParameters")
OURS: Final = frozenset({"userToken", "ruleContexts", "objectID", "clickAnalytics"})
PAGING: Final = frozenset({"page", "hits", "hitsPerPage", "offset", "length"})

# --- what Algolia answers -------------------------------------------------------------------------------------


class _Hit(msgspec.Struct, rename={"id": "objectID", "score": "_score"}):
    id: str
    score: float | None = None


class _FacetHit(msgspec.Struct, rename={"name": "facetName", "value": "facetValue", "score": "_score"}):
    name: str
    value: str
    score: float | None = None


class _Result(msgspec.Struct, rename={"query_id": "queryID", "user_data": "userData"}):
    hits: list[msgspec.Raw]
    query_id: str | None = None
    user_data: list[dict[str, Any]] | None = None


class _Answer(msgspec.Struct):
    results: list[_Result]


ANSWER: Final = msgspec.json.Decoder(_Answer)
HIT: Final = msgspec.json.Decoder(_Hit)
FACET_HIT: Final = msgspec.json.Decoder(_FacetHit)
RECORD: Final = msgspec.json.Decoder(dict[str, Any])

# --- questions ------------------------------------------------------------------------------------------------


class Plan(msgspec.Struct, frozen=True):
    """One question as requests to Algolia's models, and how to read what comes back."""

    query: Recommend
    requests: tuple[dict[str, Any], ...]
    excluded: frozenset[str] = frozenset()
    cold_start: bool = False


def ask(options: Options, queries: Sequence[Recommend]) -> Flow[list[Recommendations]]:
    """The answers to questions, in order. Raises Unsupported before the call if one of them cannot be said."""
    plans = [_plan(options, query) for query in queries]
    requests = [request for plan in plans for request in plan.requests]
    call = post(RECOMMENDATIONS, {"requests": requests}, hosts="read", route=RECOMMENDATIONS)
    answer = yield from asked(call, "search")
    results = decoded(ANSWER, answer.body).results
    if len(results) != len(requests):
        raise ValueError("not one result for each request")
    left = iter(results)
    return [_read(plan, [next(left) for _ in plan.requests]) for plan in plans]


def options_complaint(given: Mapping[str, Any]) -> str | None:
    """What is wrong with a caller's options; None if nothing is."""
    for name, parameters in given.items():
        if name not in PARAMETERS:
            return f"`{name}` is not one of {', '.join(PARAMETERS)}"
        if not isinstance(parameters, dict):
            return f"`{name}` must be an object"
        for member in parameters:
            if "filter" in member.lower() or member in OURS or member in PAGING:
                return f"`{name}.{member}` is set by the gateway"
    return None


def _plan(options: Options, query: Recommend) -> Plan:
    if query.kind == "for_you":
        return _for_you(options, query)
    if query.kind == "trending_facets":
        return _trending_facets(options, query)
    if query.kind == "trending_items":
        return _single(options, query, "trending_items", _facet(query))
    if query.facet is not None:
        raise Unsupported(f"{query.kind} takes no facet")
    if len(query.items) != 1:
        raise Unsupported(f"{query.kind} needs one item")
    return _single(options, query, query.kind, {"objectID": query.items[0]})


def _for_you(options: Options, query: Recommend) -> Plan:
    if query.facet is not None:
        raise Unsupported("for_you takes no facet")
    seeds = _seeds(query)
    if not seeds:
        return msgspec.structs.replace(_single(options, query, "trending_items", {}), cold_start=True)
    hidden = seeds if query.exclude_seen is not False else ()
    excluded = (*query.exclude_items, *(seed for seed in hidden if seed not in query.exclude_items))
    requests = [_request(options, query, "similar_items", {"objectID": seed}, excluded) for seed in seeds]
    return Plan(query, tuple(requests), frozenset(excluded))


def _seeds(query: Recommend) -> tuple[str, ...]:
    """The items named, else the last of the user's history, else of the gateway's log; the newest first."""
    history = [seen.item for seen in query.user.history] if query.user else []
    return tuple(dict.fromkeys(reversed(query.items or history or query.recent)))[:SEEDS]


def _trending_facets(options: Options, query: Recommend) -> Plan:
    """The one model without query parameters; excluded items and a user say nothing to facets."""
    if query.facet is None or query.facet.value is not None:
        raise Unsupported("trending_facets needs the name of a facet, alone")
    if query.items or query.filter or query.contexts or query.options:
        raise Unsupported("trending_facets takes no items, filter, contexts or options")
    target = {"facetName": query.facet.name}
    return Plan(query, (_bare_request(options, query, "trending_facets", query.count, target),))


def _facet(query: Recommend) -> dict[str, str]:
    if query.items:
        raise Unsupported("trending_items takes no items")
    if query.facet is None:
        return {}
    if query.facet.value is None:
        raise Unsupported("trending_items needs a facet's value beside its name")
    return {"facetName": query.facet.name, "facetValue": query.facet.value}


def _single(options: Options, query: Recommend, kind: ModelledKind, target: dict[str, str]) -> Plan:
    request = _request(options, query, kind, target, query.exclude_items)
    return Plan(query, (request,), frozenset(query.exclude_items))


def _request(
    options: Options, query: Recommend, kind: ModelledKind, target: dict[str, str], excluded: Sequence[str]
) -> dict[str, Any]:
    """One request; ids that no filter can name are left out of the answer here, so as many more are asked for."""
    count = query.count + sum(not sayable(id_) for id_ in excluded)
    said = clauses(query.filter) + without(excluded)
    request = _bare_request(options, query, kind, count, target)
    request["queryParameters"] = _query_parameters(query, printed(said))
    if options.fallback or "fallbackParameters" in query.options:
        request["fallbackParameters"] = _fallback_parameters(options, query, said)
    return request


def _bare_request(
    options: Options, query: Recommend, kind: ModelledKind, count: int, target: dict[str, str]
) -> dict[str, Any]:
    return {
        "indexName": options.index,
        "model": options.models[kind],
        "threshold": options.threshold,
        "maxRecommendations": min(MOST, count),
        **target,
    }


def _query_parameters(query: Recommend, filters: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {**query.options.get("queryParameters", {}), "clickAnalytics": True}
    if query.user and query.user.id is not None:
        parameters["userToken"] = query.user.id
    if query.contexts:
        parameters["ruleContexts"] = list(query.contexts)
    if filters:
        parameters["filters"] = filters
    return parameters


def _fallback_parameters(options: Options, query: Recommend, said: Sequence[Clause]) -> dict[str, Any]:
    parameters = {**options.fallback, **query.options.get("fallbackParameters", {})}
    if said:
        ours = [[term.text for term in clause] for clause in said]
        parameters["filters"] = conjoined(parameters.get("filters", ""), ours)
    return parameters


# --- answers --------------------------------------------------------------------------------------------------


def _read(plan: Plan, results: Sequence[_Result]) -> Recommendations:
    """One answer; only that of a single request can be named in events, for its ranks are Algolia's own."""
    facets: tuple[FacetScore, ...] = ()
    items: tuple[Item, ...] = ()
    if plan.query.kind == "trending_facets":
        facets = tuple(_facet_score(hit) for result in results for hit in result.hits)[: plan.query.count]
    else:
        rankings = [_items(plan, result) for result in results]
        items = rankings[0][: plan.query.count] if len(rankings) == 1 else fuse(rankings, plan.query.count)
    return Recommendations(
        items=items,
        facets=facets,
        data=_data(results),
        query_id=results[0].query_id if len(results) == 1 else None,
        cold_start=plan.cold_start,
    )


def _items(plan: Plan, result: _Result) -> tuple[Item, ...]:
    hits = [(decoded(HIT, raw), raw) for raw in result.hits]
    return tuple(
        Item(hit.id, hit.score, _properties(raw) if plan.query.properties else None)
        for hit, raw in hits
        if hit.id not in plan.excluded
    )


def _properties(raw: msgspec.Raw) -> dict[str, Any]:
    """A record's attributes; those that begin with `_` are Algolia's own."""
    record = decoded(RECORD, raw)
    return {name: value for name, value in record.items() if name != "objectID" and not name.startswith("_")}


def _facet_score(raw: msgspec.Raw) -> FacetScore:
    hit = decoded(FACET_HIT, raw)
    return FacetScore(hit.name, hit.value, hit.score)


def _data(results: Sequence[_Result]) -> tuple[dict[str, Any], ...]:
    """What rules add; said once, however many of a question's requests the rule applied to."""
    said: list[dict[str, Any]] = []
    for one in (one for result in results for one in result.user_data or ()):
        if one not in said:
            said.append(one)
    return tuple(said)

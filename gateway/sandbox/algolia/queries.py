"""One entry of `requests`: a recommendation asked for, checked as the vendor's current specification has it."""

from dataclasses import dataclass
from typing import Any

from gateway.sandbox.algolia import parameters
from gateway.sandbox.algolia.parameters import Parameters
from gateway.sandbox.algolia.refusal import Refused, a_text, an_object, member_names, whole

MOST = 30
COMMON = frozenset({"indexName", "model", "threshold", "maxRecommendations"})
SEARCHING = frozenset({"queryParameters", "fallbackParameters"})
ITEM_MODELS = frozenset({"related-products", "bought-together", "looking-similar"})
MEMBERS = {
    **dict.fromkeys(ITEM_MODELS, COMMON | SEARCHING | {"objectID"}),
    "trending-items": COMMON | SEARCHING | {"facetName", "facetValue"},
    "trending-facets": COMMON | {"facetName"},
}
RULED_MODELS = frozenset(MEMBERS) - {"looking-similar"}


@dataclass(frozen=True, slots=True)
class Query:
    """A valid request; `fallback` is used to fill up to `most`, and only if the caller gave a number."""

    index: str
    model: str
    threshold: float
    most: int
    item: str | None
    facet: str
    value: str
    parameters: Parameters
    fallback: Parameters | None


def read_query(value: object) -> Query:
    """Read one request.

    Raises:
        Refused: 400 naming what is wrong with it.
    """
    given = an_object(value, "requests[]")
    model = a_text(given.get("model"), "model")
    if model not in MEMBERS:
        raise Refused(400, f"Unknown model: {model}")
    member_names(given, MEMBERS[model], f"a {model} request")
    facet, facet_value = _facet(given, model)
    fallback = given.get("fallbackParameters") if given.get("maxRecommendations") is not None else None
    return Query(
        index=a_text(given.get("indexName"), "indexName"),
        model=model,
        threshold=_threshold(given.get("threshold")),
        most=_most(given),
        item=_item(given) if model in ITEM_MODELS else None,
        facet=facet,
        value=facet_value,
        parameters=parameters.read(given.get("queryParameters", {}), "queryParameters"),
        fallback=None if fallback is None else parameters.read(fallback, "fallbackParameters"),
    )


def _threshold(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(400, "threshold is required and must be a number")
    if not 0 <= value <= 100:
        raise Refused(400, "threshold must be in the range [0, 100]")
    return value


def _most(given: dict[str, Any]) -> int:
    """0, which once meant all, is refused by the vendor of today."""
    return (
        whole(given["maxRecommendations"], "maxRecommendations", 1, MOST)
        if "maxRecommendations" in given
        else MOST
    )


def _item(given: dict[str, Any]) -> str:
    item = a_text(given.get("objectID"), "objectID")
    if not item:
        raise Refused(400, "objectID must not be empty")
    return item


def _facet(given: dict[str, Any], model: str) -> tuple[str, str]:
    if model == "trending-facets" and not given.get("facetName"):
        raise Refused(400, "facetName is required for trending-facets")
    if model == "trending-items" and ("facetName" in given) != ("facetValue" in given):
        raise Refused(400, "facetName and facetValue must be given together")
    return a_text(given.get("facetName", ""), "facetName"), a_text(given.get("facetValue", ""), "facetValue")

"""The search parameters that a recommendation takes, in `queryParameters` and in `fallbackParameters`.

What shapes a recommendation is read; every other parameter that the vendor knows is accepted and has no effect;
one that it does not know is refused by name.
"""

from dataclasses import dataclass, field

from gateway.sandbox.algolia import filter_lists
from gateway.sandbox.algolia.conditions import Conjunction
from gateway.sandbox.algolia.filters import FilterError, parse
from gateway.sandbox.algolia.refusal import Refused, a_list, a_text, an_object, member_names, names, whole

FILTERING = names(
    "filters facetFilters numericFilters tagFilters optionalFilters optionalFacetFilters optionalTagFilters "
    "sumOrFiltersScores"
)
# `recommendSearchParams` of the vendor's specification, which the official clients carry as a model.
KNOWN = FILTERING | names(
    "similarQuery restrictSearchableAttributes facets facetingAfterDistinct aroundLatLng aroundLatLngViaIP "
    "aroundRadius aroundPrecision minimumAroundRadius insideBoundingBox insidePolygon naturalLanguages "
    "ruleContexts personalizationImpact userToken getRankingInfo synonyms clickAnalytics analytics "
    "analyticsTags percentileComputation query attributesForFaceting replicas paginationLimitedTo "
    "unretrievableAttributes disableTypoToleranceOnWords attributesToTransliterate camelCaseAttributes "
    "decompoundedAttributes indexLanguages disablePrefixOnAttributes allowCompressionOfIntegerArray "
    "numericAttributesForFiltering separatorsToIndex searchableAttributes userData customNormalization "
    "attributeForDistinct maxFacetHits keepDiacriticsOnCharacters customRanking attributesToRetrieve "
    "relevancyStrictness attributesToHighlight attributesToSnippet highlightPreTag highlightPostTag "
    "snippetEllipsisText restrictHighlightAndSnippetArrays minWordSizefor1Typo minWordSizefor2Typos "
    "typoTolerance allowTyposOnNumericTokens disableTypoToleranceOnAttributes ignorePlurals removeStopWords "
    "queryLanguages decompoundQuery enablePersonalization queryType removeWordsIfNoResults advancedSyntax "
    "optionalWords disableExactOnAttributes exactOnSingleWordQuery alternativesAsExact advancedSyntaxFeatures "
    "distinct replaceSynonymsInHighlight minProximity responseFields maxValuesPerFacet sortFacetValuesBy "
    "attributeCriteriaComputedByMinProximity renderingContent enableReRanking reRankingApplyFilter enableRules"
)
BOOLEANS = names(
    "sumOrFiltersScores getRankingInfo clickAnalytics analytics enablePersonalization enableRules synonyms"
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What of the search parameters shapes a recommendation; `hard` selects, `soft` only ranks."""

    hard: Conjunction = field(default_factory=Conjunction)
    soft: Conjunction = field(default_factory=Conjunction)
    summed: bool = False
    contexts: frozenset[str] = frozenset()
    user: str | None = None
    impact: int | None = None
    personal: bool = True
    rules: bool = True
    click_analytics: bool = False
    ranking_info: bool = False
    attributes: tuple[str, ...] = ("*",)


def read(value: object, where: str) -> Parameters:
    """Read one object of search parameters.

    Raises:
        Refused: 400 for an unknown parameter, a bad type or a filter outside the language.
    """
    given = an_object(value, where)
    member_names(given, KNOWN, where)
    for name in BOOLEANS & given.keys():
        if not isinstance(given[name], bool):
            raise Refused(400, f"{where}.{name} must be a boolean")
    impact = given.get("personalizationImpact")
    hard, soft = selection(given, where)
    return Parameters(
        hard=hard,
        soft=soft,
        summed=given.get("sumOrFiltersScores", False),
        contexts=frozenset(_strings(given.get("ruleContexts", []), f"{where}.ruleContexts")),
        user=a_text(given["userToken"], f"{where}.userToken") if "userToken" in given else None,
        impact=None if impact is None else whole(impact, f"{where}.personalizationImpact", 0, 100),
        personal=given.get("enablePersonalization", True),
        rules=given.get("enableRules", True),
        click_analytics=given.get("clickAnalytics", False),
        ranking_info=given.get("getRankingInfo", False),
        attributes=tuple(_strings(given.get("attributesToRetrieve", ["*"]), f"{where}.attributesToRetrieve")),
    )


def selection(given: dict[str, object], where: str) -> tuple[Conjunction, Conjunction]:
    """The hard and the soft filters of search parameters, or of a rule's."""
    try:
        hard = parse(a_text(given.get("filters", ""), f"{where}.filters"))
        hard += filter_lists.facet_filters(given.get("facetFilters", []))
        hard += filter_lists.numeric_filters(given.get("numericFilters", []))
        hard += filter_lists.tag_filters(given.get("tagFilters", []))
        soft = filter_lists.optional_filters(given.get("optionalFilters", []))
        soft += filter_lists.optional_filters(given.get("optionalFacetFilters", []))
        soft += filter_lists.tag_filters(given.get("optionalTagFilters", []))
    except FilterError as wrong:
        raise Refused(400, str(wrong)) from wrong
    return hard, soft


def _strings(value: object, where: str) -> list[str]:
    return [a_text(one, f"{where}[]") for one in a_list(value, where)]

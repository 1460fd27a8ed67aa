"""Algolia Recommend's page: hosts, format, recommendations, rules, tasks."""

from __future__ import annotations

from typing import Final

from tests.coverage.rows import Document, Section, answered, because, case, header, row, sent, status, test

KEYS: Final = row(
    "`X-Algolia-Application-Id`, `X-Algolia-API-Key`", header("X-Algolia-Application-Id", "X-Algolia-API-Key")
)
RULES: Final = r"/recommend/rules"
BOTH_WAYS: Final = test(
    "test_rules::test_what_a_dashboard_made_is_read_and_written_back_unchanged",
    "test_rules::test_what_is_written_is_read_back",
)
MISTAKE: Final = test("test_rules::test_a_mistake_is_named")
IN_PATH: Final = row("`indexName`, `model`, in the path", case("put_rules", "rule", "search_rules"))

DOCUMENT: Final = Document(
    "Algolia Recommend",
    "algolia-recommend-api.txt",
    "algolia-recommend",
    (
        Section(
            "Hosts, format, authentication, errors",
            (),
            (
                row("HTTPS; primary host `{app}-dsn.algolia.net`", case("bought_together", "hosts")),
                row("fallback hosts `{app}-1…3.algolianet.com`, tried in turn", case("hosts")),
                row(
                    "fallback hosts shuffled once",
                    test("test_hosts::test_the_primary_is_first_and_the_rest_shuffled_once"),
                ),
                row(
                    "JSON in UTF-8, `Content-Type: application/json; charset=UTF-8`",
                    header("content-type=application/json; charset=UTF-8"),
                ),
                row(
                    "parameters in the URL encoded; a `+` is a space",
                    case("ids_odd"),
                    test("test_attempts::test_a_request_on_the_wire"),
                ),
                KEYS,
                row("the ACL `search`", case("error_forbidden")),
                row("CORS for JavaScript", because("browsers speak to the gateway, which has CORS of its own")),
                row("errors are JSON with `message`", answered("message"), case("error_bad_request")),
                row(
                    "API clients",
                    because(
                        "the gateway is one; `test_sandbox_algolia_clients` has official ones ask the sandbox"
                    ),
                ),
            ),
        ),
        Section(
            "Get Recommendations: `POST /1/indexes/*/recommendations`",
            ("POST /v1/recommendations", "GET /v1/recommendations", "POST /v1/recommendations/batch"),
            (
                KEYS,
                row("`requests`, several in a call", sent("requests"), case("batch")),
                row("`indexName`", sent("indexName")),
                row("`model` related-products", sent("model=related-products")),
                row("`model` bought-together", sent("model=bought-together")),
                row("`model` trending-items", sent("model=trending-items")),
                row("`model` trending-facets", sent("model=trending-facets")),
                row("`threshold`, 0 to 100", sent("threshold"), case("options")),
                row("`maxRecommendations`", sent("maxRecommendations"), case("most")),
                row(
                    "`maxRecommendations` 0: all", because("never sent: the vendor refuses it today (FACTS.md §2)")
                ),
                row("`objectID`", sent("objectID")),
                row("`queryParameters`", sent("queryParameters"), case("filter", "caller_options")),
                row(
                    "`fallbackParameters`, when there are too few",
                    sent("fallbackParameters"),
                    case("fallback", "too_few_results"),
                ),
                row(
                    "trending-items: `facetName` with `facetValue`",
                    sent("facetName", "facetValue"),
                    case("trending_items_half_a_facet"),
                ),
                row(
                    "trending-facets: `facetName`, and no query parameters",
                    case("trending_facets", "trending_facets_filter"),
                ),
                row(
                    "answer: `results`, `hits`, `objectID`, `_score`",
                    answered("results", "hits", "objectID", "_score"),
                ),
                row("answer: `nbHits`", because("the hits themselves are counted")),
                row("answer: fewer hits than asked for, none", case("empty")),
                row("400, 402, 403, 404", status(400), status(402), status(403), status(404)),
                row(
                    "over HTTP",
                    test("test_matrix::test_a_cell_that_is_served", "test_matrix::test_trending_facets"),
                ),
            ),
            "POST",
            r"/1/indexes/\*/recommendations$",
        ),
        Section(
            "Batch Recommend Rules: `POST /1/indexes/{indexName}/{model}/recommend/rules/batch`",
            ("POST /v1/rules/{kind}/batch",),
            (
                row("the ACL `editSettings`", case("put_rules_forbidden")),
                IN_PATH,
                row(
                    "`clearExistingRules`, in the URL",
                    sent("clearExistingRules=true", "clearExistingRules=false"),
                    test("test_rules::test_replace_drops_the_others_and_may_drop_all"),
                ),
                row("a list of rules, created or updated", case("put_rules"), BOTH_WAYS),
                row("rule `objectID`, `[A-Za-z0-9_-]+`", sent("objectID"), MISTAKE),
                row("rule `condition`", sent("condition"), BOTH_WAYS),
                row(
                    "rule `conditions`, at most 10, one suffices",
                    sent("conditions"),
                    MISTAKE,
                    test("test_rules::test_limits_are_reached_without_a_mistake"),
                ),
                row("rule `consequence`, not empty", sent("consequence"), MISTAKE),
                row("rule `description`", sent("description")),
                row(
                    "rule `enabled`, true where it is missing",
                    sent("enabled"),
                    case("put_rules_disabled"),
                    test("test_rules::test_a_rule_acts_only_while_it_is_valid_and_enabled"),
                ),
                row(
                    "rule `validity`, not empty",
                    sent("validity"),
                    MISTAKE,
                    test("test_rules::test_a_rule_acts_only_while_it_is_valid_and_enabled"),
                ),
                row(
                    "condition `context`, `[A-Za-z0-9_-]+`",
                    sent("context"),
                    MISTAKE,
                    test("test_rules::test_a_rule_takes_effect_where_its_conditions_hold"),
                ),
                row(
                    "condition `filters`: source item, numbers too, neither NOT nor scores",
                    case("put_rules_not_in_a_condition"),
                    sent("filters"),
                    MISTAKE,
                ),
                row(
                    "consequence `params`: `filters`",
                    sent("params", "filters"),
                    test("test_rules::test_a_rule_filters_matches_and_boosts"),
                ),
                row(
                    "`numericFilters`, `tagFilters`, `facetFilters`, `optional…Filters`, `sumOrFiltersScores`",
                    BOTH_WAYS,
                    because("carried in `vendor`, unchanged"),
                ),
                row(
                    "`automaticFacetFilters`, `automaticOptionalFacetFilters`, with scores as text too",
                    sent("automaticFacetFilters", "automaticOptionalFacetFilters"),
                    case("put_rules_odd"),
                    BOTH_WAYS,
                ),
                row(
                    "facet filter `facet`, `score`, `disjunctive`, `negative`",
                    sent("facet", "score", "disjunctive"),
                    BOTH_WAYS,
                ),
                row(
                    "consequence `promote`, at most 30: `objectID` or `objectIDs`, `position`",
                    sent("promote", "objectIDs", "position"),
                    MISTAKE,
                    test("test_rules::test_a_rule_takes_effect_where_its_conditions_hold"),
                ),
                row("`promote` inside `params`, as the samples show", case("put_rules_odd"), BOTH_WAYS),
                row("consequence `hide`, at most 50", sent("hide"), MISTAKE),
                row(
                    "consequence `userData`, at most 1 kB, in the answer",
                    sent("userData"),
                    MISTAKE,
                    test("test_rules::test_a_rule_takes_effect_where_its_conditions_hold"),
                ),
                row("timeRange `from`, `until`, Unix seconds", sent("from", "until"), MISTAKE),
                row("`taskID`, `updatedAt`", answered("taskID", "updatedAt")),
                row("pattern and anchoring are unavailable", because("there is no word for them")),
            ),
            "POST",
            RULES + r"/batch$",
        ),
        Section(
            "Get Recommend Rule: `GET /1/indexes/{indexName}/{model}/recommend/rules/{objectID}`",
            ("GET /v1/rules/{kind}/{id}",),
            (
                row(
                    "the ACL `settings`",
                    test("test_rules::test_a_vendor_that_fails_is_a_problem_with_its_attempt"),
                ),
                IN_PATH,
                row("`objectID`, in the path", case("rule", "rule_unknown")),
                row("the rule", answered("objectID", "consequence"), BOTH_WAYS),
                row("404", status(404), test("test_rules::test_a_deleted_rule_is_gone")),
            ),
            "GET",
            RULES + "/",
        ),
        Section(
            "Delete Recommend Rule: `DELETE /1/indexes/{indexName}/{model}/recommend/rules/{objectID}`",
            ("DELETE /v1/rules/{kind}/{id}",),
            (
                row("the ACL `editSettings`", case("put_rules_forbidden")),
                IN_PATH,
                row("`objectID`, in the path", case("delete_rule", "delete_rule_unknown")),
                row(
                    "`taskID`, `updatedAt`",
                    answered("taskID", "updatedAt"),
                    test("test_rules::test_a_deleted_rule_is_gone"),
                ),
                row("404", status(404)),
            ),
            "DELETE",
            RULES + "/",
        ),
        Section(
            "Search Recommend Rules: `POST /1/indexes/{indexName}/{model}/recommend/rules/search`",
            ("POST /v1/rules/{kind}/search",),
            (
                row(
                    "the ACL `settings`",
                    test("test_rules::test_a_vendor_that_fails_is_a_problem_with_its_attempt"),
                ),
                IN_PATH,
                row("`query`, `context`, `page`", sent("query", "context", "page")),
                row(
                    "`hitsPerPage`, 1 to 1000",
                    sent("hitsPerPage"),
                    test("test_rules::test_rules_are_searched_and_paged"),
                ),
                row("`enabled`; absent: both", sent("enabled"), case("search_rules_all")),
                row("`requestOptions`", because("options of the official clients, not of the API")),
                row("`hits`, `nbHits`, `page`, `nbPages`", answered("hits", "nbHits", "page", "nbPages")),
                row(
                    "`_metadata`, `_highlightResult`",
                    answered("_metadata", "_highlightResult"),
                    because("dropped: only the vendor writes them"),
                ),
            ),
            "POST",
            RULES + r"/search$",
        ),
        Section(
            "Get a Recommend task's status: `GET /1/indexes/{indexName}/{model}/task/{taskID}`",
            ("GET /v1/tasks/{task_id}",),
            (
                row("the ACL `editSettings`", case("task_done", "put_rules_forbidden")),
                row("`indexName`, `model`, `taskID` (64 bits), in the path", case("task_done")),
                row(
                    "`status`: `published` or `notPublished`",
                    answered("status"),
                    case("task_pending", "task_done"),
                    test("test_rules::test_a_task_is_pending_and_then_done"),
                ),
                row("404", status(404), test("test_rules::test_a_forged_task_is_not_found_and_nobody_is_asked")),
            ),
            "GET",
            r"/task/",
        ),
    ),
)

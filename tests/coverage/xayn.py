"""Xayn's front office: recommendations, interactions, search."""

from __future__ import annotations

from typing import Final

from tests.coverage.rows import Document, Row, Section, answered, because, case, header, row, sent, status, test

TOKEN: Final = row("`authorizationToken`", header("authorizationToken"))
ASK: Final = ("POST /v1/recommendations", "GET /v1/recommendations", "POST /v1/recommendations/batch")
USER: Final = row(
    "`user_id`, its characters, 1 to 256 bytes",
    case("ids-in-a-path", "ids-outside-the-alphabet", "error-invalid-user-id"),
)
AFTER: Final = row(
    "`published_after`, deprecated", because("never sent: a filter on `publication_date` says it (FACTS.md §5)")
)
FILTERS: Final = row(
    "the filter: comparisons, combinations nested twice, `$ids`",
    case("filter-equal", "filter-in", "filter-ranges", "filter-any-of-all", "filter-ids", "filter-beyond"),
    test("test_xayn::test_expressible", "test_xayn::test_not_expressible", "test_matrix::test_filters_hold"),
)
ANSWER: Final = row(
    "`documents` of `snippet_id` (`document_id`, `sub_id`), `score`",
    answered("documents", "snippet_id", "document_id", "sub_id", "score"),
)


def options(*, older: bool = False) -> tuple[Row, ...]:
    """What every question may have."""
    if older:
        return (
            row("the same body and answers as the form without it", sent("count"), sent("include_properties")),
            AFTER,
        )
    return (
        row("`count`, 1 to 100", sent("count")),
        AFTER,
        row("`include_properties`", sent("include_properties")),
        row("`include_snippet`", sent("include_snippet")),
        FILTERS,
    )


DOCUMENT: Final = Document(
    "Xayn Front Office 2.7.0",
    "xayn-front-office-api.txt",
    "xayn",
    (
        Section(
            "Format, authorization, ids",
            (),
            (
                row("JSON, `content-type: application/json`", header("content-type")),
                TOKEN,
                row(
                    "a `user_id` that tells nobody who it is",
                    test("test_vendor_documents::test_users_go_out_as_keyed_hashes_where_that_is_wanted"),
                ),
                row(
                    "the snippet's id wherever one is known",
                    case("similar-items-snippet", "track-snippet"),
                    test("test_snippets::test_the_snippet_that_was_shown_is_the_one_that_is_asked_about"),
                ),
                row(
                    "errors: `request_id`, `kind`, `details`",
                    answered("kind"),
                    case("error-bad-request", "error-framework"),
                ),
                row(
                    "kinds of errors and what is made of them",
                    case(
                        "error-invalid-user-id",
                        "filter-property-not-indexed",
                        "error-overloaded",
                        "error-document-without-id",
                    ),
                ),
            ),
        ),
        Section(
            "Recommendations for a user: `POST /users/{user_id}/recommendations`",
            ASK,
            (
                TOKEN,
                USER,
                *options(),
                ANSWER,
                row("properties and snippet in the answer", answered("properties", "snippet")),
                row("400", case("error-invalid-user-id")),
                row("409 NotEnoughInteractions", status(409), answered("NotEnoughInteractions")),
                row("over HTTP", test("test_matrix::test_a_cell_that_is_served")),
            ),
            "POST",
            r"/users/[^/]+/recommendations$",
        ),
        Section(
            "The same, deprecated: `POST /users/{user_id}/personalized_documents`",
            ASK,
            (
                row(
                    "for tenants that know no other: `user_path`",
                    case("for-you-older-tenant"),
                    test("test_snippets::test_an_older_tenant_is_asked_in_the_older_form"),
                ),
                *options(older=True),
            ),
            "POST",
            r"/users/[^/]+/personalized_documents$",
        ),
        Section(
            "The same, deprecated: `GET /users/{user_id}/personalized_documents`",
            (),
            (
                row(
                    "its parameters, in the URL",
                    because("never sent: the page itself says to use the POST; the emulated vendor serves it"),
                    test("test_sandbox_xayn::test_deprecated_forms"),
                ),
            ),
        ),
        Section(
            "Recommendations for a user or a history: `POST /recommendations`",
            ASK,
            (
                TOKEN,
                *options(),
                row(
                    "`personalize.user.history` of 1 to 100, oldest first",
                    sent("personalize", "user", "history"),
                    case("for-you-history"),
                ),
                row("`personalize.user.id`", because("asked by the path of the user instead, which is the same")),
                row("a history trimmed before it excludes", case("for-you-history-trimmed")),
                row("`personalize.exclude_seen`", sent("exclude_seen")),
                row("history entries: `id`, `timestamp`", sent("id", "timestamp")),
                row("400 HistoryTooSmall", case("for-you-history-too-small")),
                row("409: the history after the id", case("for-you-history-after-409")),
                ANSWER,
                row("over HTTP", test("test_matrix::test_a_history_in_place_of_an_id")),
            ),
            "POST",
            r"/(default|tenant)?/?recommendations$",
        ),
        Section(
            "Interaction: `PATCH /users/{user_id}/interactions`",
            ("POST /v1/events",),
            (
                TOKEN,
                USER,
                row(
                    "`documents`, 1 to 1000",
                    sent("documents"),
                    test("test_xayn::test_at_most_1000_interactions_a_call_and_whole_events"),
                ),
                row("`id` of a document or a snippet", sent("id", "document_id", "sub_id"), case("track-snippet")),
                row("204", status(204)),
                row("400 InvalidUserId, InvalidDocumentId", case("track-refused")),
            ),
            "PATCH",
            r"/users/[^/]+/interactions$",
        ),
        Section(
            "Search: `POST /semantic_search`",
            ("POST /v1/search", *ASK),
            (
                TOKEN,
                row("`document.id`, of a document or a snippet", sent("document", "id", "sub_id")),
                row(
                    "`document.query`, 1 to 512 bytes, no zero byte",
                    sent("query"),
                    case("search-longest-query", "search-query-too-long", "search-zero-byte"),
                ),
                *options(),
                row(
                    "`personalize` by id or history",
                    sent("personalize"),
                    case("search-personalized", "search-for-a-history"),
                ),
                row("`exclude_seen`", sent("exclude_seen")),
                row(
                    "`enable_hybrid_search`",
                    sent("enable_hybrid_search"),
                    case("search-hybrid", "search-item-hybrid"),
                ),
                ANSWER,
                row("400, an unknown document too", case("similar-items-unknown"), status(400)),
                row("over HTTP", test("test_matrix::test_searches", "test_matrix::test_hybrid")),
            ),
            "POST",
            r"/semantic_search$",
        ),
    ),
)

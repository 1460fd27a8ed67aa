"""Recomendo's page: token, events, training, predictions."""

from __future__ import annotations

from typing import Final

from tests.coverage.rows import Document, Section, answered, because, case, header, row, sent, status, test

UNAUTHORIZED: Final = row('401 `{"message":"Unauthorized"}`', status(401))
BEARER: Final = row("`Authorization: Bearer` with the token", header("authorization"))
GZIP: Final = row(
    "`Accept-Encoding: gzip`", test("test_vendor_documents::test_answers_are_asked_for_and_read_compressed")
)

DOCUMENT: Final = Document(
    "Recomendo",
    "recomendo-api.txt",
    "recomendo",
    (
        Section(
            "Get Token: `POST auth.recomendo.ai/v1/auth`",
            (),
            (
                row("`Authorization: Basic base64(client id:client secret)`", header("authorization")),
                row("200 with `payload.token`, `tokenType`", answered("token", "tokenType")),
                row(
                    "lives an hour, kept until then and used for all calls",
                    test(
                        "test_token::test_renewed_ahead_of_its_end_beside_the_requests",
                        "test_recomendo::test_a_token_lives_from_iat_to_exp_whatever_our_clock_says",
                    ),
                ),
                row(UNAUTHORIZED.what, status(401), case("login_unauthorized")),
                row("the sample's base64 and JWT", because("they are corrupt (FACTS.md §1), so no vectors")),
            ),
            "POST",
            r"/v1/auth$",
        ),
        Section(
            "Sending Events: `POST events.recomendo.ai/v1/events.json`",
            ("POST /v1/events", "PUT /v1/users/{id}", "PUT /v1/items/{id}", "DELETE /v1/items/{id}"),
            (
                BEARER,
                GZIP,
                row("`Content-Type: application/json`", header("content-type")),
                row("an event: `event`, `entityType`, `entityId`", sent("event", "entityType", "entityId")),
                row(
                    "about an item: `targetEntityType`, `targetEntityId`",
                    sent("targetEntityType", "targetEntityId"),
                ),
                row("users and items created and updated: `$set`", sent("event=$set"), sent("properties")),
                row("… and deleted", sent("event=$delete"), sent("event=$unset")),
                row("201 `eventId`", status(201), answered("eventId")),
                UNAUTHORIZED,
            ),
            "POST",
            r"/v1/events\.json$",
        ),
        Section(
            "Sending a Training Request: `POST client.recomendo.ai/v1/train`",
            ("POST /v1/training", "GET /v1/training"),
            (
                BEARER,
                GZIP,
                row("200 `EXECUTE_TRAIN_SCHEDULED`", answered("EXECUTE_TRAIN_SCHEDULED")),
                row(
                    "at most once in 30 minutes, which the caller must see to",
                    test(
                        "test_training::test_it_is_scheduled_once_and_says_when_again",
                        "test_training::test_two_stores_on_one_file_begin_once",
                        "test_training::test_it_holds_after_a_restart_and_ends_with_the_interval",
                    ),
                ),
                row(
                    "whenever there is new data",
                    test("test_training::test_it_trains_by_itself_when_there_is_news_and_the_time_has_come"),
                ),
                row(
                    UNAUTHORIZED.what,
                    status(401),
                    test("test_training::test_an_unknown_outcome_counts_and_a_refusal_does_not"),
                ),
            ),
            "POST",
            r"/v1/train$",
        ),
        Section(
            "Getting Predictions: `POST predictions.recomendo.ai/v1/queries.json`",
            ("POST /v1/recommendations", "GET /v1/recommendations", "POST /v1/recommendations/batch"),
            (
                BEARER,
                GZIP,
                row("`Content-Type: application/json`", header("content-type")),
                row("`user`", sent("user")),
                row(
                    "the rest of the query, which the page leaves to a manual (FACTS.md §1)",
                    sent(
                        "item", "itemSet", "fields", "dateRange", "blacklistItems", "num", "userBias", "withRanks"
                    ),
                ),
                row("200 `itemScores` with `item`, `score`", answered("itemScores", "item", "score")),
                UNAUTHORIZED,
                row("over HTTP", test("test_matrix::test_a_cell_that_is_served")),
            ),
            "POST",
            r"/v1/queries\.json$",
        ),
    ),
)

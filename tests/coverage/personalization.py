"""Algolia Personalization's page: profiles and the strategy."""

from __future__ import annotations

from typing import Final

from tests.coverage.rows import Document, Row, Section, answered, case, header, row, sent, status, test

KEYS: Final = row(
    "`X-Algolia-Application-Id`, `X-Algolia-API-Key`", header("X-Algolia-Application-Id", "X-Algolia-API-Key")
)
TOKEN: Final = row("`userToken`, URL-encoded", case("profile-token-in-a-path", "profile-token-encoded"))


def error(number: int, meaning: str, *cases: str) -> Row:
    """A documented error; one that is the same everywhere is shown by the case of that error."""
    return row(f"{number} {meaning}", case(*cases) if cases else status(number))


DOCUMENT: Final = Document(
    "Algolia Personalization",
    "algolia-personalization-api.txt",
    "algolia-personalization",
    (
        Section(
            "Domain and format",
            (),
            (
                row("a domain for each region, us and eu", case("profile-eu", "profile")),
                row("the region is required", test("test_xayn::test_personalization_needs_a_region")),
                KEYS,
                row("failures are JSON with `message`", answered("message")),
                row("the ACL `recommendation`", case("error-forbidden")),
                row(
                    "40 calls a second (FACTS.md §3)",
                    test(
                        "test_personalization::test_a_hundred_at_once_wait_their_turn_and_the_vendor_never_complains",
                        "test_personalization::test_whose_turn_does_not_come_in_time_is_told_when",
                    ),
                    case("error-throttled"),
                ),
            ),
        ),
        Section(
            "Get a usertoken profile: `GET /1/profiles/personalization/{userToken}`",
            ("GET /v1/users/{id}/profile",),
            (
                KEYS,
                TOKEN,
                row("`userToken`, `lastEventAt`, `scores`", answered("userToken", "lastEventAt", "scores")),
                row(
                    "scores of facet values from past events and the strategy, at most 20",
                    test(
                        "test_personalization::test_a_profile_is_made_of_what_the_user_did",
                        "test_personalization::test_another_strategy_makes_another_profile",
                    ),
                ),
                error(401, "Unauthorized"),
                error(404, "Not Found"),
                error(500, "Internal Error"),
            ),
            "GET",
            r"/1/profiles/personalization/",
        ),
        Section(
            "Delete a user profile: `DELETE /1/profiles/{userToken}`",
            ("DELETE /v1/users/{id}/profile", "DELETE /v1/users/{id}"),
            (
                KEYS,
                TOKEN,
                row("`deletedUntil` (the prose says `deleteUntil`)", answered("deletedUntil", "deleteUntil")),
                row(
                    "events sent before are ignored, later ones make a new profile",
                    test("test_personalization::test_what_was_done_before_a_deletion_no_longer_counts"),
                ),
                error(401, "Unauthorized", "error-unauthorized"),
                error(404, "Not Found"),
                error(500, "Internal Error", "error-internal"),
            ),
            "DELETE",
            r"/1/profiles/",
        ),
        Section(
            "Get the current personalization strategy: `GET /1/strategies/personalization`",
            ("GET /v1/personalization/strategy",),
            (
                KEYS,
                row(
                    "`eventsScoring` of `eventName`, `eventType`, `score`",
                    answered("eventsScoring", "eventName", "eventType", "score"),
                ),
                row("`facetsScoring` of `facetName`, `score`", answered("facetsScoring", "facetName")),
                row("`personalizationImpact`, 0 to 100", answered("personalizationImpact")),
                error(401, "Unauthorized", "error-unauthorized"),
                error(404, "Not Found"),
                error(500, "Internal Error", "error-internal"),
                row(
                    "over HTTP",
                    test(
                        "test_personalization::test_there_is_no_strategy_until_one_is_put_and_then_it_is_that_one"
                    ),
                ),
            ),
            "GET",
            r"/1/strategies/personalization$",
        ),
        Section(
            "Set a new personalization strategy: `POST /1/strategies/personalization`",
            ("PUT /v1/personalization/strategy",),
            (
                KEYS,
                row(
                    "`eventsScoring`, `facetsScoring`, `personalizationImpact`, all required",
                    sent("eventsScoring", "eventName", "eventType", "facetsScoring", "facetName", "score"),
                    sent("personalizationImpact"),
                    test("test_personalization::test_a_wrong_strategy_is_named_and_not_sent"),
                ),
                row('200 `{"status":200,"message"}`', answered("status", "message")),
                error(401, "Unauthorized", "error-unauthorized"),
                error(422, "Unprocessable Entity"),
                error(500, "Internal Error", "error-internal"),
                row(
                    "what the vendor refuses, over HTTP",
                    test("test_personalization::test_what_only_the_vendor_knows_to_be_wrong_is_rejected"),
                ),
            ),
            "POST",
            r"/1/strategies/personalization$",
        ),
    ),
)

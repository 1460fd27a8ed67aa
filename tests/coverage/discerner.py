"""Discerner's page: token, users, products, activities, recommendations."""

from __future__ import annotations

from typing import Final

from tests.coverage.rows import Document, Section, answered, because, case, header, row, sent, status, test

AUTHORIZED: Final = row("`Authorization: Token …`", header("authorization"))

DOCUMENT: Final = Document(
    "Discerner",
    "discerner-api.txt",
    "discerner",
    (
        Section(
            "Authentication: `POST /token`",
            (),
            (
                row("`username`, `password`, as a form", sent("username", "password"), header("content-type")),
                row("200 `token`, for all later requests", answered("token"), case("token_renewed")),
                row(
                    "`Authorization: Token` (the code says `token`)",
                    because("sent with the capital form, as the text says (FACTS.md §4)"),
                ),
                row("plain http", test("test_discerner::test_plain_http_needs_a_word"), case("insecure")),
            ),
            "POST",
            r"/token$",
        ),
        Section(
            "Get All Users: `GET /users`",
            ("GET /v1/users",),
            (
                AUTHORIZED,
                row("a list of `id`", answered("id")),
                row(
                    "over HTTP, ids of both sides",
                    test("test_vendor_lists::test_objects_have_the_ids_of_both_sides"),
                ),
            ),
            "GET",
            r"/users$",
        ),
        Section(
            "Create a New User: `POST /users`",
            ("POST /v1/events", "PUT /v1/users/{id}"),
            (
                AUTHORIZED,
                row("no body; the new `id`", answered("id"), case("track_creates", "put_users")),
                row(
                    "once for one id of ours", test("test_discerner::test_everything_against_the_emulated_vendor")
                ),
            ),
            "POST",
            r"/users$",
        ),
        Section(
            "Get All Products: `GET /products`",
            ("GET /v1/items",),
            (AUTHORIZED, row("a list of `id`", answered("id"))),
            "GET",
            r"/products$",
        ),
        Section(
            "Create a New Product: `POST /products`",
            ("POST /v1/events", "PUT /v1/items/{id}", "POST /v1/items"),
            (AUTHORIZED, row("no body; the new `id`", answered("id"), case("put_items"))),
            "POST",
            r"/products$",
        ),
        Section(
            "Get All Activities: `GET /activities`",
            ("GET /v1/events",),
            (
                AUTHORIZED,
                row(
                    "a list of `id`, `user_id`, `product_id`, `score`",
                    answered("id", "user_id", "product_id", "score"),
                    test("test_vendor_lists::test_events_have_the_ids_of_both_sides_newest_first"),
                ),
            ),
            "GET",
            r"/activities$",
        ),
        Section(
            "Post a New Activity: `POST /users/:user_id/products/:product_id/activities`",
            ("POST /v1/events",),
            (
                AUTHORIZED,
                row("a score, which way the page does not show", sent("score"), case("track_form")),
                row(
                    "the activity: `id`, `user_id`, `product_id`, `score`",
                    answered("id", "user_id", "product_id", "score"),
                ),
            ),
            "POST",
            r"/users/\d+/products/\d+/activities$",
        ),
        Section(
            "Get Recommendations for a User: `GET /users/:user_id/recs`",
            ("POST /v1/recommendations", "GET /v1/recommendations", "POST /v1/recommendations/batch"),
            (
                AUTHORIZED,
                row(
                    "an answer that the page has lost: every shape that FACTS.md §4 assumes",
                    case(
                        "recs_ids", "recs_scored", "recs_numbers", "recs_rows", "recs_wrapped", "recs_wrapped_long"
                    ),
                    status(200),
                ),
                row("errors, of which the page includes none", case("recs_forbidden", "recs_malformed_text")),
                row("over HTTP", test("test_matrix::test_a_cell_that_is_served")),
            ),
            "GET",
            r"/users/\d+/recs$",
        ),
    ),
)

"""Wrong input of every kind (API.md §9): a problem that names every mistake, and never a 500."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio

from tests.world import Reply, World, feed_one, world

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {
        "server": {"max_body": "64KiB"},
        "placements": {
            "default": {"providers": ["local"]},
            "home": {"kind": "for_you", "providers": ["local"]},
            "find": {"kind": "search", "providers": ["local"]},
        },
    }
    async with world(tmp_path_factory.mktemp("shop"), more, fed=False) as shop:
        await feed_one(shop, "local")
        yield shop


async def post(shop: World, body: bytes | str, path: str = "/v1/recommendations", **headers: str) -> Reply:
    headers = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return await shop.request("POST", path, data=body, headers=headers)


# --- bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    ["", "{", "NaN", '{"count": 01}', b"\xff\xfe", b'{"user": {"id": "\xff"}}', '{"a": "\x01"}', "[" * 99_999],
    ids=range(8),
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/recommendations", "/v1/search", "/v1/recommendations/batch"])
async def test_what_is_not_json(shop: World, path: str, body: bytes | str) -> None:
    reply = await post(shop, body, path)
    if len(body) > 64 * 1024:
        reply.problem("payload-too-large", 413)
        return
    problem = reply.problem("invalid-request", 400)
    assert reply.pointers == {""}
    assert "JSON" in problem["errors"][0]["message"]


async def test_deep_json(shop: World) -> None:
    deep = "[" * 30_000 + "]" * 30_000
    for body in (deep, f'{{"filter": {deep}}}', f'{{"options": {{"local": {{"a": {deep}}}}}}}'):
        reply = await post(shop, body)
        assert reply.status in (400, 422), reply.status
        reply.problem("invalid-request", reply.status)


@pytest.mark.parametrize("body", ["[]", "3", "null", '"home"'])
async def test_json_of_another_type(shop: World, body: str) -> None:
    reply = await post(shop, body)
    reply.problem("invalid-request", 422)
    assert reply.pointers == {""}


async def test_every_mistake_of_form_at_once(shop: World) -> None:
    reply = await shop.ask(
        3,  # type: ignore[arg-type]  # wrong on purpose
        count=101,
        items=[1, "", "i1"],
        user={"idd": "u", "history": [{"time": "yesterday"}]},
        include=["properties", "price"],
        context=["a b"],
        filter=[],
        exclude_seen="yes",
        kind="for_me",
        surprise=1,
        options={"local": 3},
    )
    reply.problem("invalid-request", 422)
    assert reply.pointers == {
        "/placement", "/count", "/items/0", "/items/1", "/user/idd", "/user/history/0/item",
        "/user/history/0/time", "/include/1", "/context/0", "/filter", "/exclude_seen", "/kind", "/surprise",
        "/options/local",
    }  # fmt: skip


async def test_every_mistake_of_meaning_at_once(shop: World) -> None:
    reply = await shop.ask(
        kind="similar_items",
        user={"history": []},
        facet={"name": "genre"},
        exclude_items=["ok", "a\nb"],
        filter={"all": [{"property": "year"}, {"ids": []}, {"property": "a", "eq": None, "what": 1}]},
        options={"nobody": {}},
    )
    reply.problem("invalid-request", 422)
    assert reply.pointers == {
        "/items", "/user", "/facet", "/exclude_items/1", "/filter/all/0", "/filter/all/1/ids",
        "/filter/all/2/what", "/filter/all/2/eq", "/options/nobody",
    }  # fmt: skip


@pytest.mark.parametrize("count", [0, -1, 101, 1.5, "3", True, 10**30])
async def test_counts(shop: World, count: object) -> None:
    for path, body in (("recommendations", {}), ("search", {"query": "war", "placement": "find"})):
        reply = await shop.request("POST", f"/v1/{path}", json={**body, "count": count})
        reply.problem("invalid-request", 422)
        assert reply.pointers == {"/count"}


@pytest.mark.parametrize("id_", ["a\nb", "\x00", "\x7f", "\x9f", "é" * 129, "x" * 257, ""])
async def test_ids_that_are_none(shop: World, id_: str) -> None:
    asked: list[tuple[dict[str, Any], str]] = [
        ({"items": ["i", id_]}, "/items/1"),
        ({"exclude_items": [id_]}, "/exclude_items/0"),
        ({"user": {"id": id_}}, "/user/id"),
        ({"user": {"history": [{"item": "i"}, {"item": id_}]}}, "/user/history/1/item"),
    ]
    for body, pointer in asked:
        reply = await shop.ask(**body)
        reply.problem("invalid-request", 422)
        assert reply.pointers == {pointer}
    search = await shop.search(item=id_)
    search.problem("invalid-request", 422)
    assert search.pointers == {"/item"}


async def test_ids_at_their_bounds(shop: World) -> None:
    """256 bytes, and half a character that JSON can write."""
    for id_ in ("x" * 256, "é" * 128, "a\u200bb", "\u2028"):
        assert (await shop.ask(user={"id": id_})).status == 200
    half = await post(shop, r'{"user": {"id": "\ud800"}, "items": ["\udc00"]}')
    assert half.status in (400, 422), half.text
    assert len((await shop.ask(items=["i"] * 50)).json["items"]) >= 0
    assert (await shop.ask(items=["i"] * 51)).pointers == {"/items"}
    history = [{"item": "i"}] * 101
    assert (await shop.ask(user={"history": history})).pointers == {"/user/history"}


LEAF = {"property": "year", "gt": 1990}
DEEP = {"all": [{"any": [{"not": {"all": [LEAF]}}]}]}


@pytest.mark.parametrize(
    ("filter_", "pointers"),
    [
        (DEEP, {"/filter/all/0/any/0/not/all"}),
        ({"any": [LEAF] * 101}, {"/filter/any"}),
        ({"all": [{"any": [LEAF] * 60}, {"any": [LEAF] * 41}]}, {"/filter"}),
        ({}, {"/filter"}),
        ({"all": []}, {"/filter/all"}),
        ({"all": LEAF}, {"/filter/all"}),
        ({"all": [LEAF], "any": [LEAF]}, {"/filter"}),
        ({"none": [LEAF]}, {"/filter"}),
        ({"not": [LEAF]}, {"/filter/not"}),
        ({"ids": ["a", 3]}, {"/filter/ids"}),
        ({"ids": "a"}, {"/filter/ids"}),
        ({"property": "year", "gt": 1, "lt": 3}, {"/filter"}),
        ({"property": "year", "gt": "tomorrow"}, {"/filter/gt"}),
        ({"property": "year", "gt": True}, {"/filter/gt"}),
        ({"property": "year", "lt": "2026-01-01T00:00:00"}, {"/filter/lt"}),
        ({"property": "", "eq": 1}, {"/filter/property"}),
        ({"property": 3, "eq": [1]}, {"/filter/property", "/filter/eq"}),
        ({"property": "a", "in": []}, {"/filter/in"}),
        ({"property": "a", "in": [1, None]}, {"/filter/in"}),
        ({"property": "a", "in": ["x"] * 501}, {"/filter/in"}),
        ({"property": "a", "eq": 1, "~/": 2}, {"/filter/~0~1"}),
        ({"all": [{"property": "a", "eq": {}}, {"ids": []}]}, {"/filter/all/0/eq", "/filter/all/1/ids"}),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
async def test_filters(shop: World, filter_: dict[str, Any], pointers: set[str]) -> None:
    for reply in (
        await shop.ask(filter=filter_),
        await shop.search(query="war", filter=filter_),
    ):
        reply.problem("invalid-request", 422)
        assert reply.pointers == pointers


async def test_filters_within_their_bounds(shop: World) -> None:
    just = {"all": [{"any": [{"not": LEAF}]}, {"any": [LEAF] * 98}]}
    assert (await shop.ask(filter=just)).status == 200


# --- what is asked of whom ---------------------------------------------------------------------------------


async def test_searches(shop: World) -> None:
    assert (await shop.search()).pointers == {""}
    assert (await shop.search(query="a", item="b")).pointers == {""}
    assert (await shop.search(query="")).pointers == {"/query"}
    assert (await shop.search(query="a", items=["b"], kind="search")).pointers == {"/items", "/kind"}
    assert (await shop.search("home", query="a")).pointers == {"/placement"}
    assert (await shop.ask("find")).pointers == {"/placement"}
    assert (await shop.search("find", query="war")).status == 200


async def test_facets(shop: World) -> None:
    facet = {"name": "genre", "value": "War"}
    assert (await shop.ask(kind="trending_facets")).pointers == {"/facet"}
    assert (await shop.ask(kind="trending_facets", facet=facet)).pointers == {"/facet/value"}
    assert (await shop.ask(kind="trending_items", facet={"name": "genre"})).pointers == {"/facet/value"}
    assert (await shop.ask(kind="trending_facets", facet={"value": "War"})).pointers == {"/facet/name"}


async def test_a_placement_that_is_not_configured(shop: World) -> None:
    problem = (await shop.ask("nowhere")).problem("not-found", 404)
    assert "nowhere" in problem["detail"]
    (await shop.search("nowhere", query="a")).problem("not-found", 404)


# --- HTTP --------------------------------------------------------------------------------------------------


async def test_a_path_that_is_none(shop: World) -> None:
    for path in ("/", "/v1", "/v2/recommendations", "/v1/recommendations/", "/v1/%72ecommendations%00", "//"):
        (await shop.request("GET", path)).problem("not-found", 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/recommendations", {"GET", "HEAD", "POST"}),
        ("DELETE", "/v1/search", {"POST"}),
        ("GET", "/v1/recommendations/batch", {"POST"}),
        ("HEAD", "/v1/search", {"POST"}),
        ("POST", "/openapi.json", {"GET", "HEAD"}),
    ],
)
async def test_a_method_that_is_none(shop: World, method: str, path: str, allowed: set[str]) -> None:
    reply = await shop.request(method, path)
    assert reply.status == 405
    assert {name.strip() for name in reply.headers["Allow"].split(",")} == allowed
    if method != "HEAD":
        reply.problem("method-not-allowed", 405)


async def test_too_many_bytes(shop: World) -> None:
    body = json.dumps({"items": ["x" * 250] * 50, "exclude_items": ["y" * 250] * 250})
    assert len(body) > 64 * 1024
    for path in ("/v1/recommendations", "/v1/search", "/v1/recommendations/batch"):
        (await post(shop, body, path)).problem("payload-too-large", 413)


@pytest.mark.parametrize(
    "type_", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "text/json"]
)
async def test_other_media_types(shop: World, type_: str) -> None:
    for path in ("/v1/recommendations", "/v1/search", "/v1/recommendations/batch"):
        (await post(shop, "{}", path, Content_Type=type_)).problem("unsupported-media-type", 415)


async def test_media_types_that_will_do(shop: World) -> None:
    for type_ in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
        assert (await post(shop, "{}", Content_Type=type_)).status == 200
    url = "/v1/recommendations"
    assert (await shop.request("POST", url, data=b"{}", skip_auto_headers=["Content-Type"])).status == 200


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "-inf", "soon", "", "1 s"])
async def test_a_timeout_that_is_none(shop: World, seconds: str) -> None:
    batch: dict[str, Any] = {"requests": [{}]}
    for path, body in (("recommendations", {}), ("search", {"query": "a"}), ("recommendations/batch", batch)):
        reply = await shop.request("POST", f"/v1/{path}", json=body, headers={"Request-Timeout": seconds})
        reply.problem("invalid-request", 400)
        assert reply.pointers == {"Request-Timeout"}


async def test_a_timeout_longer_than_the_deadline(shop: World) -> None:
    assert (await shop.ask(headers={"Request-Timeout": "1e9"})).status == 200


# --- the URL form ------------------------------------------------------------------------------------------


async def get(shop: World, *pairs: tuple[str, str]) -> Reply:
    return await shop.request("GET", f"/v1/recommendations?{urlencode(pairs, quote_via=quote)}")


async def test_the_url_form_says_the_same(shop: World) -> None:
    only = {"property": "genre", "in": ["War", "Drama"]}
    reply = await get(
        shop, ("placement", "default"), ("kind", "similar_items"), ("item", "d0"), ("item", "w0"), ("user", "u0"),
        ("count", "4"), ("filter", json.dumps(only)), ("exclude", "d1"), ("exclude", "w1"),
        ("include", "properties,snippet"), ("exclude_seen", "true"), ("context", "mobile"), ("context", "app"),
    )  # fmt: skip
    body: dict[str, Any] = {
        "kind": "similar_items", "items": ["d0", "w0"], "user": {"id": "u0"}, "count": 4, "filter": only,
        "exclude_items": ["d1", "w1"], "include": ["properties", "snippet"], "exclude_seen": True,
        "context": ["mobile", "app"],
    }  # fmt: skip
    said = await shop.ask(**body)
    assert reply.status == 200, reply.text
    assert len(reply.ids) == 4
    assert reply.json["items"] == said.json["items"]
    assert reply.headers["ETag"] == said.headers["ETag"]
    facets = await get(shop, ("facet_name", "genre"))
    assert facets.json["kind"] == "trending_facets"
    one = await get(shop, ("facet_name", "genre"), ("facet_value", "War"), ("count", "2"))
    assert (one.json["kind"], len(one.ids)) == ("trending_items", 2)


async def test_mistakes_of_the_url_form(shop: World) -> None:
    reply = await get(
        shop, ("count", "ten"), ("filter", "genre:War"), ("exclude_seen", "perhaps"), ("placement", "a"),
        ("placement", "b"), ("colour", "red"), ("include", "price"), ("kind", "for_me"),
    )  # fmt: skip
    reply.problem("invalid-request", 422)
    assert reply.pointers == {
        "?count", "?filter", "?exclude_seen", "?placement", "?colour", "?include", "?kind",
    }  # fmt: skip
    assert (await get(shop, ("count", "0"))).pointers == {"?count"}


async def test_mistakes_of_meaning_in_the_url_form(shop: World) -> None:
    reply = await get(
        shop, ("kind", "similar_items"), ("filter", '{"ids": []}'), ("exclude", "a\nb"), ("facet_name", "genre")
    )
    reply.problem("invalid-request", 422)
    assert reply.pointers == {"?item", "?filter", "?exclude", "?facet_name"}
    assert (await get(shop, ("user", "a\x00"))).pointers == {"?user"}


@pytest.mark.parametrize(
    "query", ["user=%FF%FE", "user=%", "%ZZ=1", "item=%C3%28", "user=a&&&", "=", "filter=%00"]
)
async def test_urls_that_are_not_well_made(shop: World, query: str) -> None:
    assert (await shop.request("GET", f"/v1/recommendations?{query}")).status in (200, 400, 422)


# --- problems ----------------------------------------------------------------------------------------------


async def test_every_problem_has_its_page(shop: World) -> None:
    problem = (await shop.ask("nowhere")).json
    assert problem["instance"] == "/v1/recommendations"
    page = await shop.request("GET", problem["type"])
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    (await shop.request("GET", "/problems/nothing")).problem("not-found", 404)


async def test_problems_are_not_cached(shop: World) -> None:
    assert (await shop.ask("nowhere")).headers["Cache-Control"] == "no-store"

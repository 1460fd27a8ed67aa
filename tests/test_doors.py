"""Who comes in by which door, over sockets: every operation and its scope, keys for web pages, browsers of other
origins, names that are not this machine's, tokens and the user that they speak for."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from aiohttp import web

from gateway.config.access import SCOPES
from gateway.server.documents.headers import IN_ANSWERS
from gateway.server.dressing import SECURITY
from gateway.server.endpoints import ENDPOINTS, Endpoint
from tests.doors import ASK, Doors, doors
from tests.issuer import AUDIENCE, ISSUER, SECRET, claims, jwk, signed
from tests.world import Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOP, OTHER = "https://shop.example", "https://other.example"
KEYS: Final[dict[str, dict[str, Any]]] = {
    **{scope: {"scopes": [scope]} for scope in sorted(SCOPES)},
    "beacon": {"scopes": ["events"], "publishable": True, "origins": [SHOP], "rate": "1000/s"},
    "anywhere": {"scopes": ["events"], "publishable": True},
    "pages": {"scopes": ["recommend"], "origins": [SHOP]},
    "limited": {"scopes": ["recommend"], "rate": "1000/s"},
}
CONFIGURATION: Final = {
    "server": {"cors": {"origins": [SHOP], "max_age": "5m"}},
    "auth": {
        "api_keys": {name: {"key": name, **rights} for name, rights in KEYS.items()},
        "jwt": {
            "issuer": ISSUER, "audience": AUDIENCE, "secret": SECRET, "algorithms": ["HS256"], "user_claim": "sub"
        },
    },
}  # fmt: skip
SCOPED = [endpoint for endpoint in ENDPOINTS if endpoint.scope is not None]
PUBLIC = [endpoint for endpoint in SCOPED if not endpoint.admin]
LISTENERS = [(False, endpoint) for endpoint in PUBLIC] + [(True, endpoint) for endpoint in SCOPED]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    async with doors(tmp_path_factory.mktemp("doors"), CONFIGURATION) as gateway:
        yield gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unguarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    async with doors(tmp_path_factory.mktemp("open"), {"server": {"cors": {"origins": ["*", SHOP]}}}) as gateway:
        yield gateway


def path_of(endpoint: Endpoint) -> str:
    """Its path with something in every part."""
    given = {"kind": "similar_items", "slug": "forbidden"}
    return re.sub(r"\{(\w+)\}", lambda part: given.get(part[1], "some"), endpoint.path)


async def call(gateway: Doors, endpoint: Endpoint, **headers: str) -> Reply:
    admin = endpoint.admin
    return await gateway.request(endpoint.method, path_of(endpoint), headers=headers, admin=admin, json={})


# --- scopes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("admin", "endpoint"), LISTENERS, ids=lambda one: getattr(one, "name", one))
async def test_every_operation_refuses_other_scopes_on_either_listener(
    gateway: Doors, admin: bool, endpoint: Endpoint
) -> None:
    for scope in SCOPES - {endpoint.scope}:
        token = signed(claims(time.time(), scope=scope, sub="ann"))
        for headers in ({"X-Api-Key": scope}, {"Authorization": f"Bearer {token}"}):
            reply = await gateway.request(
                endpoint.method, path_of(endpoint), headers=headers, admin=admin, json={}
            )
            assert endpoint.scope is not None
            assert endpoint.scope in reply.problem("forbidden", 403)["detail"]
    for headers in ({}, {"X-Api-Key": "wrong"}, {"Authorization": "Bearer a.b.c"}):
        reply = await gateway.request(endpoint.method, path_of(endpoint), headers=headers, admin=admin, json={})
        reply.problem("unauthorized", 401)
        assert reply.headers["WWW-Authenticate"].startswith('Bearer realm="gateway"')
    reply = await call(gateway, endpoint, **{"X-Api-Key": endpoint.scope or ""})
    assert reply.status not in (401, 403), reply.text
    assert reply.status < 500 or reply.status == 501, reply.text


async def test_head_is_guarded_like_get(gateway: Doors) -> None:
    for endpoint in SCOPED:
        if endpoint.method == "GET":
            reply = await gateway.request("HEAD", path_of(endpoint), admin=endpoint.admin)
            assert (reply.status, reply.text) == (401, "")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_security_headers_on_every_answer(gateway: Doors, endpoint: Endpoint) -> None:
    for key in (endpoint.scope or "", "wrong"):
        reply = await call(gateway, endpoint, **({"X-Api-Key": key} if key else {}))
        assert dict(SECURITY).items() <= dict(reply.headers).items()
        assert reply.headers["Server"] == "gateway"
        if reply.headers["Content-Type"].startswith("text/html"):
            policy = reply.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    for path, status in (("/nowhere", 404), ("/docs", 405)):
        reply = await gateway.request("POST", path, json={})
        assert reply.status == status and dict(SECURITY).items() <= dict(reply.headers).items()


async def test_what_is_left_of_a_rate_stands_on_every_answer(gateway: Doors) -> None:
    limited = {"X-Api-Key": "limited"}
    for reply in (
        await gateway.ask(limited),
        await gateway.ask(limited, count=0),
        await gateway.request("GET", ASK, headers=limited),
        await gateway.request("GET", "/v1/config", headers=limited),
    ):
        assert reply.headers["RateLimit-Policy"] == '"default";q=1000;w=1'
        assert reply.headers["RateLimit"].startswith('"default";r=')
    assert "RateLimit" not in (await gateway.ask({"X-Api-Key": "recommend"})).headers


# --- keys that stand in pages ------------------------------------------------------------------------------

EVENT = '{"events": [{"type": "view", "user": {"id": "ann"}, "items": ["i1"]}]}'


async def tell(gateway: Doors, query: str = "", **headers: str) -> Reply:
    return await gateway.request("POST", f"/v1/events{query}", data=EVENT, headers=headers)


@pytest.mark.parametrize("kind", ["application/json", "text/plain;charset=UTF-8"])
async def test_a_beacon(gateway: Doors, kind: str) -> None:
    reply = await tell(gateway, "?key=beacon", **{"Origin": SHOP, "Content-Type": kind})
    assert reply.status == 202, reply.text
    assert reply.headers["RateLimit-Policy"] == '"default";q=1000;w=1'
    assert (await tell(gateway, **{"Origin": SHOP, "X-Api-Key": "beacon"})).status == 202


async def test_a_beacon_of_another_page(gateway: Doors) -> None:
    for origin in (
        OTHER,
        "null",
        "https://shop.example.evil",
        "http://shop.example",
        "https://shop.example:8443",
        "",
    ):
        (await tell(gateway, "?key=beacon", Origin=origin)).problem("forbidden", 403)
        (await tell(gateway, **{"X-Api-Key": "beacon", "Origin": origin})).problem("forbidden", 403)
    (await tell(gateway, "?key=beacon")).problem("forbidden", 403)
    assert (await tell(gateway, "?key=anywhere")).status == 202
    assert (await tell(gateway, "?key=anywhere", Origin=OTHER)).status == 202


async def test_no_other_key_stands_in_a_url(gateway: Doors) -> None:
    reply = await tell(gateway, "?key=events", Origin=SHOP)
    assert "replace this key" in reply.problem("unauthorized", 401)["detail"]
    (await tell(gateway, "?key=unknown")).problem("unauthorized", 401)
    (await tell(gateway, "?key=")).problem("unauthorized", 401)
    (await tell(gateway, "?key=beacon", **{"X-Api-Key": "wrong", "Origin": SHOP})).problem("unauthorized", 401)
    token = signed(claims(time.time(), scope="events", sub="ann"))
    (await tell(gateway, f"?key={token}")).problem("unauthorized", 401)


async def test_a_key_in_the_url_of_anything_else_is_none(gateway: Doors) -> None:
    for endpoint in SCOPED:
        if not endpoint.key_in_query:
            for key in ("beacon", "anywhere", endpoint.scope):
                path = f"{path_of(endpoint)}?key={key}"
                reply = await gateway.request(
                    endpoint.method, path, json={}, admin=endpoint.admin, headers={"Origin": SHOP}
                )
                reply.problem("unauthorized", 401)


async def test_the_origins_of_a_key(gateway: Doors) -> None:
    pages = {"X-Api-Key": "pages"}
    assert (await gateway.ask({**pages, "Origin": SHOP})).status == 200
    assert (await gateway.ask(pages)).status == 200  # no browser of another origin says none
    (await gateway.ask({**pages, "Origin": OTHER})).problem("forbidden", 403)


# --- CORS --------------------------------------------------------------------------------------------------


async def preflight(gateway: Doors, path: str, origin: str, method: str = "POST") -> Reply:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    return await gateway.request("OPTIONS", path, headers=headers)


@pytest.mark.parametrize("endpoint", PUBLIC, ids=lambda endpoint: endpoint.name)
async def test_preflight(gateway: Doors, endpoint: Endpoint) -> None:
    reply = await preflight(gateway, path_of(endpoint), SHOP, endpoint.method)
    assert (reply.status, reply.text) == (204, "")
    said = {name.removeprefix("Access-Control-"): value for name, value in reply.headers.items()}
    assert said["Allow-Origin"] == SHOP and said["Max-Age"] == "300"
    assert endpoint.method in said["Allow-Methods"].split(", ")
    allowed = set(said["Allow-Headers"].lower().split(", "))
    assert {"authorization", "x-api-key", "content-type", "request-timeout", "if-none-match"} <= allowed
    assert "Origin" in reply.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in reply.headers


@pytest.mark.parametrize("origin", [OTHER, "null", "https://shop.example.evil", "http://shop.example", ""])
async def test_other_origins_are_told_nothing(gateway: Doors, origin: str) -> None:
    asked = await preflight(gateway, ASK, origin)
    asked.problem("method-not-allowed", 405)
    for reply in (asked, await gateway.ask({"X-Api-Key": "recommend", "Origin": origin}), await gateway.ask()):
        assert not [name for name in reply.headers if name.startswith("Access-Control")]
        assert "Origin" in reply.headers["Vary"]


async def test_options_that_are_no_preflight(gateway: Doors) -> None:
    (await gateway.request("OPTIONS", ASK)).problem("method-not-allowed", 405)
    (await gateway.request("OPTIONS", ASK, headers={"Origin": SHOP})).problem("method-not-allowed", 405)
    (await preflight(gateway, "/nowhere", SHOP)).problem("not-found", 404)


async def test_answers_that_a_page_may_read(gateway: Doors) -> None:
    recommended = {"X-Api-Key": "recommend", "Origin": SHOP}
    for reply in (
        await gateway.ask(recommended),
        await gateway.ask(recommended, count=0),
        await gateway.ask({"Origin": SHOP}),
        await gateway.request("GET", "/nowhere", headers={"Origin": SHOP}),
    ):
        assert reply.headers["Access-Control-Allow-Origin"] == SHOP
        exposed = set(reply.headers["Access-Control-Expose-Headers"].split(", "))
        assert exposed == set(IN_ANSWERS) - {"Cache-Control"}
        assert {"X-Request-Id", "Cache-Status", "ETag", "Retry-After", "RateLimit", "RateLimit-Policy"} <= exposed


async def test_any_origin_and_headers_that_experiments_want(tmp_path: Path) -> None:
    arms = {"a": {"weight": 1, "providers": ["local"]}, "b": {"weight": 1, "providers": ["local"]}}
    more = {
        "server": {"cors": {"origins": ["*"]}},
        "auth": CONFIGURATION["auth"],
        "placements": {"default": {"experiment": {"key": "e", "unit": "X-Visitor", "arms": arms}}},
    }
    async with doors(tmp_path, more) as gateway:
        reply = await preflight(gateway, ASK, OTHER)
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert "X-Visitor" in reply.headers["Access-Control-Allow-Headers"].split(", ")
        await gateway.reload({"auth": CONFIGURATION["auth"]})
        (await preflight(gateway, ASK, OTHER)).problem("method-not-allowed", 405)


# --- without auth ------------------------------------------------------------------------------------------

OURS: Final = (
    "localhost", "localhost:81", "LocalHost.", "localhost.:8080", "127.0.0.1", "127.1.2.3:9", "[::1]", "[::1]:80",
    "[0:0:0:0:0:0:0:1]:80",
)  # fmt: skip
FOREIGN: Final = (
    "shop.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:127", "0.0.0.0", "[::]",
    "10.0.0.1", "[::2]", "[::1", "::1]", "localhost..", "localhost:x", "localhost:99999", "localhost@evil.example",
    "evil.example@localhost", "localhost/evil", "localhost#evil", "localhost?evil", "2130706433", "0x7f.1",
    "127.1", "localhost%00.evil", "xn--localhost-", "[::ffff:10.0.0.1]", "localhost,evil.example", "",
    "localhost evil.example",
)  # fmt: skip


@pytest.mark.parametrize("host", OURS)
async def test_names_of_this_machine(unguarded: Doors, host: str) -> None:
    assert (await unguarded.ask({"Host": host})).status == 200
    assert (await unguarded.ask({"Origin": f"http://{host}"})).status == 200


@pytest.mark.parametrize("host", FOREIGN)
async def test_names_that_are_not(unguarded: Doors, host: str) -> None:
    (await unguarded.ask({"Host": host})).problem("forbidden", 403)
    (await unguarded.ask({"Origin": f"http://{host}"})).problem("forbidden", 403)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_every_operation_looks(unguarded: Doors, endpoint: Endpoint) -> None:
    """A page that was made to point here learns nothing at all, on either listener."""
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "*"},
    ):
        (await call(unguarded, endpoint, **headers)).problem("forbidden", 403)
    assert (await call(unguarded, endpoint)).status != 403


async def test_any_origin_means_none_without_auth(unguarded: Doors) -> None:
    for origin in (OTHER, "*"):
        reply = await unguarded.ask({"Origin": origin})
        reply.problem("forbidden", 403)
        assert "Access-Control-Allow-Origin" not in reply.headers
        (await preflight(unguarded, ASK, origin)).problem("method-not-allowed", 405)
    assert (await unguarded.ask({"Origin": SHOP})).headers["Access-Control-Allow-Origin"] == SHOP


# --- tokens ------------------------------------------------------------------------------------------------


def bearer(**said: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {signed(claims(time.time(), **{'sub': 'ann', **said}))}"}


async def test_a_token_speaks_for_its_user(gateway: Doors) -> None:
    assert (await gateway.ask(bearer())).json["kind"] == "for_you"
    assert (await gateway.ask(bearer(), user={"id": "ann"})).status == 200
    assert (await gateway.ask(bearer(), user={"history": [{"item": "i1"}]})).status == 200
    for user in ({"id": "bob"}, {"id": "bob", "history": [{"item": "i1"}]}, {"id": "Ann"}):
        (await gateway.ask(bearer(), user=user)).problem("forbidden", 403)
        search = {"placement": "home", "query": "x", "user": user}
        reply = await gateway.request("POST", "/v1/search", json=search, headers=bearer())
        reply.problem("forbidden", 403)
        batch = {"requests": [{}, {"user": user}]}
        reply = await gateway.request("POST", f"{ASK}/batch", json=batch, headers=bearer())
        good, bad = reply.json["results"]
        assert "items" in good and bad["problem"]["type"] == "/problems/forbidden"
    (await gateway.request("GET", f"{ASK}?user=bob", headers=bearer())).problem("forbidden", 403)


async def test_what_a_token_asks_for_is_its_users(gateway: Doors) -> None:
    """The user is filled in: also where a request has a history alone, and what is seen is excluded for him."""
    seen: list[Any] = []
    at_once = gateway.runtime.pipeline.at_once

    def watched(call: Any) -> Any:
        try:
            return at_once(call)
        finally:
            seen.append(call.asked.question.user)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gateway.runtime.pipeline, "at_once", watched)
        await gateway.ask(bearer())
        await gateway.ask(bearer(), user={"history": [{"item": "i1"}]})
        await gateway.ask(bearer(), kind="trending_items")
        await gateway.ask({"X-Api-Key": "recommend"}, kind="trending_items")
    assert [user and user.id for user in seen] == ["ann", "ann", "ann", None]
    assert seen[1].history[0].item == "i1"


async def test_a_token_tells_only_what_its_user_did(gateway: Doors) -> None:
    nobodys = {"type": "view", "items": ["i1"]}
    mine, others = ({**nobodys, "user": {"id": user}} for user in ("ann", "bob"))
    body = {"events": [mine, nobodys, others]}
    headers = bearer(scope="events")
    reply = await gateway.request("POST", "/v1/events", json=body, headers=headers)
    assert reply.status == 202 and len(reply.json["accepted"]) == 2
    [rejected] = reply.json["rejected"]
    assert rejected["index"] == 2 and rejected["problem"]["type"] == "/problems/forbidden"
    reply = await gateway.request("POST", "/v1/events", json={"events": [others]}, headers=headers)
    reply.problem("forbidden", 403)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/users/bob"), ("PATCH", "/v1/users/bob"), ("GET", "/v1/users/bob"),
        ("DELETE", "/v1/users/bob"),
        ("GET", "/v1/users/bob/erasure"), ("GET", "/v1/users/bob/profile"), ("DELETE", "/v1/users/bob/profile"),
        ("GET", "/v1/users"), ("GET", "/v1/users?provider=local"), ("GET", "/v1/events?user=bob"),
    ],
)  # fmt: skip
async def test_a_token_with_the_catalogue_sees_no_other_user(gateway: Doors, method: str, path: str) -> None:
    body: Any = {"properties": {}} if method in ("PUT", "PATCH") else None
    reply = await gateway.request(method, path, json=body, headers=bearer(scope="catalog"))
    reply.problem("forbidden", 403)
    mine = path.replace("bob", "ann")
    if mine != path:
        reply = await gateway.request(method, mine, json=body, headers=bearer(scope="catalog"))
        assert reply.status != 403, reply.text


async def test_a_list_of_events_for_a_token_is_its_users(gateway: Doors) -> None:
    for user in ("ann", "bob"):
        event = {"events": [{"id": f"of-{user}", "type": "view", "user": {"id": user}, "items": ["i1"]}]}
        await gateway.request("POST", "/v1/events", json=event, headers={"X-Api-Key": "events"})
    reply = await gateway.request("GET", "/v1/events", headers=bearer(scope="catalog"))
    assert {event["user"]["id"] for event in reply.json["events"]} == {"ann"}


async def test_tokens_of_an_issuer_that_publishes_its_keys(tmp_path: Path) -> None:
    """Over real sockets: fetched at the start, rotated, gone, and kept over a reload."""
    published, asked = [jwk("RS256", "a")], 0

    async def jwks(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"keys": published})

    app = web.Application()
    app.router.add_get("/jwks.json", jwks)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    auth = {"jwt": {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": url, "algorithms": ["RS256", "ES256"]}}
    try:
        async with doors(tmp_path, {"auth": auth}) as gateway:
            assert (await gateway.ask(by("a"))).status == 200
            reply = await gateway.ask(by("b", "ES256"))
            reply.problem("unauthorized", 401)
            assert reply.headers["Retry-After"] == "1"
            await runner.cleanup()
            await gateway.reload({"auth": auth, "revision": "2"})
            assert asked == 1
            assert (await gateway.ask(by("a"))).status == 200  # the issuer is gone, its key is not
            await gateway.reload({"auth": {"jwt": {**auth["jwt"], "audience": "other"}}})
            (await gateway.ask(by("a"))).problem("unauthorized", 401)
    finally:
        await runner.cleanup()


def by(key_id: str, algorithm: str = "RS256") -> dict[str, str]:
    return {"Authorization": f"Bearer {signed(claims(time.time()), algorithm, headers={'kid': key_id})}"}


async def test_a_gateway_starts_while_the_issuer_is_down(tmp_path: Path) -> None:
    jwt = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "http://127.0.0.1:9/jwks", "algorithms": ["RS256"]}
    auth = {"jwt": jwt, "api_keys": {"shop": {"key": "shop", "scopes": ["recommend"]}}}
    async with doors(tmp_path, {"auth": auth}) as gateway:
        assert (await gateway.ask({"X-Api-Key": "shop"})).status == 200
        assert (await gateway.ask(by("a"))).headers["Retry-After"] == "1"

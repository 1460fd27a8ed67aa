"""Who may do what, over sockets: without `auth` this machine alone; with it keys, their scopes and placements."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.world import World, feed_one, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACEMENTS: Final = {name: {"providers": ["local"]} for name in ("default", "home", "secret")}
KEYS: Final[Mapping[str, dict[str, Any]]] = {
    "shop": {"scopes": ["recommend"], "placements": ["home"]},
    "tester": {"scopes": ["recommend"], "allow_options": True},
    "beacon": {"scopes": ["events"]},
    "ops": {"scopes": ["recommend", "ops"]},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {"placements": PLACEMENTS, "server": {"cors": {"origins": ["https://shop.example"]}}}
    async with world(tmp_path_factory.mktemp("open"), more, fed=False) as shop:
        await feed_one(shop, "local")
        yield shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    keys = {name: {**rights, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name, rights in KEYS.items()}
    async with world(
        tmp_path_factory.mktemp("shop"), {"placements": PLACEMENTS, "auth": {"api_keys": keys}}, fed=False
    ) as shop:
        await feed_one(shop, "local")
        yield shop


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# --- without auth ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80", "127.9.9.9", "LOCALHOST."]
)
async def test_this_machine_may_call(open_shop: World, host: str) -> None:
    assert (await open_shop.ask(headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host", ["shop.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", "evil@127.0.0.2x", ""]
)
async def test_names_of_other_machines_may_not(open_shop: World, host: str) -> None:
    """DNS rebinding: a page of another host that was made to point here."""
    for path in ("/v1/recommendations", "/v1/search", "/v1/recommendations/batch"):
        reply = await open_shop.request("POST", path, json={}, headers={"Host": host})
        reply.problem("forbidden", 403)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://shop.example", 200), ("http://localhost:3000", 200), ("http://127.0.0.1", 200),
        ("https://evil.example", 403), ("null", 403), ("https://shop.example.evil", 403), ("", 403),
        ("http://localhost.evil.example", 403),
    ],
)  # fmt: skip
async def test_pages_of_other_origins_may_not(open_shop: World, origin: str, status: int) -> None:
    assert (await open_shop.ask(headers={"Origin": origin})).status == status


@pytest.mark.parametrize("header", [{"Host": "[::1"}, {"Origin": "http://["}, {"Origin": "http://[1]x"}], ids=str)
async def test_headers_that_are_no_names(open_shop: World, header: Mapping[str, str]) -> None:
    (await open_shop.ask(headers=header)).problem("forbidden", 403)


async def test_ops_may_have_answers_explained_and_pinned(open_shop: World) -> None:
    reply = await open_shop.ask(headers={"Gateway-Explain": "1"})
    assert reply.json["explain"]["eligible"] == ["local"]
    pinned = await open_shop.ask(headers={"Gateway-Provider": "local"})
    assert pinned.provider == "local"


# --- with keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {}, bearer("wrong"), bearer(""), {"Authorization": "shop"}, {"Authorization": "Basic shop"},
        {"X-Api-Key": "wrong"}, {"X-Api-Key": ""}, {"X-Api-Key": hashlib.sha256(b"shop").hexdigest()},
        bearer("sh\u00f6p"),
    ],
    ids=str,
)  # fmt: skip
async def test_no_or_bad_credentials(shop: World, headers: Mapping[str, str]) -> None:
    for path in ("/v1/recommendations", "/v1/search", "/v1/recommendations/batch"):
        reply = await shop.request("POST", path, json={}, headers=headers)
        reply.problem("unauthorized", 401)
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "headers", [bearer("shop"), {"X-Api-Key": "shop"}, {"Authorization": "bearer shop"}], ids=str
)
async def test_a_good_key(shop: World, headers: Mapping[str, str]) -> None:
    assert (await shop.ask("home", headers=headers)).status == 200
    url = "/v1/recommendations?placement=home"
    assert (await shop.request("GET", url, headers=headers)).status == 200


async def test_with_keys_the_host_does_not_matter(shop: World) -> None:
    headers = {**bearer("shop"), "Host": "gateway.example", "Origin": "https://anywhere.example"}
    assert (await shop.ask("home", headers=headers)).status == 200


async def test_a_scope_that_is_lacking(shop: World) -> None:
    problem = (await shop.ask("home", headers=bearer("beacon"))).problem("forbidden", 403)
    assert "recommend" in problem["detail"]


async def test_placements_of_a_key(shop: World) -> None:
    """What a key may not ask for is forbidden whether it exists or not: nobody learns which do."""
    for placement in ("default", "secret", "not configured"):
        (await shop.ask(placement, headers=bearer("shop"))).problem("forbidden", 403)
    (await shop.ask("nowhere", headers=bearer("tester"))).problem("not-found", 404)
    batch = {"requests": [{"placement": "home"}, {"placement": "secret"}]}
    reply = await shop.request("POST", "/v1/recommendations/batch", json=batch, headers=bearer("shop"))
    home, secret = reply.json["results"]
    assert home["items"]
    assert secret["problem"]["type"] == "/problems/forbidden"


async def test_options_need_a_right(shop: World) -> None:
    options: dict[str, Any] = {"options": {"recomendo": {"userBias": 2}}}
    (await shop.ask("home", headers=bearer("shop"), **options)).problem("forbidden", 403)
    assert (await shop.ask("home", headers=bearer("shop"), options={})).status == 200
    for key in ("tester", "ops"):
        assert (await shop.ask("home", headers=bearer(key), **options)).status == 200


@pytest.mark.parametrize("header", ["Gateway-Explain", "Gateway-Provider"])
async def test_what_only_ops_may_ask(shop: World, header: str) -> None:
    value = {"Gateway-Explain": "1", "Gateway-Provider": "local"}[header]
    (await shop.ask("home", headers={**bearer("shop"), header: value})).problem("forbidden", 403)
    assert (await shop.ask("home", headers={**bearer("ops"), header: value})).status == 200


async def test_documents_need_none(shop: World) -> None:
    for path in ("/openapi.json", "/docs", "/problems/forbidden"):
        assert (await shop.request("GET", path)).status == 200

"""What ops see: how an answer came about, the state of the providers, the configuration, incidents."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gateway.sandbox.credentials import OPTIONS
from tests.world import NAMES, World, feed, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPS: Final = {"X-Api-Key": "key-of-ops"}
SHOP: Final = {"X-Api-Key": "key-of-the-shop"}
EXPLAIN: Final = {**OPS, "Gateway-Explain": "1"}
U0: Final = {"id": "u0"}
OPEN: Final = {"application_id", "username", "client_id"}
"""Options that are no secrets."""
SECRETS: Final = (
    "key-of-ops", "key-of-the-shop", "signing-key-of-32-bytes-at-least",
    *(value for options in OPTIONS.values() for name, value in options.items() if name not in OPEN),
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    arms = {"a": {"weight": 1, "providers": ["recomendo", "local"]}, "b": {"weight": 0, "providers": ["xayn"]}}
    more: dict[str, Any] = {
        "revision": "r1",
        "server": {"signing_keys": ["signing-key-of-32-bytes-at-least"]},
        "auth": {
            "api_keys": {
                "ops": {"key": "key-of-ops", "scopes": ["recommend", "ops"]},
                "shop": {"key": "key-of-the-shop", "scopes": ["recommend"]},
            }
        },
        "defaults": {"breaker": {"consecutive": 3, "open": "1m"}},
        "placements": {
            "home": {"providers": ["recomendo", "local"]},
            "wide": {"providers": ["recomendo", "discerner", "local"]},
            "cached": {"providers": ["recomendo"], "cache": {"ttl": "1h"}},
            "other": {"providers": ["algolia"], "cache": {"ttl": "1h"}},
            "split": {"experiment": {"key": "e", "arms": arms}},
            "heals": {"providers": ["xayn", "local"]},
            "breaks": {"providers": ["discerner", "local"]},
        },
    }
    async with world(tmp_path_factory.mktemp("explain"), more, fed=False) as shop:
        shop.session.headers.update(OPS)
        await feed(shop)
        yield shop


@pytest.fixture(autouse=True)
def _no_secret_is_logged() -> Any:
    with capture_logs() as lines:
        yield lines
    assert not [secret for secret in SECRETS if secret in str(lines)]


def hides(text: str) -> bool:
    return not [secret for secret in SECRETS if secret in text]


# --- Gateway-Explain --------------------------------------------------------------------------------------------


async def test_an_answer_explained(shop: World) -> None:
    reply = await shop.ask("wide", items=["d0"], headers=EXPLAIN)
    explain = reply.json["explain"]
    assert explain["placement"] == "wide"
    assert (explain["kind"], explain["arm"], explain["cache"]) == ("similar_items", None, "off")
    assert explain["eligible"] == ["recomendo", "local"]
    assert explain["not_eligible"] == {"discerner": "cannot serve similar_items"}
    assert explain["not_answered"] == []
    (attempt,) = explain["attempts"]
    assert (attempt["provider"], attempt["host"], attempt["status"]) == (
        "recomendo",
        shop.vendors["recomendo"],
        200,
    )
    assert attempt["route"].startswith("/") and 0 < attempt["ms"] < 10_000
    assert reply.headers["Cache-Status"] == "gateway; fwd=bypass"
    assert reply.headers["Cache-Control"] == "private, max-age=0"
    assert hides(reply.text)


async def test_failures_on_the_way_explained(shop: World) -> None:
    async with shop.broken("recomendo", status=503):
        reply = await shop.ask("home", user=U0, headers=EXPLAIN)
    assert (reply.status, reply.provider) == (200, "local")
    explain = reply.json["explain"]
    assert [(one["provider"], one["status"]) for one in explain["attempts"]] == [("recomendo", 503)] * 2
    (failed,) = explain["not_answered"]
    assert (failed["provider"], failed["error"]) == ("recomendo", "failed")
    assert failed["ms"] >= max(one["ms"] for one in explain["attempts"])
    await shop.ask("home", user=U0)


async def test_what_ended_without_a_status_is_told_by_its_word(shop: World) -> None:
    async with shop.broken("recomendo", close=True):
        cut = await shop.ask("home", user=U0, headers=EXPLAIN)
    assert {one["status"] for one in cut.json["explain"]["attempts"]} == {"disconnected"}
    await shop.ask("home", user=U0)


async def test_the_arm_and_the_weightless_one(shop: World) -> None:
    explain = (await shop.ask("split", user=U0, headers=EXPLAIN)).json["explain"]
    assert (explain["arm"], explain["eligible"]) == ("a", ["recomendo", "local"])


async def test_a_problem_explained(shop: World) -> None:
    message = f'{{"message": "no such token: {OPTIONS["recomendo"]["client_secret"]}"}}'
    async with shop.broken("recomendo", status=403, body=message):
        reply = await shop.ask("cached", user=U0, headers=EXPLAIN)
    explain = reply.problem("unavailable", 503)["explain"]
    assert [one["status"] for one in explain["attempts"]] == [403]
    assert hides(reply.text)
    unable = await shop.ask(
        "breaks", kind="looking_similar", items=["d0"], headers={**EXPLAIN, "Gateway-Provider": "xayn"}
    )
    assert unable.problem("unsupported", 501)["explain"]["eligible"] == []


async def test_neither_explained_nor_pinned_answers_are_cached(shop: World) -> None:
    user = {"id": "u7"}
    for headers in (EXPLAIN, {**OPS, "Gateway-Provider": "recomendo"}):
        assert (await shop.ask("cached", user=user, headers=headers)).cache == "gateway; fwd=bypass"
    first = await shop.ask("cached", user=user)
    assert first.cache == "gateway; fwd=miss; stored"
    told = await shop.ask("cached", user=user, headers=EXPLAIN)
    assert told.json["explain"]["cache"].startswith("fresh; ttl=35")
    assert told.json["recommendation_id"] != first.json["recommendation_id"]
    assert (await shop.ask("cached", user=user)).text == first.text


async def test_every_form_of_request_is_explained(shop: World) -> None:
    by_url = await shop.request("GET", "/v1/recommendations?placement=home&user=u0", headers=EXPLAIN)
    assert by_url.json["explain"]["placement"] == "home"
    search = await shop.request("POST", "/v1/search", json={"query": "battle"}, headers=EXPLAIN)
    assert search.json["explain"]["kind"] == "search"
    requests = {"requests": [{"placement": "home", "user": U0}, {"placement": "nowhere"}, {"placement": "split"}]}
    batch = await shop.request("POST", "/v1/recommendations/batch", json=requests, headers=EXPLAIN)
    one, missing, other = batch.json["results"]
    assert (one["explain"]["placement"], other["explain"]["placement"]) == ("home", "split")
    assert missing["problem"]["status"] == 404


async def test_zero_is_no_wish_but_still_needs_the_right(shop: World) -> None:
    assert "explain" not in (await shop.ask("home", user=U0, headers={**OPS, "Gateway-Explain": "0"})).json
    for name, value in (("Gateway-Explain", "0"), ("Gateway-Explain", "1"), ("Gateway-Provider", "local")):
        (await shop.ask("home", user=U0, headers={**SHOP, name: value})).problem("forbidden", 403)


# --- Gateway-Provider -------------------------------------------------------------------------------------------


async def test_one_provider_and_no_other(shop: World) -> None:
    for name in ("recomendo", "xayn", "local"):
        assert (await shop.ask("home", user=U0, headers={**OPS, "Gateway-Provider": name})).provider == name
    async with shop.broken("xayn", status=500):
        alone = await shop.ask("home", user=U0, headers={**EXPLAIN, "Gateway-Provider": "xayn"})
    problem = alone.problem("unavailable", 503)
    assert [one["provider"] for one in problem["attempts"]] == ["xayn"]
    assert problem["explain"]["eligible"] == ["xayn"]
    await shop.ask("heals", user=U0)


async def test_a_provider_that_cannot_or_is_none(shop: World) -> None:
    unable = await shop.ask("home", items=["d0"], headers={**OPS, "Gateway-Provider": "discerner"})
    assert unable.problem("unsupported", 501)["providers"] == {"discerner": "cannot serve similar_items"}
    nobody = await shop.ask("home", user=U0, headers={**OPS, "Gateway-Provider": "nobody"})
    assert "recomendo" in nobody.problem("invalid-request", 422)["errors"][0]["message"]


# --- the state --------------------------------------------------------------------------------------------------


async def providers(shop: World) -> dict[str, Any]:
    state = (await shop.request("GET", "/v1/providers")).json
    return {one["name"]: one for one in state["providers"]}


async def test_the_state_of_all_providers(shop: World) -> None:
    for placement in ("recomendo", "algolia", "xayn", "discerner", "local"):
        about = {"items": ["d0"]} if placement == "algolia" else {"user": U0}
        assert (await shop.ask(placement, **about)).status == 200
    reply = await shop.request("GET", "/v1/providers")
    state = reply.json
    assert re.fullmatch("[0-9a-f]{12}", state["epoch"])
    assert (state["revision"], state["config"]) == ("r1", {"status": "ok", "errors": []})
    assert [one["name"] for one in state["providers"]] == list(NAMES)
    for one in state["providers"]:
        assert one["breaker"].keys() == {"reads", "writes"}
        assert one["in_flight"] == 0 and one["capabilities"] and one["adapter"]
        if one["name"] != "affinities":
            assert one["requests"] >= 1 and 0 <= one["error_rate"] <= 1
            assert 0 < one["latency_ms"]["p50"] <= one["latency_ms"]["p95"] <= one["latency_ms"]["p99"]
    by_name = {one["name"]: one for one in state["providers"]}
    assert datetime.fromisoformat(by_name["recomendo"]["token_expires_at"]) > datetime.now(UTC)
    assert by_name["xayn"]["token_expires_at"] is None
    assert hides(reply.text)


async def test_a_breaker_that_opens_is_one_line_and_shows(shop: World, _no_secret_is_logged: Any) -> None:
    async with shop.broken("discerner", status=500):
        for n in range(9):
            assert (await shop.ask("breaks", user={"id": f"u{n}"})).provider == "local"
    lines = [line for line in _no_secret_is_logged if line["event"].startswith("breaker")]
    assert [(line["event"], line["provider"], line["operations"]) for line in lines] == [
        ("breaker open", "discerner", "reads")
    ]
    assert lines[0]["log_level"] == "warning"
    assert lines[0]["why"].startswith("3 failures in a row; probed again in ")
    shown = (await providers(shop))["discerner"]
    assert shown["breaker"] == {"reads": "open", "writes": "closed"}
    assert (shown["last_problem"]["error"], shown["last_problem"]["status"]) == ("failed", 500)
    assert shown["error_rate"] > 0
    told = (await shop.ask("breaks", user=U0, headers=EXPLAIN)).json["explain"]
    assert told["attempts"] == []
    assert told["not_answered"][0]["error"] == "passed_over"
    assert told["not_answered"][0]["detail"].startswith("breaker is open: probed again in ")


async def test_a_throttle_shows_until_when(shop: World) -> None:
    async with shop.broken("xayn", status=429):
        assert (await shop.ask("heals", user=U0)).provider == "local"
    shown = (await providers(shop))["xayn"]
    assert shown["breaker"]["reads"] == "closed"
    assert 0 <= (datetime.fromisoformat(shown["throttled_until"]) - datetime.now(UTC)).total_seconds() + 1 <= 3
    shop.forget_failures()
    assert (await providers(shop))["xayn"]["throttled_until"] is None


async def test_a_throttle_beyond_the_calendar_shows_too(shop: World) -> None:
    """Retry-After may be any date."""
    shop.provider("xayn").gates.throttle.note(1e13)
    shown = (await providers(shop))["xayn"]
    assert datetime.fromisoformat(shown["throttled_until"]) > datetime.now(UTC)
    shop.forget_failures()


async def test_the_last_problem_holds_no_secret(shop: World) -> None:
    secret = OPTIONS["recomendo"]["client_secret"]
    async with shop.broken("recomendo", status=403, body=f'{{"message": "bad {secret}"}}'):
        await shop.ask("home", user=U0)
    problem = (await providers(shop))["recomendo"]["last_problem"]
    assert (problem["error"], problem["vendor_message"]) == ("misconfigured", "bad [secret]")
    assert 0 <= problem["seconds_ago"] < 60


async def test_the_configuration_without_secrets(shop: World) -> None:
    reply = await shop.request("GET", "/v1/config")
    shown = reply.json
    assert hides(reply.text)
    assert shown["providers"]["recomendo"]["timeout"] == "10s"
    assert shown["providers"]["recomendo"]["options"]["client_secret"] == "**********"
    assert shown["server"]["signing_keys"] == ["**********"]
    assert shown["defaults"]["retry_budget"] == "20%"
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "method, path", [("GET", "/v1/providers"), ("GET", "/v1/config"), ("DELETE", "/v1/cache")]
)
async def test_what_is_for_ops_alone(shop: World, method: str, path: str) -> None:
    (await shop.request(method, path, headers=SHOP)).problem("forbidden", 403)
    (await shop.request(method, path, headers={"X-Api-Key": "nobodys"})).problem("unauthorized", 401)


# --- the cache --------------------------------------------------------------------------------------------------


async def cached(shop: World, placement: str) -> bool:
    about = {"items": ["d0"]} if placement == "other" else {"user": U0}
    return "hit" in (await shop.ask(placement, **about)).cache


async def test_cached_answers_are_dropped_by_placement_or_all(shop: World) -> None:
    async def drop(query: str = "") -> Any:
        return (await shop.request("DELETE", "/v1/cache" + query)).json["dropped"]

    await drop()
    assert await drop() == 0
    for placement in ("cached", "other"):
        await cached(shop, placement)
    assert await drop("?placement=cached") == 1
    assert not await cached(shop, "cached")
    assert await cached(shop, "other")
    assert await drop("?placement=home") == 0
    assert await drop() == 2
    assert not await cached(shop, "other")
    (await shop.request("DELETE", "/v1/cache?placement=nowhere")).problem("not-found", 404)
    (await shop.request("DELETE", "/v1/cache?placment=cached")).problem("invalid-request", 422)

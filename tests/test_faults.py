"""Vendors broken on purpose, in every way that `/_faults` knows: another one answers, or the caller is told.

Never a 500. What is said when nobody answered is the order of API.md §3: stale ▸ empty ▸ 503, 504 ▸ 422 ▸ 501.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.world import PEOPLE, World, feed_one, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

VENDORS: Final = ("recomendo", "algolia", "discerner", "xayn")
ASKED: Final = (*VENDORS, *(f"hasty_{one}" for one in VENDORS))
"""The hasty ones are the same accounts, for who is too slow: they wait less, and once."""
STATUSES: Final = (400, 401, 403, 404, 409, 422, 429, 500, 503)
FAULTS: Final[Mapping[str, dict[str, Any]]] = {
    **{str(status): {"status": status} for status in STATUSES},
    **{f"{status}-html": {"status": status, "body": "html"} for status in (400, 401, 404, 503)},
    "delay": {"delay": "2s"},
    "html": {"body": "html"},
    "empty": {"body": "empty"},
    "truncated": {"body": "truncated"},
    "text": {"body": "come back later"},
    "null": {"body": "null"},
    "list": {"body": "[1, {}]"},
    "nearly": {"body": '{"itemScores": [{}], "results": 3, "documents": [{"id": 1}], "recs": ["a"]}'},
    "deep": {"body": '{"x": ' + "[" * 400 + "]" * 400 + "}"},
    "long": {"body": '"' + "x" * 200_000 + '"'},
    "close": {"close": True},
}
MISSING: Final = {"discerner": {"404", "404-html"}, "xayn": set[str]()}
"""Faults that mean "no such user" to a vendor: no answer rather than a failure."""
CACHED: Final = {"ttl": "30ms", "stale_if_error": "1h"}


def asked(provider: str, fault: str) -> str:
    """Whom to ask."""
    return f"hasty_{provider}" if fault == "delay" else provider


def expected(provider: str, fault: str) -> tuple[int, str]:
    """The status of a placement with this provider alone, and the word for what happened to it."""
    if fault in MISSING.get(provider, ()):
        return 200, ""
    match fault.removesuffix("-html"):
        case "400" | "422":
            return 422, "refused"
        case "401":
            return 503, "unauthenticated"
        case "403" | "404" | "409":
            return 503, "misconfigured"
        case "429":
            return 503, "throttled"
        case "500" | "503":
            return 503, "failed"
        case "delay":
            return 503, "timed_out"
        case "close":
            return 503, "disconnected"
    return 503, "malformed"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {
        "defaults": {"max_answer": "128KiB", "breaker": {"mode": "observe"}},
        "providers": {f"hasty_{one}": {"like": one, "timeout": "700ms", "attempts": 1} for one in VENDORS},
        "placements": {
            **{f"{one}_then": {"providers": [one, "local"]} for one in ASKED},
            **{f"{one}_cached": {"providers": [one], "cache": CACHED} for one in ASKED},
            **{f"hasty_{one}": {"providers": [f"hasty_{one}"]} for one in VENDORS},
            "two": {"providers": ["recomendo", "algolia"]},
            "one_has_none": {"providers": ["recomendo", "xayn"]},
            "one_has_none_cached": {"providers": ["recomendo", "xayn"], "cache": CACHED},
            "one_cannot": {"providers": ["discerner", "recomendo"]},
            "none_can": {"providers": ["discerner", "xayn"]},
            "revalidating": {
                "providers": ["algolia"],
                "cache": {"ttl": "30ms", "stale_while_revalidate": "1h", "stale_if_error": "2h"},
            },
        },
    }
    async with world(tmp_path_factory.mktemp("shop"), more) as shop:
        await feed_one(shop, "hasty_discerner")  # which has a map of ids of its own
        yield shop


def stand_still(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes for the cache: however long the machine takes, nobody is asked again."""
    now = time.monotonic()
    monkeypatch.setattr(shop.runtime.pipeline.cache, "_clock", lambda: now)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _fresh(shop: World) -> None:
    shop.forget_failures()
    await shop.log_in()


USER: Final = {"id": "u0"}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("provider", VENDORS)
async def test_another_answers(shop: World, provider: str, fault: str) -> None:
    async with shop.broken(provider, **FAULTS[fault]):
        reply = await shop.ask(f"{asked(provider, fault)}_then", user=USER)
    assert reply.status == 200, reply.text
    assert reply.provider == "local"
    assert reply.json["source"]["fallback"] is True
    assert reply.json["items"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("provider", VENDORS)
async def test_alone_the_caller_is_told(shop: World, provider: str, fault: str) -> None:
    status, word = expected(provider, fault)
    name = asked(provider, fault)
    in_time = {"Request-Timeout": "2"} if "429" in fault else {}  # so long it waits for the end of a throttle
    async with shop.broken(provider, **FAULTS[fault]):
        reply = await shop.ask(name, user=USER, headers=in_time)
    if status == 200:
        assert reply.provider is None
        assert reply.json["source"]["cold_start"] is True
        return
    if status == 422:
        reply.problem("rejected", 422)
        return
    problem = reply.problem("unavailable", 503)
    assert reply.headers["Retry-After"].isdigit()
    assert [(one["provider"], one["error"]) for one in problem["attempts"]] == [(name, word)]
    assert 0 <= problem["attempts"][0]["ms"] < 10_000


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_vendor_that_fails_now_and_then(shop: World, provider: str) -> None:
    async with shop.broken(provider, status=503, share=0.5):
        replies = [await shop.ask(f"{provider}_then", user=USER) for _ in range(12)]
    assert {reply.status for reply in replies} == {200}
    assert {reply.provider for reply in replies} <= {provider, "local"}


@pytest.mark.parametrize("fault", ["503", "delay", "close", "html", "429", "401"])
@pytest.mark.parametrize("provider", VENDORS)
async def test_a_stale_answer_before_a_problem(
    shop: World, provider: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = {"id": next(one for one in PEOPLE if one != "u0")}
    placement = f"{asked(provider, fault)}_cached"
    fresh = await shop.ask(placement, user=user)
    assert fresh.cache == "gateway; fwd=miss; stored"
    await asyncio.sleep(0.04)
    in_time = {"Request-Timeout": "2"} if fault == "429" else {}
    async with shop.broken(provider, **FAULTS[fault]):
        stale = await shop.ask(placement, user=user, headers=in_time)
        stand_still(shop, monkeypatch)
        again = await shop.ask(placement, user=user, headers=in_time)
        monkeypatch.undo()
    assert (stale.status, stale.text) == (200, fresh.text)
    name, hit, forward, ttl = stale.cache.split("; ")
    assert (name, hit, forward) == ("gateway", "hit", "fwd=stale")
    assert int(ttl.removeprefix("ttl=")) < 0
    assert stale.headers["Cache-Control"] == "private, max-age=0"
    assert again.cache.startswith("gateway; hit; fwd=stale")
    shop.forget_failures()
    assert (await shop.ask(placement, user=user)).cache == "gateway; fwd=miss; stored"


async def test_while_refreshes_fail_the_vendor_is_left_alone(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.ask("algolia_cached", items=["d0"])
    await asyncio.sleep(0.04)
    async with shop.broken("algolia", status=503):
        await shop.ask("algolia_cached", items=["d0"])
        before = shop.calls.copy()
        stand_still(shop, monkeypatch)
        replies = [await shop.ask("algolia_cached", items=["d0"]) for _ in range(5)]
    assert all(reply.cache.startswith("gateway; hit; fwd=stale") for reply in replies)
    assert shop.calls == before


async def test_an_answer_is_renewed_behind_the_callers_back(shop: World) -> None:
    first = await shop.ask("revalidating", items=["d1"])
    await asyncio.sleep(0.04)
    second = await shop.ask("revalidating", items=["d1"])
    assert second.text == first.text
    assert second.cache.startswith("gateway; hit; ttl=-")
    async with asyncio.timeout(60):
        while (await shop.ask("revalidating", items=["d1"])).text == first.text:  # noqa: ASYNC110  # as a caller would see it
            await asyncio.sleep(0.005)


# --- the order of outcomes (API.md §3) ---------------------------------------------------------------------


async def test_1_an_answer(shop: World) -> None:
    async with shop.broken("recomendo", status=400):
        reply = await shop.ask("two", items=["d0"])
    assert (reply.status, reply.provider) == (200, "algolia")


async def test_2_else_a_stale_one(shop: World) -> None:
    """Even where another provider had simply none."""
    fresh = await shop.ask("one_has_none_cached", user={"id": "stranger"})
    assert fresh.provider == "recomendo"
    await asyncio.sleep(0.04)
    async with shop.broken("recomendo", status=503):
        reply = await shop.ask("one_has_none_cached", user={"id": "stranger"})
    assert reply.text == fresh.text
    assert reply.cache.startswith("gateway; hit; fwd=stale; ttl=-")


async def test_3_else_none_if_any_had_simply_none(shop: World) -> None:
    async with shop.broken("recomendo", status=503):
        reply = await shop.ask("one_has_none", user={"id": "stranger"})
    assert reply.status == 200
    assert reply.json["items"] == []
    assert reply.json["source"]["provider"] is None
    assert reply.json["source"]["cold_start"] is True
    assert reply.cache == "gateway; fwd=miss"


async def test_4_else_503_if_any_failed(shop: World) -> None:
    async with shop.broken("recomendo", status=422), shop.broken("algolia", status=500):
        problem = (await shop.ask("two", items=["d0"])).problem("unavailable", 503)
    assert [(one["provider"], one["error"]) for one in problem["attempts"]] == [
        ("recomendo", "refused"), ("algolia", "failed"),
    ]  # fmt: skip


async def test_5_or_504_if_the_deadline_cut_it(shop: World) -> None:
    async with shop.broken("recomendo", "algolia", delay="5s"):
        started = time.monotonic()
        reply = await shop.ask("two", items=["d0"], headers={"Request-Timeout": "0.2"})
        took = time.monotonic() - started
    problem = reply.problem("deadline-exceeded", 504)
    assert took < 4
    assert [one["provider"] for one in problem["attempts"]] == ["recomendo", "algolia"]


async def test_6_else_422_if_those_asked_refused(shop: World) -> None:
    message = '{"message": "not today"}'
    async with shop.broken("recomendo", "algolia", status=400, body=message):
        problem = (await shop.ask("two", items=["d0"])).problem("rejected", 422)
        assert problem["vendor_message"] == "not today"
        one_cannot = (await shop.ask("one_cannot", items=["d0"])).problem("rejected", 422)
        assert one_cannot["vendor_message"] == "not today"


async def test_7_else_501(shop: World) -> None:
    async with shop.broken("discerner", "xayn", status=500):
        problem = (await shop.ask("none_can", kind="looking_similar", items=["d0"])).problem("unsupported", 501)
    assert problem["providers"].keys() == {"discerner", "xayn"}


# --- time and throttles --------------------------------------------------------------------------------------


async def test_the_last_of_a_list_waits_for_the_end_of_a_throttle(shop: World) -> None:
    """Where the wait fits the deadline; one that is not the last is left alone at once."""
    shop.provider("algolia").gates.throttle.note(0.15)
    started = time.monotonic()
    assert (await shop.ask("algolia", items=["d0"])).provider == "algolia"
    assert time.monotonic() - started >= 0.14
    shop.provider("recomendo").gates.throttle.note(0.5)
    reply = await shop.ask("two", items=["d0"])
    assert reply.provider == "algolia"


async def test_a_slow_first_leaves_time_for_the_second(shop: World) -> None:
    async with shop.broken("recomendo", delay="5s"):
        reply = await shop.ask("two", items=["d0"], headers={"Request-Timeout": "2"})
    assert reply.provider == "algolia"


async def test_a_slow_login_leaves_time_for_the_second(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The first request of a process has to wait for a token; that is an attempt like any other."""
    more = {"server": {"deadline": "2s"}, "defaults": {"timeout": "1500ms"}}
    async with world(tmp_path_factory.mktemp("cold"), more, fed=False) as cold:
        await feed_one(cold, "local")
        async with cold.broken("recomendo", path="auth", delay="5s"):
            cold.forget_tokens()
            reply = await cold.ask("default", user=USER)
        assert (reply.status, reply.provider) == (200, "local"), reply.text


async def test_a_vendor_that_is_gone(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nobody listens: the connection is refused, and the next one answers."""
    more: dict[str, Any] = {
        "providers": {"xayn": {"options": {"url": "http://127.0.0.1:9", "token": "t"}}},
        "placements": {"gone": {"providers": ["xayn", "local"]}},
    }
    async with world(tmp_path_factory.mktemp("gone"), more, fed=False) as gone:
        await feed_one(gone, "local")
        assert (await gone.ask("gone", user=USER)).provider == "local"
        problem = (await gone.ask("xayn", user=USER)).problem("unavailable", 503)
        assert problem["attempts"][0]["error"] == "not_connected"

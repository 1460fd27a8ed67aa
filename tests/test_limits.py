"""Callers' rates: never more than was configured, told in the words of the draft."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.limits import Limit, quota_of
from gateway.errors import RateLimited
from tests.clock import FakeClock
from tests.doors import ASK, Doors, doors

POLICY = re.compile(r'"default";q=(\d+);w=(\d+)')
STATE = re.compile(r'"default";r=(\d+);t=(\d+)')


@given(st.integers(1, 100_000), st.sampled_from([1, 60]))
def test_the_quota_is_the_rate_in_whole_numbers(rate: int, of: int) -> None:
    quota, window = quota_of(rate / of)
    assert Fraction(quota, window) == Fraction(rate, of)
    assert window <= 60


@given(st.floats(1e-6, 1e6))
def test_the_quota_of_any_rate(rate: float) -> None:
    quota, window = quota_of(rate)
    assert quota >= 1 and window >= 1
    assert quota / window == pytest.approx(rate, rel=0.1) or rate * 60 < 1 or rate < 1


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 30)), max_size=60),
)
def test_never_more_than_the_quota_and_what_was_regained(rate: int, arrivals: list[tuple[float, int]]) -> None:
    clock = FakeClock()
    limit = Limit(float(rate), clock)
    begun, passed = clock(), 0
    for pause, requests in arrivals:
        clock.now += pause
        try:
            limit.charge(requests)
        except RateLimited as refused:
            assert int(refused.headers["Retry-After"]) >= 1
        else:
            passed += requests
            most_at_once = max(rate, requests)
            assert passed <= (clock() - begun) * rate + rate + most_at_once
    headers = dict(limit.headers())
    assert POLICY.fullmatch(headers["RateLimit-Policy"]) and STATE.fullmatch(headers["RateLimit"])


def test_what_is_told() -> None:
    clock = FakeClock()
    limit = Limit(200.0, clock)
    limit.charge()
    assert dict(limit.headers()) == {"RateLimit-Policy": '"default";q=200;w=1', "RateLimit": '"default";r=199;t=1'}
    limit.charge(199)
    with pytest.raises(RateLimited) as refused:
        limit.charge()
    assert refused.value.headers == {
        "Retry-After": "1",
        "RateLimit-Policy": '"default";q=200;w=1',
        "RateLimit": '"default";r=0;t=1',
    }
    clock.now += 0.5
    assert dict(limit.headers())["RateLimit"] == '"default";r=100;t=1'


# --- over HTTP ---------------------------------------------------------------------------------------------


def keys(**rates: str) -> dict[str, object]:
    every = ["recommend", "events", "catalog", "ops"]
    return {
        "auth": {"api_keys": {name: {"key": name, "scopes": every, "rate": rate} for name, rate in rates.items()}}
    }


async def test_a_spent_rate_is_429_and_each_key_has_its_own(tmp_path: Path) -> None:
    async with doors(tmp_path, keys(shop="5/m", other="5/m")) as gateway:
        reply = await gateway.ask({"X-Api-Key": "shop"})
        assert reply.status == 200
        assert reply.headers["RateLimit"] == '"default";r=0;t=12'
        refused = await gateway.ask({"X-Api-Key": "shop"})
        refused.problem("rate-limited", 429)
        assert 1 <= int(refused.headers["Retry-After"]) <= 12
        assert POLICY.fullmatch(refused.headers["RateLimit-Policy"])
        for method, path in (("GET", ASK), ("POST", "/v1/search"), ("GET", "/v1/providers"), ("GET", "/v1/users")):
            (await gateway.request(method, path, headers={"X-Api-Key": "shop"})).problem("rate-limited", 429)
        assert (await gateway.ask({"X-Api-Key": "other"})).status == 200
        assert (await gateway.request("GET", "/docs")).status == 200


async def test_a_batch_counts_as_its_requests(tmp_path: Path) -> None:
    async with doors(tmp_path, keys(shop="10/s", whole="10/s")) as gateway:
        assert await batch(gateway, "shop", 8) == 200
        assert await batch(gateway, "shop", 8) == 429
        assert await batch(gateway, "whole", 50) == 200  # more than may come at once, when nothing is spent
        assert (await gateway.ask({"X-Api-Key": "whole"})).status == 429


async def batch(gateway: Doors, key: str, requests: int) -> int:
    body: dict[str, object] = {"requests": [{}] * requests}
    reply = await gateway.request("POST", f"{ASK}/batch", json=body, headers={"X-Api-Key": key})
    return reply.status


async def test_what_is_spent_survives_a_reload_of_an_unchanged_key(tmp_path: Path) -> None:
    async with doors(tmp_path, keys(shop="1/m", changed="1/m")) as gateway:
        for key in ("shop", "changed"):
            assert (await gateway.ask({"X-Api-Key": key})).status == 200
        await gateway.reload(keys(shop="1/m", changed="2/m"))
        assert (await gateway.ask({"X-Api-Key": "shop"})).status == 429
        assert (await gateway.ask({"X-Api-Key": "changed"})).status == 200


async def test_what_is_refused_for_its_scope_counts_too(tmp_path: Path) -> None:
    more = {"auth": {"api_keys": {"shop": {"key": "shop", "scopes": ["events"], "rate": "1/m"}}}}
    async with doors(tmp_path, more) as gateway:
        assert (await gateway.ask({"X-Api-Key": "shop"})).status == 403
        assert (await gateway.ask({"X-Api-Key": "shop"})).status == 429

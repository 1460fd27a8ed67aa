"""What `/metrics` says of what really happened, and that nothing a caller sends makes a series of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from gateway.config import load
from gateway.telemetry.active import Active
from gateway.telemetry.counting import OTHER
from gateway.telemetry.families import FAMILIES, PROCESS
from gateway.telemetry.outcomes import METHODS, OTHER_METHOD
from tests.serving import until
from tests.world import NAMES, World, world

inside = pytest.mark.asyncio(loop_scope="module")

U0: Final = {"id": "u0"}
ODD_METHODS: Final = [
    "LOCK",
    "UNLOCK",
    "COPY",
    "MOVE",
    "MKCOL",
    "PROPFIND",
    "PROPPATCH",
    "SEARCH",
    "REPORT",
    "MERGE",
    "PURGE",
    "NOTIFY",
]
KEYS: Final = {
    "slow": {"key": "slow-key", "scopes": ["recommend"], "rate": "1/m"},
    "all": {"key": "all-key", "scopes": ["recommend", "events", "catalog", "ops"]},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("metrics")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(directory: Path) -> AsyncIterator[World]:
    arms = {"a": {"weight": 1, "providers": ["recomendo"]}, "b": {"weight": 0, "providers": ["local"]}}
    more: dict[str, Any] = {
        "revision": "r1",
        "defaults": {"breaker": {"open": "600ms", "close_after": 1, "consecutive": 3}},
        "providers": {"discerner": {"attempts": 1}},
        "placements": {
            "home": {"providers": ["recomendo", "xayn", "local"]},
            "cached": {"providers": ["recomendo"], "cache": {"ttl": "1h"}},
            "tested": {"experiment": {"key": "e1", "unit": "user", "arms": arms}},
        },
    }
    async with world(directory, more) as shop:  # fed without a key; from now on they are needed
        applied(shop, directory)
        shop.session.headers.update({"X-Api-Key": "all-key"})
        yield shop


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _mended(request: pytest.FixtureRequest) -> None:
    if "shop" in request.fixturenames:
        request.getfixturevalue("shop").forget_failures()


Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(shop: World) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(shop.metrics())
        for sample in family.samples
    }


def value(of: Series, name: str, **labels: str) -> float:
    """The sum over all series that have these labels."""
    wanted = labels.items()
    return sum(number for (known, has), number in of.items() if known == name and wanted <= dict(has).items())


class Grown:
    """What has been added since this was made."""

    def __init__(self, shop: World) -> None:
        self._shop = shop
        self._before = series(shop)

    def __call__(self, name: str, **labels: str) -> float:
        return value(series(self._shop), name, **labels) - value(self._before, name, **labels)


def applied(shop: World, directory: Path, change: Callable[[Any], None] = lambda _: None) -> None:
    """The configuration as written, with keys, changed."""
    written = yaml.safe_load((directory / "gateway.yaml").read_text())
    written["auth"] = {"api_keys": KEYS}
    change(written)
    file = directory / "changed.yaml"
    file.write_text(yaml.safe_dump(written))
    shop.runtime.apply(load(file, {}))


# --- what happened ----------------------------------------------------------------------------------------------


@inside
async def test_a_miss_and_then_a_hit(shop: World) -> None:
    grown = Grown(shop)
    for _ in range(2):
        assert (await shop.ask("cached", user=U0)).status == 200
    route = {"http_request_method": "POST", "http_route": "/v1/recommendations"}
    name = "http_server_request_duration_seconds"
    assert grown(f"{name}_count", http_response_status_code="200", error_type="", **route) == 2
    assert 0 < grown(f"{name}_sum", **route) < 2
    assert grown(f"{name}_bucket", le="+Inf", **route) == 2
    assert grown("gateway_cache_outcomes_total", placement="cached", outcome="miss") == 1
    assert grown("gateway_cache_outcomes_total", placement="cached", outcome="hit") == 1
    assert grown("gateway_answers_total", placement="cached", provider="recomendo", source="first") == 2
    assert grown("gateway_round_duration_seconds_count", placement="cached", provider="recomendo") == 1
    assert grown("gateway_provider_calls_total", provider="recomendo", operation="recommend") == 1
    now = series(shop)
    assert value(now, "gateway_cache_entries") >= 1
    assert 0 < value(now, "gateway_cache_bytes") <= value(now, "gateway_cache_limit_bytes")


@inside
async def test_an_exchange_with_a_vendor_by_route_and_place(shop: World) -> None:
    grown = Grown(shop)
    await shop.ask("xayn", user=U0)
    address, _, port = shop.vendors["xayn"].removeprefix("http://").partition(":")
    exchanges = grown(
        "http_client_request_duration_seconds_count",
        gateway_provider="xayn",
        http_request_method="POST",
        url_template="/users/{id}/recommendations",
        server_address=address,
        server_port=port,
        http_response_status_code="200",
        error_type="",
    )
    assert exchanges == 1


@inside
async def test_a_failover_is_counted_and_its_answer_is_a_fallbacks(shop: World) -> None:
    grown = Grown(shop)
    async with shop.broken("recomendo", status=503):
        assert (await shop.ask("home", user=U0)).provider == "xayn"
    assert grown("gateway_failovers_total", placement="home", provider="recomendo", reason="failed") == 1
    assert grown("gateway_answers_total", placement="home", provider="xayn", source="fallback") == 1
    assert grown("gateway_provider_calls_total", provider="recomendo", outcome="failed") == 1
    assert grown("gateway_retries_total", provider="recomendo") == 1
    status = {"http_response_status_code": "503", "error_type": "503"}
    assert grown("http_client_request_duration_seconds_count", gateway_provider="recomendo", **status) == 2


@inside
async def test_a_breaker_opens_and_closes(shop: World) -> None:
    grown = Grown(shop)

    def state() -> str:
        return shop.provider("recomendo").gates.reads.state

    async with shop.broken("recomendo", status=503):
        while state() != "open":
            await shop.ask("home", user=U0)
        assert value(series(shop), "gateway_breaker_state", provider="recomendo", operations="reads") == 2
        await shop.ask("home", user=U0)
        assert grown("gateway_failovers_total", provider="recomendo", reason="passed_over") >= 1
    async with asyncio.timeout(30):
        while state() != "closed":
            await shop.ask("recomendo", user=U0)
    assert value(series(shop), "gateway_breaker_state", provider="recomendo", operations="reads") == 0
    for became in ("open", "half_open", "closed"):
        changed = grown("gateway_breaker_changes_total", provider="recomendo", operations="reads", state=became)
        assert changed >= 1, became


@inside
async def test_throttles_and_misconfiguration(shop: World) -> None:
    grown = Grown(shop)
    async with shop.broken("xayn", status=429):
        await shop.ask(
            "xayn", user=U0, headers={"Request-Timeout": "2"}
        )  # so long it waits for the throttle's end
    assert grown("gateway_throttles_total", provider="xayn") >= 1
    assert 0 < value(series(shop), "gateway_throttled_seconds", provider="xayn") <= 1
    shop.forget_failures()
    async with shop.broken("xayn", status=403):
        await shop.ask("xayn", user=U0)
    assert grown("gateway_provider_calls_total", provider="xayn", outcome="misconfigured") == 1


@inside
async def test_nothing_to_recommend_and_nobody_who_can(shop: World) -> None:
    grown = Grown(shop)
    async with shop.broken("xayn", body='{"documents": []}'):
        assert (await shop.ask("xayn", user=U0)).status == 200
    assert grown("gateway_answers_total", placement="xayn", provider="", source="none") == 1
    assert grown("gateway_answer_flaws_total", placement="xayn", provider="xayn", flaw="empty") == 1
    assert grown("gateway_round_duration_seconds_count", placement="xayn", provider="") == 1
    async with shop.broken("xayn", status=500):
        assert (await shop.ask("xayn", user=U0)).status == 503
    assert grown("http_server_request_duration_seconds_count", error_type="unavailable") == 1
    assert grown("gateway_answers_total", placement="xayn") == 1  # a problem is no answer


@inside
async def test_short_and_duplicate_lists_and_the_same_for_everybody(shop: World) -> None:
    grown = Grown(shop)
    same = '{"itemScores": [{"item": "d1", "score": 2}, {"item": "d2", "score": 1}, {"item": "d1", "score": 1}]}'
    async with shop.broken("recomendo", body=same, path="queries"):
        for user in ("u1", "u2", "u2"):
            assert (await shop.ask("recomendo", user={"id": user}, count=5)).ids == ["d1", "d2"]
    assert grown("gateway_answer_duplicates_total", provider="recomendo") == 3
    flaws = {"placement": "recomendo", "provider": "recomendo"}
    assert grown("gateway_answer_flaws_total", flaw="short", **flaws) == 3
    assert grown("gateway_answer_flaws_total", flaw="same_for_others", **flaws) == 1


@inside
async def test_the_parts_of_a_batch_are_answers_each(shop: World) -> None:
    grown = Grown(shop)
    asked = [{"placement": "recomendo", "user": U0}, {"placement": "xayn", "user": U0}, {"placement": "nowhere"}]
    await shop.request("POST", "/v1/recommendations/batch", json={"requests": asked})
    assert grown("gateway_answers_total") == 2
    assert grown("http_server_request_duration_seconds_count") == 1


@inside
async def test_an_experiments_exposures(shop: World) -> None:
    grown = Grown(shop)
    await shop.ask("tested", user=U0)
    await shop.ask("tested")  # nobody's
    await shop.ask("tested", user=U0, headers={"Gateway-Explain": "1"})
    assert grown("gateway_exposures_total", experiment="e1", arm="a") == 1
    assert grown("gateway_exposures_total") == 1


@inside
async def test_who_is_rate_limited(shop: World) -> None:
    grown = Grown(shop)
    replies = [await shop.ask("home", user=U0, headers={"X-Api-Key": "slow-key"}) for _ in range(3)]
    refused = [reply.status for reply in replies].count(429)
    assert refused >= 2
    assert grown("gateway_rate_limited_total", key="slow") == refused == grown("gateway_rate_limited_total")


@inside
async def test_a_caller_that_hangs_up(shop: World) -> None:
    grown = Grown(shop)
    queries = ("recomendo", "/v1/queries.json")
    before = shop.calls[queries]
    async with shop.broken("recomendo", delay="2s", path="queries"):
        asking = asyncio.create_task(shop.ask("recomendo", user=U0))
        await until(lambda: shop.calls[queries] > before)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: grown("http_server_request_duration_seconds_count", error_type="hung-up"))
    assert grown("http_client_request_duration_seconds_count", error_type="cancelled") == 1


ACTIVE: Final = "http_server_active_requests"


@inside
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/recommendations", {"placement": "recomendo", "user": U0}),
        ("GET", "/v1/recommendations?placement=recomendo&user=u0", None),
        ("POST", "/v1/recommendations/batch", {"requests": [{"placement": "recomendo", "user": U0}]}),
    ],
    ids=["fast", "fast, by its URL", "ordinary"],
)
async def test_a_request_is_under_way_until_it_is_answered_or_hung_up_on(
    shop: World, method: str, path: str, body: Any
) -> None:
    def active() -> dict[str, float]:
        return {one: value(series(shop), ACTIVE, http_request_method=one) for one in ("GET", "POST")}

    nobody, queries = active(), ("recomendo", "/v1/queries.json")
    assert not any(nobody.values())
    async with shop.broken("recomendo", delay="1s", path="queries"):
        for hangs_up in (False, True):
            before = shop.calls[queries]
            asking = [asyncio.create_task(shop.request(method, path, json=body)) for _ in range(2)]
            await until(lambda before=before: shop.calls[queries] >= before + 2)
            assert active() == {**nobody, method: 2}
            if hangs_up:
                for one in asking:
                    one.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
            else:
                assert [one.status for one in await asyncio.gather(*asking)] == [200, 200]
            await until(lambda: active() == nobody)


@inside
async def test_what_is_answered_at_once_is_not_even_counted(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    begin = Active.begin

    def noted(self: Active, method: str) -> None:
        begun.append(method)
        begin(self, method)

    monkeypatch.setattr(Active, "begin", noted)
    shop.runtime.pipeline.cache.drop()
    for _ in range(3):
        assert (await shop.ask("cached", user=U0)).status == 200
    assert begun == ["POST"], "a miss, and then two hits"
    (await shop.ask("nowhere", user=U0)).problem("not-found", 404)
    assert begun == ["POST"], "nor what is refused at once"


@inside
async def test_methods_that_nobody_knows_are_under_way_as_one(shop: World) -> None:
    for method in ODD_METHODS:
        await shop.request(method, "/v1/recommendations")
    shown = {dict(labels)["http_request_method"] for name, labels in series(shop) if name == ACTIVE}
    assert shown <= METHODS | {OTHER_METHOD} and OTHER_METHOD in shown
    assert value(series(shop), ACTIVE) == 0


@inside
async def test_what_waits_and_what_will_never_be_taken(shop: World) -> None:
    grown, hearing = Grown(shop), shop.runtime.writes.hearing

    async def counted(name: str, **labels: str) -> float:
        hearing._counted = float("-inf")
        await hearing._by_the_clock()
        return value(series(shop), name, **labels)

    async def none_waits() -> bool:
        return not await counted("gateway_queue_depth")

    async def told(event: str) -> None:
        body = {"events": [{"id": event, "type": "view", "user": U0, "items": ["d1"]}]}
        assert (await shop.request("POST", "/v1/events", json=body)).status == 202

    async with shop.broken("xayn", status=500):
        await told("waits")
        await until(lambda: counted("gateway_queue_depth", provider="xayn"))
        first = await counted("gateway_queue_oldest_seconds", provider="xayn")
        await asyncio.sleep(0.02)
        assert 0 < first < await counted("gateway_queue_oldest_seconds", provider="xayn") < 60
    await until(none_waits)
    assert await counted("gateway_queue_oldest_seconds") == 0
    assert grown("gateway_delivered_total", provider="xayn", operation="track") == 1
    async with shop.broken("xayn", status=400):
        await told("refused")
        await until(lambda: counted("gateway_dead_letters", provider="xayn"))


@inside
async def test_what_was_dropped(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    grown = Grown(shop)
    monkeypatch.setattr("gateway.telemetry.notes.MOST", 0)
    await shop.ask("home", user=U0)
    assert grown("gateway_telemetry_dropped_total", what="notes") >= 1
    assert grown("http_server_request_duration_seconds_count") == 0
    shown = {dict(labels)["what"] for name, labels in series(shop) if name == "gateway_telemetry_dropped_total"}
    assert shown == {"notes", "exposures", "lines", "spans"}


@inside
async def test_the_store_is_heard(shop: World) -> None:
    await shop.runtime.writes.hearing.hear()
    heard = value(series(shop), "gateway_store_last_heard_timestamp_seconds")
    assert heard == pytest.approx(time.time(), abs=5)
    assert value(series(shop), "gateway_store_errors_total") == 0


# --- contract drift ---------------------------------------------------------------------------------------------


@inside
async def test_missing_and_unreadable_are_told_apart_and_logged_once(shop: World) -> None:
    grown = Grown(shop)
    drift = {"adapter": "recomendo", "provider": "recomendo"}
    with capture_logs() as lines:
        async with shop.broken("recomendo", body='{"itemScores": [{"item": 7}]}', path="queries"):
            for _ in range(2):
                await shop.ask("recomendo", user=U0)
        assert grown("gateway_contract_drift_total", what="missing", **drift) == 2
        async with shop.broken("recomendo", body="html", path="queries"):
            await shop.ask("home", user=U0)
    assert grown("gateway_contract_drift_total", what="unreadable", **drift) == 1
    assert grown("gateway_contract_drift_total", what="unknown", **drift) == 0
    said = [line for line in lines if line["event"] == "contract drift" and line["what"] == "missing"]
    assert len({line["place"] for line in said}) == len(said) >= 1


@inside
async def test_a_member_that_no_document_names(shop: World, directory: Path) -> None:
    grown = Grown(shop)
    answer = '{"itemScores": [{"item": "d1", "score": 2, "why": "…"}], "took": 3}'
    applied(shop, directory, lambda written: written["providers"]["recomendo"].update(max_answer="1MiB"))
    with capture_logs() as lines:
        async with shop.broken("recomendo", body=answer, path="queries"):
            assert (await shop.ask("recomendo", user=U0)).ids == ["d1"]
        assert grown("gateway_contract_drift_total", provider="recomendo", what="unknown") == 1
    said = {line["member"] for line in lines if line["event"] == "contract drift"}
    assert said == {"itemScores[].why", "took"}
    applied(shop, directory)


@inside
async def test_the_emulated_vendors_say_nothing_unknown(shop: World) -> None:
    """All answers of this module but those made up: each provider's first answer was looked at."""
    assert value(series(shop), "gateway_contract_drift_total", provider="xayn", what="unknown") == 0
    assert {name for name in NAMES if shop.provider(name).adapter.documented} == {"recomendo", "xayn"}


# --- nothing that a caller sends makes a series -----------------------------------------------------------------


@inside
async def test_whatever_callers_send_makes_no_new_series(shop: World) -> None:
    async def nothing_waits() -> bool:
        return not any(queue.queued for queue in (await shop.runtime.store.queues()).values())

    async def all_sorts(n: int) -> None:
        odd = f"odd-{n}"
        await shop.ask("home", user={"id": odd}, count=n + 1)
        await shop.ask(odd, user=U0)
        await shop.ask("home", items=[odd], kind="similar_items")
        await shop.ask("home", kind=odd)
        await shop.search("search", query=odd)
        await shop.request("GET", f"/{odd}")
        await shop.request(ODD_METHODS[n], "/v1/recommendations")
        await shop.request(ODD_METHODS[n], f"/{odd}")
        await shop.request("GET", f"/v1/items/{odd}")
        await shop.request("GET", f"/v1/recommendations?placement={odd}&{odd}=1")
        await shop.request("POST", "/v1/recommendations", data=odd, headers={"Content-Type": f"text/{odd}"})
        await shop.ask("home", user=U0, headers={"X-Api-Key": odd})
        await shop.ask(
            "home", user=U0, headers={"traceparent": odd, "X-Request-Id": odd, "Origin": f"http://{odd}"}
        )
        await shop.ask("home", user=U0, headers={"Gateway-Provider": odd})
        event = {"id": odd, "type": f"odd_{n}", "user": {"id": odd}, "items": [odd], "recommendation_id": odd}
        await shop.request("POST", "/v1/events", json={"events": [event]})
        await until(nothing_waits)

    for n in range(3):
        await all_sorts(n)
    before = series(shop).keys()
    for n in range(3, 12):
        await all_sorts(n)
    assert series(shop).keys() - before == set()
    assert "odd" not in shop.metrics()
    assert value(series(shop), "http_server_request_duration_seconds_count", http_route="unknown") > 0
    assert value(series(shop), "http_server_request_duration_seconds_count", http_request_method=OTHER) > 0


# --- families and formats ---------------------------------------------------------------------------------------


@inside
async def test_only_what_is_declared_is_shown_and_as_it_is_declared(shop: World) -> None:
    declared = {family.name: family for family in FAMILIES}
    for metric in text_string_to_metric_families(shop.metrics()):
        family = declared.get(metric.name.removesuffix("_total"))
        if family is None:
            assert metric.name in PROCESS, metric.name
            continue
        assert (metric.type, metric.documentation) == (family.kind, family.what)
        for sample in metric.samples:
            assert set(sample.labels) - {"le"} == set(family.labels), sample
    shown = {metric.name.removesuffix("_total") for metric in text_string_to_metric_families(shop.metrics())}
    assert {*declared} - shown == {"gateway_workers"}


@inside
async def test_both_formats_hold_the_same(shop: World) -> None:
    content_type, body = shop.runtime.metrics.negotiated("")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    plain = {
        (s.name, frozenset(s.labels.items()))
        for f in text_string_to_metric_families(body.decode())
        for s in f.samples
    }
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    content_type, body = shop.runtime.metrics.negotiated(accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    parsed = openmetrics(body.decode())  # type: ignore[no-untyped-call]  # prometheus_client's
    assert {(s.name, frozenset(s.labels.items())) for f in parsed for s in f.samples} == plain


# --- the configuration ------------------------------------------------------------------------------------------


@inside
async def test_a_reload_and_one_that_is_refused(shop: World, directory: Path) -> None:
    before = series(shop)
    assert value(before, "gateway_config_info", epoch=shop.runtime.pipeline.plan.epoch, revision="r1") == 1
    shop.runtime.reject(["it is wrong"])
    assert value(series(shop), "gateway_config_last_reload_successful") == 0
    applied(shop, directory, lambda written: written.update(revision="r2"))
    after, taken = series(shop), "gateway_config_last_reload_success_timestamp_seconds"
    assert value(after, "gateway_config_last_reload_successful") == 1
    assert value(before, taken) < value(after, taken) == pytest.approx(time.time(), abs=5)
    assert value(after, "gateway_config_info", revision="r2") == value(after, "gateway_config_info") == 1
    applied(shop, directory)


@inside
async def test_a_token_that_ends(shop: World) -> None:
    await shop.provider("recomendo").login()
    ends = value(series(shop), "gateway_token_expiry_timestamp_seconds", provider="recomendo")
    assert ends == 0 or ends > time.time()

"""Spans as a collector gets them: OpenTelemetry's names, whose child is whose, what is kept, and what never costs
a request."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml
from aiohttp import web
from opentelemetry import trace as otel
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.semconv._incubating.attributes import feature_flag_attributes
from opentelemetry.semconv._incubating.attributes import url_attributes as unstable_url
from opentelemetry.semconv._incubating.attributes.service_attributes import SERVICE_INSTANCE_ID as INSTANCE
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    service_attributes,
    telemetry_attributes,
    url_attributes,
)

from gateway.config import load
from gateway.config.model import Traces
from gateway.telemetry import exporting
from gateway.telemetry.exporting import Export
from gateway.telemetry.notes import Notes, Served
from gateway.telemetry.sorts import Sorts
from gateway.telemetry.span import Shape, Span
from gateway.telemetry.trace import Trace
from gateway.telemetry.tracing import Tracing
from tests.collector import FAULTS, Collector, Seen, collector, until
from tests.doors import doors
from tests.test_outbound import site
from tests.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

PERSON: Final = "pl4nted-person"
SPLIT: Final = {
    "key": "vendors", "unit": "user", "arms": {
        "a": {"weight": 1, "providers": ["xayn", "local"]}, "b": {"weight": 0, "providers": ["local"]},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def seen() -> Iterator[Collector]:
    with collector() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory, seen: Collector) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("spans")
    more: dict[str, Any] = {
        "defaults": {"breaker": {"mode": "observe"}},
        "placements": {
            "failing": {"providers": ["xayn", "local"]},
            "cached": {"providers": ["xayn"], "cache": {"ttl": "1h", "stale_if_error": "1h"}},
            "split": {"experiment": SPLIT},
        },
        "telemetry": {"traces": {"exporter": "otlp", "endpoint": seen.url, "share": "0%"}},
    }
    async with world(directory, more) as shop:
        assert shop.runtime.tracing._export is not None
        shop.runtime.tracing._export._linger = 0.01
        yield shop


def parent(sampled: bool = True) -> tuple[str, str, dict[str, str]]:
    trace, span = f"{random.getrandbits(128):032x}", f"{random.getrandbits(64):016x}"
    return trace, span, {"traceparent": f"00-{trace}-{span}-{sampled:02x}"}


async def arrived(shop: World, seen: Collector, trace: str, spans: int) -> list[Seen]:
    """The spans of a trace, the server's first, then as they began."""
    shop.runtime.notes.read()
    await asyncio.to_thread(until, lambda: len(seen.of(trace)) >= spans)
    return sorted(seen.of(trace), key=lambda span: (span.kind != "SERVER", span.begin))


def names(*modules: Any) -> set[str]:
    return {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }


STABLE: Final = names(
    error_attributes, http_attributes, server_attributes, service_attributes, telemetry_attributes, url_attributes
)
UNSTABLE: Final = names(feature_flag_attributes) | {
    unstable_url.URL_TEMPLATE,
    INSTANCE,
}


# --- one request ------------------------------------------------------------------------------------------------


async def test_a_request_and_its_exchange(shop: World, seen: Collector) -> None:
    trace, caller, headers = parent()
    before = time.time_ns()
    reply = await shop.ask("xayn", user={"id": "u1"}, headers=headers)
    assert reply.status == 200
    server, client = await arrived(shop, seen, trace, 2)
    assert (server.name, server.kind, server.parent) == ("POST /v1/recommendations", "SERVER", caller)
    assert server.values == {
        "http.request.method": "POST", "http.route": "/v1/recommendations", "url.path": "/v1/recommendations",
        "url.scheme": "http", "http.response.status_code": 200, "gateway.epoch": shop.runtime.pipeline.plan.epoch,
        "gateway.placement": "xayn", "gateway.kind": "for_you", "gateway.provider": "xayn",
        "gateway.cache": "miss", "gateway.fallback": False,
    }  # fmt: skip
    assert client.parent == server.id and client.kind == "CLIENT"
    template = client.values["url.template"]
    assert client.name == f"POST {template}" and "{id}" in template
    port = int(shop.vendors["xayn"].rpartition(":")[2])
    assert client.values == {
        "http.request.method": "POST", "url.template": template, "url.full": shop.vendors["xayn"] + template,
        "server.address": "127.0.0.1", "server.port": port, "http.response.status_code": 200,
        "gateway.provider": "xayn", "gateway.breaker": "closed",
    }  # fmt: skip
    assert not server.error and not client.error
    assert before - 10**7 < server.begin <= client.begin <= client.end <= server.end < time.time_ns() + 10**7
    resource = server.resource
    assert resource["service.name"] == "recommendation-gateway" and resource["service.version"]
    assert resource["service.instance.id"]


async def test_what_the_collector_is_asked(shop: World, seen: Collector) -> None:
    (head,) = {(head[":path"], head["content-type"], head.get("cookie")) for head in seen.heads}
    assert head == ("/v1/traces", "application/x-protobuf", None)


async def test_a_cached_answer_asks_nobody(shop: World, seen: Collector) -> None:
    await shop.ask("cached", user={"id": "u2"})
    trace, _, headers = parent()
    await shop.ask("cached", user={"id": "u2"}, headers=headers)
    (server,) = await arrived(shop, seen, trace, 1)
    assert server.values["gateway.cache"] == "hit"


async def test_retries_and_who_stands_in(shop: World, seen: Collector) -> None:
    trace, _, headers = parent()
    async with shop.broken("xayn", status=503):
        reply = await shop.ask("failing", user={"id": "u1"}, headers=headers)
    assert reply.provider == "local"
    server, first, second = await arrived(shop, seen, trace, 3)
    assert "http.request.resend_count" not in first.values
    assert second.values["http.request.resend_count"] == 1
    for client in (first, second):
        assert client.error and client.values["error.type"] == "503" and client.parent == server.id
    assert not server.error and server.values["gateway.fallback"] is True
    attempt = {"gateway.provider": "xayn", "error.type": "failed", "gateway.asked": True}
    assert server.events == [("gateway.attempt", attempt)]
    assert second.end <= server.event_times[0] + 10**6 and server.event_times[0] <= server.end


async def test_nobody_answers(shop: World, seen: Collector) -> None:
    trace, _, headers = parent()
    async with shop.broken("xayn", close=True):
        reply = await shop.ask("xayn", user={"id": "u1"}, headers=headers)
    assert reply.status == 503 and reply.json["trace_id"] == trace
    server, *clients = await arrived(shop, seen, trace, 2)
    assert server.error and server.values["error.type"] == "unavailable"
    assert {client.values["error.type"] for client in clients} == {"disconnected"}
    assert all(client.error and "http.response.status_code" not in client.values for client in clients)


async def test_a_callers_mistake_is_no_error_of_ours(shop: World, seen: Collector) -> None:
    trace, _, headers = parent()
    assert (await shop.ask("xayn", count=0, headers=headers)).status == 422
    (server,) = await arrived(shop, seen, trace, 1)
    assert (
        server.values["http.response.status_code"] == 422 and server.values["gateway.problem"] == "invalid-request"
    )
    assert not server.error and "error.type" not in server.values


async def test_paths_and_methods_that_there_are_not(shop: World, seen: Collector) -> None:
    trace, _, headers = parent()
    await shop.request("POST", f"/{PERSON}", headers=headers)
    assert (await shop.request("SEARCH", f"/v1/users/{PERSON}", headers=headers)).status == 405
    unknown, odd = await arrived(shop, seen, trace, 2)
    assert unknown.name == "POST" and not {"http.route", "url.path"} & unknown.values.keys()
    assert odd.name.split()[0] == "HTTP" and odd.values["http.request.method"] == "_OTHER"


async def test_who_hangs_up_made_no_error(shop: World, seen: Collector) -> None:
    trace, _, headers = parent()
    before = shop.calls.total()
    async with shop.broken("xayn", delay="2s"):
        asking = asyncio.create_task(shop.ask("xayn", user={"id": "u1"}, headers=headers))
        while shop.calls.total() == before:  # noqa: ASYNC110  # the vendor has it
            await asyncio.sleep(0.005)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        while not seen.of(trace):  # the gateway notices
            shop.runtime.notes.read()
            await asyncio.sleep(0.02)
        server, client = await arrived(shop, seen, trace, 2)
    assert server.values["gateway.hung_up"] is True and client.values["gateway.cancelled"] is True
    for span in (server, client):
        assert not span.error and not {"error.type", "http.response.status_code"} & span.values.keys()


async def test_a_batch_has_its_parts(shop: World, seen: Collector) -> None:
    trace, _, headers = parent()
    requests = [{"placement": "split", "user": {"id": "u1"}}, {"placement": "local"}, {"placement": "nowhere"}]
    await shop.request("POST", "/v1/recommendations/batch", json={"requests": requests}, headers=headers)
    server, client = await arrived(shop, seen, trace, 2)
    parts = [values for name, values in server.events if name == "gateway.part"]
    assert [part.get("gateway.placement") for part in parts] == ["split", "local", None]
    assert [part.get("gateway.provider") for part in parts] == ["xayn", "local", None]
    assert parts[0]["gateway.arm"] == "a"
    assert [name for name, _ in server.events].count("feature_flag.evaluation") == 1
    assert client.parent == server.id


async def test_what_an_experiment_showed(shop: World, seen: Collector) -> None:
    trace, _, headers = parent()
    await shop.ask("split", user={"id": "u1"}, headers=headers)
    server, _ = await arrived(shop, seen, trace, 2)
    (event,) = server.events
    phase = shop.runtime.phases()[0]
    assert event == ("feature_flag.evaluation", {
        "feature_flag.key": "vendors", "feature_flag.result.variant": "a", "feature_flag.version": phase.name,
        "feature_flag.result.reason": "split", "feature_flag.provider.name": "recommendation-gateway",
    })  # fmt: skip
    trace, _, headers = parent()
    await shop.ask("split", headers=headers)  # nobody: in no experiment
    assert not any(span.events for span in await arrived(shop, seen, trace, 1) if span.kind == "SERVER")


async def test_other_operations_have_their_exchanges(shop: World, seen: Collector) -> None:
    trace, _, headers = parent()
    await shop.request("GET", f"/v1/users/{PERSON}/profile?provider=affinities", headers=headers)
    server, client = await arrived(shop, seen, trace, 2)
    assert server.values["http.route"] == "/v1/users/{id}/profile" and client.parent == server.id
    assert client.values["gateway.provider"] == "affinities"


# --- what is kept -----------------------------------------------------------------------------------------------


async def test_the_caller_decides(shop: World, seen: Collector) -> None:
    no, _, headers = parent(sampled=False)
    reload(shop, share="100%")
    await shop.ask("local", headers=headers)
    reload(shop, share="0%")
    await shop.ask("local")
    yes, _, headers = parent()
    await shop.ask("local", headers=headers)
    await arrived(shop, seen, yes, 1)
    assert seen.of(no) == []


async def test_else_a_share_by_the_trace_alone() -> None:
    for share in (0.0, 0.1, 0.5, 1.0):
        theirs = TraceIdRatioBased(share)
        for _ in range(200):
            trace = Trace()
            wanted = (
                theirs.should_sample(None, int(trace.trace_id, 16), "x").decision is Decision.RECORD_AND_SAMPLE
            )
            assert trace.kept(share) is wanted
    kept = sum(Trace().kept(0.1) for _ in range(20_000))
    assert 1_800 < kept < 2_200


async def test_a_decision_holds_for_the_whole_trace() -> None:
    trace = Trace()
    assert trace.kept(1.0) and trace.kept(0.0)


async def test_what_nobody_asked_for_is_a_trace_of_its_own(shop: World, seen: Collector) -> None:
    reload(shop, share="100%")
    known = len(seen.spans)
    body = {"events": [{"type": "view", "user": {"id": PERSON}, "items": ["d0"]}]}
    assert (await shop.request("POST", "/v1/events", json=body)).status == 202

    def delivered() -> bool:
        shop.runtime.notes.read()
        return any(span.kind == "CLIENT" and not span.parent for span in seen.spans[known:])

    await asyncio.to_thread(until, delivered)
    reload(shop, share="0%")


async def test_probes_have_none_unless_wanted(shop: World) -> None:
    made: list[Span] = []
    spans = shop.runtime.tracing._spans
    assert spans is not None
    trace = Trace(parent()[2]["traceparent"])
    probes = [Served("GET", "/livez", 200, 1.0, 1.1, one, None) for one in (Trace(), trace)]
    offer, spans._offer, spans.share = spans._offer, made.extend, 1.0
    spans.read(probes)
    spans._offer, spans.share = offer, 0.0
    assert len(made) == 1


def reload(shop: World, file: Path | None = None, **traces: Any) -> None:
    """Take the same configuration with other traces."""
    where = Path(shop.runtime.pipeline.plan.configuration.state.path or "").parent / "gateway.yaml"
    written = yaml.safe_load(where.read_text())
    written["telemetry"]["traces"].update(traces)
    where.write_text(yaml.safe_dump(written, sort_keys=False))
    shop.runtime.apply(load(where, {}))


async def test_traces_follow_a_reload(shop: World, seen: Collector) -> None:
    with collector() as other:
        reload(shop, endpoint=other.url)
        trace, _, headers = parent()
        await shop.ask("local", headers=headers)
        await arrived(shop, other, trace, 1)
        reload(shop, exporter="none")
        await shop.ask("local", headers=parent()[2])
        shop.runtime.notes.read()
        assert shop.runtime.tracing._way == ("none", "")
        reload(shop, exporter="otlp", endpoint=seen.url)
        assert shop.runtime.tracing._export is not None
        shop.runtime.tracing._export._linger = 0.01
        assert seen.of(trace) == []


# --- what is said -----------------------------------------------------------------------------------------------


async def test_every_name_is_of_the_conventions(shop: World, seen: Collector) -> None:
    """Over all that the tests before this one have sent."""
    assert len(seen.spans) > 15
    assert {span.kind for span in seen.spans} == {"SERVER", "CLIENT"}
    said = {name for span in seen.spans for name in (*span.values, *span.resource)}
    said |= {name for span in seen.spans for _, values in span.events for name in values}
    assert {name for name in said - STABLE - UNSTABLE if not name.startswith("gateway.")} == set()
    for span in seen.spans:
        assert {"http.request.method"} <= span.values.keys()
        wanted = {"url.scheme"} if span.kind == "SERVER" else {"server.address", "server.port", "url.full"}
        assert wanted <= span.values.keys(), span
        assert span.error == ("error.type" in span.values)


async def test_nobodys_id_stands_in_one(shop: World, seen: Collector) -> None:
    trace, _, headers = parent()
    await shop.request("GET", f"/v1/users/{PERSON}/profile?provider=affinities", headers=headers)
    await arrived(shop, seen, trace, 2)
    sent = b"".join(seen.bodies)
    assert b"/v1/users/{id}/profile" in sent and PERSON.encode() not in sent


async def test_no_providers_of_the_sdk_are_set() -> None:
    assert type(otel.get_tracer_provider()).__name__ == "ProxyTracerProvider"


# --- what vendors are told --------------------------------------------------------------------------------------


@pytest.mark.parametrize("exporter", ["none", "otlp"])
@pytest.mark.parametrize("told", [False, True])
async def test_vendors_are_told_only_where_that_is_wanted(
    tmp_path: Path, seen: Collector, told: bool, exporter: str
) -> None:
    async with site(lambda _: web.json_response({"documents": []})) as vendor:
        options = {"url": vendor.url, "token": "t"}
        traces = {"exporter": exporter, "endpoint": seen.url, "share": "0%", "propagate_to_vendors": told}
        more = {
            "providers": {"xayn": {"adapter": "xayn", "options": options}},
            "placements": {"default": {"providers": ["xayn"]}},
            "telemetry": {"traces": traces},
        }
        async with doors(tmp_path, more) as gateway:
            traced: list[dict[str, str]] = []
            for sampled in (True, False, None):
                headers = parent(sampled)[2] if sampled is not None else {}
                odd = {**headers, "tracestate": "a=b", "baggage": "user=u"}
                assert (await gateway.ask(odd, placement="default", user={"id": "u"})).status == 200
                traced.append(headers)
            asked = [request for request in vendor.seen if request.method == "POST"]
            assert len(asked) == 3
            assert not any({"tracestate", "baggage"} & {name.lower() for name in one.headers} for one in asked)
            if not told:
                assert not any("traceparent" in one.headers for one in asked)
                return
            values = [one.headers["traceparent"].split("-") for one in asked]
            if exporter == "otlp":
                gateway.runtime.notes.read()
                await asyncio.to_thread(until, lambda: any(one.kind == "CLIENT" for one in seen.of(values[0][1])))
        assert [value[3] for value in values] == ["01", "00", "00"]
        for value, headers in zip(values[:2], traced[:2], strict=True):
            assert value[1] == headers["traceparent"].split("-")[1]
        if exporter == "none":
            assert values[0][2] == traced[0]["traceparent"].split("-")[2]
        else:
            clients = [span for span in seen.of(values[0][1]) if span.kind == "CLIENT"]
            assert [span.id for span in clients] == [values[0][2]]


# --- collectors of every sort -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*FAULTS, "down"])
async def test_a_collector_costs_no_request(tmp_path: Path, fault: str) -> None:
    with collector() as bad:
        bad.fault = fault
        url = bad.url if fault != "down" else "http://127.0.0.1:9"
        more = {"telemetry": {"traces": {"exporter": "otlp", "endpoint": url, "share": "100%"}}}
        async with doors(tmp_path, more) as gateway:
            export = gateway.runtime.tracing._export
            assert export is not None
            export._linger = 0.0
            slowest = 0.0
            for _ in range(20):
                began = time.monotonic()
                assert (await gateway.ask()).status == 200
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0.005)
            assert slowest < 5  # the slow one takes four times as long at least
            gateway.runtime.notes.read()
            if fault in ("500", "400", "redirect", "garbage"):
                await asyncio.to_thread(until, lambda: gateway.runtime.tracing.lost > 0)
            began = time.monotonic()
            await asyncio.to_thread(gateway.runtime.tracing.close)
            assert time.monotonic() - began < 10  # 1 s; as above
            assert gateway.runtime.tracing.lost > 0 or fault in ("endless", "cut")  # these said 200


class Stuck:
    """Takes its time."""

    def __init__(self) -> None:
        self.asked = 0
        self.works = False

    def export(self, _spans: Any) -> bool:
        self.asked += 1
        if not self.works:
            raise RuntimeError("something nobody thought of")
        return True

    def shutdown(self) -> None:
        pass


SPAN: Final = Span(Shape("x", "server", {}, False), "1" * 32, "2" * 16, None, False, 1, 2)


async def test_what_waits_is_bounded_and_what_is_lost_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST", 100)
    exporter = Stuck()
    export = Export(exporter, pause=60.0, linger=0.0)
    export.offer([SPAN])
    await asyncio.to_thread(until, lambda: export.lost == 1)  # it failed, and there is a pause now
    for _ in range(50):
        export.offer([SPAN] * 10)
    assert len(export._waiting) == 100 and export.lost == 401 and exporter.asked == 1
    began = time.monotonic()
    export.close(1.0)
    assert time.monotonic() - began < 10 and export.lost == 501  # it has a pause of a minute


async def test_it_goes_on_when_the_collector_does() -> None:
    exporter = Stuck()
    export = Export(exporter, pause=0.01, linger=0.0)
    export.offer([SPAN])
    await asyncio.to_thread(until, lambda: export.lost == 1)
    exporter.works = True
    export.offer([SPAN])
    await asyncio.to_thread(until, lambda: exporter.asked == 2)
    export.close(1.0)
    assert export.lost == 1


async def test_spans_to_the_console() -> None:
    lines: list[bytes] = []
    tracing = Tracing(Notes(), lines.append, Sorts())
    tracing.apply(Traces.model_validate({"exporter": "console", "share": "100%"}))
    tracing.read([Served("GET", "/v1/items/{id}", 200, 1.0, 1.1, Trace(), None)])
    tracing.close()
    (line,) = lines
    assert line.count(b"\n") == 1 and b"GET /v1/items/{id}" in line


async def test_nothing_of_the_environment_leads_elsewhere(
    monkeypatch: pytest.MonkeyPatch, seen: Collector
) -> None:
    for name, value in {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_SERVICE_NAME": "other", "OTEL_RESOURCE_ATTRIBUTES": "a=b", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true",
        "OTEL_TRACES_SAMPLER": "always_off", "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=shop",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    tracing = Tracing(Notes(), print, Sorts())
    tracing.apply(Traces.model_validate({"exporter": "otlp", "endpoint": seen.url, "share": "100%"}))
    trace = Trace()
    tracing.read([Served("GET", "/v1/items/{id}", 200, 1.0, 1.1, trace, None)])
    await asyncio.to_thread(tracing.close)
    (span,) = seen.of(trace.trace_id)
    assert span.resource["service.name"] == "recommendation-gateway" and "a" not in span.resource
    assert seen.heads[-1]["x-tenant"] == "shop"

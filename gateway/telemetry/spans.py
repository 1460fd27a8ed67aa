"""Spans, made of notes when these are read, by OpenTelemetry's conventions for HTTP.

    Served     a server span ─┬─ its events: parts of a batch, exposures, providers that did not answer
    Exchange   a client span ─┘  of the request that it was made for; else (a delivery, a login) its own root
    Round      events of the server span that is still to come

What a span says is listed here. URLs stand in it as templates, and no header, query, body or id of anybody's does.
Whether a trace is kept is decided here, when nobody waits: the SDK's tracer, which decides and collects while a
request is under way, is not used; its spans and exporters are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_RESEND_COUNT,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION
from opentelemetry.semconv.attributes.telemetry_attributes import (
    TELEMETRY_SDK_LANGUAGE,
    TELEMETRY_SDK_NAME,
    TELEMETRY_SDK_VERSION,
)
from opentelemetry.semconv.attributes.url_attributes import URL_FULL, URL_PATH, URL_SCHEME
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gateway.delivery import Call
from gateway.policies.failover import Attempt
from gateway.telemetry.notes import Exchange, Note, Round, Served
from gateway.telemetry.outcomes import HUNG_UP, METHODS, cache_outcome, known_method
from gateway.telemetry.trace import Trace, new_span

NAME: Final = "recommendation-gateway"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
URL_TEMPLATE: Final = "url.template"
FLAG_KEY: Final = "feature_flag.key"
FLAG_PROVIDER: Final = "feature_flag.provider.name"
FLAG_REASON: Final = "feature_flag.result.reason"
FLAG_VARIANT: Final = "feature_flag.result.variant"
FLAG_VERSION: Final = "feature_flag.version"
"""These are not yet stable, so that the package of the conventions has no public constants for them."""

UNKNOWN: Final = "unknown"
"""The route of a path that there is not."""
PROBES: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Nobody asks how these went; they have spans where their caller decided so."""
MOST_EVENTS: Final = 128
"""Of one span, as the SDK has it."""
STEP: Final = 50_000_000
"""Nanoseconds: a wall clock that was set by more is followed."""

SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
UNSET: Final = Status(StatusCode.UNSET)
ERROR: Final = Status(StatusCode.ERROR)

Value = str | int | bool
Values = dict[str, Value]


class Spans:
    """Makes them of the traces that are kept: as their caller decided, else the share (0..1) of all."""

    def __init__(self, share: float, instance: str, offer: Callable[[list[ReadableSpan]], None]) -> None:
        self.share = share
        self._offer = offer
        self._scope = InstrumentationScope(NAME, version(NAME))
        self._resource = resource(instance)
        self._began = time.time_ns() - time.monotonic_ns()

    def read(self, notes: Sequence[Note]) -> None:
        """A span for each that is kept, into the hands of the exporter."""
        self._follow_clock()
        made: list[ReadableSpan] = []
        for note in notes:
            if isinstance(note, Served):
                if self._wanted(note):
                    made.append(self._server(note))
            elif isinstance(note, Exchange):
                trace = note.trace or Trace()
                if trace.kept(self.share):
                    made.append(self._client(note, trace))
            elif isinstance(note, Round) and note.attempts and note.trace and note.trace.kept(self.share):
                self._keep_attempts(note, note.trace)
        if made:
            self._offer(made)

    def _wanted(self, served: Served) -> bool:
        trace = served.trace
        return trace.kept(self.share) and not (served.route in PROBES and trace.sampled is None)

    def _server(self, served: Served) -> ReadableSpan:
        trace, ended = served.trace, self._at(served.ended)
        route = None if served.route == UNKNOWN else served.route
        method, name = _method(served.method, route)
        parent = None
        if trace.parent_id is not None:
            parent = _context(trace.trace_id, trace.parent_id, remote=True)
        events = [*(trace.events or ()), *_events(served.call, ended)][:MOST_EVENTS]
        trace.events = None
        return ReadableSpan(
            name,
            _context(trace.trace_id, trace.span_id),
            parent,
            self._resource,
            attributes=_of_server(served, method, route),
            events=events,
            kind=SpanKind.SERVER,
            status=ERROR if served.status >= 500 else UNSET,
            start_time=self._at(served.started),
            end_time=ended,
            instrumentation_scope=self._scope,
        )

    def _client(self, exchange: Exchange, trace: Trace) -> ReadableSpan:
        method, name = _method(exchange.method, exchange.route)
        parent = _context(trace.trace_id, trace.span_id) if exchange.trace is not None else None
        values = _of_client(exchange, method)
        return ReadableSpan(
            name,
            _context(trace.trace_id, exchange.span or new_span()),
            parent,
            self._resource,
            attributes=values,
            kind=SpanKind.CLIENT,
            status=ERROR if ERROR_TYPE in values else UNSET,
            start_time=self._at(exchange.started),
            end_time=self._at(exchange.started + exchange.seconds),
            instrumentation_scope=self._scope,
        )

    def _keep_attempts(self, round_: Round, trace: Trace) -> None:
        """For the server span, which is made when the request has ended."""
        events = trace.events = trace.events or []
        at = round_.ended - round_.seconds
        for attempt in round_.attempts:
            at += attempt.seconds
            if len(events) < MOST_EVENTS:
                events.append(Event("gateway.attempt", _of_attempt(attempt), self._at(at)))

    def _at(self, moment: float) -> int:
        """Nanoseconds since 1970 of a moment of the monotonic clock."""
        return int(moment * 1e9) + self._began

    def _follow_clock(self) -> None:
        now = time.time_ns() - time.monotonic_ns()
        if abs(now - self._began) > STEP:
            self._began = now


def resource(instance: str) -> Resource:
    """Who we are. Of the environment nothing: a variable meant for another program must not rename this one."""
    return Resource(
        {
            SERVICE_NAME: NAME,
            SERVICE_VERSION: version(NAME),
            SERVICE_INSTANCE_ID: instance,
            TELEMETRY_SDK_LANGUAGE: "python",
            TELEMETRY_SDK_NAME: "opentelemetry",
            TELEMETRY_SDK_VERSION: version("opentelemetry-sdk"),
        }
    )


# --- what they say ----------------------------------------------------------------------------------------------


def _of_server(served: Served, method: str, route: str | None) -> Values:
    values: Values = {HTTP_REQUEST_METHOD: method, URL_SCHEME: "http", "gateway.epoch": served.epoch}
    if route is not None:
        values[HTTP_ROUTE] = values[URL_PATH] = route  # the path itself may name a person
    if served.status == HUNG_UP:
        values["gateway.hung_up"] = True  # nothing was sent, and nobody was at fault
    else:
        values[HTTP_RESPONSE_STATUS_CODE] = served.status
    if served.problem is not None:
        values["gateway.problem"] = served.problem
    if served.status >= 500:
        values[ERROR_TYPE] = served.problem or str(served.status)
    if served.call is not None:
        values |= _of_call(served.call)
    return values


def _of_call(call: Call) -> Values:
    values: Values = {}
    if call.asked is not None:
        values["gateway.placement"] = call.asked.placement.name
        values["gateway.kind"] = call.asked.kind
        if call.asked.arm.name is not None:
            values["gateway.arm"] = call.asked.arm.name
    if call.provider is not None:
        values["gateway.provider"] = call.provider
    if call.cache_status:
        values["gateway.cache"] = cache_outcome(call.cache_status)
    if call.answer is not None:
        values["gateway.fallback"] = call.answer.fallback
    return values


def _events(call: Call | None, at: int) -> Iterator[Event]:
    """The parts of a batch, and what experiments showed."""
    if call is None:
        return
    for part in call.parts:
        yield Event("gateway.part", _of_call(part), at)
    for one in call.parts or (call,):
        if one.exposed and one.asked is not None and one.asked.placement.phase is not None:
            yield Event("feature_flag.evaluation", _of_exposure(one), at)


def _of_exposure(call: Call) -> Values:
    """The unit is left out: it is a person's id."""
    assert call.asked is not None and call.asked.placement.phase is not None  # noqa: S101  # looked at before
    phase = call.asked.placement.phase
    return {
        FLAG_KEY: phase.experiment,
        FLAG_VARIANT: call.asked.arm.name or "",
        FLAG_VERSION: phase.name,
        FLAG_REASON: "split",
        FLAG_PROVIDER: NAME,
    }


def _of_attempt(attempt: Attempt) -> Values:
    """What is said about the error is left out: it may be the vendor's words."""
    error = attempt.error
    return {"gateway.provider": attempt.provider, ERROR_TYPE: error.name, "gateway.asked": error.asked}


def _of_client(exchange: Exchange, method: str) -> Values:
    address, port = _server_of(exchange.host)
    values: Values = {
        HTTP_REQUEST_METHOD: method,
        SERVER_ADDRESS: address,
        SERVER_PORT: port,
        URL_FULL: exchange.host + exchange.route,
        URL_TEMPLATE: exchange.route,
        "gateway.provider": exchange.provider,
    }
    outcome = exchange.outcome
    if isinstance(outcome, int):
        values[HTTP_RESPONSE_STATUS_CODE] = outcome
    if outcome == "cancelled":
        values["gateway.cancelled"] = True  # nobody waited for it any more: no error
    elif not isinstance(outcome, int) or outcome >= 400:
        values[ERROR_TYPE] = str(outcome)
    if exchange.resend:
        values[HTTP_REQUEST_RESEND_COUNT] = exchange.resend
    if exchange.breaker is not None:
        values["gateway.breaker"] = exchange.breaker
    return values


def _method(method: str, target: str | None) -> tuple[str, str]:
    """The attribute, and the name of the span; a method that nobody knows could be anything, in any number."""
    name = method if method in METHODS else "HTTP"
    return known_method(method), f"{name} {target}" if target is not None else name


@lru_cache(maxsize=1024)
def _server_of(url: str) -> tuple[str, int]:
    """Host and port of the hosts that the configuration names."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _context(trace: str, span: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), remote, SAMPLED)

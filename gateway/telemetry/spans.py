"""Spans, made of notes when these are read, by OpenTelemetry's conventions for HTTP.

    Served     a server span ─┬─ its events: parts of a batch, exposures, providers that did not answer
    Exchange   a client span ─┘  of the request that it was made for; else (a delivery, a login) its own root
    Round      events of the server span that is still to come

What a span says is listed here. URLs stand in it as templates, and no header, query, body or id of anybody's does.
Whether a trace is kept is decided here, when nobody waits: the SDK's tracer, which decides and collects while a
request is under way, is not used. Most of what a span says is the same for all of its sort: said once (`Shape`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

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

from gateway.policies.failover import Attempt
from gateway.telemetry.notes import Exchange, Note, Round, Served
from gateway.telemetry.outcomes import HUNG_UP, OTHER_METHOD, cache_word, known_method
from gateway.telemetry.sorts import PerSort, Sort, Sorts, Told, told_of
from gateway.telemetry.span import Event, Shape, Span, Values
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


class Spans:
    """Makes them of the traces that are kept: as their caller decided, else the share (0..1) of all."""

    def __init__(self, share: float, offer: Callable[[list[Span]], None], sorts: Sorts) -> None:
        self.share = share
        self._sorts = sorts
        self._offer = offer
        self._shapes = PerSort(_of_server)
        self._began = time.time_ns() - time.monotonic_ns()

    def read(self, notes: Sequence[Note]) -> None:
        """A span for each that is kept, into the hands of the exporter."""
        self._follow_clock()
        share, made = self.share, list[Span]()
        for note in notes:
            if type(note) is Served:
                if note.trace.kept(share) and _is_told(note):
                    made.append(self._server(note))
            elif type(note) is Exchange:
                trace = note.trace or Trace()
                if trace.kept(share):
                    made.append(self._client(note, trace))
            elif type(note) is Round and note.attempts and note.trace and note.trace.kept(share):
                self._keep_attempts(note, note.trace)
        if made:
            self._offer(made)

    def _server(self, served: Served) -> Span:
        trace, sort = served.trace, self._sorts.of(served)
        parent, ended = trace.parent_id, self._at(served.ended)
        events: tuple[Event, ...] = ()
        if trace.events or sort.batch or (sort.told is not None and sort.told.experiment is not None):
            events = (*(trace.events or ()), *_events(served, sort, ended))[:MOST_EVENTS]
            trace.events = None
        began = self._at(served.started)
        return Span(
            self._shapes[sort], trace.trace_id, trace.span_id, parent, parent is not None, began, ended, events
        )

    def _client(self, exchange: Exchange, trace: Trace) -> Span:
        shape = _of_client(
            exchange.method, exchange.host, exchange.route, exchange.outcome, exchange.provider, exchange.resend,
            exchange.breaker,
        )  # fmt: skip
        parent = trace.span_id if exchange.trace is not None else None
        began, ended = self._at(exchange.started), self._at(exchange.started + exchange.seconds)
        return Span(shape, trace.trace_id, exchange.span or new_span(), parent, False, began, ended)

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


def resource(instance: str) -> Values:
    """Who we are. Of the environment nothing: a variable meant for another program must not rename this one."""
    return {
        SERVICE_NAME: NAME,
        SERVICE_VERSION: version(NAME),
        SERVICE_INSTANCE_ID: instance,
        TELEMETRY_SDK_LANGUAGE: "python",
        TELEMETRY_SDK_NAME: "opentelemetry",
        TELEMETRY_SDK_VERSION: version("opentelemetry-sdk"),
    }


def _is_told(served: Served) -> bool:
    return not (served.route in PROBES and served.trace.sampled is None)


# --- what they say ----------------------------------------------------------------------------------------------


def _of_server(sort: Sort) -> Shape:
    values: Values = {HTTP_REQUEST_METHOD: sort.method, URL_SCHEME: "http", "gateway.epoch": sort.epoch}
    route = None if sort.route == UNKNOWN else sort.route
    if route is not None:
        values[HTTP_ROUTE] = values[URL_PATH] = route  # the path itself may name a person
    if sort.status == HUNG_UP:
        values["gateway.hung_up"] = True  # nothing was sent, and nobody was at fault
    else:
        values[HTTP_RESPONSE_STATUS_CODE] = sort.status
    if sort.problem is not None:
        values["gateway.problem"] = sort.problem
    if sort.status >= 500:
        values[ERROR_TYPE] = sort.problem or str(sort.status)
    if sort.told is not None:
        values |= _of_question(sort.told)
    return Shape(_name(sort.method, route), "server", values, sort.status >= 500)


def _of_question(told: Told) -> Values:
    values: Values = {}
    if told.placement is not None and told.kind is not None:
        values["gateway.placement"] = told.placement
        values["gateway.kind"] = told.kind
        if told.arm is not None:
            values["gateway.arm"] = told.arm
    if told.provider is not None:
        values["gateway.provider"] = told.provider
    if told.cache is not None:
        values["gateway.cache"] = cache_word(told.cache)
    if told.answered:
        values["gateway.fallback"] = told.fallback
    return values


def _events(served: Served, sort: Sort, at: int) -> Iterator[Event]:
    """The parts of a batch, and what experiments showed."""
    if served.call is None or sort.told is None:
        return
    parts = [told_of(part) for part in served.call.parts]
    for part in parts:
        yield Event("gateway.part", _of_question(part), at)
    for one in parts or (sort.told,):
        if one.experiment is not None and one.phase is not None:
            yield Event("feature_flag.evaluation", _of_exposure(one.experiment, one.phase, one.arm or ""), at)


def _of_exposure(experiment: str, phase: str, arm: str) -> Values:
    """The unit is left out: it is a person's id."""
    return {
        FLAG_KEY: experiment,
        FLAG_VARIANT: arm,
        FLAG_VERSION: phase,
        FLAG_REASON: "split",
        FLAG_PROVIDER: NAME,
    }


def _of_attempt(attempt: Attempt) -> Values:
    """What is said about the error is left out: it may be the vendor's words."""
    error = attempt.error
    return {"gateway.provider": attempt.provider, ERROR_TYPE: error.name, "gateway.asked": error.asked}


@lru_cache(maxsize=1024)
def _of_client(
    method: str, host: str, route: str, outcome: int | str, provider: str, resend: int, breaker: str | None
) -> Shape:
    parts, known = urlsplit(host), known_method(method)
    values: Values = {
        HTTP_REQUEST_METHOD: known,
        SERVER_ADDRESS: parts.hostname or "",
        SERVER_PORT: parts.port or (443 if parts.scheme == "https" else 80),
        URL_FULL: host + route,
        URL_TEMPLATE: route,
        "gateway.provider": provider,
    }
    if isinstance(outcome, int):
        values[HTTP_RESPONSE_STATUS_CODE] = outcome
    if outcome == "cancelled":
        values["gateway.cancelled"] = True  # nobody waited for it any more: no error
    elif not isinstance(outcome, int) or outcome >= 400:
        values[ERROR_TYPE] = str(outcome)
    if resend:
        values[HTTP_REQUEST_RESEND_COUNT] = resend
    if breaker is not None:
        values["gateway.breaker"] = breaker
    return Shape(_name(known, route), "client", values, ERROR_TYPE in values)


def _name(method: str, target: str | None) -> str:
    """A span's; a method that nobody knows could be anything, in any number."""
    name = "HTTP" if method == OTHER_METHOD else method
    return f"{name} {target}" if target is not None else name

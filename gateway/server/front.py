"""The ordinary front: aiohttp before the pipeline. Requests become calls, deliveries become responses.

Whatever goes wrong leaves from `_answered` as a problem: one place, so that no path can forget it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from gateway.answering.asked import Caller
from gateway.answering.delivery import Call, Delivery
from gateway.errors import GatewayError, NotFound
from gateway.model.wire import BatchRequest
from gateway.server import bodies, problems
from gateway.server.documents.openapi import document
from gateway.server.documents.pages import docs_page, problem_page
from gateway.server.dressing import Dressing
from gateway.server.edges import EDGE, Edge, check_head
from gateway.server.endpoints import ENDPOINTS, CacheQuery, Endpoint
from gateway.server.fast.connection import FastEdge
from gateway.server.fast.lane import Lane
from gateway.server.handlers import ops
from gateway.server.handlers.activity import Activity
from gateway.server.handlers.batch import answered
from gateway.server.handlers.experiments import Experiments
from gateway.server.handlers.personalization import Personalization
from gateway.server.handlers.records import Records
from gateway.server.handlers.rules import Rules
from gateway.server.handlers.trainings import Trainings
from gateway.server.mistakes import convert, decode
from gateway.server.runtime import Runtime
from gateway.server.tracing import HUNG_UP, request_id
from gateway.server.ui.handlers import Ui
from gateway.server.workers import gathering
from gateway.telemetry.notes import Served
from gateway.telemetry.trace import Trace

Handler = Callable[[web.Request, Call], Awaitable[Delivery]]

NOTHING_ELSE: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HTML: Final = (("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", NOTHING_ELSE))

PARTS: Final = (Activity, Records, Rules, Personalization, Trainings, Experiments, Ui)
"""The handlers that stand in modules of their own."""
CALL: Final = web.RequestKey("call", Call)
"""What the pipeline found out about a request, for its line in the log."""
TRACE: Final = web.RequestKey("trace", Trace)
RUNTIME: Final = web.AppKey("runtime", Runtime)


class Front:
    """Routes and handlers of one listener."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._dressing = Dressing(runtime)

    def app(self, *, admin: bool = False) -> web.Application:
        """The operations; on the admin listener the state of the process too."""
        app = web.Application(middlewares=[self._answered])
        app[RUNTIME] = self._runtime
        edge: Callable[..., Edge] = partial(
            FastEdge, Lane(self._runtime, self._dressing), self._runtime.metrics.active
        )
        app[EDGE] = edge
        for endpoint in ENDPOINTS:
            if endpoint.admin and not admin:
                continue
            methods = ("GET", "HEAD") if endpoint.method == "GET" else (endpoint.method,)
            for method in methods:
                handler = self._handler(endpoint)
                app.router.add_route(method, endpoint.path, handler, expect_handler=_expected)
        return app

    def _handler(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        handle = self._handles(endpoint.name)

        async def handled(request: web.Request) -> web.StreamResponse:
            shown = request.method != "HEAD"
            call = Call(endpoint.name, request.headers, shown=shown, trace=request[TRACE])
            request[CALL] = call
            self._admit(endpoint, request, call)
            return _response(await handle(request, call))

        return handled

    def _admit(self, endpoint: Endpoint, request: web.Request, call: Call) -> None:
        """Raises Unauthorized, RateLimited, Forbidden; what of it is the caller's is known then."""
        access = self._runtime.pipeline.access
        if endpoint.scope is None:
            access.pass_by(call.headers)
            return
        published = request.query.get("key") if endpoint.key_in_query else None
        call.caller = access.look(call.headers, published=published)
        call.caller.admit(endpoint.scope, 0 if endpoint.counts_itself else 1)

    def _handles(self, name: str) -> Handler:
        """Of this class, or of a part with a subject of its own."""
        parts = (self, *(part(self._runtime) for part in PARTS))
        handler: Handler = next(getattr(part, name) for part in parts if hasattr(part, name))
        return handler

    @web.middleware
    async def _answered(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Every request ends here, well or as a problem, with one line in the log."""
        started = time.monotonic()
        request[TRACE] = trace = Trace(request.headers.get("traceparent"))
        problem: str | None = None
        self._runtime.metrics.active.begin(request.method)
        try:
            check_head(request)
            preflight = self._preflight(request)
            response = await handler(request) if preflight is None else preflight
        except (ConnectionResetError, asyncio.CancelledError):  # the caller hung up
            self._note(request, HUNG_UP, started, None)
            raise
        except Exception as error:  # here a request ends
            known = problems.known(error, _route(request), trace)
            response, problem = self._problem(request, known, trace), known.slug
        finally:
            self._runtime.metrics.active.end(request.method)
        self._dress(request, response)
        self._note(request, response.status, started, problem)
        return response

    def _preflight(self, request: web.Request) -> web.StreamResponse | None:
        """The answer to a browser that asks before it sends; it carries no credentials yet."""
        refused = request.match_info.http_exception if request.method == "OPTIONS" else None
        if not isinstance(refused, web.HTTPMethodNotAllowed):
            return None
        headers = self._dressing.cors.preflight(request.headers, refused.allowed_methods)
        return None if headers is None else web.Response(status=204, headers=CIMultiDict(headers))

    def _dress(self, request: web.Request, response: web.StreamResponse) -> None:
        call: Call | None = request.get(CALL)
        limit = call.caller.limit if call is not None and call.caller is not None else None
        own, origin = tuple(response.headers.items()), request.headers.get("Origin")
        response.headers.clear()
        response.headers.extend(self._dressing.dressed(own, origin, limit, request_id(request.headers)))

    def _problem(self, request: web.Request, error: GatewayError, trace: Trace) -> web.StreamResponse:
        response = _response(problems.delivery(error, instance=request.path, trace_id=trace.trace_id))
        if "Connection" in error.headers:  # the header alone does not end it
            response.force_close()
        return response

    def _note(self, request: web.Request, status: int, started: float, problem: str | None) -> None:
        """What logs, metrics and spans tell of it later."""
        call: Call | None = request.get(CALL)
        ended, trace, epoch = time.monotonic(), request[TRACE], self._runtime.pipeline.plan.epoch
        self._runtime.notes.note(
            Served(request.method, _route(request), status, started, ended, trace, call, problem, epoch)
        )

    # --- recommendations and search
    async def recommend(self, request: web.Request, call: Call) -> Delivery:
        call.body = await _json_body(request)
        return await self._runtime.pipeline.answer(call)

    async def recommend_by_url(self, request: web.Request, call: Call) -> Delivery:
        call.query = tuple(request.query.items())
        return await self._runtime.pipeline.answer(call)

    async def search(self, request: web.Request, call: Call) -> Delivery:
        call.body = await _json_body(request)
        return await self._runtime.pipeline.answer(call)

    async def recommend_batch(self, request: web.Request, call: Call) -> Delivery:
        pipeline = self._runtime.pipeline
        caller = call.caller
        assert caller is not None  # noqa: S101  # admitted before
        batch = _counted(caller, await _json_body(request))
        deadline = pipeline.deadline(call.headers)
        headers = CIMultiDict(request.headers)
        headers.popall("If-None-Match", None)
        deadline.trace = call.trace

        def tell(index: int, error: GatewayError) -> bytes:
            said = problems.problem(
                error, instance=f"{request.path}#/requests/{index}", trace_id=call.trace.trace_id
            )
            return msgspec.json.encode({"problem": said})

        results = await answered(pipeline, call, batch.requests, caller, headers, deadline, tell)
        body = b'{"results":[' + b",".join(results) + b"]}"
        return Delivery(200, (("Content-Type", "application/json"), ("Cache-Control", "private, no-store")), body)

    # --- for ops
    async def providers(self, request: web.Request, call: Call) -> Delivery:
        return _state(200, await ops.providers(self._runtime))

    async def effective_configuration(self, request: web.Request, call: Call) -> Delivery:
        return _state(200, self._runtime.effective())

    async def drop_cache(self, request: web.Request, call: Call) -> Delivery:
        wanted = convert(dict(request.query), CacheQuery)
        return _state(200, await ops.drop_cache(self._runtime, wanted.placement))

    # --- documents
    async def openapi(self, _request: web.Request, _call: Call) -> Delivery:
        return Delivery(200, (("Content-Type", "application/json"),), document())

    async def docs(self, _request: web.Request, _call: Call) -> Delivery:
        return Delivery(200, HTML, docs_page())

    async def problem(self, request: web.Request, _call: Call) -> Delivery:
        page = problem_page(request.match_info["slug"])
        if page is None:
            raise NotFound("there is no such problem")
        return Delivery(200, HTML, page)

    # --- the state of the process
    async def livez(self, _request: web.Request, _call: Call) -> Delivery:
        return _state(200, {"alive": True})

    async def metrics(self, request: web.Request, _call: Call) -> Delivery:
        written, body = await gathering.metrics(self._runtime, request.headers.get("Accept", ""))
        return Delivery(200, (("Content-Type", written), ("Cache-Control", "no-store")), body)

    async def readyz(self, _request: web.Request, _call: Call) -> Delivery:
        state = self._runtime.readiness()
        return _state(200 if state["ready"] else 503, state)


def _state(status: int, state: dict[str, object]) -> Delivery:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Delivery(status, headers, msgspec.json.encode(state))


def _response(delivery: Delivery) -> web.StreamResponse:
    return web.Response(status=delivery.status, headers=CIMultiDict(delivery.headers), body=delivery.body)


def _route(request: web.Request) -> str:
    """The path with names for ids: what may stand in logs."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"


async def _expected(request: web.Request) -> None:
    """`Expect: 100-continue`: go on, unless the length alone is reason enough to refuse."""
    most = request.app[RUNTIME].configuration.server.max_body
    if request.headers["Expect"].lower() == "100-continue" and (request.content_length or 0) <= most:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


def _counted(caller: Caller, body: bytes) -> BatchRequest:
    """A batch counts as its requests; one that cannot be read as one. Raises InvalidRequest, RateLimited."""
    requests = 1
    try:
        batch = decode(body, BatchRequest)
        requests = len(batch.requests)
    finally:
        caller.charge(requests)
    return batch


async def _json_body(request: web.Request) -> bytes:
    return await bodies.json_body(request, request.app[RUNTIME].configuration.server.max_body)

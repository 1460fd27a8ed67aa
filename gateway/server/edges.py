"""Hard edges: what aiohttp lets through is held to bounds here, before a handler sees it.

connection ▸ Edge.data_received   a head within 10 s and 32 KiB; its lines and their number by aiohttp's parser
           ▸ handle_error         what is no HTTP leaves as a problem, and its bytes stand in no log
           ▸ check_target         a request for another host than its Host header says is refused
bodies: `bodies.py`

The end, with nobody cut off: who waits at the port is taken ▸ every answer says `Connection: close`, for as long
as callers that keep connections open may be on their way (HUSH) ▸ idle connections are closed ▸ what runs gets
`drain`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from aiohttp import HttpVersion10, HttpVersion11, web

from gateway.answering.delivery import Headers
from gateway.errors import GatewayError, Internal, InvalidRequest, Mistake
from gateway.server import problems
from gateway.server.dressing import SECURITY, SERVER
from gateway.server.listening import Site, bound
from gateway.server.tracing import request_id
from gateway.server.workers.crowd import Crowd
from gateway.telemetry.trace import Trace

HEAD_TIME: Final = 10.0
"""Seconds from the first byte of a head to its last (slow loris)."""
HEAD_BYTES: Final = 32 * 1024
"""Of request line and headers together."""
LINE_BYTES: Final = 8190
"""Of the request line, and of each header."""
HEADERS: Final = 100
"""The most headers of one request."""
IDLE: Final = 75.0
"""Seconds that a connection may say nothing; more than the minute that proxies before us keep theirs."""
LINGER: Final = 2.0
"""Seconds for which the rest of a refused body is read, so that its sender sees the answer before the end."""
HUSH: Final = 0.5
"""Seconds at the end for which idle connections are kept: whoever uses one often hears of the end in an answer,
and does not send into a connection that is being closed."""
LOOK: Final = 0.02
"""Seconds between two looks at whether all have gone."""

ONCE: Final = ("Authorization", "X-Api-Key", "Origin", "Content-Type")
"""Headers of which two would leave open which one is meant. aiohttp's parser sees to those that frame."""

log = structlog.get_logger("gateway.request")


EDGE: Final[web.AppKey[Callable[..., Edge]]] = web.AppKey("edge")
"""What an application has its connections made by, where that is not `Edge` alone."""


class Edge(web.RequestHandler):
    """aiohttp's side of one connection, with a clock and a scale for heads.

    aiohttp itself bounds a head by its keep-alive time alone, and by the lines' length times their number.
    """

    __slots__ = ("_head_bytes", "_head_timer", "_runner")

    def __init__(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._runner = runner
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waiter is None or self._waiter.done():  # a whole head was there
            self._head_ended()
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(f"the head is longer than {HEAD_BYTES} bytes")
        elif self._head_timer is None:
            late = f"the head did not arrive within {HEAD_TIME:g} s"
            self._head_timer = self._loop.call_later(HEAD_TIME, self._refuse, late)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_ended()
        super().connection_lost(exc)

    def _head_ended(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, why: str) -> None:
        """There is no request yet that could be answered: the answer is written outright."""
        self._head_ended()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(_raw(_refused(why)))
        self.force_close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if self._runner.leaving:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What the parser refuses (400), or a fault behind the last `except`. aiohttp would log its bytes."""
        log.debug("not http", error=type(exc).__name__)
        broken: GatewayError
        if status == 400:
            broken = _refused("the request is not HTTP, or more of it than is taken")
        else:
            broken = Internal("a fault of the gateway's own", headers={"Connection": "close"})
        delivery = problems.delivery(broken, instance="/", trace_id=Trace().trace_id)
        response = web.Response(
            status=delivery.status, headers=dict(_dressed(delivery.headers)), body=delivery.body
        )
        response.force_close()
        return response

    def log_exception(self, *args: Any, **more: Any) -> None:
        """What aiohttp would log with the caller's bytes (faults of handlers end in the front)."""
        log.debug("connection ended", error=type(more.get("exc_info")).__name__)


class Runner(web.AppRunner):
    """Runs an application behind hard edges."""

    __slots__ = ("_hush", "leaving")

    def __init__(self, app: web.Application, *, drain: float, hush: float = 0.0) -> None:
        """`drain`: seconds that running requests get when it ends; `hush`: that idle connections get before."""
        super().__init__(app, access_log=None, handler_cancellation=True, shutdown_timeout=drain)
        self._hush = hush
        self.leaving = False
        """Is every answer the last of its connection?"""

    @property
    def server(self) -> Any:
        """What makes the protocol of each new connection: asyncio calls it, and `cleanup` its server."""
        server = super().server
        return server and _edges_of(self, server)

    def connections(self) -> int:
        """That are open."""
        server = super().server
        return len(server.connections) if server is not None else 0

    async def cleanup(self) -> None:
        self.leaving = True
        for site in self.sites:
            await site.stop()
        await self._hushed()
        await super().cleanup()

    async def _hushed(self) -> None:
        """Until nobody is connected any more, or the hush is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._hush
        while self.connections() and loop.time() < until:  # noqa: ASYNC110  # aiohttp tells nobody
            await asyncio.sleep(LOOK)


def _edges_of(runner: Runner, server: web.Server) -> Callable[[], Edge]:
    loop, make = asyncio.get_running_loop(), runner.app.get(EDGE, Edge)

    def edge() -> Edge:
        return make(
            runner,
            server,
            loop=loop,
            access_log=None,
            keepalive_timeout=IDLE,
            lingering_time=LINGER,
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            max_headers=HEADERS,
        )

    return edge


async def listen(app: web.Application, host: str, port: int, *, drain: float, hush: float = 0.0) -> Runner:
    """Listen; `cleanup` of the runner ends it. Raises OSError."""
    return await listen_on(app, bound(host, port), drain=drain, hush=hush)


async def listen_on(
    app: web.Application,
    sockets: Sequence[socket.socket],
    *,
    drain: float,
    hush: float = HUSH,
    shared: bool = False,
    crowd: Crowd | None = None,
) -> Runner:
    """Listen on sockets that are bound; the runner has them from now on.

    `shared`: by other processes too; `crowd`: how many connections each of those has.
    """
    runner = Runner(app, drain=drain, hush=hush)
    await runner.setup()
    await Site(runner, sockets, runner.connections, shared=shared, crowd=crowd).start()
    return runner


def check_head(request: web.BaseRequest) -> None:
    """Raises InvalidRequest (400) for what aiohttp's parser takes and two readers could read in two ways."""
    target, headers = request.raw_path, request.headers
    if len(target) + sum(len(name) + len(value) for name, value in request.raw_headers) > HEAD_BYTES:
        raise _refused(f"the head is longer than {HEAD_BYTES} bytes")
    if request.version < HttpVersion10:
        raise _refused("the version of HTTP is not taken here")
    coding = headers.get("Transfer-Encoding")  # with HTTP/1.0 the framing is faulty (RFC 9112 §6.1)
    if coding is not None and (coding.lower() != "chunked" or request.version < HttpVersion11):
        raise _refused("a body may be `chunked` with HTTP/1.1, and nothing else")
    for name in ONCE:
        if name in headers and len(headers.getall(name)) > 1:
            raise _refused(f"the header {name} must be given once")
    if not target.startswith("/") and target != "*" and not _is_host_of(target, headers.get("Host", "")):
        raise _refused("the request line and the Host header name different hosts")  # RFC 9112 §3.2.2


def _is_host_of(target: str, host: str) -> bool:
    """Whoever looks at the header alone would be deceived: the check of this machine's names too."""
    try:
        return urlsplit(target).netloc.lower() == host.lower()
    except ValueError:
        return False


def _refused(why: str) -> InvalidRequest:
    error = InvalidRequest([Mistake("", why)], status=400)
    error.headers["Connection"] = "close"
    return error


def _dressed(headers: Headers) -> Headers:
    return (*headers, *SECURITY, SERVER, ("X-Request-Id", request_id({})))


def _raw(error: GatewayError) -> bytes:
    delivery = problems.delivery(error, instance="/", trace_id=Trace().trace_id)
    headers = (*_dressed(delivery.headers), ("Content-Length", str(len(delivery.body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {delivery.status} Bad Request\r\n{lines}\r\n".encode() + delivery.body

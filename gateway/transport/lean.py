"""The transport for what vendors speak: HTTP/1.1 over kept connections, by a short way from call to bytes.

    exchange ─▸ origin (by the URL's beginning) ─▸ idle connection ─▸ ask ─▸ answer
                                                └ none ─▸ waits or connects, within its time
                        kept, and closed by the vendor meanwhile ─▸ once more, on a fresh connection

It is checked against aiohttp's client on the same servers (tests/test_transports.py), where the differences stand.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from typing import Final

from gateway.adapter import Response
from gateway.deadline import Clock
from gateway.departures import Departures
from gateway.errors import Disconnected, NotConnected, TimedOut
from gateway.transport.addresses import Resolve, resolve
from gateway.transport.connection import Connection
from gateway.transport.origin import Origin, Wires
from gateway.transport.outgoing import Outgoing

AFTER_SCHEME: Final = len("https://")
"""Where the path may begin at the earliest; with `http://`, too, for a host has a letter at least."""
END_OF_HOST: Final = re.compile(r"[/?#]")
OPENS: Final = 10.0
"""Seconds that opening a connection ahead of requests may take, with TLS."""


class LeanTransport:
    """A Transport with connections of its own: those of one provider."""

    def __init__(
        self,
        *,
        connect_timeout: float,
        max_answer: int,
        max_connections: int,
        resolve: Resolve = resolve,
        clock: Clock = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Seconds; bytes after decompression; connections to one host. `tls`: None: the machine's authorities."""
        self._connect_timeout = connect_timeout
        self._max_answer = max_answer
        self._max_connections = max_connections
        self._resolve = resolve
        self._clock = clock
        self._tls = tls
        self._wires: Wires | None = None
        self._origins: dict[str, Origin] = {}
        self._closed = False

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        url = outgoing.url
        slash = url.find("/", AFTER_SCHEME)
        origin = self._origins.get(url[:slash]) if slash > 0 else None
        if origin is None:
            url, slash = _with_path(url)
            origin = self._origin(url[:slash])
        request = origin.heads.request(outgoing, url[slash:])
        connection, fresh = origin.take(), False
        while True:
            if connection is None:
                connection, seconds = await self._connected(origin, seconds, fresh=fresh)
            waiter = connection.ask(request, seconds, without_body=outgoing.method == "HEAD")
            try:
                return await waiter
            except asyncio.CancelledError:
                connection.leave(waiter)
                raise
            except Disconnected:
                if not (connection.stale and outgoing.repeatable):
                    raise
            # RFC 9112 §9.3.1: closed just as we wrote. Another kept one may have gone the same way, a fresh one
            # has nothing to be stale from: this happens once.
            seconds = connection.deadline - origin.loop.time()
            connection, fresh = None, True

    async def _connected(self, origin: Origin, seconds: float, *, fresh: bool = False) -> tuple[Connection, float]:
        """A connection, and the seconds that are left. Raises NotConnected, TimedOut."""
        until = origin.loop.time() + seconds
        try:
            async with asyncio.timeout(seconds):
                connection = await origin.pool.taken(fresh=fresh)
        except TimeoutError as error:
            raise TimedOut(f"no connection within {seconds:.3f} s") from error
        if self._closed:
            connection.close()
            raise NotConnected("the provider was replaced")
        return connection, until - origin.loop.time()

    def _origin(self, url: str) -> Origin:
        """By its URL, up to the path. Raises NotConnected, Misconfigured."""
        if url in self._origins:
            return self._origins[url]
        if self._closed:  # replaced at a reload: whoever comes this late must neither crash nor open it anew
            raise NotConnected("the provider was replaced")
        if self._wires is None:
            self._wires = Wires(
                asyncio.get_running_loop(),
                self._connect_timeout,
                self._max_answer,
                self._max_connections,
                self._resolve,
                self._clock,
                self._tls,
                Departures(),
            )
        self._origins[url] = origin = Origin(url, self._wires)
        return origin

    async def open(self, url: str) -> None:
        url, slash = _with_path(url)
        origin = self._origin(url[:slash])
        if origin.pool.idle:
            return
        try:
            async with asyncio.timeout(OPENS):
                connection = await origin.pool.taken()
        except TimeoutError as error:
            raise NotConnected("no connection in time") from error
        origin.pool.give_back(connection)

    async def close(self) -> None:
        self._closed = True
        for origin in self._origins.values():
            origin.close()
        self._origins.clear()
        await asyncio.sleep(0)  # let the connections see it


def _with_path(url: str) -> tuple[str, int]:
    """The URL, with the root as its path where it has none (RFC 9112 §3.2.1), and where that begins."""
    found = END_OF_HOST.search(url, AFTER_SCHEME)
    end = found.start() if found else len(url)
    return (url, end) if url[end : end + 1] == "/" else (f"{url[:end]}/{url[end:]}", end)

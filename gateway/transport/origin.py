"""One host of a vendor's as the lean transport knows it: its addresses, its connections, the heads it is sent."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohappyeyeballs import start_connection

from gateway.deadline import Clock
from gateway.departures import Departures
from gateway.errors import Misconfigured, NotConnected
from gateway.transport.addresses import Addresses, Resolve
from gateway.transport.connection import Connection
from gateway.transport.heads import Heads
from gateway.transport.pool import Pool

SECOND_ADDRESS: Final = 0.25
"""Seconds after which the next address is tried beside the one that does not answer (RFC 8305 §5)."""
SHUTDOWN: Final = 1.0
"""Seconds that TLS may take to say goodbye."""
PORTS: Final = {"http": 80, "https": 443}


@cache
def verifying() -> ssl.SSLContext:
    """The machine's certificate authorities; host names are checked. Made once: reading them takes a while."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Wires(msgspec.Struct, frozen=True):
    """How connections are made, whatever the host."""

    loop: asyncio.AbstractEventLoop
    connect_timeout: float
    """Seconds: of TCP alone (CONFIG.md)."""
    max_answer: int
    most: int
    """Connections to one host."""
    resolve: Resolve
    clock: Clock
    tls: ssl.SSLContext | None
    """None: `verifying`."""
    departures: Departures
    """Of all of them."""


class Origin:
    """Scheme, host and port: what RFC 6454 calls an origin."""

    def __init__(self, url: str, wires: Wires) -> None:
        """`url`: with nothing after host and port. Raises Misconfigured."""
        scheme, self._host, self._port, header = _parts(url)
        self._wires = wires
        self._clock = wires.clock
        self.loop = wires.loop
        """Asked for once: on Python 3.11 finding the running loop costs a system call."""
        self._tls = (wires.tls or verifying()) if scheme == "https" else None
        self._addresses = Addresses(self._host, self._port, wires.resolve, wires.clock)
        self._refreshing: asyncio.Task[None] | None = None
        self.heads = Heads(header)
        self.pool = Pool(self._connect, wires.most, wires.loop, wires.clock)

    def take(self) -> Connection | None:
        """An idle connection, at once; None where there is none."""
        now = self._clock()
        if now >= self._addresses.until and self._addresses.known and self._refreshing is None:
            self._refreshing = self.loop.create_task(self._refresh())
        return self.pool.take(now)

    async def _refresh(self) -> None:
        """Connections that are in use all the time would otherwise never hear of a host that has moved."""
        try:
            await self._addresses.current()
        except NotConnected:
            return  # whoever opens a connection will say so
        finally:
            self._refreshing = None
        self.pool.retire(stays=self._addresses.means)

    async def _connect(self) -> Connection:
        """A new connection. Raises NotConnected."""
        wires = self._wires
        addresses = await self._addresses.current()
        try:
            async with asyncio.timeout(wires.connect_timeout):
                sock = await start_connection(
                    [*addresses], loop=wires.loop, happy_eyeballs_delay=SECOND_ADDRESS, interleave=1
                )
        except TimeoutError as error:
            raise NotConnected(f"no connection within {wires.connect_timeout:g} s") from error
        except OSError as error:
            raise NotConnected(f"cannot connect: {error.strerror or 'failed'}") from error
        try:
            return await self._protocol_over(sock)
        except OSError as error:
            raise NotConnected(f"cannot connect: {error.strerror or 'failed'}") from error

    async def _protocol_over(self, sock: socket.socket) -> Connection:
        """TLS where it belongs, and the protocol on top. The socket is closed where that fails."""
        wires, address = self._wires, ""

        def connection() -> Connection:
            return Connection(self.pool, address, wires.max_answer, wires.loop, wires.clock, wires.departures)

        try:
            address = sock.getpeername()[0]
            if self._tls is None:
                return (await wires.loop.create_connection(connection, sock=sock))[1]
            name = self._host.rstrip(".")
            return (
                await wires.loop.create_connection(
                    connection, sock=sock, ssl=self._tls, server_hostname=name, ssl_shutdown_timeout=SHUTDOWN
                )
            )[1]
        except BaseException:
            sock.close()
            raise

    def close(self) -> None:
        """Connections are closed, look-ups ended."""
        if self._refreshing is not None:
            self._refreshing.cancel()
        self.pool.close()


def _parts(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port, and the header `Host`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in PORTS or not url.isascii() or not url.isprintable() or "@" in url:
        raise Misconfigured("the request's URL is no http or https URL")
    header = f"[{host}]" if ":" in host else host
    if port is not None and port != PORTS[parts.scheme]:
        header += f":{port}"
    return parts.scheme, host, port or PORTS[parts.scheme], header

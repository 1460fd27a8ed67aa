"""Where connections come in: sockets that are bound once, and may be shared by several processes.

    bound ─▸ inherited by every worker ─▸ Entrance.accept ─▸ a protocol for each connection

All workers accept from one socket, and its queue is the port's: who waits in it when a worker is killed is taken
by another. With a socket for each (SO_REUSEPORT) the kernel would deal connections out before anybody has taken
them, and those that were dealt to the dead one would be reset.

A worker takes one connection each time it looks, so that whoever has less to do looks sooner and takes more.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import structlog
from aiohttp import web

from gateway.config.access import Server
from gateway.config.words import Address

BACKLOG: Final = 1024
"""Connections that wait to be taken (the kernel's `net.core.somaxconn` bounds it too)."""
ALONE: Final = 64
"""Connections that are taken at one look where no other process wants any."""
PAUSE: Final = 0.5
"""Seconds without accepting after the process ran out of descriptors."""
EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""This machine lacks an address that the host's name has, as ::1 of localhost."""

log = structlog.get_logger("gateway")


def bound(host: str, port: int) -> list[socket.socket]:
    """Listening sockets, one for each address of the host. Raises OSError; then none is left open."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sockets.append(_listening(family, kind, protocol, address))
            except OSError as error:
                if error.errno not in NOT_HERE:
                    raise OSError(error.errno, f"{host}:{port}: {error.strerror}") from None
                absent = error
    except BaseException:
        close(sockets)
        raise
    if not sockets and absent is not None:
        raise OSError(absent.errno, f"{host}:{port}: {absent.strerror}")
    return sockets


def _listening(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def close(sockets: Sequence[socket.socket]) -> None:
    """Let go of them; the port is free when every process has."""
    for sock in sockets:
        sock.close()


class Doors(NamedTuple):
    """The listening sockets of a gateway."""

    public: list[socket.socket]
    admin: list[socket.socket]

    @classmethod
    def bind(cls, server: Server) -> Doors:
        """As configured. Raises OSError, and then nothing is bound."""
        public = bound(server.listen.host, server.listen.port)
        try:
            return cls(public, bound(server.admin_listen.host, server.admin_listen.port))
        except BaseException:
            close(public)
            raise

    def close(self) -> None:
        """Let go of all of them."""
        close([*self.public, *self.admin])

    def said(self) -> dict[str, str]:
        """Where they are, for the log; the configuration does not say it of port 0."""
        public, admin = (str(Address(*one[0].getsockname()[:2])) for one in self)
        return {"listen": public, "admin": admin}


class Entrance:
    """Takes connections until it is closed; those that wait in the queue at that moment are taken too."""

    def __init__(
        self, protocol: Callable[[], asyncio.BaseProtocol], sockets: Sequence[socket.socket], *, shared: bool
    ) -> None:
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._at_once = 1 if shared else ALONE
        self._coming: set[asyncio.Task[Any]] = set()
        self.sockets = list(sockets)
        for sock in self.sockets:
            sock.setblocking(False)

    def open(self) -> None:
        """Begin to take."""
        for sock in self.sockets:
            self._loop.add_reader(sock.fileno(), self._take, sock, self._at_once)

    def close(self) -> None:
        """Nobody is turned away who was let into the queue. Call `wait_closed` after it."""
        for sock in self.sockets:
            self._loop.remove_reader(sock.fileno())
            self._take(sock, BACKLOG)
            sock.close()
        self.sockets = []

    async def wait_closed(self) -> None:
        """Until every connection that was taken has its protocol."""
        if self._coming:
            await asyncio.wait(self._coming)

    def _take(self, sock: socket.socket, most: int) -> None:
        for _ in range(most):
            try:
                connection, _address = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # another process was quicker, or the caller has gone
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                self._pause(sock, error)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._welcome(connection))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _welcome(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError as error:  # it went before it was greeted
            log.debug("connection not taken", error=str(error))
            connection.close()

    def _pause(self, sock: socket.socket, error: OSError) -> None:
        """Callers wait in the queue until others have left; to look again at once would only burn the CPU."""
        log.error("connections cannot be taken", error=error.strerror)
        self._loop.remove_reader(sock.fileno())
        self._loop.call_later(PAUSE, self._resume, sock)

    def _resume(self, sock: socket.socket) -> None:
        if sock in self.sockets:
            self._loop.add_reader(sock.fileno(), self._take, sock, self._at_once)


class Site(web.BaseSite):
    """An Entrance as aiohttp's runners know it."""

    __slots__ = ("_entrance",)

    def __init__(self, runner: web.BaseRunner, sockets: Sequence[socket.socket], *, shared: bool) -> None:
        super().__init__(runner)
        assert runner.server is not None  # noqa: S101  # held by BaseSite
        self._entrance = Entrance(runner.server, sockets, shared=shared)

    @property
    def name(self) -> str:
        return ", ".join(str(sock.getsockname()) for sock in self._entrance.sockets)

    async def start(self) -> None:
        await super().start()
        self._server = self._entrance  # type: ignore[assignment]  # as much of a server as aiohttp asks for
        self._entrance.open()

    async def stop(self) -> None:
        await super().stop()
        await self._entrance.wait_closed()

"""Where connections come in: sockets that are bound once, and may be shared by several processes.

    bound ─▸ inherited by every worker ─▸ Entrance.accept ─▸ a protocol for each connection

All workers accept from one socket, and its queue is the port's: who waits in it when a worker is killed is taken
by another. With a socket for each (SO_REUSEPORT) the kernel would deal connections out before anybody has taken
them, and those that were dealt to the dead one would be reset.

A worker takes one connection each time it looks, so that whoever has less to do looks sooner and takes more; and
one that has many leaves the next to others (workers/crowd.py).

When the port is given up, a connection that is made between the last look at the queue and its end would be
reset, and a request that was sent into it lost. So newcomers are kept out first (`refuse_newcomers`): their SYN is
dropped, they try again after a second, and find the port closed, with nothing sent. Linux alone can do that.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import structlog
from aiohttp import web

from gateway.config.access import Server
from gateway.config.words import Address
from gateway.server.workers.crowd import HOLD, Crowd

BACKLOG: Final = 1024
"""Connections that wait to be taken (the kernel's `net.core.somaxconn` bounds it too)."""
ALONE: Final = 64
"""Connections that are taken at one look where no other process wants any."""
HELD: Final = 4
"""Connections that are taken at once when those who have fewer did not come for them."""
PAUSE: Final = 0.5
"""Seconds without accepting after the process ran out of descriptors."""
EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""This machine lacks an address that the host's name has, as ::1 of localhost."""
SETTLE: Final = 0.03
"""Seconds for handshakes that began before newcomers were kept out: those of a longer way may still be reset."""
SO_ATTACH_FILTER: Final = 26
NO_SYN: Final = ctypes.create_string_buffer(
    b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (0x30, 0, 0, 13),  # the flags of the TCP header
            (0x54, 0, 0, 0x12),  # SYN and ACK of them
            (0x15, 0, 1, 0x02),  # is it SYN alone?
            (0x06, 0, 0, 0),  # then drop it
            (0x06, 0, 0, 0xFFFFFFFF),  # else take all of it
        )
    )
)
"""A filter for a listening socket, in the kernel's classic BPF (Documentation/networking/filter.rst)."""

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


def refuse_newcomers(sockets: Iterable[socket.socket]) -> None:
    """Whoever is not on the way yet does not come in any more, through any process's copy of these sockets."""
    if sys.platform != "linux":
        return
    length = (len(NO_SYN) - 1) // struct.calcsize("HBBI")
    program = struct.pack("HP", length, ctypes.addressof(NO_SYN))
    for sock in sockets:
        with suppress(OSError):  # a kernel that has none (gVisor)
            sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


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
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        sockets: Sequence[socket.socket],
        *,
        shared: bool,
        crowd: Crowd | None = None,
        connections: Callable[[], int] = int,
    ) -> None:
        """`crowd`: who else takes; `connections`: how many this process has."""
        self._protocol = protocol
        self._crowd = crowd
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._shared = shared
        self._at_once = 1 if shared else ALONE
        self._coming: set[asyncio.Task[Any]] = set()
        self.sockets = list(sockets)
        for sock in self.sockets:
            sock.setblocking(False)

    def open(self) -> None:
        """Begin to take."""
        for sock in self.sockets:
            self._loop.add_reader(sock.fileno(), self._look, sock)

    async def close(self) -> None:
        """Nobody is turned away who was let into the queue; all that were taken have their protocol then."""
        if not self._shared:
            refuse_newcomers(self.sockets)
        if self._crowd is not None:
            self._crowd.leave()
        await asyncio.sleep(SETTLE)
        for sock in self.sockets:
            self._loop.remove_reader(sock.fileno())
            self._take(sock, BACKLOG)
            sock.close()
        self.sockets = []
        if self._coming:
            await asyncio.wait(self._coming)

    def _look(self, sock: socket.socket) -> None:
        """Somebody waits."""
        if self._crowd is None or self._crowd.may_take(self._connections() + len(self._coming)):
            self._take(sock, self._at_once)
            return
        self._loop.remove_reader(sock.fileno())
        self._loop.call_later(HOLD, self._nobody_came, sock)

    def _nobody_came(self, sock: socket.socket) -> None:
        if sock in self.sockets:
            self._take(sock, HELD)
            self._resume(sock)

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
            self._loop.add_reader(sock.fileno(), self._look, sock)


class Site(web.BaseSite):
    """An Entrance as aiohttp's runners know it."""

    __slots__ = ("_entrance",)

    def __init__(
        self,
        runner: web.BaseRunner,
        sockets: Sequence[socket.socket],
        connections: Callable[[], int],
        *,
        shared: bool,
        crowd: Crowd | None,
    ) -> None:
        super().__init__(runner)
        assert runner.server is not None  # noqa: S101  # held by BaseSite
        self._entrance = Entrance(runner.server, sockets, shared=shared, crowd=crowd, connections=connections)

    @property
    def name(self) -> str:
        return ", ".join(str(sock.getsockname()) for sock in self._entrance.sockets)

    async def start(self) -> None:
        await super().start()
        self._server = self._entrance  # type: ignore[assignment]  # as much of a server as aiohttp asks for
        self._entrance.open()

    async def stop(self) -> None:
        await self._entrance.close()
        self._server = None
        await super().stop()

"""What a host's name means: asked again every minute, and the last answer held on to where nobody answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from math import inf
from typing import Any, Final

from gateway.deadline import Clock
from gateway.errors import NotConnected

REFRESH: Final = 60.0
"""Seconds after which a name is looked up again."""

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` gives them."""
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Looks up a name. Raises OSError."""


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Whatever this machine resolves names with."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class Addresses:
    """The addresses of one host."""

    def __init__(self, host: str, port: int, resolve: Resolve, clock: Clock) -> None:
        self._host = host
        self._port = port
        self._resolve = resolve
        self._clock = clock
        self.known = _literal(host, port)
        """What it meant last; nothing before it was looked up."""
        self.until = inf if self.known else -inf
        """When it is to be looked up again, by the clock."""
        self._looking: asyncio.Task[Sequence[Address]] | None = None

    async def current(self) -> Sequence[Address]:
        """Not older than a minute where the name can be looked up at all. Raises NotConnected.

        Whoever asks at the same time shares one look-up, which goes on when one of them is cancelled.
        """
        if self._clock() < self.until:
            return self.known
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    def means(self, address: str) -> bool:
        """Is this one of them?"""
        return any(known[4][0] == address for known in self.known)

    async def _look(self) -> Sequence[Address]:
        try:
            self.known = await self._resolve(self._host, self._port) or self.known
        except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host at all
            if not self.known:
                raise NotConnected("cannot connect: the host's name is not known") from error
        finally:
            self._looking = None
        self.until = self._clock() + REFRESH
        return self.known


def _literal(host: str, port: int) -> Sequence[Address]:
    """Of an IP address there is nothing to look up; one with a scope is the resolver's matter."""
    try:
        version = ip_address(host).version
    except ValueError:
        return ()
    if "%" in host:
        return ()
    if version == 4:
        return ((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)),)
    return ((socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)),)

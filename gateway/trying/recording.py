"""A transport that remembers: every request and what came of it, in the order in which they began."""

from __future__ import annotations

import asyncio
import time

import msgspec

from gateway.adapter import Response
from gateway.deadline import Clock
from gateway.errors import ProviderError
from gateway.transport import Outgoing, Transport


class Exchange(msgspec.Struct):
    """One request, and its answer or why there is none."""

    request: Outgoing
    allowed: float
    """Seconds that it had."""
    response: Response | None = None
    failure: str = ""
    took: float = 0.0
    """Seconds that it took."""
    login: bool = False
    """Was it a login's? Then its answer holds a token."""

    @property
    def fine(self) -> bool:
        """Was it answered with a 2xx?"""
        return self.response is not None and 200 <= self.response.status < 300


class Recording:
    """Around another transport."""

    def __init__(self, transport: Transport, clock: Clock = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self.exchanges: list[Exchange] = []
        self._logins: set[tuple[str, str]] = set()

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        """As the transport within does."""
        recorded = Exchange(outgoing, seconds, login=(outgoing.method, outgoing.url) in self._logins)
        self.exchanges.append(recorded)
        began = self._clock()
        try:
            recorded.response = await self._transport.exchange(outgoing, seconds)
        except ProviderError as error:
            recorded.failure = str(error)
            raise
        except asyncio.CancelledError:
            recorded.failure = "broken off: nobody waits for it any more"
            raise
        finally:
            recorded.took = self._clock() - began
        return recorded.response

    def mark_logins(self) -> None:
        """What has been exchanged so far were logins; whatever goes to the same place later is one, too."""
        for one in self.exchanges:
            one.login = True
            self._logins.add((one.request.method, one.request.url))

    async def open(self, url: str) -> None:
        """As the transport within does."""
        await self._transport.open(url)

    async def close(self) -> None:
        """As the transport within does."""
        await self._transport.close()

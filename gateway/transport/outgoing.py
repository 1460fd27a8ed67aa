"""One request as it goes over the wire, and what every transport is: bytes out, bytes back, or a typed error."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from gateway.adapter import Response

USER_AGENT: Final = "recommendation-gateway"
ACCEPT_ENCODING: Final = "gzip, deflate"


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One request as it goes over the wire. `url` is complete and encoded."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    repeatable: bool = True
    """May it go out again on a new connection where a kept one turns out to have been closed meanwhile?"""


class Transport(Protocol):
    """Anything that can exchange one request for one answer."""

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        """The complete answer within `seconds`, to the last byte.

        Raises TimedOut, NotConnected (it never left), Disconnected, Malformed; Misconfigured where the request
        itself cannot be said in HTTP (a line break in a header).
        """

    async def open(self, url: str) -> None:
        """Have a connection to this host ready. Raises NotConnected."""

    async def close(self) -> None:
        """Close idle connections; running exchanges are broken off."""

"""A provider's access token: fetched once however many ask, renewed ahead of its end, and once after a 401.

    none ─▸ fetching ─▸ had ──(90 % of its life over)──▸ had, renewing ─▸ had
                         └──(401, and none renewed for that in 10 s)──▸ fetching

A renewal ahead of expiry runs beside the requests, which go on with the token that still holds. One login at a
time; a caller that hangs up does not break off a login that others wait for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.adapter import Token
from gateway.deadline import Clock
from gateway.errors import ProviderError

RENEW_AT: Final = 0.9
"""Share of a token's life after which it is renewed ahead."""
AFTER_401: Final = 10.0
"""Seconds between two renewals because of a 401 (FACTS.md §1)."""
RECENT: Final = 3


class TokenKeeper:
    """Keeps one token. `login` fetches a new one; it is given its own time."""

    def __init__(self, login: Callable[[], Awaitable[Token]], clock: Clock) -> None:
        self._login = login
        self._clock = clock
        self._token: Token | None = None
        self.recent: deque[str] = deque(maxlen=RECENT)
        """The tokens that were had lately, those that are over too: a vendor may still name them."""
        self._since = 0.0
        self._flight: asyncio.Task[Token] | None = None
        self._last_401 = float("-inf")

    @property
    def expires_in(self) -> float | None:
        """Seconds until the token ends; None without a token or without an end."""
        if self._token is None or self._token.life is None:
            return None
        return self._since + self._token.life - self._clock()

    def preset(self, token: Token) -> None:
        """Start with a token that is already had (shared by another process, or in a test)."""
        self._token, self._since = token, self._clock()
        self.recent.append(token.value)

    def current(self) -> str | None:
        """The token that holds now, if there is one; begins its renewal when that is due."""
        if self._token is None:
            return None
        used_up = self._used_up()
        if used_up >= 1:
            return None
        if used_up >= RENEW_AT:
            self._start()
        return self._token.value

    async def fetched(self) -> str:
        """A new token. Raises ProviderError where the login fails."""
        return (await asyncio.shield(self._start())).value

    async def renewed(self, refused: str) -> str | None:
        """Another token than the one that was refused with a 401, or None if it is too soon for one more."""
        if self._token is not None and self._token.value != refused:
            return self._token.value
        if self._flight is None:
            if self._clock() - self._last_401 < AFTER_401:
                return None
            self._last_401 = self._clock()
            self._token = None
        return await self.fetched()

    def _used_up(self) -> float:
        """The share of the token's life that is over."""
        if self._token is None or self._token.life is None:
            return 0.0
        return (self._clock() - self._since) / self._token.life if self._token.life > 0 else 1.0

    def _start(self) -> asyncio.Task[Token]:
        if self._flight is None:
            self._flight = asyncio.get_running_loop().create_task(self._fetch(), name="login")
            self._flight.add_done_callback(_look_at_outcome)
        return self._flight

    async def _fetch(self) -> Token:
        try:
            self._token = await self._login()
            self.recent.append(self._token.value)
            self._since = self._clock()
            return self._token
        finally:
            self._flight = None

    async def close(self) -> None:
        """Break off a login that still runs."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)


def _look_at_outcome(flight: asyncio.Task[Token]) -> None:
    """A renewal ahead has nobody waiting: its failure is nobody's, the next request tries again."""
    if not flight.cancelled() and (error := flight.exception()) and not isinstance(error, ProviderError):
        flight.get_loop().call_exception_handler({"message": "a login failed in our own code", "exception": error})

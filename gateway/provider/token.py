"""A provider's access token: fetched once however many ask, renewed ahead of its end, and once after a 401.

    none ─▸ fetching ─▸ had ──(90 % of its life over)──▸ had, renewing ─▸ had
                         │                                  └─(failed)─▸ had, left alone for a while ─▸ renewing
                         └──(401, and none renewed for that in 10 s)──▸ fetching

A renewal ahead of expiry runs beside the requests, which go on with the token that still holds; where it fails it
is tried again after a pause that doubles. One login at a time; a caller that hangs up does not break off a login
that others wait for. Where processes share a store, they share the token too: see token_sharing.py.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from gateway.adapter import Token
from gateway.deadline import Clock
from gateway.errors import ProviderError

RENEW_AT: Final = 0.9
"""Share of a token's life after which it is renewed ahead."""
AFTER_401: Final = 10.0
"""Seconds between two renewals because of a 401 (FACTS.md §1)."""
RECENT: Final = 3
FIRST_PAUSE: Final = 1.0
"""Seconds without another renewal ahead after the first that failed; doubles with each."""
LONGEST_PAUSE: Final = 60.0

Login = Callable[[], Awaitable[Token]]
Sharing = Callable[[Login, Collection[str]], Awaitable[tuple[Token, float]]]
"""A token that another process had, or else one of this login; and for how many seconds it has been had already.
None of those that are named will do."""


class TokenKeeper:
    """Keeps one token. `login` fetches a new one; it is given its own time. `sharing`: with other processes."""

    def __init__(self, login: Login, clock: Clock, sharing: Sharing | None = None) -> None:
        self._login = login
        self._sharing = sharing
        self._clock = clock
        self._token: Token | None = None
        self.recent: deque[str] = deque(maxlen=RECENT)
        """The tokens that were had lately, those that are over too: a vendor may still name them."""
        self._since = 0.0
        self._flight: asyncio.Task[Token] | None = None
        self._last_401 = float("-inf")
        self._failures = 0
        self._renew_from = float("-inf")

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

    def share_with_nobody(self) -> None:
        """From now on it logs in by itself, and keeps what it gets to itself."""
        self._sharing = None

    def current(self) -> str | None:
        """The token that holds now, if there is one; begins its renewal when that is due."""
        if self._token is None:
            return None
        used_up = self._used_up()
        if used_up >= 1:
            return None
        if used_up >= RENEW_AT and self._clock() >= self._renew_from:
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
            self._flight.add_done_callback(self._ended)
        return self._flight

    async def _fetch(self) -> Token:
        token, age = await self._had()
        self._token, self._since = token, self._clock() - age
        self.recent.append(token.value)
        return token

    async def _had(self) -> tuple[Token, float]:
        """A token, and for how long it has been had already."""
        if self._sharing is None:
            return await self._login(), 0.0
        return await self._sharing(self._login, tuple(self.recent))

    def _ended(self, flight: asyncio.Task[Token]) -> None:
        """A renewal ahead has nobody waiting: its failure is nobody's, and the next one waits for a while."""
        self._flight = None
        error = None if flight.cancelled() else flight.exception()
        if error is None:
            self._failures, self._renew_from = 0, float("-inf")
            return
        self._renew_from = self._clock() + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 32))
        self._failures += 1
        if not isinstance(error, ProviderError):
            said = {"message": "a login failed in our own code", "exception": error}
            flight.get_loop().call_exception_handler(said)

    async def close(self) -> None:
        """Break off a login that still runs."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)

"""Where requests come in: credentials to a caller, held to the scope and the rate that they have.

no `auth`     this machine alone, with every scope
X-Api-Key     a key
Authorization a key, else a token
?key=         a publishable key, where events are sent
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from gateway.access.challenge import bad, missing
from gateway.access.keys import Keys
from gateway.access.machine import check_place
from gateway.access.tokens import Tokens
from gateway.answering.asked import Caller
from gateway.config.access import SCOPES
from gateway.config.model import Configuration
from gateway.deadline import Clock

OPEN: Final = Caller("", SCOPES)
"""Anybody on this machine, where there is no `auth`."""
NOBODY: Final = Caller("", frozenset())
"""Whoever asks for what needs no credentials."""


class Access:
    """Reads credentials; compiled from one configuration."""

    def __init__(
        self,
        configuration: Configuration,
        before: Access | None = None,
        *,
        workers: int = 1,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        """`before`: what was in force; what did not change keeps its limits, tokens and keys of the issuer.

        `workers`: processes among which rates are divided. As many as run: the configuration may say otherwise
        until a restart.
        """
        auth, server = configuration.auth, configuration.server
        self.open = auth is None
        """May everybody on this machine do everything?"""
        self._origins = frozenset(server.cors.origins if server.cors else ())
        written = auth.api_keys if auth else {}
        self._keys: Keys = Keys(written, workers, clock, before._keys if before else None)
        self.tokens: Tokens | None = None
        if auth is not None and auth.jwt is not None:
            same = before is not None and before.tokens is not None and before.tokens.settings == auth.jwt
            self.tokens = before.tokens if before and same else Tokens(auth.jwt, wall)

    def look(self, headers: Mapping[str, str], *, published: str | None = None) -> Caller:
        """Who calls; `published`: `?key=` of an operation that takes it. Raises Unauthorized, Forbidden."""
        if self.open:
            check_place(headers, self._origins)
            return OPEN
        return self._caller(headers, published)

    def pass_by(self, headers: Mapping[str, str]) -> Caller:
        """Somebody who asks for what needs no credentials. Raises Forbidden."""
        return self.look(headers) if self.open else NOBODY

    def admit(self, headers: Mapping[str, str], scope: str) -> Caller:
        """Who calls, counted and held to the scope. Raises Unauthorized, RateLimited, Forbidden."""
        caller = self.look(headers)
        caller.admit(scope)
        return caller

    def _caller(self, headers: Mapping[str, str], published: str | None) -> Caller:
        key, authorization = headers.get("X-Api-Key"), headers.get("Authorization")
        origin = headers.get("Origin")
        if key is not None:
            return self._known(self._keys.find(key.strip(), origin))
        if authorization is None and published is not None:
            return self._keys.find_published(published, origin)
        if authorization is None:
            raise missing("give a key as `Authorization: Bearer …` or `X-Api-Key`")
        kind, _, given = authorization.partition(" ")
        given = given.strip()
        if kind.lower() != "bearer" or not given:
            raise missing("give a key as `Authorization: Bearer …` or `X-Api-Key`")
        caller = self._keys.find(given, origin)
        if caller is None and self.tokens is not None and given.count(".") == 2:
            return self.tokens.verify(given)
        return self._known(caller)

    @staticmethod
    def _known(caller: Caller | None) -> Caller:
        if caller is None:
            raise bad("the key is not known here")
        return caller

    async def prepare(self) -> None:
        """Have what cannot be had while a request waits: the issuer's keys, if they answer soon."""
        if self.tokens is not None and self.tokens.jwks is not None:
            await self.tokens.jwks.open()

    async def close(self, after: Access | None = None) -> None:
        """Let go of what another one does not go on using."""
        if (
            self.tokens is not None
            and self.tokens.jwks is not None
            and (after is None or after.tokens is not self.tokens)
        ):
            await self.tokens.jwks.close()

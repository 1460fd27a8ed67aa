"""One login for all processes of a deployment: a token is kept, sealed, in the state store while it lives.

    kept? ─yes─▸ taken over
      └no─▸ lease? ─yes─▸ login ─▸ kept for the others
               └no─▸ look again until it is kept, the lease is free, or `PATIENCE` is over ─▸ login

Sealed with AES-GCM under a key made of the account's own options and the deployment's key: whoever reads the
store alone cannot use what it holds, and an account whose credentials changed finds nothing of the old ones. The
store is a help and no condition: one that fails or hangs costs a little time, and never a login.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from hashlib import blake2b
from typing import Final, Protocol, TypeVar
from uuid import uuid4

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.adapter import Adapter, Token
from gateway.deadline import Clock
from gateway.provider.token import RENEW_AT, Login
from gateway.state.kept import StoreError

T = TypeVar("T")

BOUND: Final = 0.25
"""Seconds that one look into the store may take."""
LEASE: Final = 3.0
"""Seconds for which one process logs in and the others wait."""
PATIENCE: Final = 2.0
"""Seconds after which a process that waits for another's login logs in by itself."""
LOOK: Final = 0.1
"""Seconds between two looks at whether the other one has it."""
ENDLESS: Final = 86_400.0
"""Seconds for which a token is kept that the vendor gives no end."""
NONCE: Final = 12

log = structlog.get_logger("gateway")


class Tokens(Protocol):
    """The part of the store that is needed. Every method may raise `StoreError`."""

    async def keep_token(self, name: str, sealed: bytes, seconds: float, now: float) -> None:
        """Keep it under this name for so many seconds."""

    async def kept_token(self, name: str, now: float) -> tuple[bytes, float] | None:
        """What was kept last, and the seconds that are left of it."""

    async def lease(self, name: str, holder: str, seconds: float, now: float) -> bool:
        """Take, renew or take over a lease; is it this holder's now?"""

    async def hand_back(self, name: str, holder: str) -> None:
        """Let another take it at once."""


class _Kept(msgspec.Struct, frozen=True):
    value: str
    life: float | None
    """Seconds that it had when it was made."""


class TokenSharing:
    """One provider's. Called by its `TokenKeeper`. `wall`: what processes have in common."""

    def __init__(
        self,
        provider: str,
        adapter: Adapter,
        key: bytes,
        store: Tokens,
        *,
        wall: Clock = time.time,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        account = f"{provider}\0{type(adapter).__qualname__}\0".encode() + _options(adapter)
        self._name = provider + ":" + blake2b(account, key=key[:64], digest_size=8, person=b"name").hexdigest()
        self._cipher = AESGCM(blake2b(account, key=key[:64], digest_size=32, person=b"seal").digest())
        self._provider = provider
        self._store = store
        self._wall, self._clock, self._sleep = wall, clock, sleep

    async def __call__(self, login: Login, refused: Collection[str]) -> tuple[Token, float]:
        """Another token than those refused, and for how many seconds it has been had. Raises what `login` does."""
        holder = uuid4().hex
        try:
            kept = await self._awaited(holder, refused)
        except (StoreError, TimeoutError) as error:
            log.debug("token not shared", provider=self._provider, error=str(error) or "no answer in time")
            return await login(), 0.0
        if kept is not None:
            await self._let_go(holder)
            return kept
        try:
            token = await login()
            await self._keep(token)
        finally:
            await self._let_go(holder)
        return token, 0.0

    async def _awaited(self, holder: str, refused: Collection[str]) -> tuple[Token, float] | None:
        """What another process has; None if this one is to log in. Raises StoreError, TimeoutError."""
        until = self._clock() + PATIENCE
        while (kept := await self._kept(refused)) is None:
            asked = self._store.lease(self._lease, holder, LEASE, self._wall())
            if await _bounded(asked):  # it may have been kept and handed back since we looked
                return await self._kept(refused)
            if self._clock() >= until:
                return None
            await self._sleep(LOOK)
        return kept

    async def _let_go(self, holder: str) -> None:
        """Nothing happens where another holds it; where the store fails it runs out."""
        with suppress(StoreError, TimeoutError):
            await _bounded(self._store.hand_back(self._lease, holder))

    @property
    def _lease(self) -> str:
        return f"login:{self._name}"

    async def _kept(self, refused: Collection[str]) -> tuple[Token, float] | None:
        """The one that is kept, if it will do and is not about to be renewed."""
        found = await _bounded(self._store.kept_token(self._name, self._wall()))
        kept = None if found is None else self._unsealed(found[0])
        if found is None or kept is None or kept.value in refused:
            return None
        if kept.life is None:
            return Token(kept.value), 0.0
        age = max(0.0, kept.life - found[1])
        return None if age >= RENEW_AT * kept.life else (Token(kept.value, kept.life), age)

    async def _keep(self, token: Token) -> None:
        seconds = ENDLESS if token.life is None else token.life
        if seconds > 0:
            nonce = os.urandom(NONCE)
            said = msgspec.json.encode(_Kept(token.value, token.life))
            sealed = nonce + self._cipher.encrypt(nonce, said, self._name.encode())
            with suppress(StoreError, TimeoutError):
                await _bounded(self._store.keep_token(self._name, sealed, seconds, self._wall()))

    def _unsealed(self, sealed: bytes) -> _Kept | None:
        """None for what somebody else wrote there."""
        try:
            said = self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], self._name.encode())
            return msgspec.json.decode(said, type=_Kept)
        except (InvalidTag, ValueError):
            log.warning("a kept token cannot be read", provider=self._provider)
            return None


async def _bounded(asking: Awaitable[T]) -> T:
    """Raises TimeoutError where the store does not say in time."""
    async with asyncio.timeout(BOUND):
        return await asking


def _options(adapter: Adapter) -> bytes:
    """All that makes the account, its secrets included, in one order."""
    said = {name: _plain(value) for name, value in adapter}
    return msgspec.json.encode(said, order="sorted", enc_hook=str)


def _plain(value: object) -> object:
    shown = getattr(value, "get_secret_value", None)
    return shown() if shown is not None else value

"""The keys by which an identity provider's tokens are verified (RFC 7517), fetched over and over.

    open ▸ fetched ┬▸ every 5 min, or when a token names a key that is not known: fetched anew
                   └▸ failed: what was last known stays in force, for as long as it takes; tried again, ever later

However many unknown keys are named, there is one request in 10 s at most. No request of a caller's waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import jwt
import msgspec
import structlog

from gateway.config.access import RSA_BITS
from gateway.errors import ProviderError
from gateway.transport import AiohttpTransport, Outgoing, Transport

REFRESH: Final = 300.0
"""Seconds between two fetches. A new key should be published so long before it signs."""
PAUSE: Final = 10.0
"""Seconds: the least between two fetches, whatever tokens name."""
FIRST_RETRY, LAST_RETRY = 1.0, 128.0
"""Seconds: between two fetches while they fail, doubled each time."""
PATIENCE: Final = 5.0
"""Seconds that one fetch may take; also what a start waits at most."""
MOST_BYTES: Final = 2**18

FITTING: Final[Mapping[str, frozenset[str]]] = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    "P-256": frozenset({"ES256"}),
    "P-384": frozenset({"ES384"}),
    "P-521": frozenset({"ES512"}),
    "Ed25519": frozenset({"EdDSA"}),
}
"""The algorithms by curve, or by type of key where it has none (RFC 7518 §3.1, RFC 8037). What is not here is no
key of ours: a symmetric one that is published is no secret."""

Table = dict[tuple[str, str], jwt.PyJWK]
"""By id and algorithm."""
Sleep = Callable[[float], Awaitable[None]]

log = structlog.get_logger("gateway")


class Jwks:
    """One issuer's keys."""

    def __init__(
        self,
        url: str,
        algorithms: Iterable[str],
        forget: Callable[[], None],
        *,
        transport: Transport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`forget`: called when a key was withdrawn or replaced."""
        self._url = url
        self._algorithms = frozenset(algorithms)
        self._forget = forget
        self._transport = transport or AiohttpTransport(
            connect_timeout=PATIENCE, max_answer=MOST_BYTES, max_connections=1
        )
        self._sleep = sleep
        self._keys: Table = {}
        self._wanted = asyncio.Event()
        self._once = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def find(self, key_id: str, algorithm: str) -> jwt.PyJWK | None:
        """The key; None where it is not known, and then it is looked for."""
        found = self._keys.get((key_id, algorithm))
        if found is None:
            self._wanted.set()
        return found

    async def open(self) -> None:
        """Begin to fetch, and wait for the first answer or failure."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep())
        await self._once.wait()

    async def close(self) -> None:
        """No fetch after this one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._transport.close()

    async def _keep(self) -> None:
        failures = 0
        while True:
            self._wanted.clear()
            try:
                self._take(await self._fetch())
                failures = 0
            except (ProviderError, ValueError) as error:
                failures += 1
                log.warning("jwks not fetched", detail=str(error), keys=len(self._keys))
            self._once.set()
            if failures:
                await self._sleep(min(FIRST_RETRY * 2 ** min(failures - 1, 10), LAST_RETRY))
            else:
                await self._sleep(PAUSE)
                await self._wanted_or_due()

    async def _wanted_or_due(self) -> None:
        waits = [asyncio.ensure_future(one) for one in (self._wanted.wait(), self._sleep(REFRESH - PAUSE))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _fetch(self) -> Table:
        """Raises ProviderError; ValueError where the answer has no key that can be used."""
        outgoing = Outgoing("GET", self._url, (("accept", "application/json"),), None)
        answer = await self._transport.exchange(outgoing, PATIENCE)
        if answer.status != 200:
            raise ValueError(f"the issuer answered {answer.status}")
        keys = read(answer.body, self._algorithms)
        if not keys:
            raise ValueError("the answer has no key that fits `algorithms`")
        return keys

    def _take(self, keys: Table) -> None:
        gone = [name for name, key in self._keys.items() if not _same(key, keys.get(name))]
        self._keys = keys
        if gone:
            self._forget()


def read(body: bytes, algorithms: frozenset[str]) -> Table:
    """The keys of a set that may verify with one of these algorithms; others are passed over (RFC 7517 §5).

    Raises ValueError where it is no set at all.
    """
    written = msgspec.json.decode(body)
    entries = written.get("keys") if isinstance(written, dict) else None
    if not isinstance(entries, list):
        raise ValueError("the answer is no set of keys")
    table: Table = {}
    for entry in entries:
        if isinstance(entry, dict):
            _add(entry, algorithms, table)
    return table


def _add(entry: dict[str, Any], algorithms: frozenset[str], table: Table) -> None:
    key_id, use, own = entry.get("kid"), entry.get("use", "sig"), entry.get("alg")
    if not isinstance(key_id, str) or use != "sig":
        return
    fitting = FITTING.get(str(entry.get("crv") or entry.get("kty")), frozenset()) & algorithms
    public = {name: value for name, value in entry.items() if name not in ("d", "p", "q", "dp", "dq", "qi")}
    for algorithm in fitting if own is None else fitting & {str(own)}:
        try:
            key = jwt.PyJWK(public, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if getattr(key.key, "key_size", RSA_BITS) >= (RSA_BITS if entry["kty"] == "RSA" else 0):
            table[key_id, algorithm] = key


def _same(one: jwt.PyJWK, other: jwt.PyJWK | None) -> bool:
    return other is not None and bool(one.key == other.key)

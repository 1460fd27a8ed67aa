"""Access tokens that processes share, sealed before they come here (gateway.token_sharing). Key: `token:NAME`."""

from __future__ import annotations

from typing import Final

from gateway.state.valkey.connection import Server
from gateway.state.valkey.script import Script

_KEEP: Final = Script("redis.call('SET', key('token', A.name), raw(A.sealed), 'PX', A.ms)")


class Tokens:
    """Part of the store. What is left of a life is told by the server's clock; `now` is for stores without one."""

    server: Server

    async def keep_token(self, name: str, sealed: bytes, seconds: float, now: float) -> None:
        told = {"name": name, "sealed": sealed.hex(), "ms": max(1, round(seconds * 1000))}
        await self.server.change(_KEEP, told)

    async def kept_token(self, name: str, now: float) -> tuple[bytes, float] | None:
        key = self.server.key("token", name)
        sealed, ms = await self.server.ask(("GET", key), ("PTTL", key))
        return None if sealed is None or ms <= 0 else (bytes(sealed), ms / 1000)

"""Secrets made once for the whole deployment: the keys that sign and pseudonymize. Key: `secret:NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.state.valkey.connection import Server
from gateway.state.valkey.script import Script

_SECRET: Final = Script("""
redis.call('SET', key('secret', A.name), raw(A.made), 'NX')
return redis.call('GET', key('secret', A.name))
""")


class Secrets:
    """Part of the store."""

    server: Server

    async def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        return bytes(await self.server.change(_SECRET, {"name": name, "made": make().hex()}))

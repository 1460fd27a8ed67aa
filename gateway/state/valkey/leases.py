"""Leases: one active holder of a name among all processes, until it stops renewing.

The moments are the processes' own: the machines' clocks must agree within a second (NTP).
"""

from __future__ import annotations

from typing import Final

from gateway.state.valkey.connection import Server
from gateway.state.valkey.script import Script

TAKE: Final = Script("""
local lease = key('lease', A.name)
local holder, till = unpack(redis.call('HMGET', lease, 'holder', 'until'))
if holder and holder ~= A.holder and tonumber(till) > A.now then return 0 end
redis.call('HSET', lease, 'holder', A.holder, 'until', A.till)
return 1
""")

HAND_BACK: Final = Script("""
local lease = key('lease', A.name)
if redis.call('HGET', lease, 'holder') == A.holder then redis.call('DEL', lease) end
""")


class Leases:
    """Part of the store."""

    server: Server

    async def lease(self, name: str, holder: str, seconds: float, now: float) -> bool:
        """Take, renew or take over a lease; is it this holder's now?"""
        said = {"name": name, "holder": holder, "now": now, "till": now + seconds}
        return bool(await self.server.change(TAKE, said))

    async def hand_back(self, name: str, holder: str) -> None:
        """Let another take it at once."""
        await self.server.change(HAND_BACK, {"name": name, "holder": holder})

"""When each provider was last trained, and what it has been told since: the lock on trainings.

    begin ─▸ None: begun, and counted from now         give_back ─▸ as if it had never begun
          └▸ the moment from which it may begin

One hash a provider, `training:PROVIDER`. What stood before the last begin is kept beside it, so that a begin can
be taken back. Moments are written with all of their digits.
"""

from __future__ import annotations

from typing import Final

from gateway.state.store import TrainingRecord
from gateway.state.valkey.connection import Server
from gateway.state.valkey.script import Script

_BEGIN: Final = Script("""
local record = key('training', A.provider)
local said = redis.call('HMGET', record, 'started', 'told', 'told_then')
local started = tonumber(said[1] or '')
if started and A.now < started + A.interval then return num(started + A.interval) end
redis.call('HSET', record, 'before', said[1] or '', 'told_before', said[3] or '0',
  'started', num(A.now), 'told_then', said[2] or '0')
return false
""")
_GIVE_BACK: Final = Script("""
local record = key('training', A.provider)
local said = redis.call('HMGET', record, 'started', 'before', 'told_before')
if tonumber(said[1] or '') == A.began then
  redis.call('HSET', record, 'started', said[2], 'told_then', said[3])
end
""")
_COUNT: Final = Script("redis.call('HINCRBY', key('training', A.provider), 'told', A.events)")


class Trainings:
    """Part of the store."""

    server: Server

    async def begin_training(self, provider: str, now: float, interval: float) -> float | None:
        said = await self.server.change(_BEGIN, {"provider": provider, "now": now, "interval": interval})
        return None if said is None else float(said)

    async def give_back_training(self, provider: str, began: float) -> None:
        await self.server.change(_GIVE_BACK, {"provider": provider, "began": began})

    async def count_told(self, provider: str, events: int) -> None:
        await self.server.change(_COUNT, {"provider": provider, "events": events})

    async def training(self, provider: str) -> TrainingRecord:
        key = self.server.key("training", provider)
        ((started, told, then),) = await self.server.ask(("HMGET", key, "started", "told", "told_then"))
        return TrainingRecord(float(started) if started else None, int(told or 0) - int(then or 0))

"""What the store does by the clock: what the retention has ended for leaves, and other processes hear the news.

News are a short stream of the users (`u`) whose answers hold no more, some of them because they were erased (`e`),
read on from where a process stopped: nothing is missed by who was away for a moment, and who was away too long is
told that it was. Publish/subscribe alone could not promise that; it only says that there is something to be read
(`gateway.state.valkey.subscription`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.state.news import Bell, News
from gateway.state.valkey import activity
from gateway.state.valkey.connection import Server
from gateway.state.valkey.lua import QUEUES
from gateway.state.valkey.room import drop_oldest
from gateway.state.valkey.script import Script

SWEPT: Final = 1000
"""Events that leave in one call, so that others' changes need not wait long."""
PART: Final = 500
"""Errands and dead letters that leave in one change."""
FORGOTTEN_FOR: Final = 60.0
"""Seconds for which the name of an erased user is kept at least, so that every process hears of it."""
NAMED: Final = 10_000
"""Users at most that are named at once; where there are more, everybody's answers are dropped."""

SWEEP: Final = Script(
    f"""
local left = {PART}
local function leave(list, provider, when)
  for _, one in ipairs(redis.call('XRANGE', key(list, provider), '-', '+', 'COUNT', left)) do
    local at = when(one[1], one[2])
    if not at or tonumber(at) < A.before then  -- what was tried again is old, and stands behind what is new
      dequeue_whole(list, provider, one[1], one[2])
      left = left - 1
    end
  end
end
local function accepted(id, fields)
  local _, _, _, _, at = content(id, fields)
  return at
end
local function died(_, fields) return fields[14] end

local configured = {{}}
for _, provider in ipairs(A.providers) do configured[provider] = true end
for _, provider in ipairs(redis.call('HKEYS', key('providers'))) do
  if provider:sub(1, 1) ~= '#' and left > 0 then
    if not configured[provider] then
      leave('outbox', provider, accepted)
      if left > 0 then leave('replay', provider, accepted) end
    end
    if left > 0 then leave('dead', provider, died) end
  end
end

local receipts = key('erasures')
for _, hash in ipairs(redis.call('ZRANGEBYSCORE', receipts, '-inf', '(' .. num(A.before), 'LIMIT', 0, {PART})) do
  redis.call('DEL', key('erasure', hash))
  redis.call('ZREM', receipts, hash)
  left = left - 1
end

local mark, since = unpack(redis.call('HMGET', key('news_from'), 'next', 'at'))
if not since or A.now - tonumber(since) >= {FORGOTTEN_FOR} then
  if mark then
    redis.call('XTRIM', key('news'), 'MINID', whole(mark + 1) .. '-0')
    redis.call('HSET', key('news_from'), 'from', mark)
  end
  redis.call('HSET', key('news_from'), 'next', redis.call('GET', key('n')) or '0', 'at', num(A.now))
end
return (forget_before(A.before) > 0 or left <= 0) and 1 or 0
""",
    QUEUES, activity.LUA,
)  # fmt: skip

NEWS: Final = Script(f"""
local last = tonumber(redis.call('GET', key('n')) or '0')
local hidden = tonumber(redis.call('GET', key('hidden')) or '0')
if A.event < 0 then return {{last, hidden, 1}} end
local from = tonumber(redis.call('HGET', key('news_from'), 'from') or '0')
if A.event < from or A.event > last then return {{last, hidden, 0}} end
local told = {{last, hidden, 1}}
local found = redis.call('XRANGE', key('news'), '(' .. whole(A.event) .. '-0', '+', 'COUNT', {NAMED + 1})
if #found > {NAMED} then return {{last, hidden, 0}} end
for _, one in ipairs(found) do told[#told + 1] = one[2][3] or 'u'; told[#told + 1] = one[2][2] end
return told
""")


class Upkeep:
    """Part of the store."""

    server: Server

    async def sweep(self, before: float, providers: Sequence[str], now: float) -> int:
        """Forget what is older than `before` (Unix seconds) and waits for none of these providers."""
        said = {"before": before, "providers": list(providers), "now": now}
        while await self.server.change(SWEEP, said):
            pass
        return await drop_oldest(self.server, before, SWEPT)

    async def news(self, event: int, forgotten: int) -> News:
        """What happened since the event of this number; negative: only where we are. Erasures are among it."""
        last, hidden, named, *told = await self.server.look(NEWS, {"event": event})
        if not named:
            return News(last, last, hidden, None)
        users = [(why, user.decode()) for why, user in zip(told[::2], told[1::2], strict=True)]
        erased = frozenset(user for why, user in users if why == b"e")
        return News(last, last, hidden, frozenset(user for _, user in users), erased)

    def bell(self) -> Bell:
        """Rung when there are news."""
        return self.server.bell("news")

"""Erasure of users: what waits for them is dropped first, then all that is known of them; a receipt stays.

The receipt stands under a keyed hash of the id, so that it says nothing to whoever does not have the id. While
a provider is still to erase, its errand in the outbox must name the user; it goes when the provider has done it.

A user with more than `PART` events leaves in several changes, so that others' calls need not wait: the receipt and
the errands are written with the last one. Where it breaks off before, the caller hears so, and erases again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.state.kept import Erased, ErasureReceipt, Errand, subject
from gateway.state.valkey import activity, answers, experiments, ids, subscription
from gateway.state.valkey.connection import Server
from gateway.state.valkey.lua import ENTRY_BYTES, LOG, QUEUES, stream_id
from gateway.state.valkey.outbox import BURY
from gateway.state.valkey.script import Script

PART: Final = 1000
"""Events that leave in one change."""

ERASE: Final = Script(
    f"""
local mine = key('by_user', A.user)
for _, m in ipairs(redis.call('ZRANGE', mine, 0, {PART - 1})) do
  local n = whole(tonumber(m))
  local e = entry(key('log'), n .. '-0')
  if e then
    for provider in e[10]:gmatch('([^ :]+):q') do
      local id = n .. '-' .. number(provider)
      redis.call('XDEL', key('outbox', provider), id)
      redis.call('HDEL', key('late', provider), id)
    end
    drop(n, e)
  end
  redis.call('ZREM', mine, m)
end
if redis.call('EXISTS', mine) == 1 then return 1 end

each_of(A.subject, function(list, provider, id)
  local fields = provider and entry(key(list, provider), id)
  if fields then dequeue_whole(list, provider, id, fields) end
end)
redis.call('DEL', key('of', A.subject))

local record = key('user', A.user)
local properties = redis.call('HGET', record, 'p')
if properties then weigh(-#properties - {ENTRY_BYTES}) end
redis.call('DEL', record)
redis.call('ZREM', key('users'), A.user)
forget(A.user)
forget_unit(A.unit)
redis.call('XADD', key('news'), whole(redis.call('INCR', key('n'))) .. '-0', 'u', A.user, 'e', '')
drop_answers_of(A.user)
ring('news')

local receipt = key('erasure', A.hash)
redis.call('DEL', receipt)
redis.call('HSET', receipt, 'requested_at', num(A.now))
redis.call('ZADD', key('erasures'), num(A.now), A.hash)
for provider, status in pairs(A.routes) do
  redis.call('HSET', receipt, ':' .. provider, status)
  enqueue('outbox', provider, 'erase_user', A.user, A.subject, '', A.now, '')
end
return 0
""",
    QUEUES, LOG, activity.LUA, experiments.LUA, answers.LUA, subscription.LUA,
)  # fmt: skip

NOTE: Final = """
local function note_receipt(status)
  local receipt = key('erasure', A.hash)
  if redis.call('EXISTS', receipt) == 0 then return end
  if redis.call('HGET', receipt, ':' .. A.provider) ~= 'unsupported' then
    redis.call('HSET', receipt, ':' .. A.provider, status)
  end
end
"""

ERASED: Final = Script(
    """
if not dequeue('outbox', A.provider, A.id, A.subject, 0) then return end  -- asked for anew meanwhile
forget_id(A.provider, 'user', A.user)
note_receipt(A.status)
""",
    QUEUES, ids.LUA, NOTE,
)  # fmt: skip

FAILED: Final = Script(
    """
local fields = entry(key('outbox', A.provider), A.id)
if not fields then return end
bury('outbox', A.provider, A.id, fields, A.reason, A.now)
note_receipt('failed')
""",
    QUEUES, BURY, NOTE,
)  # fmt: skip


class Erasures:
    """Part of the store."""

    server: Server

    async def erase(self, user: str, hash_: str, routes: Mapping[str, Erased], now: float, unit: bytes) -> None:
        """Every provider of `routes` gets an errand: where it cannot erase, the gateway's map of ids goes."""
        said = {
            "user": user, "subject": subject("erase_user", user), "unit": unit.hex(),
            "hash": hash_, "routes": dict(routes), "now": now,
        }  # fmt: skip
        while await self.server.change(ERASE, said):
            pass

    async def erased(self, provider: str, errand: Errand, hash_: str, status: Erased) -> None:
        """A provider has done what it can: the map of the user's ids there goes too."""
        said = {**_errand(provider, errand), "user": errand.ref, "hash": hash_, "status": status}
        await self.server.change(ERASED, said)

    async def erasure_failed(self, provider: str, errand: Errand, hash_: str, reason: str, now: float) -> None:
        """The provider refuses; a dead letter keeps it, so that it can be tried again."""
        said = {**_errand(provider, errand), "hash": hash_, "reason": reason, "now": now}
        await self.server.change(FAILED, said)

    async def erasure(self, hash_: str) -> ErasureReceipt | None:
        (found,) = await self.server.ask(("HGETALL", self.server.key("erasure", hash_)))
        said = {name.decode(): value.decode() for name, value in zip(found[::2], found[1::2], strict=True)}
        if not said:
            return None
        requested_at = float(said.pop("requested_at"))
        providers: dict[str, Any] = {name[1:]: status for name, status in said.items()}
        return ErasureReceipt(requested_at, providers)


def _errand(provider: str, errand: Errand) -> dict[str, Any]:
    return {"provider": provider, "id": stream_id(errand.seq), "subject": errand.subject}

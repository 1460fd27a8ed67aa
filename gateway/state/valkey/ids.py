"""Id maps: the caller's ids and a provider's own, each created once however many machines want it at one time.

    claim ─▸ known? ─yes─▸ the vendor's id
               └no─▸ free? ─yes─▸ ours, renewed while we create ─▸ bind ─▸ released
                       └no─▸ look again: its holder binds, releases, or died and no longer renews

A claim is a lock with a lease. Whoever lost it all the same, by hanging for longer than its life, cannot bind
while another creates (the fence): what that one creates is what counts.

The server's own absence is nobody's fault: whoever has created meanwhile binds as soon as it is back, and a claim
from before its restart lives once more from then on.

    map:ENTITY:PROVIDER     hash: caller's id → vendor's      claim:ENTITY:PROVIDER:ID    hash: its holder,
    back:ENTITY:PROVIDER    hash: vendor's id → caller's      until when, and in which run of the server
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar
from uuid import uuid4

from gateway.adapter import Entity
from gateway.state.kept import StoreError
from gateway.state.valkey.connection import Server
from gateway.state.valkey.script import Script

T = TypeVar("T")

CLAIM_LIFE: Final = 10.0
"""Seconds after which the claim of a process that died may be taken over."""
RENEW: Final = 3.0
"""Seconds between two renewals of a claim that is held."""
BIND_AGAIN: Final = 0.2
"""Seconds before what was created is bound again, where the store could not."""
LEFT_BEHIND: Final = 86_400_000
"""Milliseconds after which the claim of a process that died leaves, if nobody wants it."""
CLAIM_POLL: Final = 0.05
"""Seconds between two looks at a claim that another process holds."""
PART: Final = 5000
"""Ids that are asked for, or bound, at once: others' commands come in between."""

LUA: Final = """
local function forget_id(provider, entity, id)
  local vendor = redis.call('HGET', key('map', entity, provider), id)
  if vendor then
    redis.call('HDEL', key('map', entity, provider), id)
    redis.call('HDEL', key('back', entity, provider), vendor)
  end
end
"""
"""For whoever erases: `forget_id(provider, 'user', id)`."""

_BIND: Final = Script("""
local map, back = key('map', A.entity, A.provider), key('back', A.entity, A.provider)
for _, pair in ipairs(A.pairs) do
  local id, vendor, holder = pair[1], pair[2], pair[3]
  local claimed = holder and redis.call('HGET', key('claim', A.entity, A.provider, id), 'holder')
  local fenced = claimed and claimed ~= holder
  local bound = redis.call('HEXISTS', map, id) == 1 or redis.call('HEXISTS', back, vendor) == 1
  if not fenced and not bound then
    redis.call('HSET', map, id, vendor)
    redis.call('HSET', back, vendor, id)
  end
end
""")
_CLAIM_LUA: Final = f"""
local function claim_of(said) return key('claim', said.entity, said.provider, said.id) end

local function claim_run() return redis.call('INFO', 'server'):match('run_id:(%w+)') or '' end

local function claim_time()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function keep_claim(claim, life)
  redis.call('HSET', claim, 'until', whole(claim_time() + life), 'run', claim_run())
  redis.call('PEXPIRE', claim, {LEFT_BEHIND})
end
"""
_CLAIM: Final = Script(
    """
local known = redis.call('HGET', key('map', A.entity, A.provider), A.id)
if known then return {1, known} end
local claim = claim_of(A)
local holder, till, run = unpack(redis.call('HMGET', claim, 'holder', 'until', 'run'))
if holder and holder ~= A.holder then
  if run ~= claim_run() then  -- the server was away, nobody could renew: its holder has a whole life again
    keep_claim(claim, A.life)
    return {0, ''}
  end
  if tonumber(till) > claim_time() then return {0, ''} end
end
redis.call('HSET', claim, 'holder', A.holder)
keep_claim(claim, A.life)
return {1, ''}
""",
    _CLAIM_LUA,
)
_RENEW: Final = Script(
    """
local claim = claim_of(A)
if redis.call('HGET', claim, 'holder') == A.holder then keep_claim(claim, A.life) end
""",
    _CLAIM_LUA,
)
_RELEASE: Final = Script(
    """
local claim = claim_of(A)
if redis.call('HGET', claim, 'holder') == A.holder then redis.call('DEL', claim) end
""",
    _CLAIM_LUA,
)


class IdMaps:
    """Part of the store."""

    server: Server
    _creating: dict[tuple[str, Entity, str], asyncio.Lock]
    _held: dict[tuple[str, Entity, str], str]
    """The claims of this process that create at this moment, and their holders."""

    async def lookup(self, provider: str, entity: Entity, ids: Iterable[str]) -> dict[str, str]:
        return await self._found(self.server.key("map", entity, provider), list(ids))

    async def owners(self, provider: str, entity: Entity, vendor_ids: Iterable[str]) -> dict[str, str]:
        return await self._found(self.server.key("back", entity, provider), list(vendor_ids))

    async def _found(self, key: str, wanted: Sequence[str]) -> dict[str, str]:
        if not wanted:
            return {}
        replies = await self.server.ask(*(("HMGET", key, *part) for part in _parts(wanted)), hurried=True)
        found = [value for reply in replies for value in reply]
        pairs = zip(wanted, found, strict=True)
        return {asked: value.decode() for asked, value in pairs if value is not None}

    async def bind(self, provider: str, entity: Entity, pairs: Mapping[str, str]) -> None:
        told = [[id_, vendor, self._held.get((provider, entity, id_), False)] for id_, vendor in pairs.items()]
        for part in _parts(told):
            held = any(holder for _, _, holder in part)
            await self._bind({"provider": provider, "entity": entity, "pairs": part}, created=held)

    async def _bind(self, said: Mapping[str, object], *, created: bool) -> None:
        """What was just created is known to nobody else: given up, it would be created a second time."""
        while True:
            try:
                await self.server.change(_BIND, said)
            except StoreError:
                if not created:
                    raise
                await asyncio.sleep(BIND_AGAIN)
            else:
                return

    @asynccontextmanager
    async def claim(self, provider: str, entity: Entity, id_: str) -> AsyncIterator[str | None]:
        key = (provider, entity, id_)
        lock = self._creating.setdefault(key, asyncio.Lock())
        try:
            async with lock, self._claimed(key) as known:  # one in this process, and one among all
                yield known
        finally:
            if not lock.locked():
                self._creating.pop(key, None)

    @asynccontextmanager
    async def _claimed(self, key: tuple[str, Entity, str]) -> AsyncIterator[str | None]:
        provider, entity, id_ = key
        holder = uuid4().hex
        claim = {
            "provider": provider, "entity": entity, "id": id_, "holder": holder, "life": round(CLAIM_LIFE * 1000)
        }  # fmt: skip
        known: str | None = None
        keeping: asyncio.Task[None] | None = None
        try:
            known = await self._await_claim(claim)
            if known is None:
                self._held[key] = holder
                keeping = asyncio.get_running_loop().create_task(self._renew(claim))
            yield known
        finally:  # also of a claim that was granted after its caller hung up
            self._held.pop(key, None)
            if keeping is not None:
                keeping.cancel()
            if known is None:
                with suppress(StoreError):  # then it runs out
                    await self.server.change(_RELEASE, claim)

    async def _await_claim(self, claim: Mapping[str, object]) -> str | None:
        """The vendor's id if there is one; None once the claim is ours."""
        while True:
            decided, known = await self.server.change(_CLAIM, claim)
            if decided:
                return known.decode() or None
            await asyncio.sleep(CLAIM_POLL)

    async def _renew(self, claim: Mapping[str, object]) -> None:
        while True:
            await asyncio.sleep(RENEW)
            with suppress(StoreError):  # the next time may do; else the fence holds
                await self.server.change(_RENEW, claim)


def _parts(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(whole), PART):
        yield whole[start : start + PART]

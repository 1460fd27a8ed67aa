"""Replays: one provider is fed from the records and the log, a part at a time; a restart goes on where it was.

    items ─▸ users ─▸ events ─▸ done        each part and its place are written in one change

What is told this way comes before what waits already (`replayed`), so that a user's order is kept: of the log
only what was accepted before the replay began is told, and nothing that is in the outbox already. A part is queued
only where the replay still stands where it was looked at: two processes never queue the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.adapter import Entity
from gateway.model.activity import Event
from gateway.state.kept import Replay, subject
from gateway.state.valkey.connection import Server
from gateway.state.valkey.lua import LOG, QUEUES
from gateway.state.valkey.records import PUT
from gateway.state.valkey.script import Script

_events: Final = msgspec.json.Decoder(Event)

Takes = Callable[[Event], bool]
"""Can the provider take this event?"""

BEGIN: Final = Script("""
local feeding = key('feeding', A.provider)
local stage = redis.call('HGET', feeding, 'stage')
if stage and stage ~= 'done' then return end
local records = redis.call('ZCARD', key('items')) + redis.call('ZCARD', key('users'))
redis.call('DEL', feeding)
redis.call('HSET', feeding, 'provider', A.provider, 'since', num(A.since),
  'upto', redis.call('GET', key('n')) or '0', 'rate', num(A.rate), 'stage', 'items', 'position', '',
  'total', records + redis.call('XLEN', key('log')), 'queued', 0, 'left_out', 0, 'started_at', num(A.now))
""")

MOVE: Final = """
-- the replay stands there still?
local function stands(stage, position)
  local said = redis.call('HMGET', key('feeding', A.provider), 'stage', 'position')
  return said[1] == stage and said[2] == position
end

local function move(stage, position, queued, left_out)
  local feeding = key('feeding', A.provider)
  redis.call('HSET', feeding, 'stage', stage, 'position', position)
  redis.call('HINCRBY', feeding, 'queued', whole(queued))
  redis.call('HINCRBY', feeding, 'left_out', whole(left_out))
  if stage == 'done' then redis.call('HSET', feeding, 'done_at', num(A.now)) end
end

local function routed(said) return (said == '' and '' or said .. ' ') .. A.provider .. ':q' end

-- routes, from now on to this provider too
local function rerouted(said)
  local others = {}
  for one in said:gmatch('[^ ]+') do
    if one:match('^(.*):') ~= A.provider then others[#others + 1] = one end
  end
  return routed(table.concat(others, ' '))
end
"""

RECORDS: Final = Script(
    """
if not stands(A.stage, A.position) then return end
local ids = redis.call('ZRANGEBYLEX', key(A.stage), A.position == '' and '-' or '(' .. A.position, '+',
  'LIMIT', 0, A.limit)
if A.keeps then
  for _, id in ipairs(ids) do
    local record = key(A.entity, id)
    local properties = redis.call('HGET', record, 'p')
    local body = '{"id":' .. cjson.encode(id) .. ',"properties":' .. properties .. '}'
    enqueue('replay', A.provider, A.kind, id, A.letter .. id, '', A.now, body)
    redis.call('HSET', record, 'r', rerouted(redis.call('HGET', record, 'r') or ''))
  end
end
local queued, left_out = A.keeps and #ids or 0, A.keeps and 0 or #ids
if #ids == A.limit then
  move(A.stage, ids[#ids], queued, left_out)
else
  move(A.following, '', queued, left_out)
end
""",
    QUEUES, MOVE,
)  # fmt: skip

EVENTS: Final = Script(
    """
if not stands('events', A.position) then return end
local queued = 0
for _, n in ipairs(A.taken) do
  local e = entry(key('log'), n .. '-0')  -- gone, if it was erased meanwhile
  local routes = e and e[10] .. ' ' .. (redis.call('HGET', key('rerouted'), n) or '')
  local waits = e and entry(key('outbox', A.provider), n .. '-' .. number(A.provider))
  if e and not waits then
    each_of('u' .. e[4], function(list, provider, _, kind, event)
      waits = waits or (kind == 'event' and event == n and provider == A.provider and list ~= 'dead')
    end)
  end
  if e and not waits then
    enqueue('replay', A.provider, 'event', e[2], 'u' .. e[4], n, A.now, e[12])
    if not (' ' .. routes):find(' ' .. A.provider .. ':q', 1, true) then
      redis.call('HSET', key('rerouted'), n, rerouted(redis.call('HGET', key('rerouted'), n) or ''))
    end
    queued = queued + 1
  end
end
move(A.last and 'done' or 'events', A.last and '' or A.upto, queued, A.looked - queued)
""",
    QUEUES, LOG, MOVE,
)  # fmt: skip


class Replays:
    """Part of the store."""

    server: Server

    async def begin_replay(self, provider: str, since: float, rate: float, now: float) -> Replay:
        """The replay that begins, or the one that is under way already."""
        await self.server.change(BEGIN, {"provider": provider, "since": since, "rate": rate, "now": now})
        return await self._under_way(provider)

    async def replay(self, provider: str) -> Replay | None:
        """The one under way, or the last."""
        (found,) = await self.server.ask(("HGETALL", self.server.key("feeding", provider)))
        said = {name.decode(): value.decode() for name, value in zip(found[::2], found[1::2], strict=True)}
        return msgspec.convert(said, Replay, strict=False) if said else None

    async def replayed_left(self, provider: str) -> int:
        """How much of a replay is queued and not told yet."""
        (count,) = await self.server.ask(("XLEN", self.server.key("replay", provider)))
        return int(count)

    async def go_on(self, provider: str, keeps: frozenset[Entity], takes: Takes, limit: int, now: float) -> Replay:
        """Put the next part into the outbox. `keeps`: which records the provider can keep."""
        replay = await self._under_way(provider)
        said = {"provider": provider, "now": now, "limit": limit, "position": replay.position}
        if replay.stage == "events":
            await self._part_of_events(replay, takes, said)
        elif replay.stage != "done":
            await self._part_of_records(replay, keeps, said)
        return await self._under_way(provider)

    async def _under_way(self, provider: str) -> Replay:
        replay = await self.replay(provider)
        assert replay is not None  # noqa: S101  # begun before
        return replay

    async def _part_of_records(self, replay: Replay, keeps: frozenset[Entity], said: dict[str, Any]) -> None:
        entity: Entity = "item" if replay.stage == "items" else "user"
        kind = PUT[entity]
        following = "users" if entity == "item" else "events"
        more = {"stage": replay.stage, "following": following, "entity": entity, "keeps": entity in keeps}
        await self.server.change(RECORDS, {**said, **more, "kind": kind, "letter": subject(kind, "")})

    async def _part_of_events(self, replay: Replay, takes: Takes, said: dict[str, Any]) -> None:
        """In the order in which they were accepted."""
        first, last = f"({replay.position or 0}-0", f"{replay.upto}-0"
        asked = ("XRANGE", self.server.key("log"), first, last, "COUNT", said["limit"])
        (rows,) = await self.server.ask(asked)
        taken = []
        for id_, fields in rows:
            event = _events.decode(fields[11])
            if event.time.timestamp() >= replay.since and takes(event):
                taken.append(_number(id_))
        end = len(rows) < said["limit"]
        upto = _number(rows[-1][0]) if rows else ""
        await self.server.change(EVENTS, {**said, "taken": taken, "looked": len(rows), "upto": upto, "last": end})


def _number(id_: bytes) -> str:
    return id_.partition(b"-")[0].decode()

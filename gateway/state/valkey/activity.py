"""Who wanted which item: one short entry for each item of an event.

    deeds          stream n-0: what users did, in the order in which it came; about the latest `ROWS` are kept
    deeds_of:U     zset: one user's, by time
    marks          set: one of each item of each event, so that the same again changes nothing
    changed        zset: ids of items whose records changed, each once, by the number of its last change
    learned        hash: the last numbers (`deeds`, `changed`), `forgotten`, and `shrinking`

Numbers are given out inside the change that writes the entry, one change at a time, so whoever reads on after a
number misses nothing and sees nothing twice, however many write. What is taken away cannot be learned from what is
added, so a deletion counts up `forgotten`, and whoever has learned before learns anew. So it is too where the
server knows fewer entries than somebody has read: it was restored, or failed over and lost some.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from gateway.model.activity import LEARNED_TYPES, SEEN_TYPES, Event
from gateway.state.learned import Deed, Learned, Position, Record
from gateway.state.valkey.connection import Server
from gateway.state.valkey.script import Script

ROWS: Final = 1_000_000
"""What is kept of what users did; a quarter more before the oldest go, so that they go rarely."""
ROW_BYTES: Final = 400
"""What an entry takes in all of its places, about."""
PART: Final = 8
"""Of a bounded store the entries may take an eighth: what waits for vendors needs the rest."""
STEP: Final = 3600
"""Seconds: the retention takes away an hour's entries at once."""
AT_ONCE: Final = 2000
"""Entries that leave in one change: some 10 ms, in which nobody else is served."""
ROWS_AN_ITEM: Final = 4
"""A user's entries that are looked at for each item wanted: people do several things to one item."""
NUMBER: Final = 15
MARK: Final = 8
"""A member of `deeds_of`: digits of the number, bytes of the mark, then type, NUL, item."""

LUA: Final = f"""
local function deed_member(n, mark, type, item)
  return string.format('%0{NUMBER}d', n) .. mark .. type .. '\\0' .. item
end

local function deeds_forgotten() redis.call('HINCRBY', key('learned'), 'forgotten', 1) end

-- Takes the oldest away as long as `goes(entry, left)` says so; how many those were.
local function drop_oldest(goes)
  local left, gone, first = redis.call('XLEN', key('deeds')), 0, false
  while not first and gone < {AT_ONCE} and left > 0 do
    local page = redis.call('XRANGE', key('deeds'), '-', '+', 'COUNT', 200)
    for _, entry in ipairs(page) do
      local f = entry[2]
      if first or not goes(f, left) then first = first or entry[1]; break end
      local n = tonumber(entry[1]:match('^%d+'))
      redis.call('ZREM', key('deeds_of', f[2]), deed_member(n, f[12], f[6], f[4]))
      redis.call('SREM', key('marks'), f[12])
      redis.call('XDEL', key('deeds'), entry[1])
      left, gone = left - 1, gone + 1
    end
  end
  return gone
end

-- The bound: from a quarter above it down to it, in small parts.
local function keep_within(most)
  local kept = redis.call('XLEN', key('deeds'))
  if kept >= most + math.floor(most / 4) then redis.call('HSET', key('learned'), 'shrinking', 1) end
  if redis.call('HGET', key('learned'), 'shrinking') ~= '1' then return end
  drop_oldest(function(_, left) return left > most end)
  if redis.call('XLEN', key('deeds')) <= most then
    redis.call('HSET', key('learned'), 'shrinking', 0)
    deeds_forgotten()
  end
end

local function note(rows, most)
  for _, row in ipairs(rows) do
    local mark, user, item, type, value, time = raw(row[1]), row[2], row[3], row[4], row[5], row[6]
    if redis.call('SADD', key('marks'), mark) == 1 then
      local n = redis.call('HINCRBY', key('learned'), 'deeds', 1)
      redis.call('XADD', key('deeds'), whole(n) .. '-0', 'u', user, 'i', item, 't', type,
        'v', value and num(value) or '', 's', num(time), 'm', mark)
      redis.call('ZADD', key('deeds_of', user), num(time), deed_member(n, mark, type, item))
    end
  end
  if #rows > 0 then keep_within(most) end
end

local function note_items(ids)
  for _, id in ipairs(ids) do
    redis.call('ZADD', key('changed'), redis.call('HINCRBY', key('learned'), 'changed', 1), id)
  end
end

local function forget(user)
  local done = redis.call('ZRANGE', key('deeds_of', user), 0, -1)
  for _, member in ipairs(done) do
    redis.call('XDEL', key('deeds'), whole(tonumber(member:sub(1, {NUMBER}))) .. '-0')
    redis.call('SREM', key('marks'), member:sub({NUMBER + 1}, {NUMBER + MARK}))
  end
  redis.call('DEL', key('deeds_of', user))
  if #done > 0 then deeds_forgotten() end
end

local function forget_before(time)
  local first = time - time % {STEP}
  local gone = drop_oldest(function(f) return tonumber(f[10]) < first end)
  if gone > 0 then deeds_forgotten() end
  return gone
end
"""
"""For those who write the log and records: `note(rows, most)` with rows of `noted` and most of `rows_kept`;
`note_items(ids)`; `forget(user)`; `forget_before(time)`, which takes at most `AT_ONCE` away, in whole `STEP`s, and
says how many those were."""

_LEARNED: Final = Script("""
local last = redis.call('HMGET', key('learned'), 'deeds', 'changed', 'forgotten')
local deeds = redis.call('XRANGE', key('deeds'), '(' .. whole(A.deeds) .. '-0', '+', 'COUNT', A.limit)
local changed = redis.call('ZRANGEBYSCORE', key('changed'), '(' .. whole(A.records), '+inf', 'WITHSCORES',
  'LIMIT', 0, A.limit)
local records = {}
for n = 1, #changed, 2 do
  local said = redis.call('HMGET', key('item', changed[n]), 'p', 'd')
  table.insert(records, {changed[n + 1], changed[n], said[2] ~= '1' and said[1] or ''})
end
return {{last[1] or '0', last[2] or '0', last[3] or '0'}, deeds, records}
""")
_LOST: Final = Script("""
local deeds = tonumber(redis.call('HGET', key('learned'), 'deeds') or '0')
local changed = tonumber(redis.call('HGET', key('learned'), 'changed') or '0')
if A.deeds > deeds or A.records > changed then
  redis.call('HSET', key('learned'), 'deeds', whole(math.max(A.deeds, deeds)),
    'changed', whole(math.max(A.records, changed)))
  redis.call('HINCRBY', key('learned'), 'forgotten', 1)
end
return tonumber(redis.call('HGET', key('learned'), 'forgotten') or '0')
""")


def noted(event: Event) -> list[list[Any]]:
    """What `note` in Lua keeps of an event; nothing of one that says nothing of what is wanted."""
    if event.type not in LEARNED_TYPES:
        return []
    time, rating = event.time.timestamp(), _rating(event)
    return [[_mark(event.id, item.id), event.user, item.id, event.type, rating, time] for item in event.items]


def rows_kept(max_bytes: int | None) -> int:
    """How many entries a store of so many bytes may keep; None: one without a bound."""
    return ROWS if max_bytes is None else min(ROWS, max_bytes // (PART * ROW_BYTES))


def _rating(event: Event) -> float | bool:
    return event.value if event.type == "rating" and event.value is not None else False


def _mark(event: str, item: str) -> str:
    """64 bits that stand for this item of this event."""
    return blake2b(event.encode() + b"\0" + item.encode(), digest_size=MARK).hexdigest()


class UserItems:
    """Part of the store."""

    server: Server

    async def seen(self, users: Iterable[str], limit: int) -> dict[str, tuple[str, ...]]:
        wanted = list(users)
        last = ROWS_AN_ITEM * limit - 1
        looks = [("ZREVRANGE", self.server.key("deeds_of", user), 0, last) for user in wanted]
        replies = await self.server.ask(*looks, hurried=True)
        return {user: _seen(done, limit) for user, done in zip(wanted, replies, strict=True)}

    async def learned_since(self, position: Position, limit: int) -> Learned:
        asked = {"deeds": position.deeds, "records": position.records}
        last, deeds, records = await self.server.look(_LEARNED, {**asked, "limit": limit})
        if position.deeds > int(last[0]) or position.records > int(last[1]):
            return Learned(position, int(await self.server.change(_LOST, asked)))
        return Learned(
            position=Position(
                deeds=int(deeds[-1][0].partition(b"-")[0]) if deeds else position.deeds,
                records=int(records[-1][0]) if records else position.records,
            ),
            forgotten=int(last[2]),
            deeds=tuple(_deed(fields[1::2]) for _, fields in deeds),
            records=tuple(_record(id_.decode(), properties) for _, id_, properties in records),
        )


def _seen(done: Sequence[bytes], limit: int) -> tuple[str, ...]:
    """The latest first in, the oldest first out."""
    told = (member[NUMBER + MARK :].partition(b"\0") for member in done)
    latest = list(dict.fromkeys(item.decode() for type_, _, item in told if type_.decode() in SEEN_TYPES))[:limit]
    return tuple(reversed(latest))


def _deed(values: Sequence[bytes]) -> Deed:
    user, item, type_, value, time, _ = values
    return Deed(user.decode(), item.decode(), type_.decode(), float(value) if value else None, float(time))


def _record(id_: str, properties: bytes) -> Record:
    return Record(id_, msgspec.json.decode(properties) if properties else None)

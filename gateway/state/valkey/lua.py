"""The Lua that log, outbox, records, erasures and replays have in common: what a queue is, and what the log is.

    outbox:P  ┐  streams in the order in which things are told, ids n-k: n counts up over everything, k is the
    replay:P  │  provider's number. An event that was accepted is one entry with its own n and no content: the log
    dead:P    ┘  has it. Whatever else waits (records, erasures, replayed or retried events, dead letters) has its
                 content in the entry, and stands in the index `of:SUBJECT`, so that an erasure finds it.

Streams without consumer groups: the order within a subject must be kept over many messages, so one process must
hold a provider's whole queue anyway, by its lease; what a group adds (claims of single messages, a list of those
pending) would be a second bookkeeping of the same right. What is told is deleted from the stream.
"""

from __future__ import annotations

from typing import Final

from gateway.state.kept import Routes

EVENT_BYTES: Final = 600
ITEM_BYTES: Final = 90
"""What an event and each of its items take in the server beside the body, as measured: see docs/state.md."""
ENTRY_BYTES: Final = 300
"""What a queued thing with a content of its own, a dead letter or a record takes beside that."""

QUEUES: Final = f"""
local function weigh(bytes) redis.call('INCRBY', key('bytes'), whole(bytes)) end

local function number(provider)
  local k = redis.call('HGET', key('providers'), provider)
  if not k then
    k = whole(redis.call('HLEN', key('providers')) / 2 + 1)
    if tonumber(k) > 1023 then error('more than 1023 providers were ever configured') end
    redis.call('HSET', key('providers'), provider, k, '#' .. k, provider)
  end
  return k
end

local function provider_of(id)
  return redis.call('HGET', key('providers'), '#' .. id:match('%d+$'))
end

local function entry(stream, id)
  local found = redis.call('XRANGE', stream, id, id)[1]
  return found and found[2]
end

local LETTER = {{outbox = 'q', replay = 'r', dead = 'd'}}
local LIST = {{q = 'outbox', r = 'replay', d = 'dead'}}

-- what is queued or dead: kind, ref, subject, event, accepted_at, body; nothing if its event is gone
local function content(id, fields)
  if #fields > 2 then return fields[2], fields[4], fields[6], fields[8], fields[10], fields[12] end
  local n = id:match('^%d+')
  local e = entry(key('log'), n .. '-0')
  if e then return 'event', e[2], 'u' .. e[4], n, e[8], e[12] end
end

local function enqueue(list, provider, kind, ref, subject, event, accepted, body, ...)
  local id = whole(redis.call('INCR', key('n'))) .. '-' .. number(provider)
  redis.call('XADD', key(list, provider), id, 'k', kind, 'r', ref, 's', subject, 'e', event, 'a', accepted,
    'b', body, ...)
  redis.call('HSET', key('of', subject), LETTER[list] .. '|' .. id, kind .. '|' .. event)
  weigh({ENTRY_BYTES} + #body)
end

-- was it still there?
local function dequeue(list, provider, id, subject, size)
  if redis.call('XDEL', key(list, provider), id) == 0 then return false end
  redis.call('HDEL', key('late', provider), id)
  if redis.call('HDEL', key('of', subject), LETTER[list] .. '|' .. id) == 1 then weigh(-{ENTRY_BYTES} - size) end
  return true
end

local function dequeue_whole(list, provider, id, fields)
  local _, _, subject, _, _, body = content(id, fields)
  return dequeue(list, provider, id, subject or '', #(body or ''))
end

-- what waits or is dead for a subject, beside the events that wait as they were accepted
local function each_of(subject, visit)
  local all = redis.call('HGETALL', key('of', subject))
  for at = 1, #all, 2 do
    local letter, id = all[at]:match('^(.)|(.+)$')
    local kind, event = all[at + 1]:match('^(.-)|(.*)$')
    visit(LIST[letter], provider_of(id), id, kind, event)
  end
end
"""
"""Functions on queues. `dequeue` wants the content's size as it was queued."""

LOG: Final = f"""
local function member(n) return string.format('%013d', n) end

local function items_of(body)
  local ids, known = {{}}, {{}}
  for _, item in ipairs(cjson.decode(body).items or {{}}) do
    if not known[item.id] then
      known[item.id] = true
      ids[#ids + 1] = item.id
    end
  end
  return ids
end

local function event_bytes(items, body) return {EVENT_BYTES} + {ITEM_BYTES} * items + #body end

-- events of a user that wait otherwise than as they were accepted: replayed, or tried again
local again = {{}}
local function waits_again(user, n)
  if not again[user] then
    again[user] = {{}}
    each_of('u' .. user, function(list, _, _, kind, event)
      if kind == 'event' and list ~= 'dead' then again[user][event] = true end
    end)
  end
  return again[user][n]
end

-- does a provider still wait for this event?
local function is_waited_for(n, e)
  for provider in e[10]:gmatch('([^ :]+):q') do
    local k = redis.call('HGET', key('providers'), provider)
    if k and entry(key('outbox', provider), n .. '-' .. k) then return true end
  end
  return waits_again(e[4], n)
end

local function drop(n, e)
  local id, user, type_, body, m = e[2], e[4], e[6], e[12], member(tonumber(n))
  local items = items_of(body)
  redis.call('XDEL', key('log'), n .. '-0')
  redis.call('HDEL', key('ids'), id)
  redis.call('HDEL', key('rerouted'), n)
  redis.call('ZREM', key('by_time'), m)
  redis.call('ZREM', key('by_type', type_), m)
  redis.call('ZREM', key('by_user', user), m)
  for _, item in ipairs(items) do redis.call('ZREM', key('by_item', item), m) end
  weigh(-event_bytes(#items, body))
end
"""
"""Functions on the log, after QUEUES. An entry: i id, u user, y type, a received_at, r routes, b body."""


def routes_text(routes: Routes) -> str:
    """`name:q other:u`, as Lua reads it: names have neither spaces nor colons."""
    return " ".join(f"{name}:{route[0]}" for name, route in routes.items())


def stream_id(seq: int) -> str:
    """The id in a stream of what is known by this number outside: n-k."""
    return f"{seq >> 10}-{seq & 1023}"


def seq_of(id_: bytes) -> int:
    """The number by which it is known outside: 1024 n + k, so that it grows as n does."""
    n, _, k = id_.partition(b"-")
    return (int(n) << 10) + int(k)

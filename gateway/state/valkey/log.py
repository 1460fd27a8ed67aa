"""The event log: what users did, in the order in which it was accepted, each id once.

A stream, and four kinds of indexes by time (all, of a type, of a user, of an item), whose members are the events'
numbers. The right that an id is new is decided in the same script that writes everything that follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.model.activity import Event
from gateway.state.kept import Delivered, Entry, EventFilter, Logged
from gateway.state.valkey import activity, answers, experiments, subscription
from gateway.state.valkey.activity import noted, rows_kept
from gateway.state.valkey.connection import Server
from gateway.state.valkey.experiments import credited
from gateway.state.valkey.lua import LOG, QUEUES, routes_text
from gateway.state.valkey.room import in_room
from gateway.state.valkey.script import Script

Position = tuple[float, int]
"""Time and number of an event: where a page of the log ended."""

LOOKED_AT: Final = 1000
"""Events that one script looks at, so that others' calls need not wait long."""
NEWS: Final = 20_000
"""Of the stream of whose answers hold no more: older ones leave."""

_events: Final = msgspec.json.Decoder(Event)

ACCEPT: Final = Script(
    f"""
if A.most and tonumber(redis.call('GET', key('bytes')) or 0) + A.size > A.most then return 'FULL' end
local news = false
for _, one in ipairs(A.entries) do
  local id, user, type_, time, items, routes, queued, body, notes, earned = unpack(one)
  if redis.call('HEXISTS', key('ids'), id) == 0 then
    local count = redis.call('INCR', key('n'))
    local n, m = whole(count), member(count)
    redis.call('HSET', key('ids'), id, n)
    redis.call('XADD', key('log'), n .. '-0', 'i', id, 'u', user, 'y', type_, 'a', A.now, 'r', routes, 'b', body)
    redis.call('ZADD', key('by_time'), time, m)
    redis.call('ZADD', key('by_type', type_), time, m)
    redis.call('ZADD', key('by_user', user), time, m)
    for _, item in ipairs(items) do redis.call('ZADD', key('by_item', item), time, m) end
    for _, provider in ipairs(queued) do
      redis.call('XADD', key('outbox', provider), n .. '-' .. number(provider), 'e', '')
    end
    redis.call('XADD', key('news'), 'MAXLEN', '~', {NEWS}, n .. '-0', 'u', user)
    drop_answers_of(user)
    weigh(event_bytes(#items, body))
    note(notes, A.rows)
    if earned then credit(earned) end
    news = true
  end
end
if news then ring('news') end
return 'DONE'
""",
    QUEUES, LOG, activity.LUA, experiments.LUA, answers.LUA, subscription.LUA,
)  # fmt: skip

PAGE: Final = Script(
    f"""
local index = key(unpack(A.index))
local at = 0
if A.after then
  local rank = redis.call('ZREVRANK', index, A.after[2])
  at = rank and rank + 1 or redis.call('ZCOUNT', index, '(' .. num(A.after[1]), '+inf')
elseif A.before then
  at = redis.call('ZCOUNT', index, num(A.before), '+inf')
end

local others = {{}}
local function states(n, user, routes)
  if not others[user] then
    local known = {{}}
    each_of('u' .. user, function(list, provider, id, kind, event)
      local name = event .. ':' .. (provider or '')
      if kind == 'event' and known[name] ~= 'queued' then known[name] = list == 'dead' and 'dead' or 'queued' end
    end)
    others[user] = known
  end
  local said = {{}}
  for provider in routes:gmatch('([^ :]+):q') do
    local k = redis.call('HGET', key('providers'), provider)
    local waits = k and entry(key('outbox', provider), n .. '-' .. k)
    local state = waits and 'queued' or others[user][n .. ':' .. provider]
    if state then said[#said + 1] = provider .. ':' .. state end
  end
  return table.concat(said, ' ')
end

local found, looked = {{}}, 0
while #found < A.limit and looked < {LOOKED_AT} do
  local part = redis.call('ZREVRANGE', index, at, at + 199, 'WITHSCORES')
  if #part == 0 then return {{found, ''}} end
  for i = 1, #part, 2 do
    local m, time = part[i], part[i + 1]
    if A.since and tonumber(time) < A.since then return {{found, ''}} end
    at, looked = at + 1, looked + 1
    local passed = A.after and tonumber(time) == A.after[1] and m >= A.after[2]
    local n = whole(tonumber(m))
    local e = not passed and entry(key('log'), n .. '-0')
    if e and (not A.user or e[4] == A.user) and (not A.type or e[6] == A.type) then
      local routes = e[10] .. ' ' .. (redis.call('HGET', key('rerouted'), n) or '')
      found[#found + 1] = {{n, e[8], routes, e[12], states(n, e[4], routes)}}
    end
    if #found == A.limit or looked >= {LOOKED_AT} then return {{found, time, m}} end
  end
end
return {{found, ''}}
""",
    QUEUES, LOG,
)  # fmt: skip


class EventLog:
    """Part of the store."""

    server: Server

    async def accept(self, entries: Sequence[Entry], now: float) -> None:
        bodies = [_body(entry.event) for entry in entries]
        said = {
            "entries": [_said(entry, body) for entry, body in zip(entries, bodies, strict=True)],
            "now": now,
            "rows": rows_kept(self.server.max_bytes),
        }
        await in_room(self.server, ACCEPT, said, sum(map(len, bodies)), len(entries))

    async def events(
        self, wanted: EventFilter, limit: int, after: Position | None = None
    ) -> tuple[list[Logged], Position | None]:
        """Newest first; and where the next page begins, None at the end."""
        said: dict[str, Any] = {
            "index": _index(wanted), "user": wanted.user or False, "type": wanted.type or False,
            "since": _or_false(wanted.since), "before": _or_false(wanted.until),
            "after": (after[0], f"{after[1]:013d}") if after else False,
        }  # fmt: skip
        found: list[Logged] = []
        while True:
            rows, time, *member = await self.server.look(PAGE, {**said, "limit": limit + 1 - len(found)})
            found += [_logged(row) for row in rows]
            if not time or len(found) > limit:
                break
            said["after"] = (float(time), member[0].decode())
        if len(found) <= limit:
            return found, None
        last = found[limit - 1]
        return found[:limit], (last.event.time.timestamp(), last.seq)


def _body(event: Event) -> str:
    """As JSON, without what is not there: a third less memory."""
    said = _present(event)
    if event.items:
        said["items"] = [_present(item) for item in event.items]
    return msgspec.json.encode(said).decode()


def _present(value: msgspec.Struct) -> dict[str, Any]:
    return {name: one for name, one in msgspec.structs.asdict(value).items() if one not in (None, (), {})}


def _said(entry: Entry, body: str) -> list[Any]:
    event = entry.event
    return [
        event.id, event.user, event.type, event.time.timestamp(), list({item.id: None for item in event.items}),
        routes_text(entry.routes), [name for name, route in entry.routes.items() if route == "queued"], body,
        noted(event), credited(entry.earned) if entry.earned is not None else False,
    ]  # fmt: skip


def _index(wanted: EventFilter) -> list[str]:
    """The narrowest; what it does not say is looked at in each event."""
    for name in ("item", "user", "type"):
        value = getattr(wanted, name)
        if value is not None:
            return [f"by_{name}", value]
    return ["by_time"]


def _or_false(value: float | None) -> float | bool:
    return False if value is None else value


def _logged(row: list[bytes]) -> Logged:
    seq, received_at, routes, body, said = row
    states: dict[str, Any] = dict(one.split(":") for one in said.decode().split())
    deliveries: dict[str, Delivered] = {}
    for one in routes.decode().split():
        name, route = one.split(":")
        deliveries[name] = states.get(name, "delivered" if route == "q" else "unsupported")
    return Logged(int(seq), _events.decode(body), float(received_at), deliveries)

"""Records of users and items, as callers last put them, and which providers have them.

    user:U item:I    hash: p properties (JSON), c created, u updated, r routes, d 1 if deleted, v version
    users items      zset of ids, all of score 0 so that they are in order; of items those that are not deleted
    hidden_items     set of items that were deleted and not put again        hidden    counts changes of items

A change depends on what is on record, and JSON is for Python: so it is read, changed, and written by a script that
does nothing where a version has changed meanwhile; then all of it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from gateway.adapter import Entity
from gateway.model.activity import Change
from gateway.state.kept import Deleted, Edit, ErrandKind, Record, Routes, StoreError, Synced, subject
from gateway.state.valkey import activity, subscription
from gateway.state.valkey.connection import Server
from gateway.state.valkey.lua import ENTRY_BYTES, QUEUES, routes_text
from gateway.state.valkey.room import in_room
from gateway.state.valkey.script import Script

PUT: Final[dict[Entity, ErrandKind]] = {"user": "put_user", "item": "put_item"}
TABLES: Final[dict[Entity, str]] = {"user": "users", "item": "items"}
TRIES: Final = 20
"""How often others may change the same records first."""

_properties: Final = msgspec.json.Decoder(dict[str, Any])

RECORDS: Final = f"""
local function bytes_of(record)
  local properties = redis.call('HGET', record, 'p')
  return properties and #properties + {ENTRY_BYTES} or 0
end

local function write_record(entity, id, properties, deleted)
  local record = key(entity, id)
  weigh(#properties + {ENTRY_BYTES} - bytes_of(record))
  redis.call('HSET', record, 'p', properties, 'v', redis.call('INCR', key('n')))
  if deleted then
    redis.call('HSET', record, 'd', '1')
    redis.call('ZREM', key(entity .. 's'), id)
    redis.call('SADD', key('hidden_items'), id)
  else
    redis.call('HDEL', record, 'd')
    redis.call('ZADD', key(entity .. 's'), 0, id)
    if entity == 'item' then redis.call('SREM', key('hidden_items'), id) end
  end
  return record
end

local function items_changed(ids)
  note_items(ids)
  redis.call('INCR', key('hidden'))
  ring('news')
end
"""
"""Functions on records. After QUEUES, `activity.LUA` and `subscription.LUA`."""

EDIT: Final = Script(
    """
if A.most and tonumber(redis.call('GET', key('bytes')) or 0) + A.size > A.most then return 'FULL' end
for id, version in pairs(A.versions) do
  if (redis.call('HGET', key(A.entity, id), 'v') or '') ~= version then return 'CHANGED' end
end
local changed = {}
for _, one in ipairs(A.edits) do
  local id, properties, body, deleted = unpack(one)
  local was_there = redis.call('EXISTS', key(A.entity, id)) == 1
  local record = write_record(A.entity, id, properties, deleted)
  if not (deleted and was_there) then redis.call('HSETNX', record, 'c', num(A.now)) end
  redis.call('HSET', record, 'u', num(A.now), 'r', A.routes)
  for _, provider in ipairs(A.queued) do
    enqueue('outbox', provider, A.kind, id, A.letter .. id, '', A.now, body)
  end
  changed[#changed + 1] = id
end
if A.entity == 'item' then items_changed(changed) end
return 'DONE'
""",
    QUEUES, activity.LUA, subscription.LUA, RECORDS,
)  # fmt: skip

READ: Final = Script(
    """
local ids = A.ids
if not ids then
  local first = A.after == '' and '-' or '(' .. A.after
  ids = redis.call('ZRANGEBYLEX', key(A.entity .. 's'), first, '+', 'LIMIT', 0, A.limit)
end
local found = {}
for _, id in ipairs(ids) do
  local f = redis.call('HMGET', key(A.entity, id), 'p', 'c', 'u', 'r', 'd')
  if f[1] and not f[5] then
    local states, dead = {}, {}
    each_of(A.letter .. id, function(list, provider, _, kind)
      if kind == A.kind and provider then states[#states + 1] = (list == 'dead' and 'd:' or 'q:') .. provider end
    end)
    found[#found + 1] = {id, f[1], f[2] or '', f[3] or '', f[4] or '', table.concat(states, ' ')}
  end
end
return found
""",
    QUEUES,
)


class Records:
    """Part of the store."""

    server: Server

    # --- what callers put
    async def edit(self, entity: Entity, edits: Sequence[Edit], routes: Routes, now: float) -> None:
        size = sum(len(msgspec.json.encode(one.properties)) for one in edits) * (2 + len(routes))
        for _ in range(TRIES):
            said = await self._edited(entity, edits, routes, now)
            if await in_room(self.server, EDIT, said, size, len(edits)) == b"DONE":
                return
        raise StoreError("the state store is changed by others all the time")

    async def _edited(self, entity: Entity, edits: Sequence[Edit], routes: Routes, now: float) -> dict[str, Any]:
        """What is to be written, by what is on record. Raises Deleted for a merge into what was deleted."""
        known = await self._on_record(entity, {one.id for one in edits})
        versions = {id_: version for id_, (_, version) in known.items()}
        current = {id_: properties for id_, (properties, _) in known.items()}
        written = []
        for one in edits:
            old = current[one.id]
            if old is None and one.merge:
                raise Deleted(one.id)
            old, properties = old or {}, one.properties
            if one.merge:
                properties = {n: value for n, value in {**old, **one.properties}.items() if value is not None}
            unset = tuple(name for name in old if name not in properties)
            current[one.id] = properties
            told = msgspec.json.encode(Change(one.id, properties, unset)).decode()
            written.append((one.id, msgspec.json.encode(properties).decode(), told, False))
        return {**_addressed(PUT[entity], routes, now), "entity": entity, "versions": versions, "edits": written}

    async def _on_record(self, entity: Entity, ids: Iterable[str]) -> dict[str, tuple[dict[str, Any] | None, str]]:
        """Properties (None: deleted) and version of each, also of those that are not there."""
        wanted = list(ids)
        fields = ("p", "d", "v")
        found = await self.server.ask(*(("HMGET", self.server.key(entity, id_), *fields) for id_ in wanted))
        return {
            id_: (None if deleted else _properties.decode(properties or b"{}"), (version or b"").decode())
            for id_, (properties, deleted, version) in zip(wanted, found, strict=True)
        }

    async def remove_item(self, id_: str, routes: Routes, now: float) -> None:
        said = {**_addressed("delete_item", routes, now), "entity": "item", "versions": {}}
        said["edits"] = [(id_, "{}", "", True)]
        await in_room(self.server, EDIT, said, 0)

    # --- what is on record
    async def record(self, entity: Entity, id_: str) -> Record | None:
        found = await self._records(entity, ids=[id_])
        return found[0] if found else None

    async def records(self, entity: Entity, after: str, limit: int) -> list[Record]:
        """By id."""
        return await self._records(entity, ids=False, after=after, limit=limit)

    async def _records(self, entity: Entity, **which: Any) -> list[Record]:
        kind = PUT[entity]
        said = {**which, "entity": entity, "kind": kind, "letter": subject(kind, "")}
        return [_record(row) for row in await self.server.look(READ, said)]

    async def items(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        wanted = list(ids)
        asked = (("HMGET", self.server.key("item", id_), "p", "d") for id_ in wanted)
        found = await self.server.ask(*asked, hurried=True)
        return {
            id_: _properties.decode(properties)
            for id_, (properties, deleted) in zip(wanted, found, strict=True)
            if properties is not None and not deleted
        }

    async def hidden_items(self) -> frozenset[str]:
        """Items that were deleted and not put again."""
        (ids,) = await self.server.ask(("SMEMBERS", self.server.key("hidden_items")))
        return frozenset(id_.decode() for id_ in ids)


def _addressed(kind: ErrandKind, routes: Routes, now: float) -> dict[str, Any]:
    """Who is told of a change."""
    return {
        "kind": kind,
        "letter": subject(kind, ""),
        "routes": routes_text(routes),
        "queued": [name for name, route in routes.items() if route == "queued"],
        "now": now,
    }


def _record(row: list[bytes]) -> Record:
    id_, properties, created, updated, routes, said = row
    states: dict[str, Synced] = {}
    for one in sorted(said.decode().split()):  # what is dead first: what waits says more
        letter, _, name = one.partition(":")
        states[name] = "failed" if letter == "d" else "queued"
    providers: dict[str, Synced] = {}
    for one in routes.decode().split():
        name, route = one.split(":")
        providers[name] = states.get(name, "synced" if route == "q" else "unsupported")
    return Record(
        id_.decode(),
        _properties.decode(properties),
        float(created) if created else None,
        float(updated) if updated else None,
        providers,
    )

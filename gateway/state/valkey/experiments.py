"""Counts of experiments: sums by arm, and who was counted already. PHASE is the experiment's key, NUL, its name.

    phases             zset: PHASE by number                  phase:PHASE    hash: what it was made of, since when
    sums:PHASE         hash: arm, NUL, count → the sum
    units:PHASE:ARM    hash: a unit's mark → what it has done, so that it is counted once
    credits:PHASE      set: one mark a unit, item and kind of event, so that each earns once
    shown:WRITER       the number of the last writing of a process, so that it is counted once

Units and credits of a phase that nothing happens to for `REMEMBERED` are forgotten; its sums stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from gateway.experiments.counts import Counts, Earned, Shown, Tally
from gateway.experiments.phase import Phase
from gateway.state.valkey.connection import Server
from gateway.state.valkey.script import Script

REMEMBERED: Final = 30 * 86_400
"""Seconds. Credit ends a week after an answer (`CREDIT_LIFE`), so that nothing can be counted twice after it."""

WRITER: Final = 7 * 86_400
"""Seconds for which it is known how far a process has written that is heard of no more."""

LUA: Final = f"""
local CLICKED, CONVERTED, EXPOSED = 1, 2, 4

local function open_phase(said)
  local phase = said.experiment .. '\\0' .. said.name
  local record = key('phase', phase)
  local began = redis.call('HGET', record, 'began')
  if not began then redis.call('ZADD', key('phases'), redis.call('ZCARD', key('phases')) + 1, phase) end
  if not began or (tonumber(began) == 0 and said.began > 0) then
    redis.call('HSET', record, 'experiment', said.experiment, 'name', said.name, 'placement', said.placement,
      'unit', said.unit, 'weights', said.weights, 'began', num(said.began))
  end
  return phase
end

local function mark_unit(phase, arm, unit, bit)
  local marks = key('units', phase, arm)
  local had = tonumber(redis.call('HGET', marks, unit) or '0')
  if math.floor(had / bit) % 2 == 1 then return 0 end
  redis.call('HSET', marks, unit, whole(had + bit))
  redis.call('EXPIRE', marks, {REMEMBERED})
  return 1
end

local function add_counts(phase, arm, more)
  for name, count in pairs(more) do
    local command = name == 'value' and 'HINCRBYFLOAT' or 'HINCRBY'
    redis.call(command, key('sums', phase), arm .. '\\0' .. name, num(count))
  end
end

local function credit(one)
  local phase = open_phase(one.phase)
  local new, worth = 0, 0
  for _, item in ipairs(one.items) do
    if redis.call('SADD', key('credits', phase), raw(item[1])) == 1 then
      new, worth = new + 1, worth + item[2]
    end
  end
  if new == 0 then return end
  redis.call('EXPIRE', key('credits', phase), {REMEMBERED})
  local unit = raw(one.unit)
  if one.type == 'click' then
    local once = mark_unit(phase, one.arm, unit, CLICKED)
    add_counts(phase, one.arm, {{clicks = new, clicking_units = once}})
  else
    local once = mark_unit(phase, one.arm, unit, CONVERTED)
    if one.value and new == #one.items then worth = one.value end
    add_counts(phase, one.arm, {{conversions = new, converting_units = once, value = worth}})
  end
end

local function forget_unit(mark)
  local unit = raw(mark)
  for _, phase in ipairs(redis.call('ZRANGE', key('phases'), 0, -1)) do
    local looked = {{}}
    for _, field in ipairs(redis.call('HKEYS', key('sums', phase))) do
      local arm = field:match('^(.*)%z')
      if not looked[arm] then redis.call('HDEL', key('units', phase, arm), unit) end
      looked[arm] = true
    end
  end
end
"""
"""For whoever accepts events: `credit(one)`, with what `credited` made. For whoever erases: `forget_unit(hex)`."""

_OPEN: Final = Script("for _, one in ipairs(A) do open_phase(one) end", LUA)
_CREDIT: Final = Script("for _, one in ipairs(A) do credit(one) end", LUA)
_SHOWN: Final = Script(
    f"""
if A.writer then  -- the answer to the same may have been lost
  local last = key('shown', A.writer)
  if tonumber(redis.call('GET', last) or '0') >= A.number then return end
  redis.call('SET', last, whole(A.number), 'EX', {WRITER})
end
"""
    """
for _, one in ipairs(A.shown) do
  local phase, units = open_phase(one.phase), 0
  for _, unit in ipairs(one.units) do units = units + mark_unit(phase, one.arm, raw(unit), EXPOSED) end
  add_counts(phase, one.arm,
    {units = units, exposures = one.exposures, empty = one.empty, fallback = one.fallback})
end
""",
    LUA,
)
_TALLIES: Final = Script("""
local found = {}
for _, phase in ipairs(redis.call('ZRANGE', key('phases'), 0, -1)) do
  local said = redis.call('HMGET', key('phase', phase),
    'experiment', 'name', 'placement', 'unit', 'weights', 'began')
  if not A.experiment or said[1] == A.experiment then
    table.insert(found, {said, redis.call('HGETALL', key('sums', phase))})
  end
end
return found
""")


def credited(one: Earned) -> dict[str, Any]:
    """What `credit` in Lua is given. Whoever opened the phase may have had another state store."""
    return {
        "phase": _opened(Phase(one.experiment, one.phase, "", "", {}), 0.0),
        "arm": one.arm,
        "unit": one.unit.hex(),
        "type": one.type,
        "items": [[_mark(one, item), worth] for item, worth in one.items],
        "value": False if one.value is None else one.value,
    }


def _mark(one: Earned, item: str) -> str:
    """Stands for what this unit earns by this item, so that it earns it once."""
    return blake2b(f"{one.arm}\0{one.type}\0{item}".encode(), key=one.unit, digest_size=16).hexdigest()


def _opened(phase: Phase, began: float) -> dict[str, Any]:
    return {
        "experiment": phase.experiment,
        "name": phase.name,
        "placement": phase.placement,
        "unit": phase.unit,
        "weights": msgspec.json.encode(phase.weights).decode(),
        "began": began,
    }


class Experiments:
    """Part of the store."""

    server: Server

    async def open_phases(self, phases: Sequence[Phase], now: float) -> None:
        await self.server.change(_OPEN, [_opened(phase, now) for phase in phases])

    async def note_shown(self, shown: Sequence[Shown], now: float, batch: tuple[str, int] | None = None) -> None:
        told = [
            {
                "phase": _opened(one.phase, now),
                "arm": one.arm,
                "units": [unit.hex() for unit in one.units],
                "exposures": one.exposures,
                "empty": one.empty,
                "fallback": one.fallback,
            }
            for one in shown
        ]
        writer, number = batch or (False, 0)
        await self.server.change(_SHOWN, {"shown": told, "writer": writer, "number": number})

    async def credit(self, earned: Sequence[Earned]) -> None:
        await self.server.change(_CREDIT, [credited(one) for one in earned])

    async def tallies(self, experiment: str | None = None) -> list[Tally]:
        found = await self.server.look(_TALLIES, {"experiment": experiment or False})
        return sorted((_tally(*one) for one in found), key=lambda tally: tally.began_at)


def _tally(said: list[bytes], sums: list[bytes]) -> Tally:
    experiment, name, placement, unit, weights, began = (one.decode() for one in said)
    phase = Phase(experiment, name, placement, unit, msgspec.json.decode(weights, type=dict[str, float]))
    arms: dict[str, dict[str, float]] = {}
    for field, count in zip(sums[::2], sums[1::2], strict=True):
        arm, _, what = field.decode().rpartition("\0")
        arms.setdefault(arm, {})[what] = float(count)
    counts = {arm: msgspec.convert(arms[arm], Counts, strict=False) for arm in sorted(arms)}
    return Tally(phase, float(began), counts)

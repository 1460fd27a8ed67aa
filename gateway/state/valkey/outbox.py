"""The outbox: what each provider is still to be told, and the letters that it will never take.

accepted ─▸ outbox ─▸ told            ─▸ gone: nothing of it is left but the log
              │  └──▸ refused         ─▸ dead letter ─▸ retried: at the end of the outbox again
              └─────▸ failed          ─▸ stays, with its attempts and when it is due
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.state.kept import DeadLetter, Errand, Queue
from gateway.state.valkey.connection import Server
from gateway.state.valkey.lua import QUEUES, seq_of, stream_id
from gateway.state.valkey.script import Script

MOST_BYTES: Final = 4_000_000
"""Of errands that are handed out at once, so that large ones cannot fill the memory."""
RETRIED: Final = 500
"""Dead letters that one script queues again."""

ERRANDS: Final = Script(
    f"""
local list = A.replayed and 'replay' or 'outbox'
local late = redis.call('EXISTS', key('late', A.provider)) == 1
local found, size, after = {{}}, 0, A.after
while #found < A.limit and size <= {MOST_BYTES} do
  local part = redis.call('XRANGE', key(list, A.provider), '(' .. after, '+', 'COUNT', math.min(A.limit, 100))
  if #part == 0 then break end
  for _, one in ipairs(part) do
    local id = one[1]
    local kind, ref, subject, _, accepted, body = content(id, one[2])
    after = id
    if kind then
      local due = late and redis.call('HGET', key('late', A.provider), id) or ''
      found[#found + 1] = {{id, kind, ref, subject, accepted, due, body}}
      size = size + #body
      if #found == A.limit or size > {MOST_BYTES} then break end
    end
  end
end
return found
""",
    QUEUES,
)

QUEUED: Final = Script(
    """
local found = {}
for _, id in ipairs(A) do
  local provider = provider_of(id)
  if provider and (entry(key('outbox', provider), id) or entry(key('replay', provider), id)) then
    found[#found + 1] = id
  end
end
return found
""",
    QUEUES,
)

BURY: Final = """
local function bury(list, provider, id, fields, reason, now)
  local kind, ref, subject, event, accepted, body = content(id, fields)
  local attempts = (redis.call('HGET', key('late', provider), id) or '0'):match('^%d+')
  dequeue(list, provider, id, subject, #body)
  enqueue('dead', provider, kind, ref, subject, event, accepted, body,
    'd', now, 't', whole(attempts + 1), 'w', reason)
end
"""
"""Makes a dead letter of what is queued. After QUEUES."""

SETTLE: Final = Script(
    """
for _, one in ipairs(A.refused) do  -- from the queue, so that what was erased meanwhile stays so
  local list, id, reason = unpack(one)
  local fields = entry(key(list, A.provider), id)
  if fields and content(id, fields) then bury(list, A.provider, id, fields, reason, A.now) end
end
for _, one in ipairs(A.told) do
  local list, id, subject, size, is_record = unpack(one)
  dequeue(list, A.provider, id, subject, size)
  if is_record then  -- what failed before no longer matters
    each_of(subject, function(where, provider, dead, kind)
      if where == 'dead' and provider == A.provider and kind ~= 'event' then
        local fields = entry(key('dead', provider), dead)
        if fields then dequeue_whole('dead', provider, dead, fields) end
      end
    end)
  end
end
""",
    QUEUES, BURY,
)  # fmt: skip

POSTPONE: Final = Script(
    """
for _, one in ipairs(A) do
  local list, id, attempts, due = unpack(one)
  local provider = provider_of(id)
  if provider and entry(key(list, provider), id) then
    redis.call('HSET', key('late', provider), id, whole(attempts) .. ' ' .. num(due))
  end
end
""",
    QUEUES,
)

COUNT: Final = Script(
    """
local found = {}
local all = redis.call('HGETALL', key('providers'))
for at = 1, #all, 2 do
  if all[at]:sub(1, 1) ~= '#' then
    local provider = all[at]
    local outbox, replay, dead = key('outbox', provider), key('replay', provider), key('dead', provider)
    local first = redis.call('XRANGE', outbox, '-', '+', 'COUNT', 1)[1]
    first = first or redis.call('XRANGE', replay, '-', '+', 'COUNT', 1)[1]
    local oldest = ''
    if first then
      local _, _, _, _, accepted = content(first[1], first[2])
      oldest = accepted or ''
    end
    local waiting = redis.call('XLEN', outbox) + redis.call('XLEN', replay)
    found[#found + 1] = {provider, waiting, oldest, redis.call('XLEN', dead)}
  end
end
return found
""",
    QUEUES,
)

RETRY: Final = Script(
    f"""
local last, count = '', 0
local part = redis.call('XRANGE', key('dead', A.provider), '(' .. A.after, A.upto, 'COUNT', {RETRIED})
for _, one in ipairs(part) do
  local id, f = one[1], one[2]
  last = id
  if not A.ref or f[4] == A.ref then
    dequeue('dead', A.provider, id, f[6], #f[12])
    enqueue('outbox', A.provider, f[2], f[4], f[6], f[8], f[10], f[12])
    count = count + 1
  end
end
return {{count, #part == {RETRIED} and last or ''}}
""",
    QUEUES,
)


class Outbox:
    """Part of the store."""

    server: Server

    async def errands(self, provider: str, after: int, limit: int, *, replayed: bool = False) -> list[Errand]:
        said = {"provider": provider, "after": stream_id(after), "limit": limit, "replayed": replayed}
        return [_errand(row, replayed) for row in await self.server.look(ERRANDS, said)]

    async def still_queued(self, seqs: Sequence[int]) -> set[int]:
        return {seq_of(id_) for id_ in await self.server.look(QUEUED, [stream_id(seq) for seq in seqs])}

    async def settle(
        self, provider: str, told: Sequence[Errand], refused: Sequence[tuple[Errand, str]], now: float
    ) -> None:
        """These are out of the outbox: told for good, or refused for a reason."""
        said = {
            "provider": provider,
            "now": now,
            "told": [
                (list_of(one), stream_id(one.seq), one.subject, len(one.body), one.kind in RECORDS) for one in told
            ],
            "refused": [(list_of(one), stream_id(one.seq), reason) for one, reason in refused],
        }
        await self.server.change(SETTLE, said)

    async def postpone(self, errands: Iterable[Errand]) -> None:
        """Remember how often these failed, and when they are due."""
        said = [(list_of(one), stream_id(one.seq), one.attempts, one.due) for one in errands]
        await self.server.change(POSTPONE, said)

    async def queues(self) -> dict[str, Queue]:
        """By provider; those for which nothing waits and nothing is dead are left out."""
        rows = await self.server.look(COUNT)
        return {
            name.decode(): Queue(queued, float(oldest) if oldest else None, dead)
            for name, queued, oldest, dead in sorted(rows)
            if queued or dead
        }

    # --- dead letters
    async def dead_letters(self, provider: str | None, limit: int, before: int | None = None) -> list[DeadLetter]:
        """Newest first."""
        below = "+" if before is None else f"({stream_id(before)}"
        names = await self._names(provider)
        found = await self.server.ask(
            *(("XREVRANGE", self.server.key("dead", name), below, "-", "COUNT", limit) for name in names)
        )
        letters = [
            _dead_letter(id_, name, fields)
            for name, part in zip(names, found, strict=True)
            for id_, fields in part
        ]
        return sorted(letters, key=lambda one: -one.seq)[:limit]

    async def retry(self, provider: str | None, ref: str | None) -> int:
        """Put dead letters into the outbox again, in each provider's order; how many those were."""
        return sum([await self._retry(name, ref) for name in await self._names(provider)])

    async def _retry(self, provider: str, ref: str | None) -> int:
        """A part at a time: what dies again meanwhile is left alone."""
        (last,) = await self.server.ask(("XREVRANGE", self.server.key("dead", provider), "+", "-", "COUNT", 1))
        count, after = 0, "0-0" if last else ""
        while after:
            said = {"provider": provider, "ref": ref or False, "after": after, "upto": last[0][0].decode()}
            part, position = await self.server.change(RETRY, said)
            count, after = count + part, position.decode()
        return count

    async def _names(self, provider: str | None) -> list[str]:
        if provider is not None:
            return [provider]
        (names,) = await self.server.ask(("HKEYS", self.server.key("providers")))
        return sorted(name.decode() for name in names if not name.startswith(b"#"))


RECORDS: Final = ("put_user", "put_item", "delete_item")


def list_of(errand: Errand) -> str:
    """The stream in which it waits."""
    return "replay" if errand.replayed else "outbox"


def _errand(row: list[Any], replayed: bool) -> Errand:
    id_, kind, ref, subject, accepted_at, late, body = row
    attempts, due = late.split() if late else (0, 0)
    return Errand(
        seq_of(id_), kind.decode(), ref.decode(), subject.decode(), float(accepted_at), int(attempts), float(due),
        replayed, body,
    )  # fmt: skip


def _dead_letter(id_: bytes, provider: str, fields: list[bytes]) -> DeadLetter:
    said = dict(zip(fields[::2], fields[1::2], strict=True))
    kind: Any = said[b"k"].decode()
    return DeadLetter(
        seq_of(id_), provider, kind, said[b"r"].decode(), said[b"w"].decode(), int(said[b"t"]), float(said[b"d"])
    )

"""Answers that processes share (`gateway.answering.second_level`). Nothing of it need be durable.

    answer:HEX      an answer, until its life is over        answers         zset: HEX by the moment it ends
    answer_sizes    hash: HEX → bytes; '' → their sum        dropped         hash: placement → mark; '' → of all
    dropped:SHA1    a user's mark, by a hash of the id       drops           counter: marks
    sharing         is there as long as anybody shares, so that marks are changed

A user's mark is changed where the user's event is accepted, and where the user is erased: see `LUA`. Drops of all
and of placements ring for the other processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha1
from typing import Final

from gateway.answering.second_level import LONGEST
from gateway.state.kept import StoreError
from gateway.state.news import Bell
from gateway.state.valkey import subscription
from gateway.state.valkey.connection import Server
from gateway.state.valkey.lane import Command
from gateway.state.valkey.script import Script

LIFE: Final = round(LONGEST) + 60
"""Seconds for which a user's mark is kept: longer than any answer."""
AT_ONCE: Final = 200
"""Answers that leave in one change at most."""

LUA: Final = f"""
local function drop_answers_of(user)
  if redis.call('EXISTS', key('sharing')) == 1 then
    redis.call('SET', key('dropped', redis.sha1hex(user)), redis.call('INCR', key('drops')), 'EX', {LIFE})
  end
end
"""
"""For those who accept events and erase users: `drop_answers_of(user)`."""

_DROP: Final = Script(
    """
redis.call('HSET', key('dropped'), A.placement, redis.call('INCR', key('drops')))
ring('drops')
""",
    subscription.LUA,
)
_ROOM: Final = Script(f"""
local answers, sizes = key('answers'), key('answer_sizes')
local function leaves(id)
  redis.call('HINCRBY', sizes, '', -tonumber(redis.call('HGET', sizes, id) or 0))
  redis.call('HDEL', sizes, id)
  redis.call('ZREM', answers, id)
end
leaves(A.id)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', answers, '-inf', A.now, 'LIMIT', 0, {AT_ONCE})) do leaves(id) end
for _ = 1, {AT_ONCE} do
  local first = redis.call('ZRANGE', answers, 0, 0)[1]
  if not first or tonumber(redis.call('HGET', sizes, '') or 0) + A.size <= A.most then break end
  redis.call('DEL', key('answer', first))
  leaves(first)
end
redis.call('ZADD', answers, A.now + A.seconds, A.id)
redis.call('HSET', sizes, A.id, A.size)
redis.call('HINCRBY', sizes, '', A.size)
""")


class Answers:
    """The shelf."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def kept_answer(self, key: bytes, placement: str, user: str | None) -> tuple[bytes | None, bytes]:
        named = self._server.key
        looks: list[Command] = [("GET", named("sharing")), ("GET", named("answer", key.hex()))]
        looks.append(("HMGET", named("dropped"), "", placement))
        if user is not None:
            looks.append(("GET", named("dropped", sha1(user.encode(), usedforsecurity=False).hexdigest())))
        sharing, kept, marks, *users = await self._server.ask(*looks, hurried=True)
        if sharing is None:  # the server lost it, so nobody has changed marks since
            raise StoreError("the state store does not know that answers are shared")
        return kept, b" ".join(mark or b"-" for mark in (*marks, *users))

    async def keep_answer(self, key: bytes, kept: bytes, seconds: float, max_bytes: int, now: float) -> None:
        told = {"id": key.hex(), "size": len(kept), "seconds": seconds, "now": now, "most": max_bytes}
        put = ("SET", self._server.key("answer", key.hex()), kept, "PX", max(1, round(seconds * 1000)))
        await self._server.lightly(_ROOM, told, put)

    async def drop_answers(self, placement: str | None) -> None:
        await self._server.change(_DROP, {"placement": placement or ""})

    async def answers_dropped(self) -> Mapping[str, bytes]:
        named = self._server.key
        looks: list[Command] = [("HGETALL", named("dropped")), ("SET", named("sharing"), 1, "EX", LIFE)]
        said, _ = await self._server.ask(*looks, hurried=True)  # on the way that answers take, so that it is open
        return {name.decode(): mark for name, mark in zip(said[::2], said[1::2], strict=True)}

    def bell(self) -> Bell:
        return self._server.bell("drops")

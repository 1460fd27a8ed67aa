"""The bound of the store: what was delivered long ago leaves, so that what was accepted can stay.

    room for it? ─yes─▸ go on
         └no─▸ the oldest events that nobody waits for leave ─▸ room? ─no─▸ `Full`: nothing is accepted

What is kept is counted by the scripts that write and delete (`bytes`): bodies, and what was measured to come with
each. The server's own `maxmemory` bounds it too: then every write is refused, and nothing leaves for it, since the
memory may be somebody else's.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.state.kept import Full
from gateway.state.valkey.connection import Server
from gateway.state.valkey.lua import ENTRY_BYTES, EVENT_BYTES, LOG, QUEUES
from gateway.state.valkey.script import Script

PART: Final = 500
"""Events that one script looks at, and so at most that leave at once."""

OLDEST: Final = Script(
    f"""
local looked, dropped, last = 0, 0, A.after
for _, one in ipairs(redis.call('XRANGE', key('log'), '(' .. A.after .. '-0', '+', 'COUNT', {PART})) do
  local n, e = one[1]:match('^%d+'), one[2]
  if A.before and tonumber(e[8]) >= A.before then return {{dropped, ''}} end
  looked, last = looked + 1, n
  if not is_waited_for(n, e) then
    drop(n, e)
    dropped = dropped + 1
  end
end
if looked < {PART} then last = '' end
return {{dropped, last}}
""",
    QUEUES,
    LOG,
)


async def in_room(server: Server, script: Script, said: dict[str, Any], size: int, things: int = 1) -> Any:
    """Run a script that answers FULL where `size` bytes in `things` would pass `most`. Raises Full."""
    said |= {"most": server.max_bytes or False, "size": size + things * max(EVENT_BYTES, ENTRY_BYTES)}
    while (done := await server.change(script, said)) == b"FULL":
        await _make_room(server)
    return done


async def _make_room(server: Server) -> None:
    """Some events leave. Raises Full where none can, at once while nothing has been delivered since."""
    async with server.making_room:
        waiting = await _waiting(server)
        if waiting == server.full_with or not await drop_oldest(server, None, PART):
            server.full_with = waiting
            raise Full("the state store is full, and nothing in it can leave before it is delivered")


async def _waiting(server: Server) -> list[int]:
    """How much waits for each provider."""
    (names,) = await server.ask(("HKEYS", server.key("providers")))
    return await server.ask(
        *(("XLEN", server.key("outbox", name.decode())) for name in names if not name.startswith(b"#"))
    )


async def drop_oldest(server: Server, before: float | None, most: int) -> int:
    """Forget the oldest events that nobody waits for, received before (Unix seconds); how many those were."""
    dropped, after = 0, "0"
    while after and dropped < most:
        part, last = await server.change(OLDEST, {"after": after, "before": before or False})
        dropped, after = dropped + part, last.decode()
    return dropped

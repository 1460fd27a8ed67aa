"""Publish/subscribe: who tells the others something rings for them, so that they look now and not by the clock.

    a script that tells something ─ PUBLISH, in the same script ─▸ every process's own connection ─▸ its bells
         ▴                                                                                              │
         └──────────────── what was told stands in keys, and is read from there: by the bell, or ◂──────┘
                           half a second later by the clock (`events.hearing`, `answering.second_level`)

A message has no content: it may be lost (a connection that broke, a server that was restarted), come twice or too
often, and nothing depends on it. So this connection has no breaker and trips none; it is made again by itself, and
who is subscribed anew is rung for once, by the server's reply to SUBSCRIBE. A connection that is silent is asked
whether anybody is there, since one who only listens would never learn of it.

    {prefix}:bell:news      users whose answers hold no more, items hidden or shown
    {prefix}:bell:drops     drops of a placement's answers, or of all

The user needs `&{prefix}:*` (https://valkey.io/topics/acl/, docs/security.md); without it all but this works.
Channels have no database number: gateways of one prefix in two databases of a server look more often than needed.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import Final, Literal, get_args

import structlog
from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

from gateway.state.news import Bell
from gateway.state.valkey.lane import plainly
from gateway.state.valkey.places import Place

Topic = Literal["news", "drops"]

PAUSE: Final = 0.02
"""Seconds between two rings at least: who tells something a thousand times a second makes fifty looks."""
SILENCE: Final = 10.0
"""Seconds of silence after which the server is asked whether it is there, and for which its reply may take."""
FIRST, LONGEST = 1.0, 30.0
"""Seconds until it is made again: each time twice as long, as long as it fails."""

LUA: Final = """
local function ring(topic) redis.pcall('PUBLISH', key('bell', topic), '') end
"""
"""For who tells something: `ring(topic)`. `pcall`, for whoever may not publish may tell it nevertheless."""

log = structlog.get_logger("gateway")


class Subscription:
    """Of one process; begins with the first bell. `seconds`: for connecting."""

    def __init__(self, place: Place, seconds: float) -> None:
        self._place = place
        self._seconds = seconds
        self._bells: dict[bytes, list[Bell]] = {self._channel(topic): [] for topic in get_args(Topic)}
        self._following: asyncio.Task[None] | None = None

    def bell(self, topic: Topic) -> Bell:
        """Rung from now on whenever somebody has told something of this topic."""
        bell = Bell()
        self._bells[self._channel(topic)].append(bell)
        if self._following is None:
            self._following = asyncio.get_running_loop().create_task(self._follow())
        return bell

    async def close(self) -> None:
        """No bell is rung any more."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    def _channel(self, topic: Topic) -> bytes:
        return f"{self._place.prefix}bell:{topic}".encode()

    async def _follow(self) -> None:
        pause, said = FIRST, False
        while True:
            why_not = await self._listen()
            if why_not is None:
                pause, said = FIRST, False
            elif not said:  # once for each outage, and once for a user who may not
                log.warning("the state store's news are only looked for by the clock", error=why_not)
                said = True
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)

    async def _listen(self) -> str | None:
        """Until the connection ends: why it could not be subscribed; None where it was."""
        connection: Connection | None = None
        subscribed = False
        try:
            async with asyncio.timeout(self._seconds):
                connection = await self._place.connection()
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
                await connection.send_command("SUBSCRIBE", *self._bells, check_health=False)
            while True:
                channels = await _heard(connection)
                subscribed = True
                for bell in (bell for channel in channels for bell in self._bells.get(channel, ())):
                    bell.ring()
                await asyncio.sleep(PAUSE)
        except (RedisError, OSError, TimeoutError) as error:
            return None if subscribed else plainly(error)
        finally:
            if connection is not None:
                with suppress(RedisError, OSError, TimeoutError):
                    await connection.disconnect(nowait=True)


async def _heard(connection: Connection) -> set[bytes]:
    """The channels of what is there to be read, once there is something: of messages, or of `subscribe`."""
    said = await connection.read_response(timeout=SILENCE)
    async with asyncio.timeout(SILENCE):  # of each by itself it would cost more than the reading
        if said is None:
            await connection.send_command("PING", check_health=False)
            said = await connection.read_response(timeout=math.inf)
        channels = {bytes(said[1])}  # [b"message", channel, b""] or [b"pong", b""]
        while await connection.can_read():
            channels.add(bytes((await connection.read_response(timeout=math.inf))[1]))
    return channels

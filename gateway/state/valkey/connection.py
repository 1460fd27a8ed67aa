"""The server, as the parts of the store use it.

    await self.server.change(SCRIPT, argument)      an atomic change: durable when it returns
    await self.server.look(SCRIPT, argument)        a script that only reads
    await self.server.ask(("HGET", key, field), …)  plain reading commands, one round trip, one reply each
    …(hurried=True)                                 either of these where an answer waits: 100 ms at most
    self.server.bell(topic)                         rung when a process has told the others something

Three lanes, each a connection of its own, so that a long look holds up no change and neither an answer; a fourth
connection only listens. Replies are as the server gives them (bytes, ints, lists, None). All raise StoreError,
`Full` where the memory is full.

Keys: `{prefix}:…`, made by `server.key("log")` here and `key('log')` in Lua. The braces are a hash tag: all keys
are on one slot, so scripts may use any of them, and a cluster keeps all of one gateway on one node (a cluster
gives it failover, not more memory). Conventions of scripts: `gateway.state.valkey.script`.

    n                 counter: numbers of events and of whatever is queued        version      of this layout
    log               stream n-0: events                    ids            hash: id of an event → n
    by_time           zset of events: time, n               by_type:T by_user:U by_item:I      the same of some
    providers         hash: provider → its number k, and k → provider
    outbox:P replay:P dead:P   streams n-k                  late:P         hash n-k → attempts and due
    of:SUBJECT        hash: what else waits or is dead for a subject               rerouted     hash: n → routes
    user:U item:I     hash: a record      users items       zset by id     hidden hidden_items  counter, set
    erasure:H erasures        receipts                      news news_from stream n-0 of users, and where it begins
    feeding:P         hash: a replay      lease:NAME        holder         bytes  what is kept, about
    bell:TOPIC        no key but a channel of publish/subscribe
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gateway.state.news import Bell
from gateway.state.valkey.lane import Command, Lane, refused
from gateway.state.valkey.places import Place
from gateway.state.valkey.script import Script
from gateway.state.valkey.subscription import Subscription, Topic

HURRIED: Final = 0.1
"""Seconds for what an answer waits for."""
SOON: Final = 2.0
"""Seconds for everything else."""
LATE: Final = 3
"""So many answers in a row that come late, and none waits any more."""
COPIES: Final = 1500
"""Milliseconds for which WAITAOF and WAIT may wait."""


class Server:
    """See the module."""

    def __init__(self, place: Place, max_bytes: int | None = None) -> None:
        self.prefix = place.prefix
        self.max_bytes = max_bytes
        """About the most that may be kept; None: no bound but the server's own."""
        self.place = place
        self.making_room = asyncio.Lock()
        self.full_with: list[int] | None = None
        """What waited when nothing could leave: see room.py."""
        waits: list[Command] = []
        if any(place.wait_aof):
            waits.append(("WAITAOF", *place.wait_aof, COPIES))
        if place.wait:
            waits.append(("WAIT", place.wait, COPIES))
        self._changes = Lane(place, SOON, waits=waits)
        self._looks = Lane(place, SOON)
        self._answers = Lane(place, HURRIED, patience=1.0, late=LATE)
        self._subscription = Subscription(place, SOON)

    def key(self, *parts: str) -> str:
        """The name of a key."""
        return self.prefix + ":".join(parts)

    async def change(self, script: Script, argument: Any = None) -> Any:
        """What the script returns, once it is as durable as the URL wants. Raises StoreError."""
        return await self._run(self._changes, script, argument)

    async def look(self, script: Script, argument: Any = None, *, hurried: bool = False) -> Any:
        """What a script returns that changes nothing. Raises StoreError."""
        return await self._run(self._answers if hurried else self._looks, script, argument)

    async def ask(self, *commands: Command, hurried: bool = False) -> list[Any]:
        """The replies to commands that change nothing. Raises StoreError."""
        lane = self._answers if hurried else self._looks
        return [refused(one) for one in await lane.call(commands)] if commands else []

    async def lightly(self, script: Script, argument: Any, *commands: Command) -> None:
        """A script's change, then these commands; they may be lost: no sync is waited for. Raises StoreError."""
        told = [script.command(self.prefix, argument), *commands]
        for reply in await self._looks.call(told, script):
            refused(reply)

    def bell(self, topic: Topic) -> Bell:
        """Rung whenever a process, this one too, has told the others something of this topic."""
        return self._subscription.bell(topic)

    async def _run(self, lane: Lane, script: Script, argument: Any) -> Any:
        (said,) = await lane.call([script.command(self.prefix, argument)], script)
        return refused(said)

    async def close(self) -> None:
        """After everything that was asked before."""
        await self._subscription.close()
        for lane in (self._changes, self._looks, self._answers):
            await lane.close()

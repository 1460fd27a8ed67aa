"""The shared state store: one Valkey (or Redis) server for many machines. Each part stands in a module of its own.

connection.py  the server, the keys, three lanes       lane.py        one connection, calls in groups
script.py      atomic changes in Lua                   guard.py       the store's own breaker
places.py      URLs                                    checks.py      what durability needs of the server
ids.py         id maps                                 secrets.py     keys
records.py     users and items                         activity.py    who wanted which item
log.py         events                                  outbox.py      what providers are still to be told
erasures.py    users forgotten, receipts               replays.py     a provider fed anew
leases.py      one active process                      room.py        the bound of what is kept
upkeep.py      what the clock does                     trainings.py   the lock on trainings
experiments.py counts of experiments             tokens.py     access tokens, sealed
answers.py     answers that processes share            subscription.py  who told something rings for all
"""

from __future__ import annotations

from contextlib import suppress

from gateway.answering.second_level import Shelf
from gateway.state.kept import StoreError
from gateway.state.valkey.activity import UserItems
from gateway.state.valkey.answers import Answers
from gateway.state.valkey.connection import Server
from gateway.state.valkey.erasures import Erasures
from gateway.state.valkey.experiments import Experiments
from gateway.state.valkey.ids import IdMaps
from gateway.state.valkey.leases import Leases
from gateway.state.valkey.log import EventLog
from gateway.state.valkey.outbox import Outbox
from gateway.state.valkey.places import Place
from gateway.state.valkey.records import Records
from gateway.state.valkey.replays import Replays
from gateway.state.valkey.secrets import Secrets
from gateway.state.valkey.tokens import Tokens
from gateway.state.valkey.trainings import Trainings
from gateway.state.valkey.upkeep import Upkeep

__all__ = ["ValkeyStore"]


class ValkeyStore(
    Secrets, IdMaps, EventLog, Outbox, Records, Erasures, Replays, Leases, Upkeep, UserItems,
    Trainings, Experiments, Tokens,
):  # fmt: skip
    """See `gateway.state.store.Store` for what each method promises."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._creating = {}
        self._held = {}

    @classmethod
    async def open(cls, url: str, max_bytes: int | None = None) -> ValkeyStore:
        """Open the store at `url`. Raises StoreError where the server cannot be reached now.

        `max_bytes`: the bound that `gateway.state.valkey.room` keeps; None: no other than the server's.
        """
        server = Server(Place(url), max_bytes)
        try:
            await server.ask(("PING",))
        except BaseException:
            await server.close()
            raise
        with suppress(StoreError):  # connected ahead of the first answer that needs it
            await server.ask(("PING",), hurried=True)
        return cls(server)

    def shelf(self) -> Shelf:
        """Where processes share answers."""
        return Answers(self.server)

    async def close(self) -> None:
        """Finish what runs and let go of the connections."""
        await self.server.close()

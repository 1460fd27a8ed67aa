"""The embedded state store: one file for one machine. Each part stands in a module of its own.

database.py    the file: group commit, reads           migrations.py  the schema
ids.py         id maps                                 secrets.py     keys
records.py     users and items                         activity.py    who wanted which item
log.py         events                                  outbox.py      what providers are still to be told
erasures.py    users forgotten, receipts               replays.py     a provider fed anew
leases.py      one active process                      room.py        the bound of the file
upkeep.py      what the clock does                     turns.py       the file's threads
experiments.py counts of experiments                   tokens.py      access tokens, sealed
"""

from __future__ import annotations

from gateway.state.sqlite.activity import UserItems
from gateway.state.sqlite.database import Database
from gateway.state.sqlite.erasures import Erasures
from gateway.state.sqlite.experiments import Experiments
from gateway.state.sqlite.ids import IdMaps
from gateway.state.sqlite.leases import Leases
from gateway.state.sqlite.log import EventLog
from gateway.state.sqlite.outbox import Outbox
from gateway.state.sqlite.records import Records
from gateway.state.sqlite.replays import Replays
from gateway.state.sqlite.room import bound
from gateway.state.sqlite.secrets import Secrets
from gateway.state.sqlite.tokens import Tokens
from gateway.state.sqlite.trainings import Trainings
from gateway.state.sqlite.upkeep import Upkeep

__all__ = ["SqliteStore"]


class SqliteStore(
    Secrets, IdMaps, EventLog, Outbox, Records, Erasures, Replays, Leases, Upkeep, UserItems,
    Trainings, Experiments, Tokens,
):  # fmt: skip
    """See `gateway.state.store.Store` for what each method promises."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._creating = {}

    @classmethod
    async def open(cls, path: str, max_bytes: int | None = None) -> SqliteStore:
        """Open or create the file at `path` (`:memory:` too), migrated, mode 0600. Raises StoreError.

        `max_bytes`: the bound that `gateway.state.sqlite.room` keeps; None: no other than the disk.
        """
        db = await Database.open(path)
        if max_bytes is not None:
            await db.run(lambda: bound(db, max_bytes))
        return cls(db)

    def shelf(self) -> None:
        """No place for answers to be shared: one machine's processes would wait for its disk."""

    async def close(self) -> None:
        """Finish what runs and let go of the file."""
        await self.db.close()

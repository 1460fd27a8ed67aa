"""The embedded state store: one file for one machine. Each part stands in a module of its own.

database.py    the file, its thread, group commit      migrations.py  the schema
ids.py         id maps                                 secrets.py     keys
records.py     items                                   activity.py    who wanted which item
experiments.py counts of experiments
"""

from __future__ import annotations

from gateway.state.sqlite.activity import UserItems
from gateway.state.sqlite.database import Database
from gateway.state.sqlite.experiments import Experiments
from gateway.state.sqlite.ids import IdMaps
from gateway.state.sqlite.learning import Learning
from gateway.state.sqlite.records import Records
from gateway.state.sqlite.secrets import Secrets
from gateway.state.sqlite.trainings import Trainings

__all__ = ["SqliteStore"]


class SqliteStore(Secrets, IdMaps, Records, UserItems, Learning, Trainings, Experiments):
    """See `gateway.state.store.Store` for what each method promises."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._creating = {}

    @classmethod
    async def open(cls, path: str) -> SqliteStore:
        """Open or create the file at `path` (`:memory:` too), migrated, mode 0600. Raises StoreError."""
        return cls(await Database.open(path))

    async def close(self) -> None:
        """Finish what runs and let go of the file."""
        await self.db.close()

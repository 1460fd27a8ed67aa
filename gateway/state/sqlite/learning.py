"""What `local` learns: how much each item is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.model.activity import Event
from gateway.state.sqlite.database import Database

WEIGHTS: Final[Mapping[str, float]] = {
    "view": 1, "click": 2, "add_to_cart": 3, "like": 4, "purchase": 5, "rating": 1,
}  # fmt: skip
"""What an event of a type adds to an item's popularity."""


class SqliteKnowledge(msgspec.Struct, frozen=True):
    """All that `local` answers from, at one version."""

    version: int
    popularity: dict[str, float]
    items: dict[str, dict[str, Any]]


def touch(db: Database) -> None:
    """Something that `local` answers from has changed. On the store's thread."""
    db.connection.execute("UPDATE versions SET version = version + 1 WHERE name = 'knowledge'")


class Learning:
    """Part of the store."""

    db: Database

    async def learn(self, events: Sequence[Event]) -> None:
        rows = [
            (item.id, WEIGHTS[event.type]) for event in events if event.type in WEIGHTS for item in event.items
        ]

        def work() -> None:
            self.db.connection.executemany(
                "INSERT INTO popularity VALUES (?, ?) "
                "ON CONFLICT (id) DO UPDATE SET weight = weight + excluded.weight",
                rows,
            )
            touch(self.db)

        await self.db.change(work)

    async def knowledge(self, since: int) -> SqliteKnowledge | None:
        def work() -> SqliteKnowledge | None:
            (version,) = self.db.connection.execute(
                "SELECT version FROM versions WHERE name = 'knowledge'"
            ).fetchone()
            if version == since:
                return None
            records = self.db.connection.execute("SELECT id, properties FROM items WHERE deleted = 0")
            items = {id_: msgspec.json.decode(properties) for id_, properties in records}
            popularity = dict(self.db.connection.execute("SELECT id, weight FROM popularity").fetchall())
            return SqliteKnowledge(version, popularity, items)

        return await self.db.run(work)

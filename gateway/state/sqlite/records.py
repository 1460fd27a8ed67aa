"""Records of items, as callers last put them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.model.activity import Change
from gateway.state.sqlite.activity import note_items
from gateway.state.sqlite.database import Database
from gateway.state.sqlite.learning import touch


class Records:
    """Part of the store."""

    db: Database

    async def put_items(self, changes: Sequence[Change]) -> None:
        rows = [(change.id, msgspec.json.encode(change.properties)) for change in changes]

        def work() -> None:
            self.db.connection.executemany(
                "INSERT INTO items (id, properties) VALUES (?, ?) "
                "ON CONFLICT (id) DO UPDATE SET properties = excluded.properties, deleted = 0",
                rows,
            )
            touch(self.db)
            note_items(self.db, [change.id for change in changes])

        await self.db.change(work)

    async def delete_items(self, ids: Sequence[str]) -> None:
        def work() -> None:
            self.db.connection.executemany(
                "INSERT INTO items (id, properties, deleted) VALUES (?, '{}', 1) "
                "ON CONFLICT (id) DO UPDATE SET deleted = 1",
                [(id_,) for id_ in ids],
            )
            touch(self.db)
            note_items(self.db, ids)

        await self.db.change(work)

    async def items(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        query = "SELECT id, properties FROM items WHERE deleted = 0 AND id IN ({})"
        rows = await self.db.run(lambda: self.db.select(query, ids))
        return {id_: msgspec.json.decode(properties) for id_, properties in rows}

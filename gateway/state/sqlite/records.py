"""Records of users and items, as callers last put them, and which providers have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from gateway.adapter import Entity
from gateway.model.activity import Change
from gateway.state.kept import Deleted, Edit, ErrandKind, Record, Route, Routes, Synced, subject
from gateway.state.sqlite.activity import note_items
from gateway.state.sqlite.database import Database, select
from gateway.state.sqlite.room import make_room

_routes: Final = msgspec.json.Decoder(dict[str, Route])
_properties: Final = msgspec.json.Decoder(dict[str, Any])
TABLES: Final[dict[Entity, str]] = {"user": "users", "item": "items"}
PUT: Final[dict[Entity, ErrandKind]] = {"user": "put_user", "item": "put_item"}
ENQUEUE: Final = "INSERT INTO outbox (provider, kind, ref, subject, accepted_at, body) VALUES (?, ?, ?, ?, ?, ?)"


class Records:
    """Part of the store."""

    db: Database

    # --- what callers put
    async def edit(self, entity: Entity, edits: Sequence[Edit], routes: Routes, now: float) -> None:
        written = msgspec.json.encode(routes).decode()
        size = sum(len(msgspec.json.encode(one.properties)) for one in edits)

        def work() -> None:
            make_room(self.db, size * (2 + len(routes)))
            for one in edits:
                self._edit(entity, one, routes, written, now)
            if entity == "item":
                self._items_changed([one.id for one in edits])

        await self.db.change(work)

    def _edit(self, entity: Entity, edit: Edit, routes: Routes, written: str, now: float) -> None:
        old = self._on_record(entity, edit)
        properties = edit.properties
        if edit.merge:
            properties = {n: value for n, value in {**old, **edit.properties}.items() if value is not None}
        unset = tuple(name for name in old if name not in properties)
        body = msgspec.json.encode(properties)
        revived = ", deleted = 0" if entity == "item" else ""
        self.db.connection.execute(
            f"INSERT INTO {TABLES[entity]} (id, properties, created_at, updated_at, routes) "  # noqa: S608  # ours
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET properties = excluded.properties, "
            "created_at = coalesce(created_at, excluded.created_at), updated_at = excluded.updated_at, "
            f"routes = excluded.routes{revived}",
            (edit.id, body, now, now, written),
        )
        told = msgspec.json.encode(Change(edit.id, properties, unset))
        self._enqueue(PUT[entity], edit.id, routes, told, now)

    def _on_record(self, entity: Entity, edit: Edit) -> dict[str, Any]:
        """The properties so far. Raises Deleted for what was deleted and is not put anew."""
        deleted = "deleted" if entity == "item" else "0"
        row = self.db.connection.execute(
            f"SELECT properties, {deleted} FROM {TABLES[entity]} WHERE id = ?",  # noqa: S608  # names of ours
            (edit.id,),
        ).fetchone()
        if row is None or (row[1] and not edit.merge):
            return {}
        if row[1]:
            raise Deleted(edit.id)
        return _properties.decode(row[0])

    async def remove_item(self, id_: str, routes: Routes, now: float) -> None:
        written = msgspec.json.encode(routes).decode()

        def work() -> None:
            make_room(self.db, 1000)
            self.db.connection.execute(
                "INSERT INTO items (id, properties, deleted, created_at, updated_at, routes) "
                "VALUES (?, x'7b7d', 1, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET deleted = 1, "
                "properties = excluded.properties, updated_at = excluded.updated_at, routes = excluded.routes",
                (id_, now, now, written),
            )
            self._enqueue("delete_item", id_, routes, None, now)
            self._items_changed([id_])

        await self.db.change(work)

    def _enqueue(self, kind: ErrandKind, id_: str, routes: Routes, body: bytes | None, now: float) -> None:
        whose = subject(kind, id_)
        rows = [(name, kind, id_, whose, now, body) for name, route in routes.items() if route == "queued"]
        self.db.connection.executemany(ENQUEUE, rows)

    def _items_changed(self, ids: Sequence[str]) -> None:
        note_items(self.db, ids)
        self.db.connection.execute("UPDATE versions SET version = version + 1 WHERE name = 'hidden'")

    # --- what is on record
    async def record(self, entity: Entity, id_: str) -> Record | None:
        found = await self.db.read(lambda: self._records(entity, "id = ?", id_, 1))
        return found[0] if found else None

    async def records(self, entity: Entity, after: str, limit: int) -> list[Record]:
        """By id."""
        return await self.db.read(lambda: self._records(entity, "id > ?", after, limit))

    def _records(self, entity: Entity, which: str, id_: str, limit: int) -> list[Record]:
        kept = "AND deleted = 0" if entity == "item" else ""
        rows = self.db.reading.execute(
            f"SELECT id, properties, created_at, updated_at, routes FROM {TABLES[entity]} "  # noqa: S608  # ours
            f"WHERE {which} {kept} ORDER BY id LIMIT ?",
            (id_, limit),
        ).fetchall()
        states = self._unsynced(PUT[entity], [row[0] for row in rows])
        return [
            Record(
                id_,
                _properties.decode(properties),
                created_at,
                updated_at,
                {
                    name: states.get((id_, name), "synced" if route == "queued" else "unsupported")
                    for name, route in _routes.decode(routes).items()
                },
            )
            for id_, properties, created_at, updated_at, routes in rows
        ]

    def _unsynced(self, kind: ErrandKind, ids: Sequence[str]) -> dict[tuple[str, str], Synced]:
        """What providers do not have (yet), by id and provider."""
        states: dict[tuple[str, str], Synced] = {}
        tables: tuple[tuple[str, Synced], ...] = (("dead_letters", "failed"), ("outbox", "queued"))
        subjects = [subject(kind, id_) for id_ in ids]
        for table, state in tables:
            query = f"SELECT ref, provider FROM {table} WHERE kind = ? AND subject IN ({{}})"  # noqa: S608  # ours
            for ref, provider in select(self.db.reading, query, subjects, kind):
                states[ref, provider] = state
        return states

    async def items(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        query = "SELECT id, properties FROM items WHERE deleted = 0 AND id IN ({})"
        rows = await self.db.read(lambda: select(self.db.reading, query, ids))
        return {id_: _properties.decode(properties) for id_, properties in rows}

"""Replays: one provider is fed from the records and the log, a part at a time; a restart goes on where it was.

    items ─▸ users ─▸ events ─▸ done        each part and its place are written in one change

What is told this way comes before what waits already (`replayed`), so that a user's order is kept: of the log
only what was accepted before the replay began is told, and nothing that is in the outbox already.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.adapter import Entity
from gateway.model.activity import Change, Event
from gateway.state.kept import Replay, subject
from gateway.state.sqlite.database import Database, select
from gateway.state.sqlite.records import PUT, TABLES

_events: Final = msgspec.json.Decoder(Event)
_properties: Final = msgspec.json.Decoder(dict[str, Any])
ENQUEUE: Final = (
    "INSERT INTO outbox (provider, replayed, kind, ref, subject, event, accepted_at, body) "
    "VALUES (?, 1, ?, ?, ?, ?, ?, ?)"
)
COLUMNS: Final = "provider, since, upto, rate, stage, position, total, queued, left_out, started_at, done_at"

Takes = Callable[[Event], bool]
"""Can the provider take this event?"""


class Replays:
    """Part of the store."""

    db: Database

    async def begin_replay(self, provider: str, since: float, rate: float, now: float) -> Replay:
        """The replay that begins, or the one that is under way already."""

        def work() -> Replay:
            read = self.db.connection.execute
            old = _replay(self.db.connection, provider)
            if old is not None and old.stage != "done":
                return old
            (total,) = read(
                "SELECT (SELECT count(*) FROM items WHERE deleted = 0) + (SELECT count(*) FROM users) "
                "+ (SELECT count(*) FROM events)"
            ).fetchone()
            (upto,) = read("SELECT coalesce(max(seq), 0) FROM events").fetchone()
            begun = Replay(provider, since, upto, rate, "items", "", total, 0, 0, now)
            self._write_replay(begun)
            return begun

        return await self.db.change(work)

    async def replay(self, provider: str) -> Replay | None:
        """The one under way, or the last."""
        return await self.db.read(lambda: _replay(self.db.reading, provider))

    async def replayed_left(self, provider: str) -> int:
        """How much of a replay is queued and not told yet."""
        query = "SELECT count(*) FROM outbox WHERE provider = ? AND replayed = 1"
        return await self.db.read(lambda: int(self.db.reading.execute(query, (provider,)).fetchone()[0]))

    def _write_replay(self, replay: Replay) -> None:
        self.db.connection.execute(
            f"INSERT OR REPLACE INTO replays ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # ours
            msgspec.structs.astuple(replay),
        )

    async def go_on(self, provider: str, keeps: frozenset[Entity], takes: Takes, limit: int, now: float) -> Replay:
        """Put the next part into the outbox. `keeps`: which records the provider can keep."""

        def work() -> Replay:
            replay = _replay(self.db.connection, provider)
            assert replay is not None  # noqa: S101  # begun before
            if replay.stage == "done":
                return replay
            if replay.stage == "events":
                replay = self._part_of_events(replay, takes, limit, now)
            else:
                replay = self._part_of_records(replay, keeps, limit, now)
            self._write_replay(replay)
            return replay

        return await self.db.change(work)

    def _part_of_records(self, replay: Replay, keeps: frozenset[Entity], limit: int, now: float) -> Replay:
        entity: Entity = "item" if replay.stage == "items" else "user"
        kept = "AND deleted = 0" if entity == "item" else ""
        table = TABLES[entity]
        rows = self.db.connection.execute(
            f"SELECT id, properties FROM {table} WHERE id > ? {kept} ORDER BY id LIMIT ?",  # noqa: S608  # ours
            (replay.position, limit),
        ).fetchall()
        if entity in keeps:
            self._enqueue_records(replay.provider, entity, rows, now)
            replay = replace(replay, queued=replay.queued + len(rows))
        else:
            replay = replace(replay, left_out=replay.left_out + len(rows))
        if len(rows) == limit:
            return replace(replay, position=rows[-1][0])
        return replace(replay, stage="users" if entity == "item" else "events", position="")

    def _enqueue_records(
        self, provider: str, entity: Entity, rows: Iterable[tuple[str, bytes]], now: float
    ) -> None:
        kind = PUT[entity]
        told = [
            (provider, kind, id_, subject(kind, id_), None, now,
             msgspec.json.encode(Change(id_, _properties.decode(properties))))
            for id_, properties in rows
        ]  # fmt: skip
        self.db.connection.executemany(ENQUEUE, told)
        table = TABLES[entity]
        self._routed(table, "id", provider, [row[2] for row in told])

    def _part_of_events(self, replay: Replay, takes: Takes, limit: int, now: float) -> Replay:
        """In the order in which they were accepted."""
        rows = self.db.connection.execute(
            "SELECT seq, id, user, time, body FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (int(replay.position or 0), replay.upto, limit),
        ).fetchall()
        query = "SELECT event FROM outbox WHERE provider = ? AND event IN ({})"
        found = select(self.db.connection, query, [row[0] for row in rows], replay.provider)
        waiting = {event for (event,) in found}
        told = [
            (replay.provider, "event", id_, subject("event", user), seq, now, None)
            for seq, id_, user, time, body in rows
            if seq not in waiting and time >= replay.since and takes(_events.decode(body))
        ]
        self.db.connection.executemany(ENQUEUE, told)
        self._routed("events", "seq", replay.provider, [row[4] for row in told])
        counted = replace(
            replay,
            queued=replay.queued + len(told),
            left_out=replay.left_out + len(rows) - len(told),
        )
        if len(rows) == limit:
            return replace(counted, position=str(rows[-1][0]))
        return replace(counted, stage="done", position="", done_at=now)

    def _routed(self, table: str, key: str, provider: str, keys: Iterable[Any]) -> None:
        """From now on these go to this provider too."""
        self.db.connection.executemany(
            f"UPDATE {table} SET routes = json_patch(routes, ?) WHERE {key} = ?",  # noqa: S608  # names of ours
            [(msgspec.json.encode({provider: "queued"}).decode(), one) for one in keys],
        )


def _replay(connection: sqlite3.Connection, provider: str) -> Replay | None:
    query = f"SELECT {COLUMNS} FROM replays WHERE provider = ?"  # noqa: S608  # names of ours
    row = connection.execute(query, (provider,)).fetchone()
    return None if row is None else Replay(*row)

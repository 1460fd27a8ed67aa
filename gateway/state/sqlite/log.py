"""The event log: what users did, in the order in which it was accepted, each id once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from gateway.model.activity import Event
from gateway.state.kept import Delivered, Entry, EventFilter, Logged, Route, subject
from gateway.state.sqlite.activity import note
from gateway.state.sqlite.database import Database, select
from gateway.state.sqlite.experiments import credit
from gateway.state.sqlite.room import make_room

Position = tuple[float, int]
"""Time and number of an event: where a page of the log ended."""

_events: Final = msgspec.json.Decoder(Event)
_routes: Final = msgspec.json.Decoder(dict[str, Route])
ENQUEUE: Final = (
    "INSERT INTO outbox (provider, kind, ref, subject, event, accepted_at, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
)


class EventLog:
    """Part of the store."""

    db: Database

    async def accept(self, entries: Sequence[Entry], now: float) -> None:
        bodies = [msgspec.json.encode(entry.event) for entry in entries]
        routes = [msgspec.json.encode(entry.routes).decode() for entry in entries]

        def work() -> None:
            make_room(self.db, sum(map(len, bodies)))
            told = zip(entries, bodies, routes, strict=True)
            new = [entry for entry, body, route in told if self._accept(entry, body, route, now)]
            note(self.db, [entry.event for entry in new])
            credit(self.db, [entry.earned for entry in new if entry.earned is not None])

        await self.db.change(work)

    def _accept(self, entry: Entry, body: bytes, routes: str, now: float) -> bool:
        """False where its id is known already."""
        event, connection = entry.event, self.db.connection
        when = event.time.timestamp()
        added = connection.execute(
            "INSERT OR IGNORE INTO events (id, user, type, time, received_at, routes, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (event.id, event.user, event.type, when, now, routes, body),
        )
        if not added.rowcount:
            return False
        seq = added.lastrowid
        items = {item.id for item in event.items}
        connection.executemany("INSERT INTO event_items VALUES (?, ?, ?)", [(item, when, seq) for item in items])
        whose = subject("event", event.user)
        rows = [
            (name, "event", event.id, whose, seq, now, None)
            for name, route in entry.routes.items()
            if route == "queued"
        ]
        connection.executemany(ENQUEUE, rows)
        return True

    async def events(
        self, wanted: EventFilter, limit: int, after: Position | None = None
    ) -> tuple[list[Logged], Position | None]:
        """Newest first; and where the next page begins, None at the end."""

        def work() -> list[Logged]:
            rows = self.db.reading.execute(*_query(wanted, limit + 1, after)).fetchall()
            states = self._undelivered([row[0] for row in rows])
            return [_logged(row, states.get(row[0], {})) for row in rows]

        found = await self.db.read(work)
        if len(found) <= limit:
            return found, None
        last = found[limit - 1]
        return found[:limit], (last.event.time.timestamp(), last.seq)

    def _undelivered(self, events: Iterable[int]) -> dict[int, dict[str, Delivered]]:
        """What has not (yet) been delivered of these, by provider."""
        wanted = list(events)
        states: dict[int, dict[str, Delivered]] = {}
        tables: tuple[tuple[str, Delivered], ...] = (("dead_letters", "dead"), ("outbox", "queued"))
        for table, state in tables:
            query = f"SELECT event, provider FROM {table} WHERE event IN ({{}})"  # noqa: S608  # names of ours
            for event, provider in select(self.db.reading, query, wanted):
                states.setdefault(event, {})[provider] = state
        return states


def _logged(row: tuple[Any, ...], states: dict[str, Delivered]) -> Logged:
    seq, received_at, routes, body = row
    deliveries: dict[str, Delivered] = {
        name: states.get(name, "delivered" if route == "queued" else "unsupported")
        for name, route in _routes.decode(routes).items()
    }
    return Logged(seq, _events.decode(body), received_at, deliveries)


def _query(wanted: EventFilter, limit: int, after: Position | None) -> tuple[str, list[Any]]:
    source = "events e"
    where: list[str] = []
    values: list[Any] = []
    time, seq = "e.time", "e.seq"
    if wanted.item is not None:
        source = "event_items i JOIN events e ON e.seq = i.event"
        time, seq = "i.time", "i.event"
        where.append("i.item = ?")
        values.append(wanted.item)
    for column, value in (("e.user", wanted.user), ("e.type", wanted.type)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    for bound, at in ((">=", wanted.since), ("<", wanted.until)):
        if at is not None:
            where.append(f"{time} {bound} ?")
            values.append(at)
    if after is not None:
        where.append(f"({time}, {seq}) < (?, ?)")
        values += after
    said = " AND ".join(where) or "TRUE"
    query = (
        f"SELECT e.seq, e.received_at, e.routes, e.body FROM {source} WHERE {said} "  # noqa: S608  # names of ours
        f"ORDER BY {time} DESC, {seq} DESC LIMIT ?"
    )
    return query, [*values, limit]

"""Who wanted which item: one short row for each item of an event.

    user_items      what users did, in the order in which it came; the latest `ROWS` are kept
    changed_items   which records of items changed, each once, at the place of its last change

Questions read a user's own rows; `local` learns from both tables, from where it last stopped (`learned_since`).
What is taken away cannot be learned from what is added, so a deletion counts up `forgotten`, and whoever has
learned before learns anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import msgspec

from gateway.model.activity import LEARNED_TYPES, SEEN_TYPES, Event
from gateway.state.learned import Deed, Learned, Position, Record
from gateway.state.sqlite.database import Database

ROWS: Final = 1_000_000
"""What is kept of what users did; a quarter more before the oldest go, so that they go rarely."""
ROW_BYTES: Final = 400
"""What a row takes with its indexes, at most: ids are mostly short."""
PART: Final = 8
"""Of a bounded file the rows may take an eighth: what waits for vendors needs the rest."""
STEP: Final = 3600.0
"""Seconds: the retention takes away an hour's rows at once."""
ROWS_AN_ITEM: Final = 4
"""A user's rows that are looked at for each item wanted: people do several things to one item."""


def note(db: Database, events: Iterable[Event]) -> None:
    """Keep who wanted which item. On the store's thread, inside a change; the same event again changes nothing."""
    rows = [
        (_mark(event.id, item.id), event.user, item.id, event.type, _rating(event), event.time.timestamp())
        for event in events
        if event.type in LEARNED_TYPES
        for item in event.items
    ]
    insert = "INSERT OR IGNORE INTO user_items (mark, user, item, type, value, time) VALUES (?, ?, ?, ?, ?, ?)"
    db.connection.executemany(insert, rows)
    _keep_within_bounds(db)


def note_items(db: Database, ids: Iterable[str]) -> None:
    """The records of these items have changed. On the store's thread, inside the change that changes them."""
    db.connection.executemany("INSERT OR REPLACE INTO changed_items (id) VALUES (?)", [(id_,) for id_ in ids])


def forget(db: Database, user: str) -> None:
    """Drop all that this user did. On the store's thread, inside a change."""
    _dropped(db, db.connection.execute("DELETE FROM user_items WHERE user = ?", (user,)).rowcount)


def forget_before(db: Database, time: float) -> None:
    """Drop what was done before (Unix seconds): the retention. On the store's thread, inside a change.

    In whole `STEP`s, because everybody must learn anew; and as it came, so that nothing but what goes is read.
    """
    newer = "SELECT seq FROM user_items WHERE time >= ? ORDER BY seq LIMIT 1"
    first = db.connection.execute(newer, (time - time % STEP,)).fetchone()
    if first is None:
        _dropped(db, db.connection.execute("DELETE FROM user_items").rowcount)
    else:
        _dropped(db, db.connection.execute("DELETE FROM user_items WHERE seq < ?", first).rowcount)


def _dropped(db: Database, rows: int) -> None:
    if rows:
        db.connection.execute("UPDATE versions SET version = version + 1 WHERE name = 'forgotten'")


def _keep_within_bounds(db: Database) -> None:
    rows = ROWS if db.max_bytes is None else min(ROWS, db.max_bytes // (PART * ROW_BYTES))
    ends = "SELECT (SELECT min(seq) FROM user_items), (SELECT max(seq) FROM user_items)"  # both in one: a scan
    first, last = db.connection.execute(ends).fetchone()
    if first is not None and last - first >= rows + rows // 4:
        _dropped(db, db.connection.execute("DELETE FROM user_items WHERE seq <= ?", (last - rows,)).rowcount)


def _rating(event: Event) -> float | None:
    return event.value if event.type == "rating" else None


def _mark(event: str, item: str) -> int:
    """64 bits that stand for this item of this event."""
    digest = blake2b(event.encode() + b"\0" + item.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class UserItems:
    """Part of the store."""

    db: Database

    async def seen(self, users: Iterable[str], limit: int) -> dict[str, tuple[str, ...]]:
        wanted = list(users)
        return await self.db.read(lambda: {user: self._seen(user, limit) for user in wanted})

    def _seen(self, user: str, limit: int) -> tuple[str, ...]:
        rows = self.db.reading.execute(
            "SELECT item, type FROM user_items WHERE user = ? ORDER BY time DESC, seq DESC LIMIT ?",
            (user, ROWS_AN_ITEM * limit),
        )
        latest = list(dict.fromkeys(item for item, type_ in rows if type_ in SEEN_TYPES))[:limit]
        return tuple(reversed(latest))

    async def learned_since(self, position: Position, limit: int) -> Learned:
        return await self.db.read(lambda: self._learned_since(position, limit))

    def _learned_since(self, position: Position, limit: int) -> Learned:
        read = self.db.reading.execute
        (forgotten,) = read("SELECT version FROM versions WHERE name = 'forgotten'").fetchone()
        deeds = read(
            "SELECT seq, user, item, type, value, time FROM user_items WHERE seq > ? ORDER BY seq LIMIT ?",
            (position.deeds, limit),
        ).fetchall()
        records = read(
            "SELECT seq, changed_items.id, CASE WHEN deleted = 0 THEN properties END FROM changed_items "
            "LEFT JOIN items ON items.id = changed_items.id WHERE seq > ? ORDER BY seq LIMIT ?",
            (position.records, limit),
        ).fetchall()
        return Learned(
            position=Position(
                deeds=deeds[-1][0] if deeds else position.deeds,
                records=records[-1][0] if records else position.records,
            ),
            forgotten=forgotten,
            deeds=tuple(Deed(*row[1:]) for row in deeds),
            records=tuple(Record(id_, msgspec.json.decode(said) if said else None) for _, id_, said in records),
        )

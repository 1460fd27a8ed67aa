"""The bound of the store: what was delivered long ago leaves, so that what was accepted can stay.

    room for it? ─yes─▸ go on
         └no─▸ the oldest events that nobody waits for leave ─▸ room? ─no─▸ `Full`: nothing is accepted

Bytes that SQLite has freed inside the file are room. The file itself may not grow past the bound either
(`max_page_count`), whatever is written.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.model.activity import Event
from gateway.state.kept import Full
from gateway.state.sqlite.database import Database

OVERHEAD: Final = 4
"""Times the bytes of what comes in that its rows and indexes take, at most."""
PART: Final = 500
"""Events that leave at once."""
LOOK: Final = 1024 * 1024
"""Bytes that are written before the bound is looked at again."""
SPARE: Final = 512 * 1024
"""Bytes by which the file may pass the bound, so that what is there can still be delivered and deleted."""

_events: Final = msgspec.json.Decoder(Event)


def bound(db: Database, max_bytes: int) -> None:
    """Keep the file within so many bytes. On the store's thread."""
    (page_size,) = db.connection.execute("PRAGMA page_size").fetchone()
    db.max_bytes = max_bytes
    db.connection.execute(f"PRAGMA max_page_count = {(max_bytes + SPARE) // page_size}")


def used(db: Database) -> int:
    """Bytes that are taken inside the file. On the store's thread."""
    read = db.connection.execute
    (pages,), (free,), (size,) = (read(f"PRAGMA {name}").fetchone() for name in COUNTED)
    return int((pages - free) * size)


COUNTED: Final = ("page_count", "freelist_count", "page_size")


def make_room(db: Database, incoming: int) -> None:
    """Within a change, on the store's thread. Raises Full."""
    if db.max_bytes is None:
        return
    needed = OVERHEAD * incoming
    db.room -= needed
    while db.room < 0:
        left = db.max_bytes - used(db) - needed
        if left >= 0:
            db.room = min(left, LOOK)
        elif not drop_delivered(db, "TRUE", PART):
            raise Full("the state store is full, and nothing in it can leave before it is delivered")


def drop_delivered(db: Database, which: str, limit: int, *values: int) -> int:
    """Forget the oldest events that nobody waits for; how many those were. On the store's thread."""
    rows = db.connection.execute(
        f"SELECT seq, body FROM events WHERE {which} AND NOT EXISTS "  # noqa: S608  # conditions of ours
        "(SELECT 1 FROM outbox WHERE outbox.event = events.seq) ORDER BY seq LIMIT ?",
        (*values, limit),
    ).fetchall()
    drop_events(db, rows)
    return len(rows)


def drop_events(db: Database, rows: list[tuple[int, bytes]]) -> None:
    """Forget these events, given by number and body. On the store's thread."""
    told: list[tuple[str, float, int]] = []
    for seq, body in rows:
        event = _events.decode(body)
        told += [(item, event.time.timestamp(), seq) for item in {item.id for item in event.items}]
    db.connection.executemany("DELETE FROM event_items WHERE item = ? AND time = ? AND event = ?", told)
    db.connection.executemany("DELETE FROM events WHERE seq = ?", [(seq,) for seq, _ in rows])

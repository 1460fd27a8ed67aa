"""The schema, as the steps that made it: applied in order at start, never changed once released."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    CREATE TABLE ids (
        provider TEXT NOT NULL, entity TEXT NOT NULL, id TEXT NOT NULL, vendor_id TEXT NOT NULL,
        PRIMARY KEY (provider, entity, id)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX owners ON ids (provider, entity, vendor_id);
    CREATE TABLE claims (
        provider TEXT NOT NULL, entity TEXT NOT NULL, id TEXT NOT NULL,
        holder TEXT NOT NULL, until REAL NOT NULL,
        PRIMARY KEY (provider, entity, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE items (
        id TEXT PRIMARY KEY, properties BLOB NOT NULL, deleted INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE popularity (id TEXT PRIMARY KEY, weight REAL NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE versions (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO versions VALUES ('knowledge', 0);
    """,
    """
    CREATE TABLE trainings (
        provider TEXT PRIMARY KEY,
        started_at REAL, told_then INTEGER NOT NULL DEFAULT 0,
        before REAL, told_before INTEGER NOT NULL DEFAULT 0,
        told INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL, type TEXT NOT NULL,
        time REAL NOT NULL, received_at REAL NOT NULL, routes TEXT NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX events_by_time ON events (time, seq);
    CREATE INDEX events_by_user ON events (user, time, seq);
    CREATE INDEX events_by_type ON events (type, time, seq);
    CREATE TABLE event_items (
        item TEXT NOT NULL, time REAL NOT NULL, event INTEGER NOT NULL, PRIMARY KEY (item, time, event)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, replayed INTEGER NOT NULL DEFAULT 0,
        kind TEXT NOT NULL, ref TEXT NOT NULL, subject TEXT NOT NULL, event INTEGER, accepted_at REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0, body BLOB
    ) STRICT;
    CREATE INDEX outbox_by_provider ON outbox (provider, replayed, seq);
    CREATE INDEX outbox_by_subject ON outbox (subject);
    CREATE INDEX outbox_by_event ON outbox (event) WHERE event IS NOT NULL;
    CREATE TABLE dead_letters (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, kind TEXT NOT NULL, ref TEXT NOT NULL,
        subject TEXT NOT NULL, event INTEGER, accepted_at REAL NOT NULL, died_at REAL NOT NULL,
        attempts INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB
    ) STRICT;
    CREATE INDEX dead_letters_by_subject ON dead_letters (subject);
    CREATE INDEX dead_letters_by_event ON dead_letters (event) WHERE event IS NOT NULL;
    CREATE TABLE users (
        id TEXT PRIMARY KEY, properties BLOB NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL,
        routes TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE items ADD COLUMN created_at REAL;
    ALTER TABLE items ADD COLUMN updated_at REAL;
    ALTER TABLE items ADD COLUMN routes TEXT NOT NULL DEFAULT '{}';
    CREATE INDEX hidden_items ON items (id) WHERE deleted = 1;
    CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE erasures (
        hash TEXT PRIMARY KEY, requested_at REAL NOT NULL, routes TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE forgotten (seq INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, at REAL NOT NULL) STRICT;
    CREATE TABLE replays (
        provider TEXT PRIMARY KEY, since REAL NOT NULL, upto INTEGER NOT NULL, rate REAL NOT NULL,
        stage TEXT NOT NULL, position TEXT NOT NULL, total INTEGER NOT NULL, queued INTEGER NOT NULL,
        left_out INTEGER NOT NULL, started_at REAL NOT NULL, done_at REAL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO versions VALUES ('hidden', 0);
    """,
    """
    CREATE TABLE user_items (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, mark INTEGER NOT NULL UNIQUE,
        user TEXT NOT NULL, item TEXT NOT NULL, type TEXT NOT NULL, value REAL, time REAL NOT NULL
    ) STRICT;
    CREATE INDEX user_items_of ON user_items (user, time);
    CREATE TABLE changed_items (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE) STRICT;
    INSERT INTO changed_items (id) SELECT id FROM items;
    INSERT INTO versions VALUES ('forgotten', 0);
    """,
    """
    CREATE TABLE phases (
        number INTEGER PRIMARY KEY, experiment TEXT NOT NULL, name TEXT NOT NULL, placement TEXT NOT NULL,
        unit TEXT NOT NULL, weights TEXT NOT NULL, began_at REAL NOT NULL, UNIQUE (experiment, name)
    ) STRICT;
    CREATE TABLE arm_counts (
        phase INTEGER NOT NULL, arm TEXT NOT NULL, units INTEGER NOT NULL DEFAULT 0,
        exposures INTEGER NOT NULL DEFAULT 0, clicks INTEGER NOT NULL DEFAULT 0,
        conversions INTEGER NOT NULL DEFAULT 0, value REAL NOT NULL DEFAULT 0, empty INTEGER NOT NULL DEFAULT 0,
        fallback INTEGER NOT NULL DEFAULT 0, clicking_units INTEGER NOT NULL DEFAULT 0,
        converting_units INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (phase, arm)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE arm_units (
        phase INTEGER NOT NULL, arm TEXT NOT NULL, unit BLOB NOT NULL, exposed INTEGER NOT NULL DEFAULT 0,
        clicked INTEGER NOT NULL DEFAULT 0, converted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (phase, arm, unit)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE credits (
        phase INTEGER NOT NULL, mark BLOB NOT NULL, PRIMARY KEY (phase, mark)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    DROP TABLE popularity;
    DELETE FROM versions WHERE name = 'knowledge';
    """,
    """
    CREATE TABLE tokens (name TEXT PRIMARY KEY, sealed BLOB NOT NULL, until REAL NOT NULL) STRICT, WITHOUT ROWID;
    """,
)
"""Applied in order; `PRAGMA user_version` says how many have been."""

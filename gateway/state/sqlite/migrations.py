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
)
"""Applied in order; `PRAGMA user_version` says how many have been."""

"""Secrets made once for the whole deployment: the keys that sign and pseudonymize."""

from __future__ import annotations

from collections.abc import Callable

from gateway.state.sqlite.database import Database


class Secrets:
    """Part of the store."""

    db: Database

    async def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        def work() -> bytes:
            self.db.connection.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, make()))
            row = self.db.connection.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
            return bytes(row[0])

        return await self.db.change(work)

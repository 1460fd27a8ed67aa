"""Access tokens that processes share, sealed before they come here (`gateway.provider.token_sharing`)."""

from __future__ import annotations

from gateway.state.sqlite.database import Database


class Tokens:
    """Part of the store."""

    db: Database

    async def keep_token(self, name: str, sealed: bytes, seconds: float, now: float) -> None:
        def work() -> None:
            self.db.connection.execute("DELETE FROM tokens WHERE until <= ?", (now,))
            self.db.connection.execute(
                "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", (name, sealed, now + seconds)
            )

        await self.db.change(work)

    async def kept_token(self, name: str, now: float) -> tuple[bytes, float] | None:
        query = "SELECT sealed, until - ? FROM tokens WHERE name = ? AND until > ?"
        row = await self.db.read(lambda: self.db.reading.execute(query, (now, name, now)).fetchone())
        return None if row is None else (bytes(row[0]), float(row[1]))

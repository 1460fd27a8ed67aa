"""Leases: one active holder of a name among all processes, until it stops renewing."""

from __future__ import annotations

from gateway.state.sqlite.database import Database


class Leases:
    """Part of the store."""

    db: Database

    async def lease(self, name: str, holder: str, seconds: float, now: float) -> bool:
        """Take, renew or take over a lease; is it this holder's now?"""

        def work() -> bool:
            return bool(
                self.db.connection.execute(
                    "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
                    "SET holder = excluded.holder, until = excluded.until "
                    "WHERE leases.holder = excluded.holder OR leases.until <= ?",
                    (name, holder, now + seconds, now),
                ).rowcount
            )

        return await self.db.change(work)

    async def hand_back(self, name: str, holder: str) -> None:
        """Let another take it at once."""

        def work() -> None:
            self.db.connection.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))

        await self.db.change(work)

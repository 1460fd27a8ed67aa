"""When each provider was last trained, and what it has been told since: the lock on trainings.

    begin ─▸ None: begun, and counted from now         give_back ─▸ as if it had never begun
          └▸ the moment from which it may begin

One row a provider. What stood before the last begin is kept beside it, so that a begin can be taken back.
"""

from __future__ import annotations

from gateway.state.sqlite.database import Database
from gateway.state.store import TrainingRecord


class Trainings:
    """Part of the store."""

    db: Database

    async def begin_training(self, provider: str, now: float, interval: float) -> float | None:
        def work() -> float | None:
            self.db.connection.execute("INSERT OR IGNORE INTO trainings (provider) VALUES (?)", (provider,))
            query = "SELECT started_at FROM trainings WHERE provider = ?"
            (started_at,) = self.db.connection.execute(query, (provider,)).fetchone()
            if started_at is not None and now < started_at + interval:
                return float(started_at + interval)
            self.db.connection.execute(
                "UPDATE trainings SET before = started_at, told_before = told_then, "
                "started_at = ?, told_then = told WHERE provider = ?",
                (now, provider),
            )
            return None

        return await self.db.change(work)

    async def give_back_training(self, provider: str, began: float) -> None:
        def work() -> None:
            self.db.connection.execute(
                "UPDATE trainings SET started_at = before, told_then = told_before "
                "WHERE provider = ? AND started_at = ?",
                (provider, began),
            )

        await self.db.change(work)

    async def count_told(self, provider: str, events: int) -> None:
        def work() -> None:
            self.db.connection.execute(
                "INSERT INTO trainings (provider, told) VALUES (?, ?) "
                "ON CONFLICT (provider) DO UPDATE SET told = told + excluded.told",
                (provider, events),
            )

        await self.db.change(work)

    async def training(self, provider: str) -> TrainingRecord:
        def work() -> TrainingRecord:
            query = "SELECT started_at, told - told_then FROM trainings WHERE provider = ?"
            row = self.db.reading.execute(query, (provider,)).fetchone()
            return TrainingRecord(*row) if row else TrainingRecord()

        return await self.db.read(work)

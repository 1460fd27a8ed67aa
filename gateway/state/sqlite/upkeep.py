"""What the store does by the clock: what the retention has ended for leaves, and other processes hear the news."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.state.news import Bell, News
from gateway.state.sqlite.activity import forget_before
from gateway.state.sqlite.database import Database
from gateway.state.sqlite.room import drop_delivered

SWEPT: Final = 1000
"""Events that leave in one change, so that others' changes need not wait long."""
FORGOTTEN_FOR: Final = 60.0
"""Seconds for which the name of an erased user is kept, so that every process hears of it."""
NEWS: Final = 10_000
"""Users at most that are named at once; where there are more, everybody's answers are dropped."""


class Upkeep:
    """Part of the store."""

    db: Database

    async def sweep(self, before: float, providers: Sequence[str], now: float) -> int:
        """Forget what is older than `before` (Unix seconds) and waits for none of these providers."""

        def work() -> int:
            execute = self.db.connection.execute
            for gone in self._queued_for() - {*providers}:
                execute("DELETE FROM outbox WHERE provider = ? AND accepted_at < ?", (gone, before))
            execute("DELETE FROM dead_letters WHERE died_at < ?", (before,))
            execute("DELETE FROM erasures WHERE requested_at < ?", (before,))
            execute("DELETE FROM forgotten WHERE at < ?", (now - FORGOTTEN_FOR,))
            forget_before(self.db, before)
            return drop_delivered(self.db, "seq < ?", SWEPT, self._first_since(before))

        return await self.db.change(work)

    def _queued_for(self) -> set[str]:
        """The providers that something waits for: from one to the next, not through all that waits."""
        query = (
            "WITH RECURSIVE one(name) AS (SELECT min(provider) FROM outbox UNION ALL "
            "SELECT (SELECT min(provider) FROM outbox WHERE provider > name) FROM one WHERE name IS NOT NULL) "
            "SELECT name FROM one WHERE name IS NOT NULL"
        )
        return {provider for (provider,) in self.db.connection.execute(query)}

    def _first_since(self, moment: float) -> int:
        """The number of the first event received since; events are looked at in their order, and no newer one."""
        first = "SELECT seq FROM events WHERE received_at >= ? ORDER BY seq LIMIT 1"
        found = self.db.connection.execute(first, (moment,)).fetchone()
        last = "SELECT coalesce(max(seq), 0) + 1 FROM events"
        return int((found or self.db.connection.execute(last).fetchone())[0])

    async def news(self, event: int, forgotten: int) -> News:
        """What happened since the event and the erasure of these numbers; negative: only where we are."""

        def work() -> News:
            read = self.db.reading.execute
            last_event, last_forgotten, hidden = read(
                "SELECT (SELECT coalesce(max(seq), 0) FROM events), "
                "(SELECT coalesce(max(seq), 0) FROM forgotten), version FROM versions WHERE name = 'hidden'"
            ).fetchone()
            if event < 0:
                return News(last_event, last_forgotten, hidden, frozenset())
            if last_event - event > NEWS:
                return News(last_event, last_forgotten, hidden, None)
            users = {user for (user,) in read("SELECT user FROM events WHERE seq > ?", (event,))}
            erased = frozenset(user for (user,) in read("SELECT user FROM forgotten WHERE seq > ?", (forgotten,)))
            return News(max(last_event, event), max(last_forgotten, forgotten), hidden, erased | users, erased)

        return await self.db.read(work)

    def bell(self) -> Bell:
        """Nobody rings it: a file tells no other process that it was written."""
        return Bell()

    async def hidden_items(self) -> frozenset[str]:
        """Items that were deleted and not put again."""
        query = "SELECT id FROM items WHERE deleted = 1"
        return await self.db.read(lambda: frozenset(id_ for (id_,) in self.db.reading.execute(query)))

"""Erasure of users: what waits for them is dropped first, then all that is known of them; a receipt stays.

The receipt stands under a keyed hash of the id, so that it says nothing to whoever does not have the id. While
a provider is still to erase, its errand in the outbox must name the user; it goes when the provider has done it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.state.kept import Erased, ErasureReceipt, Errand, subject
from gateway.state.sqlite.activity import forget
from gateway.state.sqlite.database import Database
from gateway.state.sqlite.experiments import forget_unit
from gateway.state.sqlite.records import ENQUEUE
from gateway.state.sqlite.room import drop_events

_receipt: Final = msgspec.json.Decoder(dict[str, Erased])


class Erasures:
    """Part of the store."""

    db: Database

    async def erase(self, user: str, hash_: str, routes: Mapping[str, Erased], now: float, unit: bytes) -> None:
        """Every provider of `routes` gets an errand: where it cannot erase, the gateway's map of ids goes."""
        whose = subject("erase_user", user)
        written = msgspec.json.encode(routes).decode()

        def work() -> None:
            execute = self.db.connection.execute
            for table in ("outbox", "dead_letters"):
                execute(f"DELETE FROM {table} WHERE subject = ?", (whose,))  # noqa: S608  # names of ours
            drop_events(self.db, execute("SELECT seq, body FROM events WHERE user = ?", (user,)).fetchall())
            execute("DELETE FROM users WHERE id = ?", (user,))
            forget(self.db, user)
            forget_unit(self.db, unit)
            execute("INSERT INTO forgotten (user, at) VALUES (?, ?)", (user, now))
            execute("INSERT OR REPLACE INTO erasures VALUES (?, ?, ?)", (hash_, now, written))
            rows = [(name, "erase_user", user, whose, now, None) for name in routes]
            self.db.connection.executemany(ENQUEUE, rows)

        await self.db.change(work)

    async def erased(self, provider: str, errand: Errand, hash_: str, status: Erased) -> None:
        """A provider has done what it can: the map of the user's ids there goes too."""

        def work() -> None:
            execute = self.db.connection.execute
            if not execute("DELETE FROM outbox WHERE seq = ?", (errand.seq,)).rowcount:
                return  # asked for anew meanwhile
            execute("DELETE FROM ids WHERE provider = ? AND entity = 'user' AND id = ?", (provider, errand.ref))
            self._note_receipt(hash_, provider, status)

        await self.db.change(work)

    async def erasure_failed(self, provider: str, errand: Errand, hash_: str, reason: str, now: float) -> None:
        """The provider refuses; a dead letter keeps it, so that it can be tried again."""

        def work() -> None:
            execute = self.db.connection.execute
            if not execute("DELETE FROM outbox WHERE seq = ?", (errand.seq,)).rowcount:
                return
            execute(
                "INSERT INTO dead_letters (provider, kind, ref, subject, accepted_at, died_at, attempts, reason) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (provider, errand.kind, errand.ref, errand.subject, errand.accepted_at, now, errand.attempts + 1,
                 reason),
            )  # fmt: skip
            self._note_receipt(hash_, provider, "failed")

        await self.db.change(work)

    def _note_receipt(self, hash_: str, provider: str, status: Erased) -> None:
        row = self.db.connection.execute("SELECT routes FROM erasures WHERE hash = ?", (hash_,)).fetchone()
        if row is not None:
            routes = _receipt.decode(row[0])
            if routes.get(provider) != "unsupported":
                routes[provider] = status
            self.db.connection.execute(
                "UPDATE erasures SET routes = ? WHERE hash = ?", (msgspec.json.encode(routes).decode(), hash_)
            )

    async def erasure(self, hash_: str) -> ErasureReceipt | None:
        query = "SELECT requested_at, routes FROM erasures WHERE hash = ?"
        row = await self.db.read(lambda: self.db.reading.execute(query, (hash_,)).fetchone())
        return None if row is None else ErasureReceipt(row[0], _receipt.decode(row[1]))

"""The outbox: what each provider is still to be told, and the letters that it will never take.

accepted ─▸ outbox ─▸ told            ─▸ gone: nothing of it is left but the log
              │  └──▸ refused         ─▸ dead letter ─▸ retried: at the end of the outbox again
              └─────▸ failed          ─▸ stays, with its attempts and when it is due
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from gateway.state.kept import DeadLetter, Errand, Queue
from gateway.state.sqlite.database import Database, select

MOST_BYTES: Final = 4_000_000
"""Of errands that are handed out at once, so that large ones cannot fill the memory."""
LAST: Final = 2**63 - 1
"""No number is above it."""
COPIED: Final = "provider, kind, ref, subject, event, accepted_at, body"
RECORDS: Final = ("put_user", "put_item", "delete_item")


class Outbox:
    """Part of the store."""

    db: Database

    async def errands(self, provider: str, after: int, limit: int, *, replayed: bool = False) -> list[Errand]:
        def work() -> list[Errand]:
            rows = self.db.reading.execute(
                "SELECT o.seq, o.kind, o.ref, o.subject, o.accepted_at, o.attempts, o.due, o.replayed, "
                "coalesce(o.body, e.body, x'') FROM outbox o LEFT JOIN events e ON e.seq = o.event "
                "WHERE o.provider = ? AND o.replayed = ? AND o.seq > ? ORDER BY o.seq LIMIT ?",
                (provider, int(replayed), after, limit),
            )
            return list(_within(rows, MOST_BYTES))

        return await self.db.read(work)

    async def still_queued(self, seqs: Sequence[int]) -> set[int]:
        query = "SELECT seq FROM outbox WHERE seq IN ({})"
        return await self.db.read(lambda: {row[0] for row in select(self.db.reading, query, seqs)})

    async def settle(
        self, provider: str, told: Sequence[Errand], refused: Sequence[tuple[Errand, str]], now: float
    ) -> None:
        """These are out of the outbox: told for good, or refused for a reason."""

        def work() -> None:
            connection = self.db.connection
            for errand, reason in refused:  # from the outbox, so that what was erased meanwhile stays so
                connection.execute(
                    "INSERT INTO dead_letters (provider, kind, ref, subject, event, accepted_at, died_at, "
                    "attempts, reason, body) SELECT provider, kind, ref, subject, event, accepted_at, ?, "
                    "attempts + 1, ?, coalesce(body, (SELECT body FROM events e WHERE e.seq = event)) "
                    "FROM outbox WHERE seq = ?",
                    (now, reason, errand.seq),
                )
            for errand in told:
                if errand.kind in RECORDS:  # what failed before no longer matters
                    connection.execute(
                        "DELETE FROM dead_letters WHERE subject = ? AND provider = ? AND kind <> 'event'",
                        (errand.subject, provider),
                    )
            seqs = [errand.seq for errand in (*told, *(errand for errand, _ in refused))]
            gone = "DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))"
            connection.execute(gone, (msgspec.json.encode(seqs).decode(),))

        await self.db.change(work)

    async def postpone(self, errands: Iterable[Errand]) -> None:
        """Remember how often these failed, and when they are due."""
        rows = [(errand.attempts, errand.due, errand.seq) for errand in errands]
        await self.db.change(lambda: _nothing(
            self.db.connection.executemany("UPDATE outbox SET attempts = ?, due = ? WHERE seq = ?", rows)
        ))  # fmt: skip

    async def queues(self) -> dict[str, Queue]:
        """By provider; those for which nothing waits and nothing is dead are left out."""

        def work() -> dict[str, Queue]:
            read = self.db.reading.execute
            queued = {
                name: (count, oldest)
                for name, count, oldest in read(
                    "SELECT provider, count(*), (SELECT accepted_at FROM outbox f WHERE f.provider = o.provider "
                    "ORDER BY f.replayed, f.seq LIMIT 1) FROM outbox o GROUP BY provider"
                )
            }
            dead = dict(read("SELECT provider, count(*) FROM dead_letters GROUP BY provider").fetchall())
            return {
                name: Queue(*queued.get(name, (0, None)), dead.get(name, 0)) for name in sorted({*queued, *dead})
            }

        return await self.db.read(work)

    # --- dead letters
    async def dead_letters(self, provider: str | None, limit: int, before: int | None = None) -> list[DeadLetter]:
        """Newest first."""

        def work() -> list[DeadLetter]:
            rows = self.db.reading.execute(
                "SELECT seq, provider, kind, ref, reason, attempts, died_at FROM dead_letters "
                "WHERE coalesce(?, provider) = provider AND seq < ? ORDER BY seq DESC LIMIT ?",
                (provider, LAST if before is None else before, limit),
            )
            return [DeadLetter(*row) for row in rows]

        return await self.db.read(work)

    async def retry(self, provider: str | None, ref: str | None) -> int:
        """Put dead letters into the outbox again, in their order; how many those were."""

        def work() -> int:
            which = "WHERE coalesce(?, provider) = provider AND coalesce(?, ref) = ref"
            self.db.connection.execute(
                f"INSERT INTO outbox ({COPIED}) SELECT {COPIED} FROM dead_letters {which} ORDER BY seq",  # noqa: S608  # ours
                (provider, ref),
            )
            return self.db.connection.execute(
                f"DELETE FROM dead_letters {which}",  # noqa: S608  # a condition of ours
                (provider, ref),
            ).rowcount

        return await self.db.change(work)


def _within(rows: Iterable[tuple[Any, ...]], most: int) -> Iterable[Errand]:
    """One at least, and no more bytes than that."""
    size = 0
    for seq, kind, ref, subject, accepted_at, attempts, due, replayed, body in rows:
        yield Errand(seq, kind, ref, subject, accepted_at, attempts, due, bool(replayed), bytes(body))
        size += len(body)
        if size > most:
            return


def _nothing(_done: object) -> None:
    """A cursor stays on the store's thread."""

"""Id maps: the caller's ids and a provider's own, each created once however many want it at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

from gateway.adapter import Entity
from gateway.state.sqlite.database import Database, select

CLAIM_LIFE: Final = 30.0
"""Seconds after which the claim of a process that died may be taken over."""
CLAIM_POLL: Final = 0.02
"""Seconds between two looks at a claim that another process holds."""


class IdMaps:
    """Part of the store."""

    db: Database
    _creating: dict[tuple[str, Entity, str], asyncio.Lock]

    async def lookup(self, provider: str, entity: Entity, ids: Iterable[str]) -> dict[str, str]:
        query = "SELECT id, vendor_id FROM ids WHERE provider = ? AND entity = ? AND id IN ({})"
        return await self.db.read(lambda: dict(select(self.db.reading, query, ids, provider, entity)))

    async def owners(self, provider: str, entity: Entity, vendor_ids: Iterable[str]) -> dict[str, str]:
        query = "SELECT vendor_id, id FROM ids WHERE provider = ? AND entity = ? AND vendor_id IN ({})"
        return await self.db.read(lambda: dict(select(self.db.reading, query, vendor_ids, provider, entity)))

    async def bind(self, provider: str, entity: Entity, pairs: Mapping[str, str]) -> None:
        rows = [(provider, entity, id_, vendor_id) for id_, vendor_id in pairs.items()]

        def work() -> None:  # a cursor must not leave the store's thread: it is freed where it was last held
            self.db.connection.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?, ?, ?)", rows)

        await self.db.change(work)

    @asynccontextmanager
    async def claim(self, provider: str, entity: Entity, id_: str) -> AsyncIterator[str | None]:
        key = (provider, entity, id_)
        lock = self._creating.setdefault(key, asyncio.Lock())
        try:
            async with lock:  # one in this process …
                holder = uuid4().hex
                try:
                    yield await self._await_claim(key, holder)  # … and one among all
                finally:  # also of a claim that was granted after its caller hung up
                    await self.db.change(lambda: self._release(key, holder))
        finally:
            if not lock.locked():
                self._creating.pop(key, None)

    async def _await_claim(self, key: tuple[str, Entity, str], holder: str) -> str | None:
        """The vendor's id if there is one; None once the claim is ours."""
        while True:
            known, ours = await self.db.change(lambda: self._try_claim(key, holder, time.time()))
            if ours or known is not None:
                return known
            await asyncio.sleep(CLAIM_POLL)

    def _try_claim(self, key: tuple[str, Entity, str], holder: str, now: float) -> tuple[str | None, bool]:
        """The vendor's id if there is one, and whether the claim is now ours."""
        provider, entity, id_ = key
        query = "SELECT vendor_id FROM ids WHERE provider = ? AND entity = ? AND id IN ({})"
        found = select(self.db.connection, query, [id_], provider, entity)
        if found:
            return str(found[0][0]), False
        self.db.connection.execute("DELETE FROM claims WHERE until < ?", (now,))
        insert = "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?, ?)"
        return None, self.db.connection.execute(insert, (*key, holder, now + CLAIM_LIFE)).rowcount == 1

    def _release(self, key: tuple[str, Entity, str], holder: str) -> None:
        self.db.connection.execute(
            "DELETE FROM claims WHERE provider = ? AND entity = ? AND id = ? AND holder = ?", (*key, holder)
        )

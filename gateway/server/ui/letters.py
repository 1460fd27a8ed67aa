"""Dead letters, a page at a time, the newest first."""

from __future__ import annotations

from typing import Final

from gateway.server.endpoints.ui_words import Letter, Letters, moment
from gateway.state.store import Store

SHOWN: Final = 50
"""Dead letters on a page."""


async def page(store: Store, before: int | None = None) -> Letters:
    """Those before the one of this number, or the newest. Raises StoreError."""
    found = await store.dead_letters(None, SHOWN + 1, before)
    shown = found[:SHOWN]
    letters = tuple(
        Letter(one.provider, one.kind, one.ref, one.reason, one.attempts, moment(one.died_at)) for one in shown
    )
    return Letters(letters, shown[-1].seq if len(found) > SHOWN else None)

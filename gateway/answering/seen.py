"""What a user has seen, by the gateway's own log: read only where a question to a vendor needs it.

`exclude_seen` where the vendor cannot leave out what it showed; recent items for kinds that an adapter makes of
them (`Adapter.wants_recent`).
"""

from __future__ import annotations

from typing import Final, Protocol

from gateway.adapter import Adapter
from gateway.answering.asked import Asked
from gateway.model.query import Recommend, Search
from gateway.state.kept import StoreError

SEEN: Final = 1000
"""The user's last items that `exclude_seen` leaves out."""
RECENT: Final = 5
"""Those that a kind is made from."""


class Log(Protocol):
    """Where it is written."""

    async def seen(self, users: list[str], limit: int) -> dict[str, tuple[str, ...]]:
        """For each user the last `limit` items seen, oldest first. Raises StoreError."""


def wanted_of_log(question: Recommend | Search, adapter: Adapter) -> int:
    """How many of the user's last items this question to this vendor needs: 0, `RECENT` or `SEEN`."""
    user = question.user
    if user is None or user.id is None:
        return 0
    if question.exclude_seen and "exclude_seen" not in adapter.says:
        return SEEN
    if not isinstance(question, Recommend) or question.items or user.history:
        return 0
    return RECENT if question.kind in adapter.wants_recent else 0


def who_needs_log(asked: Asked) -> str | None:
    """The user of whom a provider that may be asked needs to know; None if none does."""
    user = asked.question.user
    if user is None or user.id is None:
        return None
    needed = any(wanted_of_log(asked.question, provider.adapter) for provider in asked.candidates.providers)
    return user.id if needed else None


async def seen_by(asked: Asked, log: Log, limit: int) -> tuple[str, ...] | None:
    """What was read ahead, else what the log says now; None where it cannot be read."""
    if asked.seen is not None:
        return asked.seen
    user = asked.question.user
    if user is None or user.id is None:
        return ()
    try:
        return (await log.seen([user.id], limit)).get(user.id, ())
    except StoreError:
        return None

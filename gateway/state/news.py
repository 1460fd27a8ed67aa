"""What one process of a deployment hears of the others, through the store."""

from __future__ import annotations

import msgspec


class News(msgspec.Struct, frozen=True):
    """What happened since somebody last asked."""

    event: int
    """The last event of the log, to be asked from next time."""
    forgotten: int
    """The last erasure, likewise."""
    hidden: int
    """Changes whenever items are deleted or put."""
    users: frozenset[str] | None
    """Whose personal answers hold no more; None: too many to be named."""

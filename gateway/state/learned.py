"""What `local` learns from, in the order in which the store got it."""

from __future__ import annotations

from typing import Any

import msgspec


class Position(msgspec.Struct, frozen=True):
    """How far the store's two lists were read."""

    deeds: int = 0
    records: int = 0


class Deed(msgspec.Struct, frozen=True, gc=False):
    """What a user did with one item."""

    user: str
    item: str
    type: str
    value: float | None
    """Of a rating, 0..5."""
    time: float
    """Unix seconds."""


class Record(msgspec.Struct, frozen=True):
    """One item's record as it now is."""

    id: str
    properties: dict[str, Any] | None
    """None: it was deleted."""


class Learned(msgspec.Struct, frozen=True):
    """The next part of both lists; both empty: that is all for now."""

    position: Position
    """Read on from here."""
    forgotten: int
    """Counts deletions from the lists: where it has grown, what was learned before holds no more."""
    deeds: tuple[Deed, ...] = ()
    records: tuple[Record, ...] = ()

"""What the store is told and tells of experiments, as values."""

from __future__ import annotations

import msgspec

from gateway.experiments.phase import Phase


class Shown(msgspec.Struct, frozen=True):
    """Answers of one arm that went out since the last time."""

    phase: Phase
    arm: str
    units: tuple[bytes, ...]
    """The marks of those who got them, each once."""
    exposures: int
    empty: int
    fallback: int


class Earned(msgspec.Struct, frozen=True):
    """What one event is worth to the arm whose answer it names."""

    experiment: str
    phase: str
    arm: str
    unit: bytes
    """The mark of whoever did it."""
    type: str
    """`click` or `purchase`."""
    items: tuple[tuple[str, float], ...]
    """Those of the event's items that the answer had, each with its price times its quantity."""
    value: float | None = None
    """The event's total, where all of its items are among `items`."""


class Counts(msgspec.Struct, frozen=True):
    """One arm's in one phase."""

    units: int = 0
    exposures: int = 0
    clicks: int = 0
    conversions: int = 0
    value: float = 0.0
    empty: int = 0
    fallback: int = 0
    clicking_units: int = 0
    converting_units: int = 0


class Tally(msgspec.Struct, frozen=True):
    """All counts of one phase."""

    phase: Phase
    began_at: float
    """Unix seconds."""
    arms: dict[str, Counts]

"""What a deed is worth: how much a user wants an item who did this to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORTH: Final[Mapping[str, float]] = {"view": 1, "click": 2, "add_to_cart": 3, "like": 4, "purchase": 5}
"""By event type. A rating is worth its value if that is in the upper half of 0..5; a dislike nothing."""
MOST: Final = 5.0
BOUGHT: Final = frozenset({"purchase", "add_to_cart"})
"""The types by which items are bought together."""


def worth(type_: str, value: float | None) -> float:
    """0..5."""
    if type_ == "rating":
        return min(MOST, value) if value is not None and value > MOST / 2 else 0.0
    return WORTH.get(type_, 0.0)

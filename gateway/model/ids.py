"""What an id of a caller's may be (API.md §2)."""

from __future__ import annotations

from typing import Final

ID_BYTES: Final = 256


def id_complaint(id_: str) -> str | None:
    """What is wrong with an id; None if nothing."""
    if not id_.isprintable() and any(ord(c) < 32 or 127 <= ord(c) < 160 for c in id_):
        return "must have no control characters"
    return None if 1 <= len(id_.encode()) <= ID_BYTES else f"must have 1..{ID_BYTES} bytes of UTF-8"

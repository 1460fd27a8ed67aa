"""What was found out about bytes that come again, in bounded memory: two generations of a dictionary.

    young   what was used since the last turn          full ─▸ it becomes the old one, whose rest is forgotten
    old     what was used before; use makes it young again

An order of use for each entry (LRU) would cost more than what is looked up here.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

T = TypeVar("T")

ENTRIES: Final = 2048
"""Of one generation."""
BYTES: Final = 4 * 1024 * 1024
"""Of one generation's keys."""
LONGEST: Final = 4096
"""Bytes of a key; what is longer is not remembered."""


class Memo(Generic[T]):
    """Bytes to what they mean."""

    __slots__ = ("_bytes", "_old", "_young")

    def __init__(self) -> None:
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: bytes) -> T | None:
        """What was kept; None where nothing was, or not any more."""
        found = self._young.get(key)
        if found is not None:
            return found
        found = self._old.pop(key, None)
        if found is not None:
            self.keep(key, found)
        return found

    def keep(self, key: bytes, value: T) -> None:
        """Remember it for a while."""
        if len(key) > LONGEST:
            return
        if len(self._young) >= ENTRIES or self._bytes + len(key) > BYTES:
            self._old, self._young, self._bytes = self._young, {}, 0
        self._young[key] = value
        self._bytes += len(key)

"""What was found out about bytes that come again, in bounded memory: the longest unused is forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

T = TypeVar("T")

ENTRIES: Final = 10_240
"""Of one memo: 10,000 keys of an API that come in turn find their place; each takes some 3 kB."""
BYTES: Final = 8 * 1024 * 1024
"""Of one memo's keys."""
LONGEST: Final = 4096
"""Bytes of a key; what is longer is not remembered."""


class Memo(Generic[T]):
    """Bytes to what they mean."""

    __slots__ = ("_bytes", "_known")

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, T] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: bytes) -> T | None:
        """What was kept; None where nothing was, or not any more."""
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def keep(self, key: bytes, value: T) -> None:
        """Remember it for a while."""
        known = self._known
        if len(key) > LONGEST:
            return
        if key not in known:
            self._bytes += len(key)
        known[key] = value
        while len(known) > ENTRIES or self._bytes > BYTES:
            longest_unused, _ = known.popitem(last=False)
            self._bytes -= len(longest_unused)

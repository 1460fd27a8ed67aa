"""The items that are in no answer, as one process knows them."""

from __future__ import annotations

from collections.abc import Iterable


class Hidden:
    """The items that are in no answer: deleted, and not put again."""

    def __init__(self) -> None:
        self.items: frozenset[str] = frozenset()
        self.version = -1
        self.changes = 0

    def hide(self, item: str) -> None:
        """From this moment on in this process; others hear of it."""
        self.items |= {item}
        self.changes += 1

    def show(self, items: Iterable[str]) -> None:
        """They may be shown again."""
        self.items -= frozenset(items)
        self.changes += 1

    def shows(self, items: Iterable[str]) -> bool:
        """Is one of them hidden?"""
        return bool(self.items) and not self.items.isdisjoint(items)

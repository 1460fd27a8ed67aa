"""A line in the log for each way in which a vendor's answers are not as documented: once, however often it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from gateway.errors import Malformed
from gateway.telemetry.notes import Called, Note, Unknown

MOST: Final = 500
"""Lines in the life of a process: a vendor may think of a new name for each answer."""

log = structlog.get_logger("gateway")


class DriftLines:
    """Writes them."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def read(self, notes: Sequence[Note]) -> None:
        """A line for each that is new."""
        for note in notes:
            if type(note) is Unknown:
                for member in note.members:
                    if self._is_new(note.provider, f"{note.route} {member}"):
                        self._tell(note, "unknown", route=note.route, member=member[:200])
            elif type(note) is Called and isinstance(note.error, Malformed):
                place = note.error.place
                if place and self._is_new(note.provider, place):
                    self._tell(note, "missing", operation=note.operation, place=place)

    def _is_new(self, provider: str, what: str) -> bool:
        if (provider, what) in self._told or len(self._told) >= MOST:
            return False
        self._told.add((provider, what))
        return True

    @staticmethod
    def _tell(note: Called | Unknown, what: str, **more: str) -> None:
        log.warning("contract drift", provider=note.provider, adapter=note.adapter, what=what, **more)

"""When what was dropped from the cache, so that an answer that was asked for before is not kept after.

Bounded: of many subjects the oldest drops count for everybody's personal answers. That may cost a store, and
never lets an answer in that was dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

NEVER: Final = float("-inf")
REMEMBERED: Final = 10_000
"""Subjects whose last drop is remembered, in some 2 MB."""


class Drops:
    """The last drop of each placement and subject, by the cache's clock."""

    __slots__ = ("_all", "_placements", "_subjects", "_subjects_before")

    def __init__(self) -> None:
        self._all = NEVER
        self._placements: dict[str, float] = {}
        self._subjects: OrderedDict[bytes, float] = OrderedDict()
        self._subjects_before = NEVER

    def note_placement(self, placement: str | None, now: float) -> None:
        """A placement's answers, or all, were dropped."""
        if placement is None:
            self._all = now
        else:
            self._placements[placement] = now

    def note_subject(self, subject: bytes, now: float) -> None:
        """A subject's answers were dropped."""
        self._subjects[subject] = now
        self._subjects.move_to_end(subject)
        if len(self._subjects) > REMEMBERED:
            self._subjects_before = self._subjects.popitem(last=False)[1]

    def after(self, asked_at: float, placement: str, subject: bytes) -> bool:
        """Was such an answer dropped since then?"""
        dropped = max(self._all, self._placements.get(placement, NEVER))
        if subject:
            dropped = max(dropped, self._subjects_before, self._subjects.get(subject, NEVER))
        return asked_at <= dropped

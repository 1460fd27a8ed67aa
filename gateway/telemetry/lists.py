"""Lists that say something of a provider because it gave them before.

    same_for_others  a personal answer, and the very list that somebody else got before: it is for everybody
    unchanged        the same question got this very list ten minutes ago or longer: nothing was learned since

Memory is bounded: of each placement, kind and provider the last list, and the lists of some questions.
"""

from __future__ import annotations

import time
from typing import Final

from gateway.deadline import Clock
from gateway.telemetry.notes import Round

AGE: Final = 600.0
"""Seconds after which the same question may be expected to be answered otherwise, if anything was learned."""
OVER: Final = 7200.0
"""Seconds after which a question that was not asked again makes room."""
MOST: Final = 4096
"""Questions that are remembered: the first that come. The last would be pushed out before they are asked again."""


class Lists:
    """Of one process. Lists are remembered as hashes."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[tuple[str, str, str], tuple[int, bytes]] = {}
        """By placement, kind and provider: the last personal list, and whose it was."""
        self._answers: dict[bytes, tuple[int, str, float]] = {}
        """By question: the list, whose answer it was, and when; the oldest first."""

    def same_for_others(self, round_: Round, list_: int) -> bool:
        """Is it the list (its hash) that somebody else got before?"""
        subject = round_.subject
        if not subject:
            return False
        of = (round_.placement, round_.kind, round_.provider or "")
        last = self._last.get(of)
        self._last[of] = (list_, subject)
        return last is not None and last[0] == list_ and last[1] != subject

    def unchanged(self, round_: Round, list_: int) -> bool | None:
        """Is it the list that this provider gave to the same question, long enough ago? None: there is none."""
        now, provider, question = self._clock(), round_.provider or "", round_.question
        before = self._answers.get(question)
        if before is None:
            self._remember(question, (list_, provider, now))
            return None
        if now - before[2] < AGE:
            return None
        del self._answers[question]  # back to the end of the order
        self._answers[question] = (list_, provider, now)
        return list_ == before[0] if provider == before[1] else None

    def _remember(self, question: bytes, answer: tuple[int, str, float]) -> None:
        if len(self._answers) >= MOST:
            oldest = next(iter(self._answers))
            if answer[2] - self._answers[oldest][2] < OVER:
                return
            del self._answers[oldest]
        self._answers[question] = answer

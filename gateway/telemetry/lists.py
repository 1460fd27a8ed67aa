"""What is wrong with a list that a provider recommends, as far as it shows without knowing the shop.

    short            fewer than asked
    same_for_others  a personal answer, and the very list that somebody else got before: it is for everybody
    unchanged        the same question got this very list ten minutes ago or longer: nothing was learned since

Memory is bounded: of each placement, kind and provider the last list, and the lists of some questions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from gateway.deadline import Clock
from gateway.telemetry.notes import Round

AGE: Final = 600.0
"""Seconds after which the same question may be expected to be answered otherwise, if anything was learned."""
OVER: Final = 7200.0
"""Seconds after which a question that was not asked again makes room."""
MOST: Final = 4096
"""Questions that are remembered: the first that come. The last would be pushed out before they are asked again."""

Repeat = bool | None
"""The same list as before? None: not to be said."""


class Lists:
    """Of one process. Lists are remembered as hashes."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[tuple[str, str, str], tuple[int, bytes]] = {}
        """By placement, kind and provider: the last personal list, and whose it was."""
        self._answers: dict[bytes, tuple[int, str, float]] = {}
        """By question: the list, whose answer it was, and when; the oldest first."""

    def flaws(self, round_: Round) -> Iterator[str]:
        """`short`, `same_for_others`."""
        if len(round_.items) < round_.wanted:
            yield "short"
        if round_.subject and self._same_for_others(round_):
            yield "same_for_others"

    def _same_for_others(self, round_: Round) -> bool:
        of, list_ = (round_.placement, round_.kind, round_.provider or ""), hash(round_.items)
        last = self._last.get(of)
        self._last[of] = (list_, round_.subject)
        return last is not None and last[0] == list_ and last[1] != round_.subject

    def repeated(self, round_: Round) -> Repeat:
        """Is it the list that this provider gave to the same question, long enough ago?"""
        now, list_, provider = self._clock(), hash(round_.items), round_.provider or ""
        before = self._answers.get(round_.question)
        if before is None:
            self._remember(round_.question, (list_, provider, now))
            return None
        if now - before[2] < AGE:
            return None
        del self._answers[round_.question]  # back to the end of the order
        self._answers[round_.question] = (list_, provider, now)
        return list_ == before[0] if provider == before[1] else None

    def _remember(self, question: bytes, answer: tuple[int, str, float]) -> None:
        if len(self._answers) >= MOST:
            oldest = next(iter(self._answers))
            if answer[2] - self._answers[oldest][2] < OVER:
                return
            del self._answers[oldest]
        self._answers[question] = answer

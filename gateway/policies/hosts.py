"""In which order a provider's hosts are tried.

The first is primary; the rest stand in for it, shuffled once so that not every gateway turns to the same one.
A host that failed is tried last for 300 s (as the vendors' own clients do), never left out: when all have
failed the order is as if none had.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from gateway.deadline import Clock

REMEMBERED: Final = 300.0
"""Seconds for which a failure is held against a host."""


class HostOrder:
    """One for each named group of hosts of a provider."""

    __slots__ = ("_clock", "_down", "_hosts")

    def __init__(self, urls: Sequence[str], rng: Random, clock: Clock) -> None:
        """`urls`: base URLs, one at least, the primary first."""
        stand_ins = list(dict.fromkeys(url for url in urls[1:] if url != urls[0]))
        rng.shuffle(stand_ins)
        self._hosts = (urls[0], *stand_ins)
        self._clock = clock
        self._down: dict[str, float] = {}

    def order(self) -> tuple[str, ...]:
        """All hosts, the one to try first at the front."""
        if not self._down:
            return self._hosts
        now = self._clock()
        self._down = {url: until for url, until in self._down.items() if until > now}
        return tuple(sorted(self._hosts, key=self._down.__contains__))  # stable: no host is before its turn

    def failed(self, url: str) -> None:
        """It could not be reached, or broke."""
        self._down[url] = self._clock() + REMEMBERED

    def worked(self, url: str) -> None:
        """It answered."""
        self._down.pop(url, None)

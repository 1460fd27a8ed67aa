"""How many retries are fair: a share of what a provider was asked lately, so that a vendor in trouble is not
asked twice as often as a healthy one.

A retry is allowed while the retries of the last 10 s are fewer than the share of the requests of the last 10 s,
or this second has seen fewer than 3: without that floor a quiet provider could never be asked twice.
Source of the idea: Google, "Site Reliability Engineering", ch. 21 (per-client retry budget); Finagle's
`RetryBudget` (window of 10 s, a minimum a second).
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from gateway.deadline import Clock
from gateway.policies.settings import Settings
from gateway.policies.window import Window
from gateway.units import Share

SECONDS: Final = 10
FLOOR: Final = 3
"""Retries a second that are always allowed."""

_REQUESTS, _RETRIES = 0, 1


class BudgetSettings(Settings):
    """Part of a provider's settings."""

    retry_budget: Share = Field("20%", validate_default=True)
    """Retries, as a share of the provider's requests of the last 10 s; 3 a second are always allowed. A fifth,
    because it lets nearly all hiccups be retried and adds little to a vendor's overload."""


class RetryBudget:
    """One for each provider, shared by all its requests."""

    __slots__ = ("_clock", "_share", "_window")

    def __init__(self, share: float, clock: Clock) -> None:
        self._share = share
        self._clock = clock
        self._window = Window(SECONDS, SECONDS, columns=2)

    def request(self) -> None:
        """A first attempt is made."""
        self._window.add(self._clock(), _REQUESTS)

    def spend(self) -> bool:
        """May one more retry be made? If so it is counted."""
        now = self._clock()
        this_second = self._window.roll(now)
        requests, retries = self._window.totals
        if this_second[_RETRIES] >= FLOOR and retries + 1 > self._share * requests:
            return False
        self._window.add(now, _RETRIES)
        return True

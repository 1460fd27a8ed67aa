"""How many requests are at one provider at once, so that one slow vendor cannot fill the gateway.

Nobody queues: above the bound the next provider of the list is asked. Writes take at most half, or a backlog of
events would keep recommendations out.
"""

from __future__ import annotations

from pydantic import Field

from gateway.errors import PassedOver
from gateway.policies.settings import Settings


class BulkheadSettings(Settings):
    """Part of a provider's settings."""

    max_in_flight: int = Field(128, ge=1)
    """Requests at this provider at once, in one process; above it the next provider is asked. Writes take at
    most half. 128, because at 300 ms each that is more than 400 a second."""


class Bulkhead:
    """Every `enter` that returned is followed by one `leave` of the same kind."""

    __slots__ = ("_most", "_most_writes", "_writes", "in_flight")

    def __init__(self, max_in_flight: int) -> None:
        self._most = max_in_flight
        self._most_writes = max(1, max_in_flight // 2)
        self._writes = 0
        self.in_flight = 0

    def enter(self, write: bool = False) -> None:
        """Take a place, or raise PassedOver."""
        if self.in_flight >= self._most:
            raise PassedOver(f"{self.in_flight} requests are in flight")
        if write:
            if self._writes >= self._most_writes:
                raise PassedOver(f"{self._writes} writes are in flight")
            self._writes += 1
        self.in_flight += 1

    def leave(self, write: bool = False) -> None:
        """Give the place back."""
        self.in_flight -= 1
        if write:
            self._writes -= 1

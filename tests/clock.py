"""A clock for tests: time passes when told to, and not otherwise."""

from __future__ import annotations


class FakeClock:
    """Monotonic seconds. Steps that are multiples of 2⁻¹⁰ add up exactly."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds

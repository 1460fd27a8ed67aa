"""How many requests one caller may send: the generic cell rate algorithm, and what callers are told of it.

`RateLimit-Policy: "default";q=200;w=1` is the quota in a window of seconds, `RateLimit: "default";r=199;t=1` what
is left and the seconds until all of it is regained (draft-ietf-httpapi-ratelimit-headers-10).
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Final

from gateway.deadline import Clock
from gateway.errors import RateLimited
from gateway.policies.rate import Rate

LONGEST: Final = 60
"""Seconds: the longest window that a rate of one a minute or more is told in."""


class Limit:
    """The limit of one caller."""

    __slots__ = ("_clock", "_rate", "policy")

    def __init__(self, per_second: float, clock: Clock) -> None:
        quota, window = quota_of(per_second)
        self._rate = Rate(per_second, burst=quota)
        self._clock = clock
        self.policy = f'"default";q={quota};w={window}'

    def charge(self, requests: int = 1) -> None:
        """Count so many. Raises RateLimited, and then nothing is counted."""
        wait = self._rate.admit(self._clock(), requests)
        if wait:
            headers = {"Retry-After": str(ceil(wait)), **dict(self.headers())}
            raise RateLimited("the rate of these credentials is spent", headers=headers)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """What is said of it with every answer."""
        left, seconds = self._rate.state(self._clock())
        return ("RateLimit-Policy", self.policy), ("RateLimit", f'"default";r={left};t={ceil(seconds)}')


def quota_of(per_second: float) -> tuple[int, int]:
    """The rate in whole numbers: so many requests in so many seconds. 1.5 a second are 3 in 2 s."""
    if per_second * LONGEST < 1:
        return 1, ceil(1 / per_second)
    exact = Fraction(per_second).limit_denominator(LONGEST)
    return exact.numerator, exact.denominator

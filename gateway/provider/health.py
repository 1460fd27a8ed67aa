"""How a provider has been doing lately: what ops see in `GET /v1/providers`.

Counts over a sliding window and the latencies of the last calls; nothing is decided by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.deadline import Clock
from gateway.errors import ProviderError
from gateway.policies.window import Window

SECONDS: Final = 300
BUCKETS: Final = 30
REMEMBERED: Final = 1000
"""Calls whose latency is remembered."""

_CALLS, _FAILURES = 0, 1


class Health:
    """One for each provider."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._window = Window(SECONDS, BUCKETS, columns=2)
        self._latencies: deque[float] = deque(maxlen=REMEMBERED)
        self.last_problem: dict[str, Any] | None = None
        """What went wrong last, redacted; and how many seconds ago (filled in by `report`)."""
        self._problem_at = 0.0

    def note(self, seconds: float, error: ProviderError | None) -> None:
        """A call has ended. What the caller did wrong, or an empty answer, is no failure of the provider."""
        now = self._clock()
        self._window.add(now, _CALLS)
        self._latencies.append(seconds)
        if error is not None and error.outcome in ("failed", "throttled", "misconfigured"):
            self._window.add(now, _FAILURES)
            self.last_problem = {
                "error": error.name,
                "detail": str(error),
                "status": error.status,
                "vendor_message": error.vendor_message,
            }
            self._problem_at = now

    def seen(self) -> Seen:
        """All that `report` is made of."""
        now = self._clock()
        self._window.roll(now)
        calls, failures = self._window.totals
        problem = self.last_problem
        return Seen(calls, failures, list(self._latencies), problem, now - self._problem_at if problem else 0.0)

    def report(self) -> dict[str, Any]:
        """`requests` and `error_rate` of the last 5 minutes, `latency_ms` of the last calls, `last_problem`."""
        return self.seen().report()


class Seen(msgspec.Struct, frozen=True):
    """What one process, or several together, have seen of a provider."""

    calls: int
    failures: int
    latencies: list[float]
    """Seconds, of the last calls."""
    problem: dict[str, Any] | None
    problem_age: float
    """Seconds since."""

    def report(self) -> dict[str, Any]:
        """As `Health.report` says."""
        ordered, problem = sorted(self.latencies), self.problem
        if problem is not None:
            problem = {**problem, "seconds_ago": round(self.problem_age, 1)}
        return {
            "requests": self.calls,
            "error_rate": round(self.failures / self.calls, 4) if self.calls else 0.0,
            "latency_ms": {f"p{part}": _percentile(ordered, part) for part in (50, 95, 99)},
            "last_problem": problem,
        }


def together(seen: Sequence[Seen]) -> Seen:
    """Counts and latencies of all, so that each weighs by its calls; the latest problem."""
    last = min((one for one in seen if one.problem is not None), key=lambda one: one.problem_age, default=None)
    return Seen(
        sum(one.calls for one in seen),
        sum(one.failures for one in seen),
        [latency for one in seen for latency in one.latencies],
        last.problem if last else None,
        last.problem_age if last else 0.0,
    )


def _percentile(ordered: list[float], part: int) -> float | None:
    """Milliseconds; the nearest rank (None without any)."""
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, len(ordered) * part // 100)] * 1000, 2)

"""How many calls were made on which day, for `GET /v1/usage`."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

PLAN: Final = "demo"
DAILY_QUOTA: Final = 1_000_000


class Usage:
    """Counts calls by day, in UTC."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: Counter[date] = Counter()
        self._start = self._today()

    def count(self) -> None:
        """One more call today."""
        self._calls[self._today()] += 1

    def report(self) -> dict[str, Any]:
        """The payload of the answer: every day since the first.

        Each day pairs what was used with what is left, as AWS API Gateway's usage plans do, on which the
        vendor's report is built [assumption: `userQuota` is that used share].
        """
        today = self._today()
        days = [self._start + timedelta(days=n) for n in range((today - self._start).days + 1)]
        return {
            "usagePlan": PLAN,
            "startDate": self._start.isoformat(),
            "endDate": today.isoformat(),
            "usages": [self._day(day) for day in days],
        }

    def _day(self, day: date) -> dict[str, Any]:
        calls = self._calls[day]
        return {
            "date": day.isoformat(),
            "userQuota": calls,
            "remainingQuota": max(0, DAILY_QUOTA - calls),
        }

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), UTC).date()

"""How one answer came about, for ops who asked (`Gateway-Explain: 1`)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.answering.asked import Asked
from gateway.policies.cache import CachedAnswer
from gateway.policies.failover import Attempt
from gateway.telemetry.notes import Exchange


class Explanation:
    """Filled while the request is answered."""

    def __init__(self, asked: Asked, cached: str) -> None:
        self._asked = asked
        self._cached = cached
        self.attempts: list[Attempt] = []
        """The providers that did not answer."""
        self.exchanges: list[Exchange] = []
        """Every exchange with a vendor, in the order in which they ended."""

    def told(self) -> dict[str, Any]:
        """The member `explain`."""
        asked = self._asked
        return {
            "placement": asked.placement.name,
            "kind": asked.kind,
            "arm": asked.arm.name,
            "eligible": [provider.name for provider in asked.candidates.providers],
            "not_eligible": asked.candidates.passed_over,
            "cache": self._cached,
            "not_answered": [attempt_told(attempt) for attempt in self.attempts],
            "attempts": [
                {
                    "provider": one.provider,
                    "host": one.host,
                    "route": one.route,
                    "status": one.outcome,
                    "ms": one.ms,
                }
                for one in self.exchanges
            ],
        }

    def added_to(self, answer: CachedAnswer) -> CachedAnswer:
        """The answer with the explanation as its last member."""
        return replace(answer, body=answer.body[:-1] + b',"explain":' + msgspec.json.encode(self.told()) + b"}")


def attempt_told(attempt: Attempt) -> dict[str, Any]:
    """A provider that did not answer, as problems list it."""
    return {
        "provider": attempt.provider,
        "error": attempt.error.name,
        "detail": str(attempt.error),
        "ms": round(attempt.seconds * 1000, 1),
    }

"""How it stands with a provider, in one process or in several that share the port: part of `GET /v1/providers`.

    of each process: Standing ─▸ together ─▸ said

What each process has of its own is put together so that trouble shows: the worst breaker, the longest throttle,
the token that ends first; what is counted is summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from gateway.provider import health
from gateway.provider.account import Provider
from gateway.provider.health import Seen

WORSE: Final = {"closed": 0, "half_open": 1, "open": 2}
FARTHEST: Final = 100 * 365 * 86400.0
"""Seconds: a vendor may say that its token lives, or that it wants to be left alone, beyond the calendar's end."""


class Standing(msgspec.Struct, frozen=True):
    """Of one provider. Times are seconds from now."""

    reads: str
    writes: str
    in_flight: int
    seen: Seen
    throttled_for: float
    token_for: float | None
    quota: dict[str, Any] | None

    def said(self) -> dict[str, Any]:
        """In the words of the API."""
        return {
            "breaker": {"reads": self.reads, "writes": self.writes},
            "in_flight": self.in_flight,
            **self.seen.report(),
            "throttled_until": _at(self.throttled_for or None),
            "token_expires_at": _at(self.token_for),
        }


def standing(provider: Provider, quota: dict[str, Any] | None) -> Standing:
    """As it is now, in this process."""
    token = provider.token
    return Standing(
        provider.gates.reads.state,
        provider.gates.writes.state,
        provider.gates.bulkhead.in_flight,
        provider.gates.health.seen(),
        provider.gates.throttle.wait(),
        token.expires_in if token else None,
        quota,
    )


def together(standings: Sequence[Standing]) -> Standing:
    """Of all processes; of one alone it is the same."""
    tokens = [one.token_for for one in standings if one.token_for is not None]
    quotas = [one.quota for one in standings if one.quota is not None]
    return Standing(
        _worst(one.reads for one in standings),
        _worst(one.writes for one in standings),
        sum(one.in_flight for one in standings),
        health.together([one.seen for one in standings]),
        max(one.throttled_for for one in standings),
        min(tokens, default=None),
        max(quotas, key=lambda one: str(one["as_of"]), default=None),
    )


def _worst(states: Iterable[str]) -> str:
    return max(states, key=lambda state: WORSE[state])


def _at(seconds: float | None) -> str | None:
    """The moment so many seconds from now, RFC 3339."""
    if seconds is None:
        return None
    seconds = min(seconds, FARTHEST)
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")

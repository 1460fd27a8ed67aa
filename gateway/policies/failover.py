"""Ordered failover: one provider after the other, and what it means when none of them answered.

    answer of the first that has one
    else, over all that were asked or passed over, the first of these that is true
      some had simply none          Empty
      some failed or were throttled Failed    (Late, where the deadline cut it)
      some refused the content      Refused
      none could                    Unable

What stands between "none answered" and this verdict is the cache's business: a stale answer comes first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, Literal, TypeVar

import msgspec

from gateway.deadline import Deadline
from gateway.errors import PassedOver, ProviderError

P = TypeVar("P")
T = TypeVar("T")

Verdict = Literal["empty", "failed", "late", "refused", "unable"]


class Attempt(msgspec.Struct, frozen=True):
    """One provider that did not answer."""

    provider: str
    error: ProviderError
    seconds: float


class NoneAnswered(Exception):  # it is an outcome before it is an error
    """All were tried."""

    def __init__(self, attempts: Sequence[Attempt], verdict: Verdict) -> None:
        super().__init__(verdict)
        self.attempts = tuple(attempts)
        self.verdict = verdict


class Failover(Generic[P, T]):
    """Asks providers in order; `ask` raises ProviderError where one does not answer."""

    def __init__(self, ask: Callable[[P, Deadline], Awaitable[T]], clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock

    async def first(
        self, named: Sequence[tuple[str, P]], deadline: Deadline, attempts: list[Attempt]
    ) -> tuple[str, T]:
        """Name and answer of the first that has one; the attempts before it are added. Raises NoneAnswered."""
        for index, (name, provider) in enumerate(named):
            started = self._clock()
            try:
                if not deadline.worth_trying():
                    raise PassedOver("no time left")
                return name, await self._ask(provider, deadline.before(len(named) - index - 1))
            except ProviderError as error:
                attempts.append(Attempt(name, error, self._clock() - started))
        raise NoneAnswered(attempts, verdict(attempts, in_time=deadline.worth_trying()))


def verdict(attempts: Iterable[Attempt], *, in_time: bool) -> Verdict:
    """What it means that none of these answered."""
    outcomes = {attempt.error.outcome for attempt in attempts}
    if "empty" in outcomes:
        return "empty"
    if outcomes & {"failed", "throttled", "misconfigured"}:
        return "failed" if in_time else "late"
    return "refused" if outcomes & {"rejected", "missing"} else "unable"

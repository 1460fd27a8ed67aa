"""What each vendor reports of the account's quota: fetched in the background, never while anybody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
import structlog

from gateway.deadline import Deadline
from gateway.errors import ProviderError
from gateway.model.control import Usage
from gateway.provider.account import Provider

EVERY: Final = 900.0
"""Seconds between two reports of one provider at least, whether they came or not."""

log = structlog.get_logger("gateway")


class Quotas:
    """The last report of each provider that gives one; a provider that is gone takes its own along."""

    def __init__(self) -> None:
        self._reports: WeakKeyDictionary[Provider, dict[str, Any]] = WeakKeyDictionary()
        self._asked_at: WeakKeyDictionary[Provider, float] = WeakKeyDictionary()

    def of(self, provider: Provider) -> dict[str, Any] | None:
        """`{"plan", "days": [{"date", "quota", "remaining"}], "as_of"}`; None where there is none yet."""
        return self._reports.get(provider)

    async def refresh(self, providers: Iterable[Provider]) -> None:
        """Ask those whose report is old enough, all at once."""
        due = [one for one in providers if type(one.adapter).has("usage") and self._is_due(one)]
        await asyncio.gather(*map(self._ask, due))

    def _is_due(self, provider: Provider) -> bool:
        return provider.clock() >= self._asked_at.get(provider, float("-inf")) + EVERY

    async def _ask(self, provider: Provider) -> None:
        self._asked_at[provider] = provider.clock()
        deadline = Deadline.within(provider.clock, provider.settings.write_timeout)
        try:
            usage: Usage = await provider.call("usage", deadline=deadline)
        except ProviderError as error:
            log.info("no usage report", provider=provider.name, error=error.name, detail=str(error))
            return
        as_of = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._reports[provider] = {**msgspec.to_builtins(usage), "as_of": as_of}

"""What ops may see and do: the state of the providers, the configuration in force, the cache."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

from gateway.adapter import Operation
from gateway.errors import NotFound
from gateway.metrics import BREAKER, Sample
from gateway.provider import Provider
from gateway.server.runtime import Runtime


def providers(runtime: Runtime) -> dict[str, Any]:
    """The body of `GET /v1/providers`."""
    state = runtime.readiness()
    return {
        "epoch": state["epoch"],
        "revision": runtime.configuration.revision,
        "config": state["config"],
        "providers": [
            {**provider_state(provider), "quota": runtime.quotas.of(provider)}
            for provider in runtime.pipeline.plan.providers.values()
        ],
    }


def provider_state(provider: Provider) -> dict[str, Any]:
    """One provider as it is now, in this process."""
    adapter = type(provider.adapter)
    token = provider.token
    return {
        "name": provider.name,
        "adapter": _adapter_name(provider),
        "capabilities": [*adapter.kinds, *(one for one in get_args(Operation) if adapter.has(one))],
        "breaker": {"reads": provider.reads.state, "writes": provider.writes.state},
        "in_flight": provider.bulkhead.in_flight,
        **provider.health.report(),
        "throttled_until": _at(provider.throttle.wait() or None),
        "token_expires_at": _at(token.expires_in if token else None),
    }


FARTHEST: Final = 100 * 365 * 86400.0
"""Seconds: a vendor may say that its token lives, or that it wants to be left alone, beyond the calendar's end."""


def _at(seconds: float | None) -> str | None:
    """The moment so many seconds from now, RFC 3339."""
    if seconds is None:
        return None
    seconds = min(seconds, FARTHEST)
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")


def _adapter_name(provider: Provider) -> str:
    """What `adapter:` says in the configuration."""
    return getattr(provider.settings, "adapter", type(provider.adapter).__name__)


def samples(runtime: Runtime) -> Iterator[Sample]:
    """The state that `/metrics` shows."""
    state = runtime.readiness()
    yield "gateway_config_rejected", "1 while a changed file is refused.", {}, state["config"]["status"] != "ok"
    labels = {"epoch": state["epoch"], "revision": runtime.configuration.revision or ""}
    yield "gateway_config_info", "The configuration in force.", labels, 1
    yield "gateway_cache_bytes", "Cached answers, overhead included.", {}, runtime.pipeline.cache.bytes
    for provider in runtime.pipeline.plan.providers.values():
        for operations, breaker in (("reads", provider.reads), ("writes", provider.writes)):
            labels = {"provider": provider.name, "operations": operations}
            yield "gateway_breaker_state", "0 closed, 1 half open, 2 open.", labels, BREAKER[breaker.state]
        labels = {"provider": provider.name}
        yield "gateway_in_flight", "Calls under way.", labels, provider.bulkhead.in_flight


def drop_cache(runtime: Runtime, placement: str | None) -> dict[str, Any]:
    """The body of `DELETE /v1/cache`: how many answers were dropped. Raises NotFound."""
    if placement is not None and placement not in runtime.pipeline.plan.placements:
        raise NotFound(f"there is no placement `{placement}`")
    return {"dropped": runtime.pipeline.cache.drop(placement)}

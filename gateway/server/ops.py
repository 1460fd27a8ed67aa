"""What ops may see and do: the state of the providers, the configuration in force, the cache."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from gateway.adapter import Operation
from gateway.provider import Provider
from gateway.server.runtime import Runtime


def providers(runtime: Runtime) -> dict[str, Any]:
    """The body of `GET /v1/providers`."""
    state = runtime.readiness()
    return {
        "epoch": state["epoch"],
        "revision": runtime.configuration.revision,
        "config": state["config"],
        "providers": [provider_state(provider) for provider in runtime.pipeline.plan.providers.values()],
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


def _at(seconds: float | None) -> str | None:
    """The moment so many seconds from now, RFC 3339."""
    if seconds is None:
        return None
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")


def _adapter_name(provider: Provider) -> str:
    """What `adapter:` says in the configuration."""
    return getattr(provider.settings, "adapter", type(provider.adapter).__name__)


def drop_cache(runtime: Runtime, placement: str | None) -> dict[str, Any]:
    """The body of `DELETE /v1/cache`: how many answers were dropped."""
    return {"dropped": runtime.pipeline.cache.drop(placement)}

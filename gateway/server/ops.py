"""What ops may see and do: the state of the providers, the configuration in force, the cache."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

from gateway.adapter import Operation
from gateway.errors import NotFound
from gateway.provider import Provider
from gateway.server.runtime import Runtime
from gateway.state.kept import Queue, StoreError
from gateway.telemetry.metrics import BREAKER, Sample


async def providers(runtime: Runtime) -> dict[str, Any]:
    """The body of `GET /v1/providers`. What waits for a provider is counted for all processes."""
    state = runtime.readiness()
    queues = await _queues(runtime)
    return {
        "epoch": state["epoch"],
        "revision": runtime.configuration.revision,
        "config": state["config"],
        "providers": [
            {
                **provider_state(provider),
                **_queue_state(queues.get(provider.name, Queue()) if queues is not None else None),
                "quota": runtime.quotas.of(provider),
            }
            for provider in runtime.pipeline.plan.providers.values()
        ],
    }


async def _queues(runtime: Runtime) -> dict[str, Queue] | None:
    """None where the store cannot say: the rest is worth knowing all the same."""
    try:
        return await runtime.writes.intake.store.queues()
    except StoreError:
        return None


def _queue_state(queue: Queue | None) -> dict[str, Any]:
    if queue is None:
        return {"queued_events": None, "oldest_queued_s": None, "dead_letters": None}
    waits = None if queue.oldest is None else round(max(0.0, time.time() - queue.oldest), 1)
    return {"queued_events": queue.queued, "oldest_queued_s": waits, "dead_letters": queue.dead_letters}


def provider_state(provider: Provider) -> dict[str, Any]:
    """One provider as it is now, in this process."""
    adapter = type(provider.adapter)
    token = provider.token
    return {
        "name": provider.name,
        "adapter": provider.adapter_name,
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


def samples(runtime: Runtime) -> Iterator[Sample]:
    """The state that `/metrics` shows."""
    state = runtime.readiness()
    yield "gateway_config_rejected", "1 while a changed file is refused.", {}, state["config"]["status"] != "ok"
    labels = {"epoch": state["epoch"], "revision": runtime.configuration.revision or ""}
    yield "gateway_config_info", "The configuration in force.", labels, 1
    dropped = runtime.pipeline.exposures.dropped if runtime.pipeline.exposures else 0
    yield "gateway_exposures_dropped", "Answers of experiments that could not be counted.", {}, dropped
    yield "gateway_cache_bytes", "Cached answers, overhead included.", {}, runtime.pipeline.cache.bytes
    for provider in runtime.pipeline.plan.providers.values():
        for operations, breaker in (("reads", provider.reads), ("writes", provider.writes)):
            labels = {"provider": provider.name, "operations": operations}
            yield "gateway_breaker_state", "0 closed, 1 half open, 2 open.", labels, BREAKER[breaker.state]
        labels = {"provider": provider.name}
        yield "gateway_in_flight", "Calls under way.", labels, provider.bulkhead.in_flight
        queue = runtime.writes.hearing.queues.get(provider.name, Queue())
        yield "gateway_queued", "Events and changes that wait for it, as counted last.", labels, queue.queued
        yield "gateway_dead_letters", "What it will never take, as counted last.", labels, queue.dead_letters


def drop_cache(runtime: Runtime, placement: str | None) -> dict[str, Any]:
    """The body of `DELETE /v1/cache`: how many answers were dropped. Raises NotFound."""
    if placement is not None and placement not in runtime.pipeline.plan.placements:
        raise NotFound(f"there is no placement `{placement}`")
    return {"dropped": runtime.pipeline.cache.drop(placement)}

"""The state that is read whenever somebody scrapes: breakers, queues, cache, configuration, store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from gateway import logs
from gateway.provider.account import Provider
from gateway.state.kept import Queue
from gateway.telemetry import families
from gateway.telemetry.families import Family
from gateway.telemetry.tallies import Labels

if TYPE_CHECKING:
    from gateway.server.runtime import Runtime

Sample = tuple[Family, Labels, float]
BREAKER: Final = {"closed": 0, "half_open": 1, "open": 2}
VERSION: Final = version("recommendation-gateway")


def samples(runtime: Runtime) -> Iterator[Sample]:
    """All of it."""
    yield families.BUILD, (VERSION,), 1
    yield from _configuration(runtime)
    yield from ((families.ACTIVE, (method,), count) for method, count in runtime.metrics.active.now())
    yield from _cache_and_store(runtime)
    yield from _dropped(runtime)
    for provider in runtime.pipeline.plan.providers.values():
        yield from _provider(provider)
        yield from _queue(provider.name, runtime.writes.hearing.queues.get(provider.name, Queue()))


def _configuration(runtime: Runtime) -> Iterator[Sample]:
    state = runtime.readiness()
    yield families.READY, (), state["ready"]
    yield families.CONFIG, (state["epoch"], runtime.configuration.revision or ""), 1
    yield families.RELOADED, (), state["config"]["status"] == "ok"
    yield families.RELOADED_AT, (), runtime.taken_at


def _cache_and_store(runtime: Runtime) -> Iterator[Sample]:
    cache, hearing = runtime.pipeline.cache, runtime.writes.hearing
    yield families.CACHE_BYTES, (), cache.bytes
    yield families.CACHE_LIMIT, (), cache.max_bytes
    yield families.CACHE_ENTRIES, (), len(cache)
    yield families.EVICTIONS, (), cache.evictions
    yield families.STORE_ERRORS, (), hearing.failures
    yield families.STORE_HEARD, (), hearing.heard_at


def _dropped(runtime: Runtime) -> Iterator[Sample]:
    yield families.DROPPED, ("notes",), runtime.notes.dropped
    if runtime.pipeline.exposures is not None:
        yield families.DROPPED, ("exposures",), runtime.pipeline.exposures.dropped
    yield families.DROPPED, ("lines",), logs.lost()
    yield families.DROPPED, ("spans",), runtime.tracing.lost


def _provider(provider: Provider) -> Iterator[Sample]:
    name = provider.name
    for operations, breaker in (("reads", provider.gates.reads), ("writes", provider.gates.writes)):
        yield families.BREAKER, (name, operations), BREAKER[breaker.state]
    yield families.IN_FLIGHT, (name,), provider.gates.bulkhead.in_flight
    yield families.IN_FLIGHT_LIMIT, (name,), provider.settings.max_in_flight
    yield families.THROTTLED, (name,), provider.gates.throttle.wait()
    ends_in = provider.token.expires_in if provider.token else None
    if ends_in is not None:
        yield families.TOKEN, (name,), time.time() + ends_in


def _queue(provider: str, queue: Queue) -> Iterator[Sample]:
    yield families.QUEUED, (provider,), queue.queued
    yield families.OLDEST, (provider,), max(0.0, time.time() - queue.oldest) if queue.oldest is not None else 0.0
    yield families.DEAD, (provider,), queue.dead_letters

"""What ops may see and do: the state of the providers, the configuration in force, the cache."""

from __future__ import annotations

import time
from typing import Any, get_args

from gateway.adapter import Operation
from gateway.errors import NotFound
from gateway.provider.account import Provider
from gateway.server.handlers.standing import standing, together
from gateway.server.runtime import Runtime
from gateway.server.workers.siblings import AskProviders, DropCache, Told
from gateway.state.kept import Queue, StoreError


async def providers(runtime: Runtime) -> dict[str, Any]:
    """The body of `GET /v1/providers`, of all processes that share the port."""
    state = runtime.readiness()
    queues = await _queues(runtime)
    told = [providers_here(runtime)]
    if runtime.siblings is not None:
        told += (await runtime.siblings.ask(AskProviders(), Told)).values()
    errors = list(dict.fromkeys(error for one in told for error in one.errors))
    return {
        "epoch": state["epoch"],
        "revision": runtime.configuration.revision,
        "config": {"status": "rejected" if errors else "ok", "errors": errors},
        "providers": [
            {
                **_described(provider),
                **(one := together([one.providers[name] for one in told if name in one.providers])).said(),
                **_queue_state(queues.get(name, Queue()) if queues is not None else None),
                "quota": one.quota,
            }
            for name, provider in runtime.pipeline.plan.providers.items()
        ],
    }


def providers_here(runtime: Runtime) -> Told:
    """What this process knows of them."""
    plan = runtime.pipeline.plan.providers
    standings = {name: standing(provider, runtime.quotas.of(provider)) for name, provider in plan.items()}
    return Told(standings, runtime.readiness()["config"]["errors"])


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


def _described(provider: Provider) -> dict[str, Any]:
    adapter = type(provider.adapter)
    return {
        "name": provider.name,
        "adapter": provider.adapter_name,
        "capabilities": [*adapter.kinds, *(one for one in get_args(Operation) if adapter.has(one))],
    }


async def drop_cache(runtime: Runtime, placement: str | None) -> dict[str, Any]:
    """The body of `DELETE /v1/cache`: how many answers were dropped, in all processes that share the port.

    Those of other machines follow at once, or within a second. Raises NotFound; StoreError where they cannot be
    told.
    """
    if placement is not None and placement not in runtime.pipeline.plan.placements:
        raise NotFound(f"there is no placement `{placement}`")
    dropped = runtime.pipeline.cache.drop(placement)
    if runtime.siblings is not None:
        dropped += sum((await runtime.siblings.ask(DropCache(placement), int)).values())
    if runtime.pipeline.second is not None:
        await runtime.pipeline.second.drop(placement)
    return {"dropped": dropped}

"""What one process says to the others that share the port, and the metrics of all of them."""

from __future__ import annotations

from typing import Any

from gateway.server.handlers import ops
from gateway.server.runtime import Runtime
from gateway.server.ui.state import recent_here
from gateway.server.workers.merging import Family, encoded, families, merged
from gateway.server.workers.siblings import AskMetrics, AskProviders, AskRecent, DropCache, Hear, Question
from gateway.telemetry.families import MERGES


async def metrics(runtime: Runtime, accept: str) -> tuple[str, bytes]:
    """Content type and body of `/metrics`, by what an `Accept` header asks for."""
    if runtime.siblings is None:
        runtime.notes.read()
        return runtime.metrics.negotiated(accept)
    return encoded(merged(await runtime.siblings.families(_counted(runtime))), accept)


async def answer(runtime: Runtime, question: Question) -> Any:
    """To another process. Raises StoreError."""
    match question:
        case AskMetrics():
            own = _counted(runtime)
            return own if runtime.siblings is None else runtime.siblings.counts.told(own)
        case AskProviders():
            return ops.providers_here(runtime)
        case AskRecent():
            return recent_here(runtime)
        case DropCache():
            return runtime.pipeline.cache.drop(question.placement)
        case Hear():
            await runtime.writes.hearing.hear()
            return True


def _counted(runtime: Runtime) -> list[Family]:
    """By this process, up to now."""
    runtime.notes.read()
    return families(runtime.metrics.families(), MERGES)

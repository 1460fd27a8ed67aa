"""All that the page shows, gathered: of this process and its siblings, of the store, of the configuration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec

from gateway.plan import Arm, Placement
from gateway.server.endpoints.documents import ConfigState
from gateway.server.endpoints.ui_words import (
    ArmState,
    Duration,
    FaultState,
    Pace,
    PlacementState,
    ProblemState,
    ShadowState,
    Traffic,
    UiState,
    Workers,
    moment,
)
from gateway.server.handlers import ops
from gateway.server.handlers.experiments import Experiments
from gateway.server.runtime import Runtime
from gateway.server.ui.letters import page
from gateway.server.ui.verdict import findings
from gateway.server.workers.siblings import AskRecent
from gateway.state.store import StoreError
from gateway.telemetry.lately import BUCKETS
from gateway.telemetry.recent import Fault, Flow, Recent, Shade, together

T = TypeVar("T")


async def gathered(runtime: Runtime) -> UiState:
    """Everything at this moment."""
    (recent, workers), said, experiments, letters = await asyncio.gather(
        _recent(runtime),
        ops.providers(runtime),
        _if_store_answers(Experiments(runtime).results()),
        _if_store_answers(page(runtime.store)),
    )
    plan = runtime.pipeline.plan
    state = UiState(
        at=moment(time.time()),
        ready=runtime.ready,
        epoch=said["epoch"],
        revision=said["revision"],
        config=ConfigState(said["config"]["status"], tuple(said["config"]["errors"])),
        workers=workers,
        findings=(),
        providers=tuple(_provider(runtime, one, recent) for one in said["providers"]),
        placements=tuple(_placement(one, recent) for one in plan.placements.values()),
        experiments=experiments,
        dead_letters=None if letters is None else letters.dead_letters,
        older_letters=None if letters is None else letters.older,
        problems=tuple(
            ProblemState(
                one.slug, one.status, one.method, one.route, one.placement, one.times,
                moment(one.first_at), moment(one.at), one.trace_id, tuple(one.attempts),
            )
            for one in recent.problems
        ),
    )  # fmt: skip
    return msgspec.structs.replace(state, findings=findings(state))


def recent_here(runtime: Runtime) -> Recent:
    """Of this process, up to now."""
    runtime.notes.read()
    return runtime.lately.told()


async def _recent(runtime: Runtime) -> tuple[Recent, Workers]:
    """Of all processes that share the port."""
    own, siblings = recent_here(runtime), runtime.siblings
    if siblings is None:
        return own, Workers(1, 1)
    others = await siblings.ask(AskRecent(), Recent)
    return together([own, *others.values()]), Workers(siblings.place.workers, len(others) + 1)


async def _if_store_answers(asked: Awaitable[T]) -> T | None:
    try:
        return await asked
    except StoreError:
        return None


def _provider(runtime: Runtime, said: dict[str, Any], recent: Recent) -> dict[str, Any]:
    """What `GET /v1/providers` says of it, and its last five minutes."""
    name = said["name"]
    minute, five_minutes = recent.calls.get(name, (0, 0))
    faults = sorted(recent.faults.get(name, {}).items(), key=lambda one: one[1].lately, reverse=True)
    provider = runtime.pipeline.plan.providers[name]
    return {
        **said,
        "mode": provider.settings.breaker.mode,
        "minute": minute,
        "five_minutes": five_minutes,
        "faults": [_fault(error, fault) for error, fault in faults],
    }


def _fault(error: str, fault: Fault) -> FaultState:
    return FaultState(error, fault.now, fault.lately, moment(fault.at), fault.detail, fault.trace_id)


def _placement(placement: Placement, recent: Recent) -> PlacementState:
    settings, name = placement.settings, placement.name
    weights = {arm: one.weight for arm, one in settings.experiment.arms.items()} if settings.experiment else {}
    now, lately = recent.now.get(name, {}), recent.lately.get(name, {})
    arms = tuple(
        ArmState(
            arm,
            weights.get(arm or ""),
            settings.lists[arm],
            _cannot(one, settings.kind),
            _traffic(now.get(arm or "")),
            _traffic(lately.get(arm or "")),
        )
        for arm, one in placement.arms.items()
    )
    pace = recent.pace.get(name) or [[0, 0]] * BUCKETS
    return PlacementState(
        name,
        settings.kind,
        placement.caching is not None,
        settings.experiment.key if settings.experiment else None,
        arms,
        tuple(Pace(requests, detours) for requests, detours in pace),
        _shadow(placement, recent.shadows.get(name, {})),
    )


def _cannot(arm: Arm, kind: str | None) -> dict[str, str]:
    return arm.by_kind[kind].passed_over if kind is not None else {}


def _traffic(flow: Flow | None) -> Traffic:
    flow = flow or Flow()
    duration = Duration(flow.ms(50), flow.ms(95))
    return Traffic(
        flow.requests, flow.answered, flow.stood_in, flow.failed, flow.cache, flow.missed, duration
    )  # fmt: skip


def _shadow(placement: Placement, shades: dict[str, Shade]) -> ShadowState | None:
    if placement.shadow is None:
        return None
    provider = placement.shadow.provider.name
    shade = shades.get(provider, Shade())
    overlap = round(shade.overlap / shade.compared, 4) if shade.compared else None
    return ShadowState(provider, placement.shadow.share, shade.outcomes, overlap)

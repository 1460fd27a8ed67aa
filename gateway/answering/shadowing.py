"""A shadow request under way: the same question to another provider, its answer compared with what was served."""

from __future__ import annotations

import structlog

from gateway.answering.asked import Asked
from gateway.answering.asker import ask_alone
from gateway.answering.tailoring import Tailor
from gateway.deadline import Clock, Deadline
from gateway.errors import PassedOver, ProviderError
from gateway.events.hidden import Hidden
from gateway.model.query import Recommendations
from gateway.policies.shadow import overlap
from gateway.provider.account import Provider
from gateway.state.store import Store
from gateway.telemetry.notes import Shadowed

log = structlog.get_logger("gateway")


async def shadowed(
    asked: Asked,
    provider: Provider,
    served: Recommendations,
    store: Store,
    hidden: Hidden,
    deadline: Deadline,
    clock: Clock,
) -> Shadowed:
    """Ask, and compare. What goes wrong is only told: nobody waits for it."""
    started = clock()
    items: list[str] = []
    try:
        if not provider.gates.have_room():
            raise PassedOver("it is busy with questions that somebody waits for")
        said = await Tailor(asked, provider, hidden).answer(ask_alone, store, deadline)
        outcome, items = "answered", [item.id for item in said.items]
    except ProviderError as error:
        outcome = "empty" if error.outcome == "empty" else error.name
    except Exception:  # here a shadow request ends: nobody waits for it
        log.exception(
            "shadow", placement=asked.placement.name, provider=provider.name, trace_id=deadline.logged_as
        )
        outcome = "internal"
    both = overlap([item.id for item in served.items], items) if items else None
    return Shadowed(asked.placement.name, provider.name, outcome, clock() - started, both)

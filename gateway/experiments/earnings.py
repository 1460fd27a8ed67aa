"""Turns an event that names an answer into a click or a conversion of that answer's arm.

Only items that the answer had count, and each once for a unit: who clicks an item twice has clicked it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gateway.events.attribution import Attribution, Credentials
from gateway.experiments.counts import Earned
from gateway.experiments.phase import unit_mark
from gateway.model.activity import Event, EventItem
from gateway.plan import Plan

CREDITED: Final = frozenset({"click", "purchase"})
"""The event types that count: clicks, and purchases as conversions."""


class Earnings:
    """What events are worth to the arms whose answers they name."""

    def __init__(self, attribution: Callable[[], Attribution], key: bytes) -> None:
        self._attribution = attribution
        self._key = key

    def of(self, event: Event, plan: Plan, headers: Mapping[str, str]) -> Earned | None:
        """What the event is worth; None if nothing. `headers`: of the request that brought it."""
        if event.recommendation_id is None or event.type not in CREDITED:
            return None
        answer = self._attribution().answer(event)
        if answer is None or answer.experiment is None or answer.phase is None or answer.arm is None:
            return None
        shown: dict[str, float] = {}
        for item in event.items:
            if answer.position(item.id) is not None:
                shown[item.id] = shown.get(item.id, 0.0) + _worth(item)
        if not shown:
            return None
        whole = all(item.id in shown for item in event.items)
        mark = unit_mark(self._key, _unit(event, answer, plan, headers))
        return Earned(
            answer.experiment,
            answer.phase,
            answer.arm,
            mark,
            event.type,
            tuple(shown.items()),
            event.value if whole else None,
        )


def _unit(event: Event, answer: Credentials, plan: Plan, headers: Mapping[str, str]) -> str:
    """Who is counted: as the experiment's `unit` says, else the user."""
    placement = plan.placements.get(answer.placement)
    unit = placement.phase.unit if placement is not None and placement.phase is not None else "user"
    return event.user if unit == "user" else headers.get(unit) or event.user


def _worth(item: EventItem) -> float:
    return (item.price or 0.0) * (1 if item.quantity is None else item.quantity)

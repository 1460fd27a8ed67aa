"""Turns an event that names an answer into a click or a conversion of that answer's arm.

Only items that the answer had count, and each once for a unit: who clicks an item twice has clicked it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.events.attribution import Credentials
from gateway.experiments.counts import Earned
from gateway.experiments.phase import unit_mark
from gateway.model.activity import Event, EventItem

CREDITED: Final = frozenset({"click", "purchase"})
"""The event types that count: clicks, and purchases as conversions."""


def unit_of(event: Event, unit: str, headers: Mapping[str, str]) -> str:
    """Who is counted for the event: as the experiment's `unit` says, else the user.

    `headers`: of the request that brought the event, case-insensitive.
    """
    return event.user if unit == "user" else headers.get(unit) or event.user


def earned(event: Event, answer: Credentials | None, unit: str, key: bytes) -> Earned | None:
    """What the event is worth to an arm; None if nothing. `unit`: whose it is (`unit_of`)."""
    if answer is None or event.type not in CREDITED:
        return None
    if answer.experiment is None or answer.phase is None or answer.arm is None:
        return None
    shown = {item.id: _worth(item) for item in event.items if answer.position(item.id) is not None}
    if not shown:
        return None
    whole = all(item.id in shown for item in event.items)
    value = event.value if whole else None
    mark = unit_mark(key, unit)
    items = tuple(shown.items())
    return Earned(answer.experiment, answer.phase, answer.arm, mark, event.type, items, value)


def _worth(item: EventItem) -> float:
    return (item.price or 0.0) * (1 if item.quantity is None else item.quantity)

"""Who is told what: for each event and record, which providers can take it at all.

Adapters are pure, so what one cannot do with its present options is found out by asking it: an operation that
raises `Unsupported` before its first request is one that it does not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from gateway.adapter import Adapter, Entity, Operation
from gateway.errors import Unsupported
from gateway.model.activity import Event
from gateway.provider.account import Provider
from gateway.state.kept import Erased, ErrandKind, Route, Routes

OPERATIONS: Final[dict[ErrandKind, Operation]] = {
    "event": "track",
    "put_user": "put_users",
    "put_item": "put_items",
    "delete_item": "delete_items",
    "erase_user": "erase_user",
}
PUTS: Final[dict[Entity, ErrandKind]] = {"user": "put_user", "item": "put_item"}
DAY: Final = 86_400


def objection(adapter: Adapter, event: Event, now: float) -> str | None:
    """Why the provider cannot take this event at this moment (Unix seconds); None if it can."""
    reason = adapter.takes(event)
    age = adapter.max_event_age
    if reason is None and age is not None and now - event.time.timestamp() > age:
        return f"it takes no events older than {age / DAY:g} days"
    return reason


def of_event(event: Event, providers: Iterable[Provider], now: float) -> Routes:
    """Where an event goes."""
    return {
        provider.name: "queued" if objection(provider.adapter, event, now) is None else "unsupported"
        for provider in providers
    }


def of_change(kind: ErrandKind, providers: Iterable[Provider]) -> dict[str, Route]:
    """Where a change of a record goes."""
    return {one.name: "queued" if can(one.adapter, OPERATIONS[kind]) else "unsupported" for one in providers}


def of_erasure(providers: Iterable[Provider]) -> dict[str, Erased]:
    """Who is to erase a user."""
    return {one.name: "queued" if can(one.adapter, "erase_user") else "unsupported" for one in providers}


def keeps(adapter: Adapter) -> frozenset[Entity]:
    """Which records the provider keeps."""
    return frozenset(entity for entity, kind in PUTS.items() if can(adapter, OPERATIONS[kind]))


def can(adapter: Adapter, operation: Operation) -> bool:
    """Has it this write operation, with the options that it was given?"""
    if type(adapter).has(operation) is None:
        return False
    nothing: Any = "nobody" if operation == "erase_user" else ()
    try:
        flow = getattr(adapter, operation)(nothing)
        next(flow, None)
    except Unsupported:
        return False
    flow.close()
    return True

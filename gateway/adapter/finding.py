"""The installed adapters: which there are, and whether this gateway can work with them."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from gateway.adapter.protocol import PROTOCOL, Adapter


class Unusable(ImportError):
    """An installed adapter that this gateway cannot work with, and why."""


def installed() -> dict[str, EntryPoint]:
    """The installed adapters by name: the entry points in the group `gateway.adapters`, not yet loaded."""
    return {point.name: point for point in entry_points(group="gateway.adapters")}


def found(point: EntryPoint) -> type[Adapter]:
    """The adapter of an entry point. Raises Unusable, and whatever importing somebody's module may raise."""
    adapter = point.load()
    if not (isinstance(adapter, type) and issubclass(adapter, Adapter)):
        raise Unusable(f"`{point.value}` is no subclass of gateway.adapter.Adapter")
    if complaint := complaint_of(adapter):
        raise Unusable(f"`{point.value}` {complaint}")
    return adapter


def complaint_of(adapter: type[Adapter]) -> str | None:
    """Why this gateway cannot work with an adapter's class; None if it can.

    What is forgotten would otherwise show as silence: a question that is never asked, an event that is never sent.
    """
    if adapter.requires_protocol > PROTOCOL:
        needs = f"needs version {adapter.requires_protocol} of the adapter protocol"
        return f"{needs}, and this gateway has version {PROTOCOL}: install a newer gateway"
    if adapter.kinds and not adapter.has("recommend"):
        return "declares `kinds`, but has no method `recommend` to serve them"
    if adapter.has("recommend") and not adapter.kinds:
        return "has a method `recommend`, but declares no `kinds`: it would never be asked"
    if adapter.has("track") and adapter.takes is Adapter.takes:
        return "has a method `track`, but not `takes`: every event would be refused before it"
    return None


def load() -> dict[str, type[Adapter]]:
    """All installed adapters by name. Raises what `found` raises."""
    return {name: found(point) for name, point in installed().items()}

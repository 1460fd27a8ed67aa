"""The event store, and what follows from its events at once: histories, popularity, item properties.

Everything derived is kept up to date on every write, so that a query never walks through all events.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.recomendo.events import SPECIAL, Event

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Search:
    """What `GET /events.json` asks for; None asks for nothing. Times in ms, `start` ≤ time < `until`."""

    start: int | None = None
    until: int | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    event: str | None = None
    target_entity_type: str | None = None
    target_entity_id: str | None = None
    limit: int = 20
    reverse: bool = False


class Store:
    """All events by id. Writing an id again replaces the event, as a row key of HBase does."""

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}
        self._by_entity: defaultdict[Key, dict[str, Event]] = defaultdict(dict)
        # For each type of usage event, in order of first sight: how often it was done with each item.
        self.popularity: dict[str, Counter[str]] = {}
        # Items' properties, each as the set of its values in text, ready for the `fields` of a query …
        self.values: dict[str, dict[str, frozenset[str]]] = {}
        # … and as they were sent, for dates.
        self.properties: dict[str, dict[str, Any]] = {}

    def add(self, event: Event) -> None:
        """Store an event."""
        if event.event_id in self._events:
            self.remove(event.event_id)
        self._events[event.event_id] = event
        self._by_entity[event.entity_type, event.entity_id][event.event_id] = event
        self._follow(event, +1)

    def remove(self, event_id: str) -> bool:
        """Delete an event; whether there was one."""
        event = self._events.pop(event_id, None)
        if event is None:
            return False
        del self._by_entity[event.entity_type, event.entity_id][event_id]
        self._follow(event, -1)
        return True

    def get(self, event_id: str) -> Event | None:
        """The event of that id."""
        return self._events.get(event_id)

    def find(self, search: Search) -> list[Event]:
        """The events asked for, by their time; at most `limit`, -1 for all."""
        events: Iterable[Event] = self._events.values()
        if search.entity_type is not None and search.entity_id is not None:
            events = self._by_entity.get((search.entity_type, search.entity_id), {}).values()
        found = [event for event in events if matches(event, search)]
        found.sort(key=lambda event: event.time, reverse=search.reverse)
        return found if search.limit == -1 else found[: search.limit]

    def snapshot(self) -> list[Event]:
        """All events as they are now, for a training that runs beside the writes."""
        return list(self._events.values())

    def history(self, user: str) -> dict[str, list[str]]:
        """What a user did: for each type of event the distinct items, latest first."""
        mine = self._by_entity.get(("user", user), {}).values()
        latest: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for event in sorted((e for e in mine if e.is_usage), key=lambda event: -event.time):
            latest[event.event][event.target_entity_id or ""] = None
        return {name: list(items) for name, items in latest.items()}

    def primary(self) -> str | None:
        """The primary event: `buy`, else `purchase`, else the first type seen; None while there is none."""
        for name in ("buy", "purchase"):
            if name in self.popularity:
                return name
        return next(iter(self.popularity), None)

    def items(self) -> set[str]:
        """Every item that an event named."""
        return set(self.values).union(*self.popularity.values())

    def _follow(self, event: Event, sign: int) -> None:
        if event.is_usage:
            counts = self.popularity.setdefault(event.event, Counter())
            item = event.target_entity_id or ""
            counts[item] += sign
            if not counts[item]:
                del counts[item]
            if not counts:
                del self.popularity[event.event]
        elif event.event in SPECIAL and event.entity_type == "item":
            self._replay(event.entity_id)

    def _replay(self, item: str) -> None:
        """Work out an item's properties anew from all its special events, in the order of their times."""
        specials = [e for e in self._by_entity["item", item].values() if e.event in SPECIAL]
        properties: dict[str, Any] | None = None
        for event in sorted(specials, key=lambda event: event.time):
            if event.event == "$set":
                properties = (properties or {}) | event.properties
            elif event.event == "$delete":
                properties = None
            elif properties is not None:
                properties = {k: v for k, v in properties.items() if k not in event.properties}
        if properties is None:
            self.values.pop(item, None)
            self.properties.pop(item, None)
        else:
            self.properties[item] = properties
            self.values[item] = {name: texts(value) for name, value in properties.items()}


def matches(event: Event, search: Search) -> bool:
    """Whether an event is one of those asked for."""
    return (
        (search.start is None or event.time >= search.start)
        and (search.until is None or event.time < search.until)
        and search.entity_type in (None, event.entity_type)
        and search.entity_id in (None, event.entity_id)
        and search.event in (None, event.event)
        and search.target_entity_type in (None, event.target_entity_type)
        and search.target_entity_id in (None, event.target_entity_id)
    )


def texts(value: Any) -> frozenset[str]:
    """The categories of a property: its texts, and numbers and booleans as JSON writes them."""
    members = value if isinstance(value, list) else [value]
    return frozenset(
        member if isinstance(member, str) else str(member).lower()
        for member in members
        if isinstance(member, str | int | float)
    )

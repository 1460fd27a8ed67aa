"""What the vendor is told, as PredictionIO events; each belongs to one of the gateway's events or changes.

a user's act   ▸ <name>   user ─▸ item     one letter for each of its items
a record       ▸ $set     user or item     all properties; $unset for those that vanished
a deletion     ▸ $delete  user or item
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from gateway.adapter import Entity
from gateway.adapters.recomendo.questions import BOOLEANS, timestamp
from gateway.adapters.recomendo.wire import StoredEvent
from gateway.model.activity import Activity, Change, Event
from gateway.model.filters import instant

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Letter(msgspec.Struct, frozen=True):
    """One event for the vendor, and whose delivery it is part of."""

    owner: str
    """The id of the gateway's event or change."""
    event: dict[str, Any]


def name_complaint(name: str) -> str | None:
    """Why the vendor takes no event of this name; None if it does."""
    if name and not name.startswith(("$", "pio_")):
        return None
    return "takes no event whose name is empty or begins with `$` or `pio_`"


def of_events(events: Iterable[Event], name: Callable[[str], str]) -> Iterator[Letter]:
    """One letter for each item of each event. `name` is what the vendor calls an event type."""
    for event in events:
        for index, item in enumerate(event.items):
            yield Letter(event.id, _act(event, index, item.id, name(event.type)))


def _act(event: Event, index: int, item: str, name: str) -> dict[str, Any]:
    properties = dict(event.properties)
    if event.type == "rating":
        properties["rating"] = event.value
    act = {
        "event": name,
        "entityType": "user",
        "entityId": event.user,
        "targetEntityType": "item",
        "targetEntityId": item,
        "eventTime": timestamp(event.time),
        "eventId": _event_id(event, index),
    }
    return act | {"properties": properties} if properties else act


def _event_id(event: Event, index: int) -> str:
    """The same for the same event and item, so that a repeat overwrites and does not count twice.

    PredictionIO's HBase store takes an event id for its row key, which must be 32 bytes in unpadded base64url:
    MD5 of `entityType-entityId`, the time in ms, 8 bytes of its own (HBEventsUtil.scala, RowKey); the sample
    in Recomendo's document is such a one. Other stores take any text.
    """
    entity = hashlib.md5(f"user-{event.user}".encode(), usedforsecurity=False).digest()
    own = hashlib.sha256(f"{index}\0{event.id}".encode()).digest()[:8]
    moment = struct.pack(">q", (event.time - EPOCH) // timedelta(milliseconds=1))
    return base64.urlsafe_b64encode(entity + moment + own).rstrip(b"=").decode()


def of_records(entity: Entity, changes: Iterable[Change]) -> Iterator[Letter]:
    """A `$set` with everything, so that an empty record exists too, and a `$unset` of what vanished."""
    for change in changes:
        properties = _categories(change.properties) if entity == "item" else change.properties
        yield Letter(change.id, _special("$set", entity, change.id) | {"properties": properties})
        if change.unset:
            vanished = dict.fromkeys(change.unset)
            yield Letter(change.id, _special("$unset", entity, change.id) | {"properties": vanished})


def of_deletions(entity: Entity, ids: Iterable[str]) -> Iterator[Letter]:
    """A `$delete` each, which drops an entity's properties and nothing else."""
    for id_ in ids:
        yield Letter(id_, _special("$delete", entity, id_))


def _special(event: str, entity: Entity, id_: str) -> dict[str, Any]:
    return {"event": event, "entityType": entity, "entityId": id_}


def _categories(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Item properties as `fields` and `dateRange` can find them: categories are arrays of strings."""
    return {name: _stored(value) for name, value in properties.items()}


def _stored(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [BOOLEANS[one] if isinstance(one, bool) else one for one in value]
    if isinstance(value, bool):
        return [BOOLEANS[value]]
    if isinstance(value, str):
        moment = instant(value)
        return [value] if moment is None else timestamp(moment)
    return value


def activity_of(stored: StoredEvent, type_of: Callable[[str], str]) -> Activity:
    """One of the vendor's events in normalized words. `type_of` is the event type that a name stands for."""
    properties = dict(stored.properties)
    type_ = type_of(stored.event)
    rating = properties.pop("rating", None) if type_ == "rating" else None
    return Activity(
        id=stored.event_id,
        user=stored.entity_id,
        item=stored.target_entity_id,
        type=type_,
        time=datetime.fromisoformat(stored.event_time),
        value=None if rating is None else float(rating),
        properties=properties,
    )


def time_of(activity: Activity) -> datetime:
    """When it happened; what has no time is oldest."""
    return activity.time or EPOCH

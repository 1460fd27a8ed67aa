"""What an event is: the rules of PredictionIO's event API, which Recomendo's is.

Messages are the vendor's in spirit; times are kept as milliseconds since the epoch, in UTC.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

RESERVED: Final = ("$", "pio_")
SPECIAL: Final = ("$set", "$unset", "$delete")
BUILT_IN_TYPES: Final = ("pio_pr",)
# ISO 8601 with milliseconds and an offset; the offset's colon is optional (`…942Z`, `…942+0000`, `…942-07:00`).
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:?\d\d)")


class BadEvent(ValueError):
    """An event that the vendor refuses; the text is the answer's `message`."""


class Wire(msgspec.Struct, rename="camel"):
    """An event as it travels; unknown members are ignored, as the vendor does."""

    event: str
    entity_type: str
    entity_id: str
    target_entity_type: str | None = None
    target_entity_id: str | None = None
    properties: dict[str, Any] | None = None
    event_time: str | None = None
    event_id: str | None = None
    tags: list[str] | None = None
    pr_id: str | None = None


class Event(msgspec.Struct, frozen=True):
    """A stored event. `time` and `created` are in milliseconds since the epoch."""

    event_id: str
    event: str
    entity_type: str
    entity_id: str
    target_entity_type: str | None
    target_entity_id: str | None
    properties: dict[str, Any]
    time: int
    created: int
    tags: tuple[str, ...] = ()
    pr_id: str | None = None

    @property
    def is_usage(self) -> bool:
        """Whether a user did something with an item, which is what the model learns from."""
        return self.entity_type == "user" and self.target_entity_type == "item"

    def as_json(self) -> dict[str, Any]:
        """The event as the vendor shows it; absent members are left out."""
        shown: dict[str, Any] = {
            "eventId": self.event_id,
            "event": self.event,
            "entityType": self.entity_type,
            "entityId": self.entity_id,
            "properties": self.properties,
            "eventTime": written(self.time),
            "creationTime": written(self.created),
        }
        if self.target_entity_type is not None:
            shown |= {"targetEntityType": self.target_entity_type, "targetEntityId": self.target_entity_id}
        if self.tags:
            shown["tags"] = list(self.tags)
        if self.pr_id is not None:
            shown["prId"] = self.pr_id
        return shown


def checked(raw: Any, event_id: str, now: int) -> Event:
    """The event that `raw` (decoded JSON) says, `event_id` and `now` (ms) where it names none.

    Raises BadEvent.
    """
    try:
        wire = msgspec.convert(raw, Wire)
    except msgspec.ValidationError as wrong:
        raise BadEvent(str(wrong)) from None
    check_names(wire)
    check_target(wire)
    check_properties(wire)
    return Event(
        event_id=wire.event_id or event_id,
        event=wire.event,
        entity_type=wire.entity_type,
        entity_id=wire.entity_id,
        target_entity_type=wire.target_entity_type,
        target_entity_id=wire.target_entity_id,
        properties=wire.properties or {},
        time=now if wire.event_time is None else event_time(wire.event_time),
        created=now,
        tags=tuple(wire.tags or ()),
        pr_id=wire.pr_id,
    )


def check_names(wire: Wire) -> None:
    """Non-empty, and nothing reserved but what the vendor itself defines."""
    if not wire.event:
        raise BadEvent("event must not be empty.")
    if not wire.entity_type:
        raise BadEvent("entityType must not be empty string.")
    if not wire.entity_id:
        raise BadEvent("entityId must not be empty string.")
    if wire.event.startswith(RESERVED) and wire.event not in SPECIAL:
        raise BadEvent(f"{wire.event} is not a supported reserved event name.")
    for member, kind in (("entityType", wire.entity_type), ("targetEntityType", wire.target_entity_type)):
        if kind and kind.startswith(RESERVED) and kind not in BUILT_IN_TYPES:
            raise BadEvent(f"The {member} {kind} is not allowed. 'pio_' is a reserved name prefix.")


def check_target(wire: Wire) -> None:
    """Both members of the target or neither, and none on a special event."""
    if wire.target_entity_type == "":
        raise BadEvent("targetEntityType must not be empty string")
    if wire.target_entity_id == "":
        raise BadEvent("targetEntityId must not be empty string.")
    if (wire.target_entity_type is None) != (wire.target_entity_id is None):
        raise BadEvent("targetEntityType and targetEntityId must be specified together.")
    if wire.event in SPECIAL and wire.target_entity_type is not None:
        raise BadEvent(f"Reserved event {wire.event} cannot have targetEntity")


def check_properties(wire: Wire) -> None:
    """Some for `$unset`, none for `$delete`, and no reserved names."""
    if wire.event == "$unset" and not wire.properties:
        raise BadEvent("properties cannot be empty for $unset event")
    if wire.event == "$delete" and wire.properties:
        raise BadEvent("properties must be empty for $delete event")
    for name in wire.properties or ():
        if name.startswith(RESERVED):
            raise BadEvent(f"The property {name} is not allowed. 'pio_' is a reserved name prefix.")


def event_time(text: str) -> int:
    """An event's time in ms since the epoch. Raises BadEvent where milliseconds or offset are missing."""
    if not TIME.fullmatch(text):
        raise BadEvent(f"Fail to extract eventTime {text}: not ISO 8601 with milliseconds and offset")
    return instant(text)


def instant(text: str) -> int:
    """Any ISO 8601 time in ms since the epoch; UTC where it says no offset. Raises BadEvent."""
    try:
        moment = datetime.fromisoformat(text)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadEvent(f'Invalid format: "{text}"') from None


def written(time: int) -> str:
    """Milliseconds since the epoch as the vendor writes them: `2018-09-09T16:17:42.937Z`."""
    moment = datetime.fromtimestamp(time // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time % 1000:03d}Z"

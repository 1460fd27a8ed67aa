"""The shapes of Recomendo's answers. One that does not fit raises ValueError: contract drift.

Members that the gateway has no use for are left out, so that the vendor may add some.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from gateway.adapter import Response

S = TypeVar("S", bound=msgspec.Struct)


class ItemScore(msgspec.Struct, frozen=True):
    """One recommended item."""

    item: str
    score: float


class Predictions(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a query."""

    item_scores: tuple[ItemScore, ...]


class Accepted(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to an event."""

    event_id: str


class BatchStatus(msgspec.Struct, frozen=True):
    """What became of one event of a batch."""

    status: int
    message: str = ""


class StoredEvent(msgspec.Struct, frozen=True, rename="camel"):
    """One event of the vendor's list."""

    event_id: str
    event: str
    entity_id: str
    event_time: str
    target_entity_id: str | None = None
    properties: dict[str, Any] = {}


class TokenPayload(msgspec.Struct, frozen=True):
    """What a login brings."""

    token: str


class DayQuota(msgspec.Struct, frozen=True, rename="camel"):
    """One day of the usage report."""

    date: str
    user_quota: float | None = None
    remaining_quota: float | None = None


class UsagePayload(msgspec.Struct, frozen=True, rename="camel"):
    """The usage report."""

    usage_plan: str | None = None
    usages: tuple[DayQuota, ...] = ()


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    success: bool
    message_code: str
    payload: Any = None


def read(response: Response, shape: type[S]) -> S:
    """The answer as `shape`."""
    return msgspec.json.decode(response.body, type=shape)


def payload(response: Response) -> Any:
    """What the envelope of the auth and client hosts holds; ValueError where it says that it failed."""
    envelope = read(response, _Envelope)
    if not envelope.success:
        raise ValueError("the envelope of a 2xx answer says success: false")
    return envelope.payload


def usage(response: Response) -> UsagePayload:
    """The usage report in its envelope."""
    return msgspec.convert(payload(response), UsagePayload)


def stored_events(response: Response) -> tuple[StoredEvent, ...]:
    """A list of events."""
    return msgspec.json.decode(response.body, type=tuple[StoredEvent, ...])


def batch_statuses(response: Response) -> tuple[BatchStatus, ...]:
    """What became of each event of a batch, in order."""
    return msgspec.json.decode(response.body, type=tuple[BatchStatus, ...])

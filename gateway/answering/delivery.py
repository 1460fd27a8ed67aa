"""What comes in and what goes out, without HTTP's machinery: the words between a front and the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.policies.cache import CachedAnswer, Found
from gateway.telemetry.trace import Trace

if TYPE_CHECKING:
    from gateway.answering.asked import Asked, Caller

Headers = tuple[tuple[str, str], ...]


class Call(msgspec.Struct, gc=False):
    """One request of a caller's for recommendations or a search. The pipeline keeps what it found out here."""

    operation: str
    """`recommend` or `search`."""
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes = b""
    value: Any = msgspec.UNSET
    """The body where it is decoded already: a part of a batch."""
    query: tuple[tuple[str, str], ...] | None = None
    """Of the GET form; None for the POST form."""
    caller: Caller | None = None
    asked: Asked | None = None
    explain: bool = False
    """`Gateway-Explain: 1`, with the right to it."""
    pinned: str | None = None
    """`Gateway-Provider`: the one that is to be asked. Neither this nor `explain` is cached or counted."""
    shown: bool = True
    """Does anybody get to see the answer? Nobody does that of a HEAD."""
    exposed: bool = False
    """Does the answer count for the experiment that it is part of?"""
    found: Found | None = None
    """A stale answer from the cache."""
    trace: Trace = msgspec.field(default_factory=Trace)
    """What its log lines and spans are found by."""
    parts: Sequence[Call] = ()
    """Of a batch: the requests in it."""
    provider: str | None = None
    """Who answered."""
    answer: CachedAnswer | None = None
    """What was answered."""
    cache_status: str = ""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One answer as it goes out."""

    status: int
    headers: Headers
    body: bytes


VARY = ("Vary", "Authorization, X-Api-Key, Origin")
JSON = ("Content-Type", "application/json")


def deliver(answer: CachedAnswer, cache_status: str, max_age: float, if_none_match: str | None) -> Delivery:
    """An answer with the headers of this delivery; 304 where the caller has it already."""
    headers = (
        JSON,
        ("Cache-Status", cache_status),
        ("Cache-Control", f"private, max-age={max(0, int(max_age))}"),
        ("ETag", answer.etag),
        VARY,
    )
    if if_none_match is not None and _matches(if_none_match, answer.etag):
        return Delivery(304, headers[1:], b"")
    return Delivery(200, headers, answer.body)


def _matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison (RFC 9110 §8.8.3.2)."""
    wanted = etag.removeprefix("W/")
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return if_none_match.strip() == "*" or wanted in tags

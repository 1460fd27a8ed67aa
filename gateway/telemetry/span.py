"""One span on its way out: what it shares with others (its shape), and what is its own.

otlp.py writes it as a collector wants it, exporting.py as the console's exporter does.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Value = str | int | bool
Values = dict[str, Value]


class Shape(msgspec.Struct, frozen=True, eq=False):
    """All that spans of one sort of request, or of exchange, say alike. The same shape is the same object."""

    name: str
    kind: Literal["server", "client"]
    values: Values
    error: bool


class Event(msgspec.Struct, frozen=True):
    """Something that happened within a span."""

    name: str
    values: Values
    at: int
    """Nanoseconds since 1970."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """Of one request, or of one exchange with a vendor. (Without `gc`: what it holds never leads back to it.)"""

    shape: Shape
    trace_id: str
    """32 hex digits."""
    id: str
    """16 of them."""
    parent: str | None
    """The id of the span that it is part of."""
    remote: bool
    """Is that one of another process's?"""
    began: int
    """Nanoseconds since 1970."""
    ended: int
    events: tuple[Event, ...] = ()

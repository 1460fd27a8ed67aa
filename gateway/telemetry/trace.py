"""The trace that a request belongs to (W3C Trace Context). Its ids are read, or made, when somebody asks."""

from __future__ import annotations

import random
import re
from typing import Any, Final

_TRACEPARENT: Final = re.compile(
    r"(?:00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})"
    r"|(?!00|ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?)"
)
"""Version 00 ends where it ends; later ones may say more, which is passed over (§3.2.2.1 there)."""
_LOW: Final = (1 << 64) - 1


class Trace:
    """Of one request."""

    __slots__ = ("_given", "_kept", "_parent", "_sampled", "_span", "_trace", "events")

    def __init__(self, traceparent: str | None = None) -> None:
        self._given = traceparent
        self._trace: str | None = None
        self._parent: str | None = None
        self._span: str | None = None
        self._sampled: bool | None = None
        self._kept: bool | None = None
        self.events: list[Any] | None = None
        """What will stand as events on the request's own span, once that is made. Only spans.py touches it."""

    @property
    def trace_id(self) -> str:
        """32 hex digits: the caller's, or new ones."""
        if self._trace is None:
            self._read()
        assert self._trace is not None  # noqa: S101  # `_read` has it
        return self._trace

    @property
    def parent_id(self) -> str | None:
        """16 hex digits: the caller's span; None where it named none."""
        if self._trace is None:
            self._read()
        return self._parent

    @property
    def sampled(self) -> bool | None:
        """What the caller decided; None where it did not."""
        if self._trace is None:
            self._read()
        return self._sampled

    @property
    def span_id(self) -> str:
        """16 hex digits: this request's own span."""
        if self._span is None:
            self._span = new_span()
        return self._span

    def kept(self, share: float) -> bool:
        """Are its spans exported? As the caller decided, else so many of all (0..1); decided once."""
        if self._kept is None:
            self._kept = self.within(share) if self.sampled is None else self.sampled
        return self._kept

    def within(self, share: float) -> bool:
        """Is it among this share (0..1) of all traces? By its id alone, so that all who are asked agree.

        The rule is OpenTelemetry's TraceIdRatioBased: the lower half of the id, below its bound.
        """
        return int(self.trace_id[16:], 16) < round(share * (_LOW + 1))

    def _read(self) -> None:
        found = _TRACEPARENT.fullmatch(self._given) if self._given else None
        if found:
            trace, parent, flags = (found[1], found[2], found[3]) if found[1] else (found[4], found[5], found[6])
            if trace.strip("0") and parent.strip("0"):
                self._trace, self._parent, self._sampled = trace, parent, bool(int(flags, 16) & 1)
                return
        self._trace = f"{random.getrandbits(128) or 1:032x}"  # a name, no secret


def new_span() -> str:
    """16 hex digits that no other span has."""
    return f"{random.getrandbits(64) or 1:016x}"

"""The trace that a request belongs to (W3C Trace Context). Its ids are read, or made, when somebody asks.

Every request has one and few are ever asked, so that making one must cost next to nothing; ids are made many at
once.
"""

from __future__ import annotations

import random
import re
from functools import lru_cache
from typing import Any, Final

import msgspec

_USUAL: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""Version 00 ends where it ends; ids that are all zeros are none."""
_LATER: Final = re.compile(r"(?!00|ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
"""Later versions may say more, which is passed over (§3.2.2.1 there); what they share stands where it stood."""
_ODD: Final = "13579bdf"
"""The last digit of flags whose lowest bit says that the trace is sampled."""
_ALL: Final = "g"
"""Comes after all hex digits."""
_AT_ONCE: Final = 64
"""Ids that are made together: a tenth of a microsecond each where one alone takes half of one."""
_ids: Final[list[str]] = []


class Trace(msgspec.Struct, eq=False, gc=False):
    """Of one request. (Without `gc`: what it holds never leads back to it.)"""

    given: str | None = None
    """The caller's `traceparent`; None once it was found to be none."""
    events: list[Any] | None = None
    """What will stand as events on the request's own span, once that is made. Only spans.py touches it."""
    _trace: str | None = None
    _span: str | None = None
    _kept: bool | None = None

    @property
    def trace_id(self) -> str:
        """32 hex digits: the caller's, or new ones."""
        return self._trace or self._read()

    @property
    def parent_id(self) -> str | None:
        """16 hex digits: the caller's span; None where it named none."""
        if self._trace is None:
            self._read()
        return None if self.given is None else self.given[36:52]

    @property
    def sampled(self) -> bool | None:
        """What the caller decided; None where it did not."""
        if self._trace is None:
            self._read()
        return None if self.given is None else self.given[54] in _ODD

    @property
    def span_id(self) -> str:
        """16 hex digits: this request's own span."""
        if self._span is None:
            self._span = new_span()
        return self._span

    def kept(self, share: float) -> bool:
        """Are its spans exported? As the caller decided, else so many of all (0..1); decided once."""
        if self._kept is None:
            sampled = self.sampled
            self._kept = self.within(share) if sampled is None else sampled
        return self._kept

    def within(self, share: float) -> bool:
        """Is it among this share (0..1) of all traces? By its id alone, so that all who are asked agree.

        The rule is OpenTelemetry's TraceIdRatioBased: the lower half of the id, below its bound.
        """
        return self.trace_id[16:] < bound(share)

    def _read(self) -> str:
        given = self.given
        if given is not None and (_USUAL.fullmatch(given) or _LATER.fullmatch(given)):
            trace = given[3:35]
        else:
            trace = _ids.pop() if _ids else _new_ids()
            self.given = None
        self._trace = trace
        return trace


@lru_cache(maxsize=64)
def bound(share: float) -> str:
    """What the lower halves of ids are below where they belong to this share, as text to compare them with."""
    least = round(share * (1 << 64))
    return f"{least:016x}" if least < 1 << 64 else _ALL


def _new_ids() -> str:
    """One, and others for later. That one is all zeros, which is not allowed, happens once in 2^128."""
    digits = random.randbytes(16 * _AT_ONCE).hex()  # noqa: S311  # names, no secrets
    _ids.extend([digits[n : n + 32] for n in range(0, len(digits), 32)])
    return _ids.pop()


def new_span() -> str:
    """16 hex digits that no other span has."""
    return f"{random.getrandbits(64) or 1:016x}"

"""The name of an answer in the cache: a digest of all that shapes it.

Canonical bytes first: MessagePack with the members of every map in order, so that the order in which a caller
wrote them does not matter, while 1, 1.0, true and "1" stay apart. The request's structs write their own members
in the order of their class. A number beyond 64 bits has no place in MessagePack; such a request is written as
JSON (which begins with another byte, so the two never meet).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

BYTES: Final = 16
"""128 bits: among 2³² answers two meet with a probability of 2⁻⁶⁵."""

_binary = msgspec.msgpack.Encoder(order="deterministic")
_json = msgspec.json.Encoder(order="deterministic")


def cache_key(placement: str, arm: str, request: msgspec.Struct, subject: bytes) -> bytes:
    """16 bytes. `arm`: empty without an experiment; `subject`: whose answer it is, empty when nobody's."""
    parts = (placement, arm, subject, type(request).__qualname__, request)
    try:
        canonical = _binary.encode(parts)
    except OverflowError:
        canonical = _json.encode(parts)
    return blake2b(canonical, digest_size=BYTES).digest()

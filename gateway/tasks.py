"""Task ids: where an asynchronous change was begun and what the vendor calls it, signed and opaque.

    base64url( HMAC-SHA256(key, packed)[:12]  ‖  packed )       packed: MessagePack of `Task`

The vendor's own name of a task carries what belongs to it there, such as the index. It stays good when the
configuration changes, as long as there is a provider of that name.
"""

from __future__ import annotations

import base64
import hmac
from typing import Final

import msgspec

from gateway.model.query import Kind

SIGNATURE: Final = 12
"""Bytes of the HMAC that are kept. The rights to ask stand elsewhere: this keeps out what was made up."""


class Task(msgspec.Struct, frozen=True, array_like=True):
    """One asynchronous change."""

    provider: str
    kind: Kind
    task: str
    """The vendor's own id."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Task)


def task_id(task: Task, key: bytes) -> str:
    """The id that callers get."""
    packed = _encoder.encode(task)
    return base64.urlsafe_b64encode(_mac(packed, key) + packed).rstrip(b"=").decode()


def task_of(id_: str, key: bytes) -> Task | None:
    """What the id says; None where it is forged, foreign or damaged."""
    try:
        raw = base64.b64decode(id_.encode("ascii") + b"=" * (-len(id_) % 4), altchars=b"-_", validate=True)
        signature, packed = raw[:SIGNATURE], raw[SIGNATURE:]
        return _decoder.decode(packed) if hmac.compare_digest(signature, _mac(packed, key)) else None
    except ValueError:
        return None


def _mac(packed: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"task\0" + packed, "sha256")[:SIGNATURE]

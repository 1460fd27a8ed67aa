"""The recommendation id: what an answer was made from, packed, signed, and opaque to everybody else.

    base64url( BLAKE2b(key, packed), 16 bytes  ‖  packed )       packed: MessagePack of `Credentials`

It travels to the caller and back with events, so it must be compact and cannot be forged. Items are named by
four bytes of a hash: enough to find the position of an item that the caller names again.

    event ─▸ Attribution.answer ─▸ credit(event, provider)   for the very provider that answered (`gateway.events`)
                  │            └─▸ earned(event, …)          for the arm of an experiment (`gateway.experiments`)
                  └─▸ warning: forged, foreign, damaged or too old costs the credit, never the event
"""

from __future__ import annotations

import base64
import hmac
import random
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from gateway.model.activity import Credit, Event
from gateway.model.query import Snippet

CREDIT_LIFE: Final = 7 * 86400.0
"""Seconds after which an answer gets no credit any more for what its reader does: a week, the click-through
window that is usual in advertising."""
SIGNATURE: Final = 16
"""Bytes of the keyed hash (RFC 7693 §2.9: it needs no HMAC around it, and costs half)."""
LONGEST_KEY: Final = 64
"""Bytes of a key that the hash takes; a longer one is hashed first, as HMAC does."""
FINGERPRINTS: Final = 16_384
"""Items whose fingerprints are at hand (some 4 MiB): answers name the same ones again and again."""


class Credentials(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an answer was made from."""

    nonce: bytes
    made_at: int
    """Unix seconds."""
    provider: str
    placement: str
    experiment: str | None = None
    arm: str | None = None
    query_id: str | None = None
    """The vendor's own name of the answer."""
    items: tuple[bytes, ...] = ()
    """Four bytes of each item's hash, by rank."""
    parts: tuple[int | None, ...] = ()
    """Which part of each item matched; empty where no item has parts."""
    phase: str | None = None
    """Of the experiment."""

    def position(self, item: str) -> int | None:
        """The item's 1-based rank in the answer."""
        mark = fingerprint(item)
        return self.items.index(mark) + 1 if mark in self.items else None

    def part(self, item: str) -> int | None:
        """Which part of the item the answer was about."""
        position = self.position(item)
        return self.parts[position - 1] if position and position <= len(self.parts) else None


@lru_cache(maxsize=FINGERPRINTS)
def fingerprint(item: str) -> bytes:
    """Four bytes that stand for an item."""
    return blake2b(item.encode(), digest_size=4).digest()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Credentials)


class Signer:
    """Makes and reads recommendation ids. The first key signs, all verify."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(key if len(key) <= LONGEST_KEY else blake2b(key).digest() for key in keys)

    def sign(self, credentials: Credentials) -> str:
        """The recommendation id."""
        packed = _encoder.encode(credentials)
        return base64.urlsafe_b64encode(self._mac(self._keys[0], packed) + packed).rstrip(b"=").decode()

    def read(self, recommendation_id: str) -> Credentials | None:
        """What the id says; None where it is forged, foreign or damaged."""
        try:
            raw = base64.urlsafe_b64decode(recommendation_id + "=" * (-len(recommendation_id) % 4))
        except ValueError:
            return None
        signature, packed = raw[:SIGNATURE], raw[SIGNATURE:]
        if not any(hmac.compare_digest(signature, self._mac(key, packed)) for key in self._keys):
            return None
        try:
            return _decoder.decode(packed)
        except ValueError:
            return None

    @staticmethod
    def _mac(key: bytes, packed: bytes) -> bytes:
        return blake2b(packed, key=key, digest_size=SIGNATURE).digest()


def credentials(
    *,
    provider: str,
    placement: str,
    experiment: str | None,
    arm: str | None,
    query_id: str | None,
    items: Sequence[tuple[str, int | None]],
    made_at: float,
    phase: str | None = None,
) -> Credentials:
    """What is signed for an answer; `items`: each item's id and part, by rank."""
    parts = [part for _, part in items]
    return Credentials(
        nonce=random.randbytes(6),  # noqa: S311  # no secret: it tells two answers apart that are alike
        made_at=int(made_at),
        provider=provider,
        placement=placement,
        experiment=experiment,
        arm=arm,
        query_id=query_id,
        items=tuple([fingerprint(id_) for id_, _ in items]),
        parts=tuple(parts) if parts.count(None) < len(parts) else (),
        phase=phase,
    )


class Attribution:
    """What answers earn by the events that name them."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def answer(self, event: Event) -> Credentials | None:
        """The answer that led to the event; None if it names none that can have credit for it."""
        said = self._signer.read(event.recommendation_id) if event.recommendation_id else None
        return None if said is None or _too_old(said, event) else said

    def warning(self, event: Event) -> str | None:
        """Why the answer that the event names gets no credit; None if it does, or none is named."""
        if event.recommendation_id is None:
            return None
        said = self._signer.read(event.recommendation_id)
        if said is None:
            return "the recommendation_id is not one of this gateway's: no credit"
        if _too_old(said, event):
            return f"the recommendation_id is older than {CREDIT_LIFE / 86400:.0f} days: no credit"
        return None

    def credit(self, event: Event, provider: str) -> Credit | None:
        """What is said of the answer to the provider that gave it; None to every other."""
        said = self.answer(event)
        if said is None or said.provider != provider:
            return None
        positions = {item.id: at for item in event.items if (at := said.position(item.id)) is not None}
        parts = ((item.id, said.part(item.id)) for item in event.items)
        snippets = tuple(Snippet(item, part) for item, part in parts if part is not None)
        return Credit(said.query_id, positions, snippets)


def _too_old(said: Credentials, event: Event) -> bool:
    return event.time.timestamp() - said.made_at > CREDIT_LIFE

"""Answers kept as the very bytes that go out, within a bound of bytes.

    stored ──ttl──▸ FRESH ends ──stale_while_revalidate──▸ ends
                               └─stale_if_error──────────────────────▸ ends
    fresh        goes out at once
    revalidate   goes out at once, and is renewed meanwhile
    if_error     goes out only if the providers fail, or while failed refreshes back off

Both stale windows begin where the ttl ends (RFC 5861). Found answers say whether the providers may be asked now
(`due`): after a failed refresh they may not for a while that doubles each time, so that a dead vendor is not
asked again by every caller of a popular answer.

An answer that was asked for before a drop and arrives after it is not kept: `store` is told when it was asked.

Not cachetools: what is bounded here are bytes, what is looked up outlives its ttl, and dropping by subject must
find its entries without walking all; its LRUCache would need each of its methods overridden.
"""

from __future__ import annotations

from random import Random
from sys import getsizeof
from typing import Final, Literal

import msgspec
from pydantic import Field

from gateway.deadline import Clock
from gateway.policies.drops import Drops
from gateway.policies.settings import Settings
from gateway.units import Duration, Size

Freshness = Literal["fresh", "revalidate", "if_error"]

OVERHEAD: Final = 400
"""Bytes that an entry takes beside its answer: the objects, and its places in up to two tables. Measured by
tests/test_cache.py, which fails if it is too low."""
LARGEST: Final = 8
"""An answer larger than this part of the whole is not kept: it would drive out too many others."""
FIRST_PAUSE: Final = 1.0
"""Seconds without a refresh after the first failed one."""
LONGEST_PAUSE: Final = 60.0
"""Seconds, where there is no stale-while-revalidate window to bound it."""


class CacheSettings(Settings):
    """The response cache as a whole."""

    max_bytes: Size = Field("256MiB", validate_default=True, ge=0)
    """Bound of all cached answers, their keys and overhead, divided among the workers; the longest unused leave
    first. 256 MiB are some 200 000 answers, and leave room in a container of 512 MiB."""
    shared: bool = False
    """Also keep answers in the state store, for all processes. Off: a lookup there costs a round trip."""


class Caching(Settings):
    """How long a placement's answers are good for. All 0: not cached."""

    ttl: Duration = Field(0, validate_default=True)
    """Fresh for so long after it was fetched. 0, because only the shop knows how fast its answers age."""
    stale_while_revalidate: Duration = Field(0, validate_default=True)
    """After the ttl, still served at once for so long while it is renewed. 0: the caller waits for a new one."""
    stale_if_error: Duration = Field(0, validate_default=True)
    """After the ttl, served for so long where the providers failed. 0: never."""

    @property
    def life(self) -> float:
        """Seconds after which nothing is left of an answer; 0: it is not cached at all."""
        stale = max(self.stale_while_revalidate, self.stale_if_error)
        return self.ttl + stale


class _Item(msgspec.Struct, gc=False):
    id: str


class _Shown(msgspec.Struct, gc=False):
    """What is read of a body."""

    items: list[_Item] = []


_read: Final = msgspec.json.Decoder(_Shown).decode


class CachedAnswer(msgspec.Struct, frozen=True, gc=False):
    """The bytes of an answer, and what every delivery needs to know of them. Nothing of it depends on the
    configuration's epoch, the caller or the time."""

    body: bytes
    etag: str
    provider: str | None = None
    fallback: bool = False

    @property
    def items(self) -> list[str]:
        """Ids of the items in the body. Read there (a microsecond for ten), and not kept beside it: they are asked
        for only while items are hidden, and would take a tenth of all memory."""
        return [item.id for item in _read(self.body).items]

    def size(self) -> int:
        """Bytes of memory."""
        return getsizeof(self.body) + getsizeof(self.etag)


class Found(msgspec.Struct, frozen=True, gc=False):
    """A cached answer as it is at this moment."""

    answer: CachedAnswer
    freshness: Freshness
    ttl: float
    """Seconds for which it is still fresh; negative since it is stale."""
    due: bool
    """Stale, and the providers may be asked. False while failed refreshes back off: then it is served as it is."""


class _Entry(msgspec.Struct, gc=False):
    answer: CachedAnswer
    placement: str
    subject: bytes
    stored_at: float
    due_from: float
    failures: int = 0


class AnswerCache:
    """The answers of one process. Not for several threads."""

    __slots__ = (
        "_by_subject", "_clock", "_drops", "_entries", "_rng", "bytes", "evictions",
        "max_bytes",
    )  # fmt: skip

    def __init__(self, max_bytes: int, clock: Clock, rng: Random) -> None:
        self.max_bytes = max_bytes
        """The bound of `bytes`."""
        self._clock = clock
        self._rng = rng
        self._entries: dict[bytes, _Entry] = {}  # the longest unused first
        self._by_subject: dict[bytes, bytes | set[bytes]] = {}  # nearly everybody has one answer: no set for that
        self._drops = Drops()
        self.bytes = 0
        """What is kept, overhead included: never above `max_bytes`."""
        self.evictions = 0
        """How many answers have left to make room."""

    def __len__(self) -> int:
        return len(self._entries)

    def lookup(self, key: bytes, caching: Caching) -> Found | None:
        """The answer and how good it still is by the placement's present settings; None: a miss."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        now = self._clock()
        ttl = entry.stored_at + caching.ttl - now
        if ttl > 0:
            freshness: Freshness = "fresh"
        elif -ttl < caching.stale_while_revalidate:
            freshness = "revalidate"
        elif -ttl < caching.stale_if_error:
            freshness = "if_error"
        else:
            self._remove(key)
            return None
        del self._entries[key]
        self._entries[key] = entry  # the last used is the last
        return Found(entry.answer, freshness, ttl, ttl <= 0 and now >= entry.due_from)

    def store(
        self,
        key: bytes,
        answer: CachedAnswer,
        caching: Caching,
        placement: str,
        subject: bytes,
        asked_at: float,
        age: float = 0.0,
    ) -> bool:
        """Keep an answer in place of what was there. `subject`: empty for one that is nobody's.

        `asked_at`: the clock when the providers began to be asked; `age`: seconds since they answered, where
        another process asked them. False where it is not kept: not to be cached, too large (what was there is
        gone then too), or overtaken by a drop.
        """
        if self._drops.after(asked_at, placement, subject):
            return False
        if key in self._entries:
            self._remove(key)
        size = _size(key, answer, subject)
        if not caching.life or size > self.max_bytes // LARGEST:
            return False
        now = self._clock() - age
        self._entries[key] = _Entry(answer, placement, subject, now, now)
        if subject:
            self._join(subject, key)
        self.bytes += size
        self._shrink()
        return True

    def refresh_failed(self, key: bytes, caching: Caching) -> None:
        """The providers failed to renew it: do not let them be asked for a while, twice as long each time."""
        entry = self._entries.get(key)
        if entry is None:
            return
        longest = caching.stale_while_revalidate or min(caching.stale_if_error, LONGEST_PAUSE)
        pause = min(longest, FIRST_PAUSE * 2.0 ** min(entry.failures, 32))
        entry.failures += 1
        entry.due_from = self._clock() + pause * (1 - self._rng.random() / 2)

    def resize(self, max_bytes: int) -> None:
        """Another bound from now on; the longest unused leave until it holds."""
        self.max_bytes = max_bytes
        self._shrink()

    def drop(self, placement: str | None = None) -> int:
        """Forget a placement's answers, or all; how many those were."""
        self._drops.note_placement(placement, self._clock())
        entries = self._entries.items()  # all are walked: ops and reloads do this, and rarely
        return self._remove_all([key for key, entry in entries if placement in (None, entry.placement)])

    def drop_subject(self, subject: bytes) -> int:
        """Forget the personal answers of one subject; how many those were."""
        self._drops.note_subject(subject, self._clock())
        keys = self._by_subject.get(subject, ())
        return self._remove_all([keys] if isinstance(keys, bytes) else list(keys))

    def _shrink(self) -> None:
        while self.bytes > self.max_bytes:
            self._remove(next(iter(self._entries)))
            self.evictions += 1

    def _remove_all(self, keys: list[bytes]) -> int:
        for key in keys:
            self._remove(key)
        return len(keys)

    def _remove(self, key: bytes) -> None:
        entry = self._entries.pop(key)
        self.bytes -= _size(key, entry.answer, entry.subject)
        if entry.subject:
            self._leave(entry.subject, key)

    def _join(self, subject: bytes, key: bytes) -> None:
        keys = self._by_subject.get(subject)
        if keys is None:
            self._by_subject[subject] = key
        elif isinstance(keys, bytes):
            self._by_subject[subject] = {keys, key}
        else:
            keys.add(key)

    def _leave(self, subject: bytes, key: bytes) -> None:
        keys = self._by_subject[subject]
        if isinstance(keys, set):
            keys.discard(key)
        if not keys or keys == key:
            del self._by_subject[subject]


def _size(key: bytes, answer: CachedAnswer, subject: bytes) -> int:
    return OVERHEAD + len(key) + len(subject) + answer.size()

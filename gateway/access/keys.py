"""API keys: found by their SHA-256, so that neither the comparison's time nor a dump of the table gives one away.

A key that is `publishable` stands in web pages for everybody to read. What it may do is little, browsers must
say where they come from, and it alone may stand in a URL, which proxies and logs keep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from gateway.access.challenge import bad
from gateway.access.limits import Limit
from gateway.answering.asked import Caller
from gateway.config.access import ApiKey
from gateway.deadline import Clock
from gateway.errors import Forbidden


class Key(msgspec.Struct, frozen=True):
    """One key and whom it means."""

    caller: Caller
    rate: float | None
    """A second, of this process."""
    publishable: bool
    origins: frozenset[str] | None

    def check_origin(self, origin: str | None) -> None:
        """Raises Forbidden where a browser may not use it, or none was needed to."""
        if self.origins is None or "*" in self.origins:
            return
        if origin is None:
            if self.publishable:
                raise Forbidden("this key is for pages of certain origins, and the request has no Origin")
        elif origin not in self.origins:
            raise Forbidden("these credentials may not be used by pages of this origin")


class Keys:
    """All of them. Bounded by what is configured."""

    def __init__(
        self, written: Mapping[str, ApiKey], workers: int, clock: Clock, before: Keys | None = None
    ) -> None:
        """`before`: those that were in force; a key that did not change keeps what it has spent of its rate."""
        self._keys: dict[bytes, Key] = {}
        for name, key in written.items():
            rate = None if key.rate is None else key.rate / workers
            known = before._keys.get(key.digest) if before else None
            if known is not None and (known.caller.name, known.rate) == (name, rate):
                limit = known.caller.limit
            else:
                limit = None if rate is None else Limit(rate, clock)
            self._keys[key.digest] = Key(
                Caller(
                    name,
                    frozenset(key.scopes),
                    None if key.placements is None else frozenset(key.placements),
                    key.allow_options,
                    limit=limit,
                ),
                rate,
                key.publishable,
                None if key.origins is None else frozenset(key.origins),
            )

    def find(self, given: str, origin: str | None) -> Caller | None:
        """Whom a key in a header means; None where it is none. Raises Forbidden for its origin."""
        key = self._keys.get(digest(given))
        if key is None:
            return None
        key.check_origin(origin)
        return key.caller

    def find_published(self, given: str, origin: str | None) -> Caller:
        """Whom a key in a URL means. Raises Unauthorized, Forbidden."""
        key = self._keys.get(digest(given))
        if key is None:
            raise bad("the key is not known here")
        if not key.publishable:
            raise bad("only a publishable key may stand in a URL: replace this key, for it was shown to others")
        key.check_origin(origin)
        return key.caller


def digest(given: str) -> bytes:
    """The SHA-256 of what a request carries."""
    return hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()

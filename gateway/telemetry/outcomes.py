"""What became of a request, in the few words that counts, spans and log lines have for it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
OTHER_METHOD: Final = "_OTHER"
"""Semantic conventions: a method that is none of those known."""
HUNG_UP: Final = 499
"""The status that is noted where nobody was there to be answered."""


def known_method(method: str) -> str:
    """The method, or `_OTHER` for one that could be anything, in any number."""
    return method if method in METHODS else OTHER_METHOD


@lru_cache(maxsize=4096)
def counted_outcome(cache_status: str) -> str:
    """`hit`, `stale`, `stale_if_error`, `miss`, `collapsed` or `bypass`, of a Cache-Status (RFC 9211)."""
    if "; hit" in cache_status:
        return "stale_if_error" if "fwd=stale" in cache_status else "stale" if "ttl=-" in cache_status else "hit"
    if "collapsed" in cache_status:
        return "collapsed"
    return "bypass" if "bypass" in cache_status else "miss"


def cache_word(outcome: str) -> str:
    """The same for people: what is stale is `stale`, for whatever reason it was served."""
    return "stale" if outcome == "stale_if_error" else outcome

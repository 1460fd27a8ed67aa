"""What became of a request, in the few words that spans and log lines have for it."""

from __future__ import annotations

from typing import Final

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
OTHER_METHOD: Final = "_OTHER"
HUNG_UP: Final = 499
"""The status that is noted where nobody was there to be answered."""


def known_method(method: str) -> str:
    """The method, or `_OTHER` for one that could be anything, in any number."""
    return method if method in METHODS else OTHER_METHOD


def cache_outcome(cache_status: str) -> str:
    """`hit`, `stale`, `miss`, `collapsed` or `bypass`, of a Cache-Status (RFC 9211)."""
    if "collapsed" in cache_status:
        return "collapsed"
    if "; hit" in cache_status:
        return "stale" if "fwd=stale" in cache_status or "ttl=-" in cache_status else "hit"
    return "bypass" if "bypass" in cache_status else "miss"

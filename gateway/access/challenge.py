"""What a refused caller is told of the credentials that are wanted (RFC 6750 §3)."""

from __future__ import annotations

from typing import Final

from gateway.errors import Unauthorized

CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="gateway"'}
"""Nothing was given."""
INVALID: Final = {"WWW-Authenticate": 'Bearer realm="gateway", error="invalid_token"'}
"""What was given is not good."""


def missing(detail: str) -> Unauthorized:
    """There are no credentials."""
    return Unauthorized(detail, headers=CHALLENGE)


def bad(detail: str) -> Unauthorized:
    """There are some, and they are not good. `detail` never repeats them."""
    return Unauthorized(detail, headers=INVALID)

"""Names for one request: the trace that it belongs to and the id that its caller knows it by."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_REQUEST_ID = re.compile(r"[!-~]{1,128}")


def trace_id(headers: Mapping[str, str]) -> str:
    """32 hex digits: the caller's (W3C Trace Context), or new ones."""
    found = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    if found and found[1] != "0" * 32 and found[2] != "0" * 16:
        return found[1]
    return secrets.token_hex(16)


def request_id(headers: Mapping[str, str]) -> str:
    """The caller's `X-Request-Id` where it is 1..128 visible characters, or a new one."""
    given = headers.get("X-Request-Id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)

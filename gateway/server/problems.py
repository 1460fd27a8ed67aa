"""Errors as problems (RFC 9457): the one form in which anything goes wrong for a caller."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.delivery import Delivery
from gateway.errors import GatewayError

MEDIA_TYPE: Final = "application/problem+json"


def problem(error: GatewayError, *, instance: str, trace_id: str) -> dict[str, Any]:
    """The problem's members."""
    return {
        "type": f"/problems/{error.slug}",
        "title": error.title,
        "status": error.http_status,
        "detail": error.detail,
        "instance": instance,
        "trace_id": trace_id,
        **error.members,
    }


def delivery(error: GatewayError, *, instance: str, trace_id: str) -> Delivery:
    """The problem as it goes out."""
    headers = (("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store"), *error.headers.items())
    body = msgspec.json.encode(problem(error, instance=instance, trace_id=trace_id))
    return Delivery(error.http_status, headers, body)

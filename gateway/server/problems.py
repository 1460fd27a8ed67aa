"""Errors as problems (RFC 9457): the one form in which anything goes wrong for a caller."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from gateway.answering.delivery import Delivery
from gateway.errors import GatewayError, Internal, MethodNotAllowed, NotFound, Unavailable
from gateway.state.store import StoreError
from gateway.telemetry.trace import Trace

MEDIA_TYPE: Final = "application/problem+json"
STORE_DOWN: Final = (
    "the state store cannot do this now: send it again with the same ids; what was kept of it is known by them"
)
AGAIN: Final = {"Retry-After": "5"}

log = structlog.get_logger("gateway")


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


def known(error: Exception, route: str, trace: Trace) -> GatewayError:
    """Whatever a request ended in, as a problem; what is no problem of the caller's is logged."""
    match error:
        case GatewayError():
            return error
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return MethodNotAllowed(f"this path takes {allowed}", headers={"Allow": allowed})
        case web.HTTPNotFound():
            return NotFound("there is no such path")
        case StoreError():
            log.error("state store", trace_id=trace.trace_id, path=route, error=str(error))
            return Unavailable(STORE_DOWN, headers=AGAIN, attempts=[])
    log.error("internal", trace_id=trace.trace_id, path=route, exc_info=error)
    return Internal("a fault of the gateway's own")

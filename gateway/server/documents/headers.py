"""What headers requests may carry and answers do carry, for the documents."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.errors import DeadlineExceeded
from gateway.server.endpoints import Endpoint

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer", "minimum": 0}


class Header(msgspec.Struct, frozen=True):
    """One header."""

    about: str
    example: Any
    schema: Schema = msgspec.field(default_factory=TEXT.copy)
    always: bool = True
    """Of an answer: is it there whenever it is listed?"""


IN_REQUESTS: Final[dict[str, Header]] = {
    "X-Request-Id": Header(
        "The caller's name for this request: 1..128 visible characters. Another is made where it is absent or not "
        "of that form.",
        "req-20261122-0001",
    ),
    "traceparent": Header(
        "W3C Trace Context: the trace that this request belongs to; its sampling decision is honoured too.",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    "Request-Timeout": Header(
        "Seconds. Shortens the deadline; longer than the configured one has no effect. What is not a positive "
        "finite number is answered with 400.",
        0.3,
        {"type": "number", "exclusiveMinimum": 0},
    ),
    "If-None-Match": Header(
        "The `ETag` of an answer that the caller has: 304 if it is still the same.", 'W/"9f2c41d0"'
    ),
    "Gateway-Explain": Header(
        "`1` adds `explain` to the answer; anything else adds nothing. Needs the scope `ops`.", "1"
    ),
    "Gateway-Provider": Header("Asks this provider and no other. Needs the scope `ops`.", "vendor-a"),
}
IN_ANSWERS: Final[dict[str, Header]] = {
    "X-Request-Id": Header("The request's id: the caller's, or the one that was made.", "req-20261122-0001"),
    "Cache-Status": Header(
        "RFC 9211. `gateway; hit; ttl=12`: from the cache. `gateway; fwd=miss; stored`: from a provider, and "
        "kept. A negative `ttl`: stale, and being renewed. `fwd=stale` beside `hit`: stale, because the providers "
        "failed. `collapsed`: shared with a request that was under way.",
        "gateway; hit; ttl=12",
    ),
    "Cache-Control": Header("How long the caller may keep the answer.", "private, max-age=12"),
    "ETag": Header("Weak, over what is recommended: send it back as `If-None-Match`.", 'W/"9f2c41d0"'),
    "Vary": Header("The request headers that an answer depends on.", "Authorization, X-Api-Key, Origin"),
    "WWW-Authenticate": Header("What credentials are wanted.", 'Bearer realm="gateway"'),
    "Allow": Header("The methods that the path takes.", "GET, HEAD, POST"),
    "Retry-After": Header("Seconds after which another try makes sense.", 1, WHOLE),
    "RateLimit": Header(
        "What is left of the caller's rate: `r` requests, all of it in `t` seconds.",
        '"default";r=0;t=1',
        always=False,
    ),
    "RateLimit-Policy": Header(
        "The caller's rate, where it has one: `q` requests in `w` seconds.", '"default";q=200;w=1', always=False
    ),
}

_BY_STATUS: Final = {
    401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}  # fmt: skip


def of_request(endpoint: Endpoint) -> tuple[str, ...]:
    """The headers that a request of this operation may carry."""
    recommends = endpoint.scope == "recommend"
    timed = ("Request-Timeout",) if recommends or DeadlineExceeded in endpoint.problems else ()
    asks = ("Gateway-Explain", "Gateway-Provider") if recommends else ()
    cached = ("If-None-Match",) if endpoint.cached else ()
    return ("X-Request-Id", "traceparent", *timed, *asks, *cached)


def of_answer(endpoint: Endpoint) -> tuple[str, ...]:
    """Those of its good answers."""
    limits = ("RateLimit", "RateLimit-Policy") if endpoint.scope else ()
    if endpoint.cached:
        return ("X-Request-Id", "Cache-Status", "Cache-Control", "ETag", "Vary", *limits)
    if endpoint.also_answers:
        return ("X-Request-Id", "Cache-Control", "Vary", *limits)
    kept_out = endpoint.media_type == "application/json" and (endpoint.scope or endpoint.admin)
    return ("X-Request-Id", "Cache-Control", *limits) if kept_out else ("X-Request-Id", *limits)


def of_problem(status: int) -> tuple[str, ...]:
    """Those of a problem."""
    return ("X-Request-Id", "Cache-Control", *_BY_STATUS.get(status, ()))

"""What is said of each operation, and the problems that several share."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.errors import (
    DeadlineExceeded,
    Forbidden,
    GatewayError,
    Internal,
    InvalidRequest,
    NoProviderCan,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the API."""

    name: str
    """Also the name of its handler."""
    method: str
    path: str
    scope: str | None
    """None: needs no credentials."""
    about: str
    takes: Any = None
    """The type of the body; None: no body."""
    also_takes: tuple[str, ...] = ()
    """Media types of the body, beside application/json."""
    in_query: Any = None
    """The type whose members are given as query parameters."""
    answers: Any = None
    """The type of the answer; None: not JSON of ours."""
    also_answers: tuple[str, ...] = ()
    """Media types of the answer, beside `media_type`, for callers that accept them rather."""
    statuses: tuple[int, ...] = (200,)
    """With which the answer comes."""
    media_type: str = "application/json"
    cached: bool = False
    """May answer 304, and carries caching headers."""
    problems: tuple[type[GatewayError], ...] = ()
    admin: bool = False
    """On the admin listener alone."""
    counts_itself: bool = False
    """Its handler says as how many requests it counts against the caller's rate; else as one."""
    key_in_query: bool = False
    """Takes a publishable key as `?key=` too."""
    example: Any = None
    """A body that the demo answers; where there is no body, parameters by name."""
    given: dict[str, Any] = {}
    """Parameters that go with a body."""
    from_answer: tuple[str, str] | None = None
    """The operation, and the member of its answer, that gives the parameter in the path."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of the example, by name."""
        return {**self.given, **(self.example or {} if self.takes is None else {})}


Problems = tuple[type[GatewayError], ...]

ANYBODY: Final[Problems] = (Forbidden, Internal)
"""Of every operation: without `auth` only this machine may call, for whatever."""
CALLS: Final[Problems] = (InvalidRequest, Unauthorized, Forbidden, RateLimited, Internal)
"""Of every operation that needs credentials."""
BODIES: Final[Problems] = (PayloadTooLarge, UnsupportedMediaType)
"""Of those that take a body."""
ANSWERS: Final[Problems] = (NotFound, NoProviderCan, Rejected, Unavailable, DeadlineExceeded)
"""Of those that ask providers."""

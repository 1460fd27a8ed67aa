"""Every way in which a request can end badly.

Two trees, one above the other:

    GatewayError            what the caller is told: one class for each problem of API.md §9
    ProviderError           what one provider did: the flags say what the policies may do about it
    ├── Failed              it broke              counted by the breaker, retried where repeatable
    │   ├── TimedOut        … within the time that it had
    │   ├── NotConnected    … before the request left: may always be repeated
    │   ├── Disconnected    … somewhere on the way
    │   └── Malformed       … by answering what its document does not allow
    ├── Throttled           it asked to be left alone (429)
    ├── Misconfigured       credentials, rights or addresses are wrong: ops must look
    │   └── Unauthenticated … a new token may help, once
    ├── Refused             it refuses this content (400, 413, 422)
    ├── Missing             the named object is not there (profile, rule, task)
    ├── NoAnswer            it works, and has nothing to recommend
    ├── Unsupported         it cannot say this at all
    └── PassedOver          it was not asked: breaker, bulkhead, time, rate

Policies read the flags and never the types, so that a new error needs no new branch anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

if TYPE_CHECKING:
    from gateway.model.activity import Receipt

Outcome = Literal["failed", "throttled", "misconfigured", "rejected", "missing", "empty", "unsupported"]


class ProviderError(Exception):
    """What one provider did instead of answering. `detail` is for logs and problems: short, never a secret."""

    outcome: ClassVar[Outcome]
    retry: ClassVar[bool] = False
    """May the same request go to another host or, after a pause, again?"""
    counts: ClassVar[bool] = False
    """Does the circuit breaker count it as a failure?"""
    left: ClassVar[bool] = True
    """Did the request leave? One that never left may always be repeated."""
    asked: ClassVar[bool] = True
    """Was the provider asked at all? What it was not asked says nothing about it."""

    def __init__(self, detail: str = "", *, status: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.vendor_message: str | None = None
        """What the vendor said of it, shortened; redacted by the provider before anyone sees it."""
        self.receipt: Receipt | None = None
        """What of a batch had arrived before it failed."""

    @property
    def name(self) -> str:
        """The word for it in `attempts`, metrics and logs: `timed_out`, `refused`, …"""
        return "".join("_" + c.lower() if c.isupper() else c for c in type(self).__name__).lstrip("_")

    def __str__(self) -> str:
        return self.detail or self.name


class Failed(ProviderError):
    """It broke: a 5xx, 408 or 425."""

    outcome = "failed"
    retry = True
    counts = True


class TimedOut(Failed):
    """No complete answer within the time that the attempt had."""


class NotConnected(Failed):
    """The request never left: refused, unreachable, unresolved, or no connection in time."""

    left = False


class Disconnected(Failed):
    """The connection broke after the request had left."""


class Malformed(Failed):
    """An answer that the vendor's own document does not allow: contract drift, or a proxy's error page."""

    def __init__(self, detail: str = "", *, status: int | None = None, place: str = "") -> None:
        super().__init__(detail, status=status)
        self.place = place
        """Where in the adapter the answer did not fit: `vendor.py:88`."""


class Throttled(ProviderError):
    """429: leave it alone for `retry_after` seconds."""

    outcome = "throttled"

    def __init__(self, detail: str = "", *, status: int | None = 429, retry_after: float = 1.0) -> None:
        super().__init__(detail, status=status)
        self.retry_after = retry_after


class Misconfigured(ProviderError):
    """402, 403, 404, 405 and what else only ops can mend."""

    outcome = "misconfigured"


class Unauthenticated(Misconfigured):
    """401: where the adapter logs in, one new token is fetched and the request repeated once."""


class Refused(ProviderError):
    """400, 413, 422: the vendor refuses what it was sent; another may take it."""

    outcome = "rejected"


class Missing(ProviderError):
    """The object named in the request does not exist at the vendor."""

    outcome = "missing"


class NoAnswer(ProviderError):
    """The vendor works and has nothing to recommend (yet)."""

    outcome = "empty"


class Unsupported(ProviderError):
    """The provider cannot say this exactly. Raised by an adapter before its first request."""

    outcome = "unsupported"
    asked = False


class PassedOver(ProviderError):
    """The provider was not asked at all: no time left, bulkhead full, breaker open, own rate spent."""

    outcome = "failed"
    asked = False


# --- what the caller is told -------------------------------------------------------------------------------


class Mistake(msgspec.Struct, frozen=True):
    """One thing wrong with a request: where (JSON pointer, or `?name` of a query) and what would be right."""

    pointer: str
    """Where: a JSON pointer into the body (`/items/0`), or the query parameter (`?count`) or header."""
    message: str
    """What would be right."""


class GatewayError(Exception):
    """A problem of API.md §9. `members` are its extension members."""

    slug: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "A fault of the gateway's own"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    @property
    def http_status(self) -> int:
        """The status that goes out; an instance may know better than its class (400 or 422)."""
        return self.status


class InvalidRequest(GatewayError):
    """Not JSON (400) or not valid (422). `errors` names every mistake."""

    slug, status, title = "invalid-request", 422, "The request is not valid"

    def __init__(self, mistakes: list[Mistake], *, status: int = 422) -> None:
        count = f"{len(mistakes)} mistakes" if len(mistakes) > 1 else mistakes[0].message
        super().__init__(count, errors=[msgspec.to_builtins(m) for m in mistakes])
        self.mistakes = mistakes
        self._status = status

    @property
    def http_status(self) -> int:
        return self._status


class Unauthorized(GatewayError):
    """No credentials, or bad ones."""

    slug, status, title = "unauthorized", 401, "Credentials are missing or not valid"


class Forbidden(GatewayError):
    """A scope, placement, user or header that these credentials may not use."""

    slug, status, title = "forbidden", 403, "These credentials may not do this"


class NotFound(GatewayError):
    """No such path, placement or object."""

    slug, status, title = "not-found", 404, "There is no such thing"


class MethodNotAllowed(GatewayError):
    """The path exists, the method does not; `Allow` says which do."""

    slug, status, title = "method-not-allowed", 405, "The method is not allowed here"


class PayloadTooLarge(GatewayError):
    """More bytes than `server.max_body`."""

    slug, status, title = "payload-too-large", 413, "The body is too large"


class UnsupportedMediaType(GatewayError):
    """A body that is not declared as JSON."""

    slug, status, title = "unsupported-media-type", 415, "The body's media type is not supported"


class RateLimited(GatewayError):
    """The caller's own limit, or a vendor's minimum interval."""

    slug, status, title = "rate-limited", 429, "Too many requests"


class NoProviderCan(GatewayError):
    """No configured provider can serve this; `providers` says why of each."""

    slug, status, title = "unsupported", 501, "No configured provider can serve this"


class Rejected(GatewayError):
    """Every provider that was asked refused the content."""

    slug, status, title = "rejected", 422, "The vendors refused the content"


class Unavailable(GatewayError):
    """Providers failed and nothing stale was left; `attempts` lists them."""

    slug, status, title = "unavailable", 503, "The providers failed"


class DeadlineExceeded(GatewayError):
    """The deadline ended it; `attempts` lists what was tried."""

    slug, status, title = "deadline-exceeded", 504, "The deadline ended the request"


class Internal(GatewayError):
    """A fault of the gateway's own."""


PROBLEMS: tuple[type[GatewayError], ...] = (
    InvalidRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, PayloadTooLarge,
    UnsupportedMediaType, RateLimited, NoProviderCan, Rejected, Unavailable, DeadlineExceeded, Internal,
)  # fmt: skip
"""The catalogue, in the order of API.md §9."""

"""What an answer outside 2xx means where the adapter knows no better (DESIGN.md §3)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from gateway import errors
from gateway.adapter.wire import Response
from gateway.errors import ProviderError


def default_error(response: Response) -> ProviderError:
    """What a status means where the adapter knows no better (DESIGN.md §3)."""
    status = response.status
    error: ProviderError
    if status == 401:
        error = errors.Unauthenticated("credentials refused", status=status)
    elif status == 429:
        error = errors.Throttled("throttled", retry_after=retry_after(response) or 1.0)
    elif status in (400, 413, 422):
        error = errors.Refused(f"refused with {status}", status=status)
    elif status >= 500 or status in (408, 425):
        error = errors.Failed(f"answered {status}", status=status)
    elif status >= 300:
        error = errors.Misconfigured(f"answered {status}", status=status)
    else:
        error = errors.Malformed(f"answered {status}", status=status)
    error.vendor_message = vendor_message(response)
    return error


def retry_after(response: Response) -> float | None:
    """Seconds asked for by `Retry-After` (RFC 9110 §10.2.3), relative to the answer's own `Date`."""
    value = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,7}(\.\d+)?", value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(response.headers.get("date", ""))
        return max(0.0, (until - since).total_seconds())
    except (TypeError, ValueError):
        return None


def vendor_message(response: Response) -> str | None:
    """The vendor's own words for its refusal, of the usual JSON members. The provider takes secrets out, and then
    shortens them: half a secret would not be found."""
    try:
        said = response.json
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    for member in ("message", "Message", "kind", "error", "detail"):
        if isinstance(said.get(member), str):
            return str(said[member])
    return None

"""What goes over the wire, as adapters see it: requests, answers, access tokens, and ids in paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

import msgspec


class Request(msgspec.Struct, frozen=True, gc=False):
    """One HTTP exchange. The flow is sent a `Response`, or gets a `ProviderError` thrown."""

    method: str
    path: str
    """Begins with `/`; already percent-encoded (`quoted`); appended to the host's base URL as it is."""
    json: Any = msgspec.UNSET
    """Sent as JSON when given."""
    form: Mapping[str, str] | None = None
    """Sent form-encoded when given."""
    query: tuple[tuple[str, str], ...] = ()
    """Percent-encoded by the core (a space is `%20`, a plus `%2B`)."""
    headers: tuple[tuple[str, str], ...] = ()
    hosts: str = "main"
    """Which of the adapter's `hosts()` it goes to; attempt n goes to the n-th."""
    repeatable: bool = True
    """May it be sent twice if the first answer was lost? One that never left may always be."""
    route: str = ""
    """The path with names for ids (`/users/{id}/recs`), for spans and metrics; default: the path."""


class Response(msgspec.Struct, frozen=True, dict=True):
    """A complete answer of the vendor."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The decoded body. ValueError (so: `Malformed`) where it is not JSON, or nested beyond reason."""
        try:
            return msgspec.json.decode(self.body)
        except RecursionError as error:
            raise ValueError("JSON nested too deeply") from error

    @property
    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode("utf-8", "replace")


class Token(msgspec.Struct, frozen=True):
    """A vendor's access token; the core keeps, shares and renews it at 90 % of its life."""

    value: str
    life: float | None = None
    """Seconds from now until it expires; None: until it is refused."""

    def __repr__(self) -> str:
        return f"Token(life={self.life})"


_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_~-]*").fullmatch
"""What stays as it is in a path, dots aside (RFC 3986 §2.3)."""


def quoted(id_: str) -> str:
    """An id as one path segment: percent-encoded whole, `.` and `..` too, so that it stays one segment."""
    if _UNRESERVED(id_):
        return id_
    return quote(id_, safe="").replace(".", "%2E") if id_ in (".", "..") else quote(id_, safe="")

"""The heads of requests: everything before the body, checked so that nothing can smuggle in a line of its own.

What a host is sent differs from request to request in path and length alone, so the rest is written once for
each set of headers and kept.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import Misconfigured
from gateway.transport.outgoing import ACCEPT_ENCODING, USER_AGENT, Outgoing

KEPT: Final = 256
"""Sets of headers kept for one host; a vendor that wants a new one each time must not fill the memory."""
BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that do not say `content-length: 0` when they have no body (RFC 9110 §8.6)."""
OURS: Final = frozenset({
    "connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
"""Headers about the connection and the length: the transport's alone (RFC 9110 §7.6.1)."""
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Names of headers and methods: RFC 9110 §5.6.2."""
FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Not in a header's value: RFC 9110 §5.5."""

Headers = tuple[tuple[str, str], ...]


class Heads:
    """Writes requests to one host."""

    __slots__ = ("_host", "_kept")

    def __init__(self, host: str) -> None:
        """`host`: as the header says it, with the port where it is not the scheme's own."""
        self._host = host
        self._kept: dict[tuple[str, Headers], tuple[bytes, bytes]] = {}

    def request(self, outgoing: Outgoing, target: str) -> bytes:
        """All bytes of a request. Raises Misconfigured where it cannot be said."""
        kept = self._kept.get((outgoing.method, outgoing.headers)) or self._write(outgoing)
        if not (target.isascii() and target.isprintable()) or " " in target or "#" in target:
            raise Misconfigured("the request's URL is not encoded")
        method, lines = kept
        body = outgoing.body
        if body is None:
            length = b"\r\n" if outgoing.method in BODILESS else b"content-length: 0\r\n\r\n"
            return b"%b%b%b%b" % (method, target.encode(), lines, length)
        return b"%b%b%bcontent-length: %d\r\n\r\n%b" % (method, target.encode(), lines, len(body), body)

    def _write(self, outgoing: Outgoing) -> tuple[bytes, bytes]:
        if not TOKEN.fullmatch(outgoing.method):
            raise Misconfigured("the request's method is no word of HTTP")
        written = (f"{outgoing.method} ".encode(), _lines(self._host, outgoing.headers))
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[outgoing.method, outgoing.headers] = written
        return written


def _lines(host: str, headers: Headers) -> bytes:
    named = {name.lower() for name, _ in headers}
    defaults = (("host", host), ("user-agent", USER_AGENT), ("accept-encoding", ACCEPT_ENCODING))
    lines = [" HTTP/1.1"]
    lines += (f"{name}: {value}" for name, value in defaults if name not in named)
    for name, value in headers:
        if not TOKEN.fullmatch(name) or name.lower() in OURS:
            raise Misconfigured("the request has a header that it may not have")
        if FORBIDDEN.search(value):
            raise Misconfigured(f"the header `{name}` has a line break or another control character")
        lines.append(f"{name}: {value}")
    try:
        return "\r\n".join((*lines, "")).encode()
    except UnicodeEncodeError as error:
        raise Misconfigured("the request has a header that is not text") from error

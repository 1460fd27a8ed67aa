"""Plain heads of HTTP/1.1: those that no two readers can read in two ways.

A head is plain if its lines end with CR LF and fold nowhere; the target is a path; names are tokens, values
visible ASCII, and no name comes twice; the length of the body is said by `Content-Length` alone; and nothing in it
changes the connection (`Upgrade`, `Expect`, `Connection` other than keep-alive). Whatever is not plain may still
be right: that is for aiohttp's parser to say.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

END: Final = b"\r\n\r\n"
MOST: Final = 16 * 1024
"""Bytes of a plain head."""
LINE: Final = 8000
LINES: Final = 100

_REQUEST: Final = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.1")
_HEADER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[!-~](?:[ \t!-~]*[!-~])?)?)[ \t]*")
_LENGTH: Final = re.compile(r"[0-9]{1,9}")
_OURS_ALONE: Final = frozenset(
    {
        "transfer-encoding", "content-encoding", "upgrade", "expect", "trailer", "te", "proxy-connection",
        "http2-settings", "sec-websocket-key",
    }
)  # fmt: skip
"""Headers that only aiohttp's parser deals with."""

# Headers that are another with each request and mean nothing for the answer: cut out, so that the rest repeats.
_TRACEPARENT: Final = re.compile(rb"\r\n[Tt]raceparent: ([0-9a-f-]{1,128})(?=\r\n)").search
_REQUEST_ID: Final = re.compile(rb"\r\n(?:X-Request-I[dD]|x-request-id): ([!-~]{1,128})(?=\r\n)").search
CUT: Final = ("traceparent", "x-request-id")
"""Their names; a head that still has one of them is not plain enough."""


class Head(msgspec.Struct, frozen=True):
    """What a plain head says."""

    method: str
    target: str
    headers: CIMultiDictProxy[str]
    """Without those of `CUT`."""
    length: int | None
    """Bytes of the body; None where nothing is said of one."""


class Cut(msgspec.Struct, frozen=True, gc=False):
    """A head without what varies, and that."""

    rest: bytes
    traceparent: str | None
    request_id: str | None


def cut(data: bytes, end: int) -> Cut:
    """Take out what varies of a head that ends at `end`, each once at most.

    `rest` is head and body: nothing behind `end` is looked at, and nothing of it is changed. What is not as it
    should be stays in `rest`.
    """
    traceparent = request_id = None
    found = _TRACEPARENT(data, 0, end + 2)
    if found:
        traceparent, at, until = found[1].decode("ascii"), *found.span()
        data, end = data[:at] + data[until:], end - until + at
    found = _REQUEST_ID(data, 0, end + 2)
    if found:
        request_id, at, until = found[1].decode("ascii"), *found.span()
        data = data[:at] + data[until:]
    return Cut(data, traceparent, request_id)


def read(head: bytes) -> Head | None:
    """What a head says, without the empty line at its end; None: it is not plain."""
    first, *lines = head.split(b"\r\n")
    request = _REQUEST.fullmatch(first)
    if request is None or len(head) > MOST or len(lines) > LINES or len(first) > LINE:
        return None
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None or len(line) > LINE:
            return None
        name = found[1].decode("ascii")
        if name in headers:
            return None
        headers[name] = found[2].decode("ascii")
    if not _ours(headers):
        return None
    said = headers.get("Content-Length")
    if said is not None and not _LENGTH.fullmatch(said):
        return None
    length = None if said is None else int(said)
    method, target = request[1].decode("ascii"), request[2].decode("ascii")
    return None if method == "CONNECT" else Head(method, target, CIMultiDictProxy(headers), length)


def _ours(headers: CIMultiDict[str]) -> bool:
    if "Host" not in headers or headers.get("Connection", "keep-alive").lower() != "keep-alive":
        return False
    return not any(name.lower() in _OURS_ALONE for name in headers)

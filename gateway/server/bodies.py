"""Bodies of requests: read whole within a time, or refused; never more bytes than `server.max_body`."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from gateway.errors import InvalidRequest, Mistake, PayloadTooLarge, UnsupportedMediaType

TIME: Final = 10.0
"""Seconds that a body may take from its head to its last byte: whoever sends slower holds a connection for nothing
(slow loris)."""


JSON_TYPES: Final = frozenset({"application/json", "application/octet-stream", ""})
"""aiohttp reports an untyped body as application/octet-stream."""


async def json_body(request: web.Request, most: int) -> bytes:
    """A body that is declared as JSON, or not at all. Raises UnsupportedMediaType, and what `read` raises."""
    if request.content_type not in JSON_TYPES:
        raise UnsupportedMediaType(f"send application/json, not {request.content_type}")
    return await read(request, most)


async def read(request: web.Request, most: int) -> bytes:
    """The body, decompressed. Raises PayloadTooLarge; InvalidRequest (400) where it does not arrive whole."""
    if (request.content_length or 0) > most:
        raise too_large()
    try:
        if request.content.is_eof():  # it came with its head, as nearly all do
            body = request.content.read_nowait()
        else:
            async with asyncio.timeout(TIME):
                body = await _arriving(request, most)
    except TimeoutError:
        raise _broken(f"did not arrive within {TIME:g} s") from None
    except web.RequestPayloadError:
        raise _broken("is not framed or compressed as its headers say") from None
    if len(body) > most:
        raise too_large()
    return body


async def _arriving(request: web.Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > most:
            raise too_large()
    return bytes(body)


def too_large() -> PayloadTooLarge:
    """More bytes than are taken; what is left of them is not waited for."""
    return PayloadTooLarge("the body is larger than this gateway takes", headers={"Connection": "close"})


def _broken(what: str) -> InvalidRequest:
    error = InvalidRequest([Mistake("", f"the body {what}")], status=400)
    error.headers["Connection"] = "close"
    return error

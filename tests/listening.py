"""What little vendors of tests stand on: a port, and the login that Recomendo's have in common."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
from aiohttp import web


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    """Its URL, as long as the block lasts."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def recomendo_login(_request: web.Request) -> web.Response:
    """`POST /v1/auth`: a token for an hour."""
    now = int(time.time())
    token = jwt.encode({"iat": now, "exp": now + 3600}, "x" * 32)
    said = {"success": True, "messageCode": "CLIENT_AUTHENTICATED", "payload": {"token": token}}
    return web.json_response(said)

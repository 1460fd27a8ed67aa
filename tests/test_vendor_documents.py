"""What the vendors' documents say and no single case can show."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from gateway.transport import AiohttpTransport, Outgoing
from tests.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {"providers": {"xayn": {"pseudonymize": True}}}
    async with world(tmp_path_factory.mktemp("documents"), more, fed=False) as shop:
        yield shop


async def test_answers_are_asked_for_and_read_compressed() -> None:
    """Recomendo's page: `Accept-Encoding: gzip`, expected on queries."""
    asked: list[str] = []

    async def compressed(request: web.Request) -> web.Response:
        asked.append(request.headers["Accept-Encoding"])
        return web.Response(body=gzip.compress(b'{"itemScores":[]}'), headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_post("/v1/queries.json", compressed)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    transport = AiohttpTransport(connect_timeout=1, max_answer=1000, max_connections=1)
    try:
        host, port = runner.addresses[0][:2]
        answer = await transport.exchange(Outgoing("POST", f"http://{host}:{port}/v1/queries.json", (), b"{}"), 5)
        assert answer.json == {"itemScores": []} and "gzip" in asked[0]
    finally:
        await transport.close()
        await runner.cleanup()


async def test_users_go_out_as_keyed_hashes_where_that_is_wanted(shop: World) -> None:
    """Xayn's page: "create a hash method which transforms your user into an ID hash"."""
    reply = await shop.ask("xayn", kind="for_you", user={"id": "ann@shop.example"})
    assert reply.status == 200, reply.text
    (path,) = [path for name, path in shop.calls if name == "xayn" and path.startswith("/users/")]
    assert "ann" not in path and len(path.split("/")[2]) == 43

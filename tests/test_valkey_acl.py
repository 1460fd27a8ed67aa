"""The user that docs/security.md gives to Valkey's administrators: it may do what a gateway does, and no more."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import redis

from gateway.state.kept import EventFilter, StoreError
from gateway.state.opening import hazards, open_at
from tests.stores import NOW, ValkeyServer, accept, happened, tell_all

PAGE = Path(__file__).parent.parent / "docs" / "security.md"


async def test_a_gateway_can_work_as_the_user_on_the_page_and_reach_nothing_else() -> None:
    (line,) = re.findall(r"^ +ACL (SETUSER gateway .+)$", PAGE.read_text(), re.MULTILINE)
    server = ValkeyServer()
    server.start()
    try:
        administrator = redis.Redis(port=server.port)
        administrator.execute_command("ACL", *line.split())  # type: ignore[no-untyped-call]  # redis-py's
        url = server.url().replace("valkey://", "valkey://gateway:PASSWORD@")
        store = await open_at(url)
        assert await hazards(store) == []
        bell = store.bell()
        async with asyncio.timeout(30):
            await bell.wait(3600)  # subscribed
        await accept(store, happened(1), happened(2))
        async with asyncio.timeout(30):
            await bell.wait(3600)
        await tell_all(store)
        assert len((await store.events(EventFilter(), 10))[0]) == 2
        async with store.claim("a", "user", "u1"):
            await store.bind("a", "user", {"u1": "7"})
        assert await store.lookup("a", "user", ["u1"]) == {"u1": "7"}
        assert await store.begin_training("a", NOW, 10.0) is None
        await store.erase("u1", "hash", {"a": "queued"}, NOW, b"u" * 16)
        await store.sweep(NOW + 100, ["a"], NOW + 100)
        await store.close()
        with pytest.raises(StoreError):
            foreign = await open_at(url.replace("prefix=gateway", "prefix=other"))
            await accept(foreign, happened(1))
    finally:
        server.close()

"""A gateway behind its doors, for the tests of who comes in: one provider that is never down, both listeners."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml
from yarl import URL

from gateway.config import load
from gateway.server.edges import listen
from gateway.server.front import Front
from gateway.server.runtime import Runtime
from gateway.state.sqlite import SqliteStore
from tests.world import Reply

ASK = "/v1/recommendations"
PATIENCE = "10s"
"""For one request, and one attempt."""


@dataclass
class Doors:
    """Both listeners, and a client."""

    url: str
    admin_url: str
    runtime: Runtime
    session: aiohttp.ClientSession
    file: Path

    @property
    def port(self) -> int:
        """Of the public listener."""
        return URL(self.url).port or 0

    async def request(self, method: str, path: str, *, admin: bool = False, **more: Any) -> Reply:
        """Any request."""
        url = URL((self.admin_url if admin else self.url) + path, encoded=True)
        async with self.session.request(method, url, **more) as answer:
            return Reply(answer.status, answer.headers, await answer.text())

    async def ask(self, headers: Mapping[str, str] | None = None, **body: Any) -> Reply:
        """POST /v1/recommendations."""
        return await self.request("POST", ASK, json=body, headers=headers)

    async def reload(self, more: Mapping[str, Any]) -> None:
        """Take another configuration."""
        write(self.file, more)
        loaded = load(self.file, {})
        self.runtime.apply(loaded, await self.runtime.prepare(loaded))


def write(file: Path, more: Mapping[str, Any]) -> None:
    """A small configuration with `more` over it, in no hurry: what is asked of a busy machine is answered."""
    wanted = msgspec.to_builtins(more)
    written = {
        "defaults": {"timeout": PATIENCE},
        "state": {"url": "sqlite::memory:"},
        "providers": {"local": {"adapter": "local"}},
        "placements": {name: {"providers": ["local"]} for name in ("default", "home")},
        **wanted,
    }
    written["server"] = {"deadline": PATIENCE, **wanted.get("server", {})}
    file.write_text(yaml.safe_dump(written, sort_keys=False))


@asynccontextmanager
async def doors(directory: Path, more: Mapping[str, Any]) -> AsyncIterator[Doors]:
    """It listens while the block runs."""
    file = directory / "gateway.yaml"
    write(file, more)
    async with AsyncExitStack() as stack:
        runtime = await Runtime.start(load(file, {}), await SqliteStore.open(":memory:"))
        stack.push_async_callback(runtime.close)
        front = Front(runtime)
        urls = []
        for admin in (False, True):
            runner = await listen(front.app(admin=admin), "127.0.0.1", 0, drain=1)
            stack.push_async_callback(runner.cleanup)
            urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Doors(urls[0], urls[1], runtime, session, file)

"""The lines that /docs gives to try, pasted into a shell in the order of the page, before what the demo runs."""

from __future__ import annotations

import asyncio
import html
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from gateway.server.documents.pages import docs_page
from gateway.server.edges import Runner
from gateway.server.endpoints import ENDPOINTS
from gateway.server.endpoints.controlling import STRATEGY
from gateway.server.front import Front
from tests.world import World, world

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash"),
]

DEMO: Final[dict[str, Any]] = yaml.safe_load(Path("config/demo.yaml").read_text())
LINE: Final = re.compile(r'<h3 id="(\w+)">(?:(?!</article>).)*?<pre[^>]*>((?:<[^>]*>)*curl .*?)</pre>', re.DOTALL)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {name: DEMO[name] for name in ("placements", "events", "catalog")}
    async with world(tmp_path_factory.mktemp("docs"), more) as shop:
        reply = await shop.request("PUT", "/v1/personalization/strategy", json=STRATEGY)  # as the demo does
        assert reply.status == 200, reply.text
        yield shop


async def test_every_line_is_answered(shop: World) -> None:
    runner = Runner(Front(shop.runtime).app(admin=True), drain=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ports = {"127.0.0.1:8080": shop.url.removeprefix("http://"), "127.0.0.1:9090": _address(runner)}
    lines = {name: html.unescape(re.sub("<[^>]+>", "", line)) for name, line in LINE.findall(docs_page().decode())}
    try:
        assert list(lines) and set(lines) == {endpoint.name for endpoint in ENDPOINTS}
        statuses = {endpoint.name: endpoint.statuses for endpoint in ENDPOINTS}
        said = {name: await pasted(line, ports) for name, line in lines.items()}
        assert {name: text for name, (status, text) in said.items() if status not in statuses[name]} == {}
    finally:
        await runner.cleanup()


def _address(runner: Runner) -> str:
    host, port = runner.addresses[0][:2]
    return f"{host}:{port}"


async def pasted(line: str, ports: dict[str, str]) -> tuple[int, str]:
    """Status and what the shell shows."""
    for printed, real in ports.items():
        line = line.replace(printed, real)
    line = line.replace("curl ", "curl -sS -w '\\n%{http_code}' ", 1)
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=dict(os.environ)
    )
    out, _ = await asyncio.wait_for(shell.communicate(), 20)
    shown, _, status = out.decode().rpartition("\n")
    return int(status) if status.isdigit() else 0, f"{line}\n{shown[:400]}"

"""Schemathesis reads `/openapi.json` and asks every operation over sockets: what the document allows, what it just
does not allow, and at random. Nothing may be answered that the document does not have, and never 500.

    schemathesis (tests/schemathesis.toml) ─▸ both fronts, auth on ─▸ local and emulated vendors (tests/served.py)

The admin listener has every operation, so that is the one that is asked.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest
from aiohttp import web

from gateway.server.documents.openapi import document
from gateway.server.edges import listen
from tests.served import KEY, served

CONFIG: Final = Path(__file__).parent / "schemathesis.toml"
NAMED: Final = {"vendor-a": {"adapter": "local"}}
"""The provider that the document's examples name."""
MOST_SHOWN: Final = 12_000
"""Characters of what it says when it finds something."""


async def findings(url: str, directory: Path, *arguments: str) -> tuple[int, str]:
    """Its exit code (0: nothing found) and what it says."""
    given = [f"{url}/openapi.json", "--url", url, "-H", f"X-Api-Key: {KEY}", *arguments]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", *given),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode is not None
    return child.returncode, out.decode()


async def nothing_found(directory: Path, phases: str, examples: int) -> None:
    async with served(directory, max_body="64KiB", also=NAMED) as gateway:
        code, said = await findings(gateway.admin_url, directory, "--phases", phases, "-n", str(examples))
    assert code == 0, said[-MOST_SHOWN:]
    operations = sum(len(methods) for methods in msgspec.json.decode(document())["paths"].values())
    operations -= 1  # the one that it has the document from
    assert f"Tested: {operations}\n" in said, said[-MOST_SHOWN:]
    (generated,) = re.findall(r"(\d+) generated, \1 passed", said)
    assert int(generated) > 2 * operations


async def test_examples_and_chance_find_nothing(tmp_path: Path) -> None:
    await nothing_found(tmp_path, "examples,fuzzing", 5)


@pytest.mark.more("schemathesis, long")
@pytest.mark.timeout(1500)
async def test_every_bound_and_much_chance_find_nothing(tmp_path: Path) -> None:
    await nothing_found(tmp_path, "examples,coverage,fuzzing", 100)


ONCE_TAKEN: Final = [
    ("/v1/events?until=null", {}, 422, "?until"),
    ("/v1/events?since=1", {}, 422, "?since"),
    ("/v1/events", {"Request-Timeout": ""}, 400, "Request-Timeout"),
    ("/v1/items", {"Request-Timeout": "if"}, 400, "Request-Timeout"),
    ("/v1/users", {"Request-Timeout": "-1"}, 400, "Request-Timeout"),
    ("/v1/recommendations?placement=home", {"Request-Timeout": "soon"}, 400, "Request-Timeout"),
]
"""Path, headers, and how it must be refused; all but the last were answered with 200 until Schemathesis asked."""


async def test_what_it_found_once(tmp_path: Path) -> None:
    async with served(tmp_path) as gateway:
        async with gateway.session.get(f"{gateway.url}/v1/recommendations?placement=home") as answer:
            assert answer.status == 200  # and is in the cache from now on
        for path, headers, status, pointer in ONCE_TAKEN:
            async with gateway.session.get(gateway.url + path, headers=headers) as answer:
                problem = await answer.json(content_type=None)
                assert answer.status == status, (path, problem)
                assert [one["pointer"] for one in problem["errors"]] == [pointer]


WRONG: Final = {
    "/livez": (200, "application/json", '{"alive": "yes"}'),
    "/docs": (418, "text/html", "short and stout"),
    "/metrics": (500, "text/plain", "a traceback"),
    "/readyz": (200, "text/html", "ready"),
}
"""Of operations without credentials: status, type and body of an answer that the document does not have."""
FOUND: Final = (
    "Response violates schema",
    "Undocumented status code",
    "Server error",
    "Undocumented Content-Type",
    "Missing required response headers",
)


async def test_it_would_find_what_is_not_documented(tmp_path: Path) -> None:
    """Otherwise nothing found would say nothing."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/openapi.json":
            return web.Response(body=document(), content_type="application/json")
        status, type_, body = WRONG[request.path]
        return web.Response(status=status, text=body, content_type=type_)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = await listen(app, "127.0.0.1", 0, drain=1)
    only = [part for path in WRONG for part in ("--include-path", path)]
    try:
        code, said = await findings(
            f"http://127.0.0.1:{runner.addresses[0][1]}", tmp_path, *only, "--phases", "examples"
        )
    finally:
        await runner.cleanup()
    assert code == 1
    assert [one for one in FOUND if one not in said] == [], said[-MOST_SHOWN:]

"""What README and docs/ give to try: shell lines are run before what the demo runs, YAML is loaded, links lead.

A page's lines run in its order, in one shell each block; every exchange must end well. What only a machine with
Docker, Helm or a browser can run is not here: see test_image, test_helm.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from gateway.config import load
from gateway.server.edges import Runner
from gateway.server.endpoints.controlling import STRATEGY
from gateway.server.front import Front
from tests.benchmarks import capacity
from tests.world import World, options, world

on_sockets = pytest.mark.asyncio(loop_scope="module")

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TRIED: Final = ("README.md", "experiments.md")
"""The pages whose curl lines are run."""
DEMO: Final[dict[str, Any]] = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
CREATED: Final = (200, 202)


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


def curls() -> Iterator[Any]:
    for page in PAGES:
        if page.name in TRIED:
            for number, block in enumerate(blocks(page, "sh")):
                if "curl " in block and "docker " not in block:
                    yield pytest.param(block, id=f"{page.name}-{number}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """As the demo has it, behind a time that a busy machine may need."""
    more = {name: DEMO[name] for name in ("placements", "events", "catalog")}
    async with world(tmp_path_factory.mktemp("pages"), more) as shop:
        assert (await shop.request("PUT", "/v1/personalization/strategy", json=STRATEGY)).status == 200
        for n in range(8):  # the people and items that the pages name
            item = f"i{n}"
            await shop.request(
                "PUT", f"/v1/items/{item}", json={"properties": {"title": "A wedding", "genre": ["Comedy"]}}
            )
            event = {"type": "purchase", "user": {"id": "u1"}, "items": [item]}
            assert (await shop.request("POST", "/v1/events", json={"events": [event]})).status == 202
        yield shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ports(shop: World) -> AsyncIterator[dict[str, str]]:
    """What stands for the addresses on the pages."""
    runner = Runner(Front(shop.runtime).app(admin=True), drain=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield {"localhost:8080": shop.url.removeprefix("http://"), "localhost:9090": f"{host}:{port}"}
    await runner.cleanup()


@on_sockets
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")
@pytest.mark.parametrize("block", [*curls()])
async def test_lines_end_well(block: str, ports: dict[str, str], tmp_path: Path) -> None:
    for printed, real in ports.items():
        block = block.replace(printed, real)
    (tmp_path / "curl").write_text(
        f'#!/bin/sh\nexec {shutil.which("curl")} -w "%{{stderr}}%{{http_code}}\\n" "$@"\n'
    )
    (tmp_path / "curl").chmod(0o755)
    shell = await asyncio.create_subprocess_exec(
        "bash", "-ec", block, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    out, statuses = await asyncio.wait_for(shell.communicate(), 60)
    assert shell.returncode == 0, statuses.decode()
    said = [int(status) for status in statuses.split()]
    assert len(said) == len(re.findall(r"\bcurl ", block)) and set(said) <= {*CREATED}, (said, block, out.decode())


@on_sockets
async def test_what_the_experiments_page_credits_is_counted(shop: World, ports: dict[str, str]) -> None:
    """Its numbers are those of its own lines (which came before this)."""

    async def counts() -> dict[str, Any]:
        said: dict[str, Any] = (await shop.request("GET", "/v1/experiments/home-demo")).json
        return said

    async with asyncio.timeout(10):
        while not sum(arm["units"] for arm in (await counts())["arms"].values()):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.1)
    arm = (await counts())["arms"]["control"]
    page = (ROOT / "docs" / "experiments.md").read_text()
    table = page.partition("For each arm:")[2].partition("Then, in this order:")[0]
    assert set(re.findall(r"`(\w+)`", table)) - {"value", "low", "high", "unit"} == set(arm) - {"value"}
    assert {"running", "sample_ratio", "phases"} <= (await counts()).keys()


# --- configurations, links, commands ----------------------------------------------------------------------------


def written() -> Iterator[Any]:
    for page in PAGES:
        if page.name == "adapters.md":  # of an adapter that is not installed here: test_thirdparty
            continue
        for number, block in enumerate(blocks(page, "yaml")):
            yield pytest.param(block, id=f"{page.name}-{number}")


@pytest.mark.parametrize("block", [*written()])
def test_yaml_is_a_configuration_or_a_part_of_one(block: str, tmp_path: Path) -> None:
    part = yaml.safe_load(block) or {}
    urls = dict.fromkeys(("recomendo", "algolia", "affinities", "discerner", "xayn"), "http://127.0.0.1:1")
    whole = {"providers": options(urls), "placements": {"default": {"providers": ["local"]}}} | part
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(whole, sort_keys=False))
    load(file, dict.fromkeys(re.findall(r"\$\{(\w+)\}", block), "x" * 64))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_commands_are_those_that_there_are() -> None:
    """Every `gateway WORD` on a page is a command."""
    shown = subprocess.run([sys.executable, "-m", "gateway", "--help"], check=True, capture_output=True, text=True)
    commands = set(re.findall(r"^    (\w+) ", shown.stdout, re.MULTILINE))
    named = {
        word
        for page in PAGES
        for line in (*blocks(page, "sh"), *re.findall(r"`gateway [^`]+`", page.read_text()))
        for word in re.findall(r"(?:^|`)gateway ([a-z]+)", line, re.MULTILINE)
    }
    assert named and named <= commands


def test_the_capacity_is_what_was_measured_last() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    results = capacity.RESULTS.read_text()
    assert page == capacity.filled(page, results), "run: python -m tests.benchmarks.capacity"
    assert "| answers from the cache | " in page and "| answers that a vendor is asked for | " in page

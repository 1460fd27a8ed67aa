"""`gateway events` beside a running gateway; a vendor that is fed by a replay knows what one fed live knows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from gateway.cli import main
from gateway.config import load
from gateway.sandbox.frame import serving
from tests.world import CATALOGUE, PEOPLE, Reply, World, behaviour, world

on_sockets = pytest.mark.asyncio(loop_scope="module")
FIRST = ("recomendo", "discerner", "xayn")


class Shop:
    """A world told over HTTP, and the same vendors once more, empty: `recomendo-2`, …"""

    def __init__(self, one: World, directory: Path) -> None:
        self.world = one
        self.file = directory / "gateway.yaml"

    async def cli(self, *arguments: str, code: int = 0) -> str:
        """What `gateway events …` prints."""
        command = [sys.executable, "-m", "gateway", "events", *arguments, "--config", str(self.file)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode == code, (out, err)
        return (err if code else out).decode()

    async def ask(self, provider: str, **body: Any) -> Reply:
        return await self.world.ask("default", headers={"Gateway-Provider": provider}, **body)

    async def idle(self) -> None:
        """Until nothing waits for anybody."""
        async with asyncio.timeout(60):
            while any(one.queued for one in (await self.queues()).values()):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.05)

    async def queues(self) -> dict[str, Any]:
        return await self.world.runtime.writes.intake.store.queues()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    directory = tmp_path_factory.mktemp("replay")
    lists = {"events": {"providers": [*FIRST, "local"]}, "catalog": {"providers": [*FIRST, "local"]}}
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(world(directory, lists, fed=False))
        shop = Shop(one, directory)
        await told(one)
        await shop.idle()
        empty = await stack.enter_async_context(serving(FIRST))
        written = yaml.safe_load(shop.file.read_text())
        for name, vendor in zip(FIRST, empty, strict=True):
            again = yaml.safe_load(yaml.safe_dump(written["providers"][name]))
            before = one.vendors[name]
            for key, value in again["options"].items():
                if value == before:
                    again["options"][key] = vendor.url
            written["providers"][f"{name}-2"] = again
        for section in ("events", "catalog"):
            written[section]["providers"] += [f"{name}-2" for name in FIRST]
        shop.file.write_text(yaml.safe_dump(written))
        one.runtime.apply(load(shop.file, {}))
        yield shop


async def told(one: World) -> None:
    """The shop's catalogue, people and behaviour, over HTTP."""
    items = [{"id": id_, "properties": properties} for id_, properties in CATALOGUE.items()]
    assert (await one.request("POST", "/v1/items", json={"items": items})).status == 202
    events = [
        {
            "id": event.id, "type": event.type, "user": {"id": event.user}, "time": event.time.isoformat(),
            "items": [item.id for item in event.items],
        }
        for event in behaviour()
    ]  # fmt: skip
    reply = await one.request("POST", "/v1/events", json={"events": events})
    assert reply.status == 202 and not reply.json["rejected"]


async def train(shop: Shop, name: str) -> None:
    reply = await shop.world.request("POST", f"/v1/training?provider={name}")
    assert reply.status == 202, reply.text
    async with asyncio.timeout(30):
        while await untrained(shop, name):  # noqa: ASYNC110  # the vendor tells nobody
            await asyncio.sleep(0.05)


async def untrained(shop: Shop, name: str) -> bool:
    source = (await shop.ask(name, kind="similar_items", items=["d0"])).json["source"]
    return bool(source["cold_start"])


def certain(reply: Reply) -> tuple[list[float], set[str]]:
    """The scores, and the items above the last one: of equals any may be the last."""
    items = reply.json["items"]
    scores = [item["score"] for item in items]
    return scores, {item["id"] for item in items if item["score"] > scores[-1]}


@on_sockets
async def test_replay_into_an_empty_vendor_gives_the_same_recommendations(shop: Shop) -> None:
    for name in FIRST:
        said = await shop.cli("replay", "--provider", f"{name}-2", "--since", "30d", "--rate", "5000")
        assert f"{name}-2: " in said and "told or on their way" in said
    await train(shop, "recomendo")
    await train(shop, "recomendo-2")
    compared = 0
    for user in PEOPLE:
        for name in FIRST:
            live, replayed = [
                await shop.ask(one, kind="for_you", user={"id": user}, count=8) for one in (name, f"{name}-2")
            ]
            assert live.status == replayed.status, (user, name, live.text, replayed.text)
            assert certain(live) == certain(replayed), (user, name)
            compared += len(certain(live)[1])
    assert compared > 400


@on_sockets
async def test_status_dead_letters_and_retry(shop: Shop) -> None:
    """Xayn takes no item without a text."""
    said = await shop.cli("status")
    assert {line.split()[0] for line in said.splitlines()[1:]} == {
        "algolia", "affinities", "local", *FIRST, *(f"{name}-2" for name in FIRST)
    }  # fmt: skip
    assert await shop.cli("dead-letters", "--provider", "xayn") == "none\n"
    await shop.world.request("PUT", "/v1/items/mute", json={"properties": {"year": 1990}})
    await shop.idle()
    (line,) = (await shop.cli("dead-letters", "--provider", "xayn")).splitlines()
    assert "put_item  mute  needs a text" in line
    state = {
        one["name"]: one for one in (await shop.world.request("GET", "/v1/providers")).json["providers"]
    }  # fmt: skip
    assert (state["xayn"]["dead_letters"], state["recomendo"]["dead_letters"]) == (1, 0)
    assert (await shop.world.request("GET", "/v1/items/mute")).json["providers"]["xayn"]["status"] == "failed"
    assert "1 queued again" in await shop.cli("retry", "--provider", "xayn", "--id", "mute")
    await shop.idle()
    assert (await shop.queues())["xayn"].dead_letters == 1
    await shop.world.request("PUT", "/v1/items/mute", json={"properties": {"title": "Not mute", "year": 1990}})
    await shop.idle()
    assert (
        await shop.cli("dead-letters", "--provider", "xayn") == "none\n"
    )  # a record that arrived makes up for it


@pytest.mark.parametrize(
    ("options", "said"),
    [
        *((("--since", since), "must be a time") for since in ("yesterday", "30", "2026-13-01")),
        (("--since", "1d", "--rate", "0"), "must be a number"),
    ],
)
def test_what_no_replay_can_be_asked_for(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["events", "replay", "--provider", "xayn", *options])
    assert end.value.code == 2
    assert said in capsys.readouterr().err


@on_sockets
async def test_mistakes_of_usage(shop: Shop, tmp_path: Path) -> None:
    assert "there is no provider `nobody`" in await shop.cli(
        "replay", "--provider", "nobody", "--since", "30d", code=2
    )
    elsewhere = tmp_path / "gateway.yaml"
    written = yaml.safe_load(shop.file.read_text())
    written["state"] = {"url": f"sqlite:{tmp_path}/none.db"}
    elsewhere.write_text(yaml.safe_dump(written))
    shop.file, before = elsewhere, shop.file
    try:
        assert "there is no state file" in await shop.cli("status", code=1)
    finally:
        shop.file = before

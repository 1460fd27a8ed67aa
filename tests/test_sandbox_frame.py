"""The frame of the emulated vendors: starting, breaking and ending them, over real sockets."""

import asyncio
import io
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.sandbox import credentials, frame
from gateway.sandbox.faults import BadFault, Faults, parse
from tests.ports import free_ports

Start = Callable[..., Awaitable[TestClient[web.Request, web.Application]]]
WORDS = "x" * 2000


class Clock:
    """A clock that moves when told, and a sleep that moves it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def start(clock: Clock) -> AsyncIterator[Start]:
    """Starts a small application with faults around it."""
    clients = []

    async def begin(rng: Random | None = None) -> TestClient[web.Request, web.Application]:
        async def real(_: web.Request) -> web.Response:
            return web.json_response({"words": WORDS})

        app = web.Application()
        app.router.add_route("*", "/real", real)
        Faults(rng, clock, clock.sleep).install(app)
        client = TestClient(TestServer(app))
        await client.start_server()
        clients.append(client)
        return client

    yield begin
    for client in clients:
        await client.close()


async def put(client: TestClient[web.Request, web.Application], **members: Any) -> None:
    answer = await client.put("/_faults", json=members)
    assert answer.status == 200, await answer.text()
    assert await answer.json() == members


async def test_without_a_fault_the_vendor_answers(start: Start) -> None:
    client = await start()
    assert await (await client.get("/_faults")).json() == {}
    assert await (await client.get("/real")).json() == {"words": WORDS}


async def test_a_put_replaces_what_was_and_an_empty_one_clears(start: Start) -> None:
    client = await start()
    await put(client, status=503, delay="1ms")
    await put(client, status=500)
    assert await (await client.get("/_faults")).json() == {"status": 500}
    answer = await client.get("/real")
    assert (answer.status, await answer.json()) == (500, {"message": "Internal Server Error"})
    await put(client)
    assert (await client.get("/real")).status == 200


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("empty", "application/octet-stream", r""),
        ("html", "text/html", r"(?s)<!DOCTYPE html>.*502 Bad Gateway.*"),
        ("plain words", "text/plain", "plain words"),
        ('{"itemScores": 7}', "application/json", r'\{"itemScores": 7\}'),
    ],
)
async def test_bodies(start: Start, body: str, kind: str, text: str) -> None:
    client = await start()
    await put(client, status=502, body=body)
    answer = await client.get("/real")
    assert answer.status == 502
    assert answer.content_type == kind
    assert re.fullmatch(text, await answer.text())


async def test_a_body_alone_is_a_200(start: Start) -> None:
    client = await start()
    await put(client, body="html")
    answer = await client.get("/real")
    assert (answer.status, answer.content_type) == (200, "text/html")


@pytest.mark.parametrize(
    ("status", "whole"), [(None, {"words": WORDS}), (503, {"message": "Service Unavailable"})]
)
async def test_truncated_promises_more_than_it_sends(
    start: Start, status: int | None, whole: dict[str, str]
) -> None:
    client = await start()
    await put(client, body="truncated", **({"status": status} if status else {}))
    async with client.get("/real") as answer:
        length = len(json.dumps(whole))
        assert answer.status == (status or 200)
        assert answer.headers["Content-Length"] == str(length)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    raw = await exchange(client, "/real")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"application/json" in head
    assert body == json.dumps(whole).encode()[: length // 2]


async def test_truncated_cuts_an_answer_that_is_an_error_too(start: Start) -> None:
    client = await start()
    await put(client, body="truncated")
    async with client.get("/nowhere") as answer:
        assert answer.status == 404
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def exchange(client: TestClient[web.Request, web.Application], path: str) -> bytes:
    """All bytes of an answer until the connection is closed."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    raw = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return raw


async def test_close_cuts_without_a_byte(start: Start) -> None:
    client = await start()
    await put(client, close=True, status=503)
    assert await exchange(client, "/real") == b""
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.get("/real")


@pytest.mark.parametrize(("delay", "seconds"), [("2s", 2.0), ("250ms", 0.25), (1.5, 1.5), ("1m", 60.0), (3, 3.0)])
async def test_a_delay_alone_gives_the_real_answer_later(
    start: Start, clock: Clock, delay: Any, seconds: float
) -> None:
    client = await start()
    await put(client, delay=delay)
    answer = await client.get("/real")
    assert (answer.status, clock.slept) == (200, [seconds])


async def test_a_share_hits_as_often_as_the_dice_say(start: Start) -> None:
    client = await start(Random(7))
    await put(client, status=503, share=0.25)
    seen = [(await client.get("/real")).status for _ in range(40)]
    dice = Random(7)
    assert seen == [503 if dice.random() < 0.25 else 200 for _ in range(40)]
    assert set(seen) == {200, 503}


@pytest.mark.parametrize(("share", "status"), [(0, 200), (1, 503)])
async def test_the_ends_of_a_share_are_never_and_always(start: Start, share: int, status: int) -> None:
    client = await start()
    await put(client, status=503, share=share)
    assert {(await client.get("/real")).status for _ in range(20)} == {status}


async def test_a_path_picks_requests(start: Start) -> None:
    client = await start()
    await put(client, status=503, path="^/oth|nowhere$")
    assert (await client.get("/real")).status == 200
    assert (await client.get("/nowhere")).status == 503


async def test_a_fault_ends_by_itself(start: Start, clock: Clock) -> None:
    client = await start()
    await put(client, status=503, **{"for": "10s"})
    clock.now += 9.9
    assert (await client.get("/real")).status == 503
    clock.now += 0.1
    assert (await client.get("/real")).status == 200
    assert await (await client.get("/_faults")).json() == {}


async def test_a_bad_put_names_every_mistake_and_changes_nothing(start: Start) -> None:
    client = await start()
    await put(client, status=503)
    bad = {
        "status": "503", "share": 2, "delay": "soon", "body": 1, "close": "yes",
        "path": "(", "for": -1, "until": 3,
    }  # fmt: skip
    answer = await client.put("/_faults", json=bad)
    assert answer.status == 400
    errors = (await answer.json())["errors"]
    assert sorted(error.split(":")[0] for error in errors) == sorted(bad)
    assert (await client.get("/real")).status == 503


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"share": true}', '{"status": 99}', '{"status": true}'])
def test_what_is_no_fault(text: str) -> None:
    with pytest.raises(BadFault):
        parse(text, 0)


async def test_faults_know_two_methods(start: Start) -> None:
    client = await start()
    assert (await client.delete("/_faults")).status == 405


# The frame


async def test_serving_runs_the_named_ones_and_closes_them() -> None:
    async with frame.serving(["discerner", "recomendo"]) as vendors, aiohttp.ClientSession() as session:
        assert [vendor.name for vendor in vendors] == ["recomendo", "discerner"]
        recomendo, discerner = vendors
        assert recomendo.credentials == {
            "client_id": "demo-recomendo",
            "client_secret": "demo-recomendo-secret",
        }
        assert discerner.credentials == {"username": "demo-shop", "password": "demo-discerner-password"}
        async with session.post(f"{discerner.url}/token", data=discerner.credentials) as answer:
            assert answer.status == 200
        async with session.put(f"{recomendo.url}/_faults", json={"status": 503}) as answer:
            assert answer.status == 200
        async with session.get(f"{recomendo.url}/") as answer:
            assert answer.status == 503
        async with session.get(f"{discerner.url}/_faults") as answer:
            assert await answer.json() == {}
    async with aiohttp.ClientSession() as session:
        for vendor in vendors:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(vendor.url)


async def test_all_five_are_served_on_ports_of_their_own() -> None:
    async with frame.serving() as vendors, aiohttp.ClientSession() as session:
        assert tuple(vendor.name for vendor in vendors) == frame.NAMES
        assert len({vendor.url for vendor in vendors}) == 5
        for vendor in vendors:
            assert vendor.credentials == credentials.OPTIONS[vendor.name]
            async with session.get(f"{vendor.url}/_faults") as answer:
                assert (answer.status, await answer.json()) == (200, {})


async def profile_after_an_event(vendors: list[frame.Vendor]) -> int:
    """Teach Recommend a record and an event; the status with which Personalization answers for that user."""
    recommend, personalization = vendors
    async with aiohttp.ClientSession() as session:
        admin = algolia_headers(recommend, "admin_api_key")
        record = {"requests": [{"action": "updateObject", "body": {"objectID": "1", "genre": "drama"}}]}
        await accepted(session.post(f"{recommend.url}/1/indexes/films/batch", json=record, headers=admin))
        own = algolia_headers(personalization, "api_key")
        strategy = {
            "eventsScoring": [{"eventName": "seen", "eventType": "view", "score": 50}],
            "facetsScoring": [{"facetName": "genre", "score": 50}],
            "personalizationImpact": 50,
        }
        at = f"{personalization.url}/1/strategies/personalization"
        await accepted(session.post(at, json=strategy, headers=own))
        event = {"eventType": "view", "eventName": "seen", "index": "films", "userToken": "u", "objectIDs": ["1"]}
        search = algolia_headers(recommend, "api_key")
        await accepted(session.post(f"{recommend.url}/1/events", json={"events": [event]}, headers=search))
        at = f"{personalization.url}/1/profiles/personalization/u"
        async with session.get(at, headers=own) as answer:
            return answer.status


def algolia_headers(vendor: frame.Vendor, key: str) -> dict[str, str]:
    return {
        "X-Algolia-Application-Id": vendor.credentials["application_id"],
        "X-Algolia-API-Key": vendor.credentials[key],
    }


async def accepted(call: Any) -> None:
    async with call as answer:
        assert answer.status == 200, await answer.text()


ALGOLIA = ("algolia-recommend", "algolia-personalization")


async def test_algolias_two_share_a_world() -> None:
    async with frame.serving(ALGOLIA) as vendors:
        assert await profile_after_an_event(vendors) == 200


async def test_algolias_two_started_apart_have_worlds_of_their_own() -> None:
    async with frame.serving(ALGOLIA[:1]) as first, frame.serving(ALGOLIA[1:]) as second:
        assert await profile_after_an_event(first + second) == 404


async def test_each_has_its_place_after_the_port() -> None:
    base = free_ports(5)[0]
    async with frame.serving(["discerner", "recomendo"], port=base) as vendors:
        assert [vendor.url for vendor in vendors] == [
            f"http://127.0.0.1:{base + 1}",
            f"http://127.0.0.1:{base + 4}",
        ]


async def test_a_taken_port_is_a_clear_error_and_leaves_nothing_open() -> None:
    base = free_ports(5)[0]
    with socket.socket() as other:
        other.bind(("127.0.0.1", base + 4))
        other.listen()
        with pytest.raises(
            frame.PortTaken, match=rf"^cannot listen on 127.0.0.1:{base + 4} for discerner: .* taken$"
        ):
            async with frame.serving(["recomendo", "discerner"], port=base):
                pass
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", base + 1))


async def test_names_and_ports_that_cannot_be() -> None:
    with pytest.raises(frame.UnknownVendor, match="called amazon; there are recomendo, algolia-recommend"):
        async with frame.serving(["recomendo", "amazon"]):
            pass
    with pytest.raises(frame.SandboxError, match="port 65533"):
        async with frame.serving(["recomendo"], port=65533):
            pass


async def test_a_request_under_way_does_not_hold_up_the_end() -> None:
    async with aiohttp.ClientSession() as session:
        async with frame.serving(["discerner"]) as (discerner,):
            async with session.put(f"{discerner.url}/_faults", json={"delay": "1h"}) as answer:
                assert answer.status == 200
            waiting = asyncio.create_task(session.get(discerner.url))
            await asyncio.sleep(0.05)
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(waiting, 30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_run_prints_then_serves_until_a_signal(number: signal.Signals) -> None:
    script = (
        "import asyncio; from gateway.sandbox import frame; "
        f"asyncio.run(frame.run({free_ports(5)[0]}, ['recomendo', 'discerner']))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        printed = await asyncio.wait_for(process.stdout.readuntil(b"ready\n"), 30)
        first = re.match(
            r"recomendo +(http://\S+)  client_id=demo-recomendo  client_secret=demo-recomendo-secret\n"
            r"discerner +http://\S+  username=demo-shop  password=demo-discerner-password\nready\n$",
            printed.decode(),
        )
        assert first, printed
        async with aiohttp.ClientSession() as session, session.get(first[1]) as answer:
            assert await answer.json() == {"status": "alive"}
        os.kill(process.pid, number)
        rest, errors = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, rest, errors) == (0, b"", b"")


async def test_run_fails_before_it_prints_where_a_port_is_taken() -> None:
    out = io.StringIO()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(frame.PortTaken):
            await frame.run(other.getsockname()[1] - 1, ["recomendo"], out=out)
    assert out.getvalue() == ""

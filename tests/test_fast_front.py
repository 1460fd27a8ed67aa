"""The fast front beside the ordinary one: whatever comes over a connection, in whatever pieces, the same bytes go
out; and what it takes for one plain message is one to aiohttp's parser (llhttp) too."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.server.edges import EDGE, HEADERS, LINE_BYTES, Runner
from gateway.server.fast import connection
from gateway.server.fast.heads import END, cut, read
from gateway.server.fast.memo import BYTES, ENTRIES, LONGEST, Memo
from gateway.server.front import Front
from gateway.telemetry.notes import Note, Served
from gateway.telemetry.sorts import Sorts
from tests.world import World, feed_one, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "storefront-key-0001"
LIMITED = "limited-key-0001"


async def listening(app: web.Application, stack: AsyncExitStack) -> int:
    runner = Runner(app, drain=1)
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    return port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ports(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[int, int, World]]:
    """The fast front's and the ordinary one's, on one runtime."""
    more: dict[str, Any] = {
        "server": {"max_body": "4KiB", "cors": {"origins": ["https://shop.example"]}},
        "auth": {
            "api_keys": {
                "shop": {"key": KEY, "scopes": ["recommend", "events"]},
                "ops": {"key": "ops-key-0001", "scopes": ["recommend", "ops"]},
                "slow": {"key": LIMITED, "scopes": ["recommend"], "rate": "1000000/s"},
                "beacon": {"key": "beacon-0001", "scopes": ["events"]},
            }
        },
        "placements": {
            "default": {"providers": ["local"], "cache": {"ttl": "1h"}},
            "fresh": {"providers": ["local"]},
        },
    }
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(world(tmp_path_factory.mktemp("two"), more, fed=False))
        await feed_one(shop, "local")
        front = Front(shop.runtime)
        fast, ordinary = front.app(), front.app()
        del ordinary[EDGE]
        yield await listening(fast, stack), await listening(ordinary, stack), shop


QUIET, UNHEARD = 10, 100
"""Hundredths of a second in each of which nothing comes, after something did and before: then nothing more will.
Only those count that took no longer than they should: a machine that stands still says nothing."""
PATIENCE = 30.0
TRIES = 3
"""Whether a piece comes before the one before it was answered is a matter of time, for each side by itself."""


async def exchange(port: int, pieces: list[bytes], *, patient: bool = False) -> bytes:
    """Everything that comes back for these pieces, each sent by itself. `patient`: when all before it is answered.

    By a bare socket: what was answered before the other side had read all is read even where it then broke the
    connection off. Whether it ends so or in good order is a matter of time, not of what was said.
    """
    loop, said = asyncio.get_running_loop(), b""
    with socket.socket() as one:
        one.setblocking(False)
        await loop.sock_connect(one, ("127.0.0.1", port))
        async with ear(one) as parts:
            for piece in pieces:
                with suppress(ConnectionError):
                    await loop.sock_sendall(one, piece)
                if patient:
                    said += await heard(parts)
                else:
                    await asyncio.sleep(0.002)
            return said + await heard(parts)


@asynccontextmanager
async def ear(one: socket.socket) -> AsyncIterator[asyncio.Queue[bytes]]:
    """What comes, part by part; an empty one is the end. Nothing is lost to whoever stops waiting for it."""
    parts: asyncio.Queue[bytes] = asyncio.Queue()

    async def listens() -> None:
        part = b"begin"
        while part:
            try:
                part = await asyncio.get_running_loop().sock_recv(one, 65536)
            except ConnectionError:
                part = b""
            parts.put_nowait(part)

    listening_ = asyncio.create_task(listens())
    try:
        yield parts
    finally:
        listening_.cancel()
        await asyncio.gather(listening_, return_exceptions=True)


async def heard(parts: asyncio.Queue[bytes]) -> bytes:
    """What comes until nothing more does."""
    loop, said, quiet = asyncio.get_running_loop(), b"", 0
    end = loop.time() + PATIENCE
    while quiet < (QUIET if said else UNHEARD):
        began = loop.time()
        assert began < end, "the machine never keeps time"
        if parts.empty():
            await asyncio.sleep(0.01)
        if parts.empty():
            quiet += loop.time() - began < 0.015
            continue
        part = parts.get_nowait()
        if not part:
            parts.put_nowait(part)  # it stays closed
            return said + b"<closed>"
        said, quiet = said + part, 0
    return said


VARIES = (
    (re.compile(rb"Date: [^\r]+"), b"Date: -"),
    (re.compile(rb"ttl=-?\d+"), b"ttl=-"),
    (re.compile(rb"max-age=\d+"), b"max-age=-"),
    (re.compile(rb'"trace_id":"[0-9a-f]{32}"'), b'"trace_id":"-"'),
    (re.compile(rb"X-Request-Id: [0-9a-f]{16}\r"), b"X-Request-Id: -\r"),
    (re.compile(rb"r=\d+;t=\d+"), b"r=-;t=-"),
    (re.compile(rb'"recommendation_id":"[^"]+"'), b'"recommendation_id":"-"'),
    (re.compile(rb"X-Recommendation[^\r]+"), b""),
    (re.compile(rb'"(ms|host|seconds)":[^,}]+'), b'"-":-'),
)


def settled(said: bytes) -> bytes:
    """Without what is another each time by its nature."""
    for pattern, instead in VARIES:
        said = pattern.sub(instead, said)
    return said


def message(
    body: bytes = b'{"placement":"default","count":2}',
    *lines: bytes,
    method: bytes = b"POST",
    target: bytes = b"/v1/recommendations",
    version: bytes = b"HTTP/1.1",
    length: bytes | None = None,
    key: bytes | None = KEY.encode(),
) -> bytes:
    head = [
        b"%s %s %s" % (method, target, version),
        b"Host: 127.0.0.1",
        *([b"X-Api-Key: " + key] if key else []),
        *lines,
    ]
    if length is None and method == b"POST":
        length = b"%d" % len(body)
    if length is not None:
        head.append(b"Content-Length: " + length)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


BODIES = st.sampled_from(
    [
        b'{"placement":"default","count":2}',
        b'{"placement":"default","kind":"similar_items","items":["d1"],"count":3}',
        b'{"placement":"default","user":{"id":"u0"}}',
        b'{"placement":"fresh","count":1}',
        b'{"placement":"nowhere"}',
        b'{"count":0}',
        b'{"placement":"default","options":{"local":{}}}',
        b"{",
        b"",
        b'{"\r\ntraceparent: 00-x":1}',
        b"[" * 5000,
    ]
)
LINES = st.lists(
    st.sampled_from(
        [
            b"Content-Type: application/json",
            b"content-type: application/json; charset=utf-8",
            b"Content-Type: text/csv",
            b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            b"traceparent: nonsense",
            b"X-Request-Id: abc",
            b"x-request-id: def",
            b"X-REQUEST-ID: odd",
            b"X-Request-Id: two words",
            b"Origin: https://shop.example",
            b"Origin: https://evil.example",
            b'If-None-Match: W/"x"',
            b"If-None-Match: *",
            b"Request-Timeout: 0.5",
            b"Request-Timeout: never",
            b"Gateway-Explain: 1",
            b"Gateway-Provider: local",
            b"Connection: keep-alive",
            b"Connection: close",
            b"Expect: 100-continue",
            b"Upgrade: h2c",
            b"Transfer-Encoding: chunked",
            b"X-Folded: a\r\n b",
            b"X-Odd : a",
            b"X-High: \xc3\xbc",
            b"Accept: */*",
            b"Cookie: a=b",
            b"Host: other.example",
        ]
    ),
    max_size=3,
)
KEYS = st.sampled_from(
    [KEY.encode(), KEY.encode(), KEY.encode(), LIMITED.encode(), b"ops-key-0001", b"beacon-0001", b"wrong", None]
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    form = draw(
        st.sampled_from(["post", "post", "post", "search", "get", "head", "old", "chunked", "events", "long"])
    )
    body, lines, key = draw(BODIES), draw(LINES), draw(KEYS)
    match form:
        case "post":
            return message(body, *lines, key=key)
        case "search":
            sought = draw(st.sampled_from([b'{"query":"day","placement":"search"}', b'{"query":1}', body]))
            return message(sought, *lines, key=key, target=b"/v1/search")
        case "get" | "head":
            query = draw(
                st.sampled_from([b"", b"?placement=default&count=2", b"?count=x", b"?a=%2", b"?item=d1#x"])
            )
            return message(
                b"", *lines, key=key, method=form.upper().encode(), target=b"/v1/recommendations" + query
            )
        case "old":
            return message(body, *lines, key=key, version=b"HTTP/1.0")
        case "chunked":
            framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
            return message(framed, b"Transfer-Encoding: chunked", *lines, key=key, length=b"").replace(
                b"Content-Length: \r\n", b""
            )
        case "events":
            return message(b'{"events":[]}', *lines, key=key, target=b"/v1/events")
    return message(body, *lines, key=key, length=draw(st.sampled_from([b"4097", b"0", b"+5", b"0x1", b"5, 5"])))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sent=st.lists(messages(), min_size=1, max_size=3), together=st.booleans(), at=st.integers(0, 400))
async def test_both_fronts_say_the_same(
    ports: tuple[int, int, World], sent: list[bytes], together: bool, at: int
) -> None:
    fast, ordinary, _ = ports
    if together:  # one after the other without waiting, cut in two anywhere
        whole = b"".join(sent)
        pieces = [piece for piece in (whole[: at % len(whole)], whole[at % len(whole) :]) if piece]
    else:
        pieces = sent
    await exchange(ordinary, pieces)  # what is cached is cached for both
    for _ in range(TRIES):
        one, other = map(settled, await asyncio.gather(exchange(fast, pieces), exchange(ordinary, pieces)))
        if one == other:
            break
    assert one == other


async def test_split_at_every_byte(ports: tuple[int, int, World]) -> None:
    fast, ordinary, _ = ports
    whole = message(b'{"placement":"default","count":2}', b"X-Request-Id: abc", b"traceparent: 00-x")
    expected = settled(await exchange(ordinary, [whole]))
    assert b" 200 OK" in expected
    cuts = range(1, len(whole), 1)
    for start in range(0, len(cuts), 40):
        said = await asyncio.gather(
            *(exchange(fast, [whole[:cut_], whole[cut_:]]) for cut_ in cuts[start : start + 40])
        )
        assert {settled(one) for one in said} == {expected}


async def test_what_is_wrong_behind_a_body_does_not_cost_it_its_answer(ports: tuple[int, int, World]) -> None:
    """Its head was held, and is given to aiohttp as it came: of bytes that come at once it refuses all."""
    fast, ordinary, _ = ports
    first, wrong = message(), message(b"{}", b"Content-Type: text/csv", b"Content-Type: text/csv")
    at = first.index(END) + len(END)
    pieces = [first[:at], first[at:] + wrong]
    await exchange(ordinary, [first])  # what is cached is cached for both
    said = settled(await exchange(fast, pieces))
    assert b" 200 OK" in said
    assert said == settled(await exchange(ordinary, pieces))


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the fast front passes on to aiohttp, piece by piece."""
    reached: list[bytes] = []
    passed = connection.FastEdge._pass_on

    def noting(self: connection.FastEdge, data: bytes) -> None:
        reached.append(data)
        passed(self, data)

    monkeypatch.setattr(connection.FastEdge, "_pass_on", noting)
    return reached


async def test_what_is_plain_does_not_reach_aiohttp(ports: tuple[int, int, World], reached: list[bytes]) -> None:
    """Else the test above would compare the ordinary front with itself."""
    fast, _, _ = ports
    plain = [
        message(b'{"placement":"fresh","count":1}', b"X-Request-Id: a", b"traceparent: 00-b"),
        message(b'{"placement":"default","count":1}', b"Content-Type: application/json"),
        message(b"", method=b"GET", target=b"/v1/recommendations?placement=default"),
        message(b'{"query":"day","placement":"search"}', target=b"/v1/search"),
        message(b'{"placement":"nowhere"}', key=None),
    ]
    said = await exchange(fast, plain, patient=True)
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"200", b"200", b"200", b"401"]
    assert not reached
    events = message(b'{"events":[]}', target=b"/v1/events")
    await exchange(fast, [plain[0], events[:-5], events[-5:], plain[1]], patient=True)
    assert reached == [events[:-5], events[-5:]], "and after aiohttp's turn it is the lane's again"
    reached.clear()
    await exchange(fast, [plain[0], events[:60], events[60:], plain[1]], patient=True)
    assert reached == [events[:60], events[60:], plain[1]], "where a head ends was not seen: aiohttp's for good"
    reached.clear()
    await exchange(fast, [plain[0] + plain[1], plain[0]], patient=True)
    assert reached == [plain[0] + plain[1]], "two at once are aiohttp's"
    reached.clear()
    await exchange(fast, [events + plain[0][:-3], plain[0][-3:], plain[0]], patient=True)
    assert reached == [events + plain[0][:-3], plain[0][-3:]]


class Caller(asyncio.Transport):
    """Says the next thing as soon as an answer is there: sooner than aiohttp waits for it."""

    def __init__(self, edge: connection.FastEdge, pieces: list[bytes]) -> None:
        super().__init__()
        self._edge = edge
        self._pieces = pieces
        self.heard = b""
        self.content = asyncio.Event()

    def say(self) -> None:
        if self._pieces:
            self._edge.data_received(self._pieces.pop(0))
        else:
            self.content.set()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.heard += bytes(data)
        if self.heard.endswith(b"}"):
            asyncio.get_running_loop().call_soon(self.say)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...


async def test_the_next_request_is_the_lanes_however_soon_it_comes(
    ports: tuple[int, int, World], reached: list[bytes]
) -> None:
    """Else one that was aiohttp's made the next one aiohttp's, and so on while there is much to do."""
    _, _, shop = ports
    plain, events = message(b'{"placement":"default","count":1}'), message(b'{"events":[]}', target=b"/v1/events")
    runner = Runner(Front(shop.runtime).app(), drain=1)
    await runner.setup()
    edge = runner.server()
    caller = Caller(edge, [plain, events, plain, events, plain])
    edge.connection_made(caller)
    caller.say()  # before aiohttp waits for the first time
    async with asyncio.timeout(PATIENCE):
        await caller.content.wait()
    assert reached == [events, events]
    assert re.findall(rb"HTTP/1.1 (\d+)", caller.heard) == [b"200", b"422", b"200", b"422", b"200"]
    edge.connection_lost(None)
    await runner.cleanup()


async def test_pipelined_while_one_is_asked(ports: tuple[int, int, World]) -> None:
    """Bytes that come while the lane waits for a provider: answered after it, in order."""
    fast, _, shop = ports
    shop.runtime.pipeline.cache.drop()
    first = message(b'{"placement":"fresh","count":1}', b"X-Request-Id: one")
    second = message(b'{"placement":"fresh","count":2}', b"X-Request-Id: two")
    third = message(b'{"events":[]}', b"X-Request-Id: three", target=b"/v1/events")
    said = await exchange(fast, [first, second, third, first])
    assert re.findall(rb"X-Request-Id: (\w+)", said) == [b"one", b"two", b"three", b"one"]
    together = await exchange(fast, [first + second + third + first])
    assert re.findall(rb"X-Request-Id: (\w+)", together) == [b"one", b"two", b"three", b"one"]


async def test_a_reload_is_heeded_at_once(ports: tuple[int, int, World]) -> None:
    """What was remembered belongs to a plan and to keys."""
    fast, _, shop = ports
    request = message(b'{"placement":"default","count":2}')
    pipeline = shop.runtime.pipeline
    assert b" 200 OK" in await exchange(fast, [request])
    access = pipeline.access
    changed = shop.runtime.configuration.model_copy(deep=True)
    assert changed.auth is not None
    changed.auth.api_keys.pop("shop")
    pipeline.access = type(access)(changed)
    try:
        assert b" 401 " in await exchange(fast, [request])
    finally:
        pipeline.access = access
    plan = pipeline.plan
    placements = {name: one for name, one in plan.placements.items() if name != "default"}
    pipeline.plan = type(plan)(plan.epoch, plan.configuration, plan.providers, placements)
    try:
        assert b" 404 " in await exchange(fast, [request])
    finally:
        pipeline.plan = plan
    assert b" 200 OK" in await exchange(fast, [request])


async def test_the_limit_counts_every_request(ports: tuple[int, int, World]) -> None:
    fast, _, shop = ports
    caller = shop.runtime.pipeline.access.look({"X-Api-Key": LIMITED})
    assert caller.limit is not None
    request = message(b'{"placement":"default","count":2}', key=LIMITED.encode())
    said = await exchange(fast, [request, request, request])
    assert said.count(b"RateLimit: ") == 3
    caller.limit._rate._regained = time.monotonic() + 9  # all of it is spent
    refused = await exchange(fast, [request])
    caller.limit._rate._regained = 0.0
    assert b" 429 " in refused


async def test_what_is_told_of_a_request_again_is_what_would_be_told_of_it_alone(
    ports: tuple[int, int, World],
) -> None:
    """The sort of a remembered request is found out once, and goes with its answer."""
    fast, _, shop = ports
    told: list[Served] = []

    class Reader:
        def read(self, notes: Sequence[Note]) -> None:
            told.extend(note for note in notes if isinstance(note, Served))

    request = message(b'{"placement":"default","count":4}')
    again = message(b'{"placement":"default","count":4}', b"If-None-Match: *")
    shop.runtime.notes.read()
    shop.runtime.notes.readers.append(Reader())
    try:
        for _ in range(5):
            await exchange(fast, [request, again], patient=True)
            shop.runtime.notes.read()
        shop.runtime.pipeline.cache.drop()
        await exchange(fast, [request, request], patient=True)
        shop.runtime.notes.read()
    finally:
        shop.runtime.notes.readers.pop()
    kept, alone = told[-1].sort, Sorts()
    assert {one.status for one in told} == {200, 304}
    assert told[4].sort is told[6].sort is not told[5].sort, "with nothing kept this test would say nothing"
    assert kept is not None and kept.told is not None and kept.told.cache == "hit"
    for one in told:
        assert msgspec.to_builtins(one.sort) == msgspec.to_builtins(alone.of(replace(one, sort=None)))


# --- heads ------------------------------------------------------------------------------------------------------

PLAIN = message(b'{"a":1}', b"Content-Type: application/json", b"X-Request-Id: abc", b"traceparent: 00-ab-cd-01")
BYTES_ = st.sampled_from(
    [bytes([code]) for code in (*b"\r\n \t:;,/?#%+-_0aZ", 0, 11, 127, 128, 255)] + [b"\r\n", b"\r\n ", b"\n\n"]
)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A plain message with a few bytes changed, put in, left out or said twice."""
    data = draw(st.sampled_from([PLAIN, message(b"", method=b"GET"), message(b"x", b"Connection: Keep-Alive")]))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["change", "insert", "delete", "line"])):
            case "change":
                data = data[:at] + draw(BYTES_) + data[at + 1 :]
            case "insert":
                data = data[:at] + draw(BYTES_) + data[at:]
            case "delete":
                data = data[:at] + data[at + draw(st.integers(1, 3)) :]
            case _:
                line = draw(LINES.filter(bool))[0]
                data = data.replace(b"\r\n", b"\r\n" + line + b"\r\n", 1)
    return data


def plainly(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs; aiohttp writes the names that it knows in its own way."""
    return [(name.lower(), value) for name, value in headers.items()]


class Nowhere(asyncio.Transport):
    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@settings(max_examples=1500, deadline=None)
@given(data=spoiled())
@example(data=PLAIN.replace(b"\r\nHost", b"\r\nTransfer-Encoding : chunked\r\nHost"))
@example(data=PLAIN.replace(b"Content-Length: 7", b"Content-Length: 7\r\ncontent-length: 3"))
@example(data=PLAIN.replace(b"X-Request-Id: abc", b"X-Request-Id: abc\rContent-Length: 0"))
async def test_what_is_plain_here_is_the_same_to_llhttp(data: bytes) -> None:
    end = data.find(END)
    head = read(data[:end]) if end >= 0 else None
    if head is None:
        return
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop, None)
    protocol.connection_made(Nowhere())
    parser = HttpRequestParser(
        protocol, loop, 2**16, max_line_size=LINE_BYTES, max_field_size=LINE_BYTES, max_headers=HEADERS
    )
    whole = data[: end + 4] + b"b" * (head.length or 0)
    follower = b"GET /after HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        got, upgraded, _ = parser.feed_data(whole + follower)
    except Exception as error:
        if head.method not in ("POST", "GET"):  # a method that llhttp does not know ends the connection there
            return
        raise AssertionError(data) from error
    assert not upgraded and len(got) == 2, data
    first, body = got[0]
    assert (first.method, first.path) == (head.method, head.target)
    assert plainly(first.headers) == plainly(head.headers)
    assert (await body.read()) == b"b" * (head.length or 0)
    assert got[1][0].path == "/after"


@settings(max_examples=300, deadline=None)
@given(data=spoiled())
async def test_cutting_leaves_the_rest_as_it_is(data: bytes) -> None:
    end = data.find(END)
    part = cut(data, end) if end >= 0 else None
    if part is None:
        return
    before, after = read(data[:end]), read(part.rest[: part.rest.find(END)])
    assert part.rest[part.rest.find(END) :] == data[end:], "the body is never looked at"
    if before is None or after is None:
        assert before is None, "cutting spoils nothing"
        return
    cut_out = {"traceparent": part.traceparent, "x-request-id": part.request_id}
    for name, value in cut_out.items():
        if value is not None:
            assert before.headers[name] == value
    assert dict(after.headers) == {
        name: value for name, value in before.headers.items() if cut_out.get(name.lower()) is None
    }


# --- what is remembered -----------------------------------------------------------------------------------------


@given(keys=st.lists(st.binary(max_size=4), max_size=60))
async def test_a_memo_remembers_what_was_kept_or_nothing(keys: list[bytes]) -> None:
    memo: Memo[bytes] = Memo()
    for key in keys:
        assert memo.get(key) in (None, key)
        memo.keep(key, key)
        assert memo.get(key) == key


async def test_a_memo_is_bounded_and_keeps_what_is_used() -> None:
    memo: Memo[int] = Memo()
    memo.keep(b"often", 1)
    for number in range(4 * ENTRIES):
        memo.keep(b"%d" % number, number)
        assert memo.get(b"often") == 1
    assert len(memo) == ENTRIES and memo.get(b"%d" % (4 * ENTRIES - 1)) and memo.get(b"0") is None
    large: Memo[int] = Memo()
    for number in range(3 * BYTES // LONGEST):
        large.keep(b"%d" % number + b"x" * (LONGEST - 10), number)
    assert 0 < len(large) <= BYTES // (LONGEST - 10)
    large.keep(b"x" * (LONGEST + 1), 1)
    assert large.get(b"x" * (LONGEST + 1)) is None

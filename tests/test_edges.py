"""What comes over a raw socket: whatever two readers could read in two ways is refused and the connection closed,
whatever is too long or too slow too; every refusal is a problem."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.server import bodies, edges
from gateway.server.mistakes import DEPTH, check_depth
from tests.doors import Doors, doors

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = b'{"placement":"home"}'
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
MOST = 4096
SECRET = "planted-4f81"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    more = {
        "server": {"max_body": "4KiB"},
        "auth": {"api_keys": {"all": {"key": SECRET, "scopes": ["recommend"]}}},
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(edges, "LINGER", 0.1)
        async with doors(tmp_path_factory.mktemp("edges"), more) as gateway:
            yield gateway


class Said:
    """What came back over a socket."""

    def __init__(self, raw: bytes, closed: bool) -> None:
        self.raw = raw
        self.closed = closed
        self.statuses = [int(status) for status in re.findall(rb"HTTP/[\d.]+ (\d{3}) ", raw)]
        self.head, _, self.body = raw.partition(b"\r\n\r\n")

    def refused(self, status: int = 400) -> None:
        """One problem, and the end."""
        assert self.statuses == [status], self.raw
        assert b"application/problem+json" in self.head and b"nosniff" in self.head
        assert json.loads(self.body)["status"] == status
        assert b"aiohttp" not in self.head
        assert self.closed


async def send(gateway: Doors, *parts: bytes, pause: float = 0.0, within: float = 20.0, until: int = 1) -> Said:
    """Send these, and read until the other side closes or has answered `until` times."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    raw = b""

    async def write() -> None:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)

    writing = asyncio.create_task(write())
    try:
        async with asyncio.timeout(within):
            while True:
                got = await reader.read(1 << 16)
                if not got:
                    return Said(raw, True)
                raw += got
                if pause and b" 200 OK" not in raw:
                    writing.cancel()  # an answer that comes early ends it: to write on would reset the connection
                if raw.count(b"HTTP/1.1 200 OK") >= until and raw.endswith(b"}"):
                    return Said(raw, False)
    except ConnectionResetError:
        return Said(raw, True)
    except TimeoutError:
        return Said(raw, False)
    finally:
        writing.cancel()
        writer.close()


def request(
    headers: bytes = b"Content-Length: 20\r\n",
    body: bytes = BODY,
    line: bytes = b"POST /v1/recommendations HTTP/1.1",
    host: bytes = b"Host: gateway.example\r\n",
) -> bytes:
    return line + b"\r\n" + host + b"X-Api-Key: " + SECRET.encode() + b"\r\n" + headers + b"\r\n" + body


def coded(value: bytes, body: bytes = CHUNKED) -> bytes:
    return request(b"Transfer-Encoding: " + value + b"\r\n", body)


GOOD = {
    "length": request(),
    "chunked": coded(b"chunked"),
    "in capitals": coded(b"CHUNKED"),
    "an extension": coded(b"chunked", b"14;a=b\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a trailer": coded(b"chunked", CHUNKED[:-2] + b"X-Sum: 1\r\n\r\n"),
    "absolute form": request(line=b"POST http://gateway.example/v1/recommendations HTTP/1.1"),
    "many headers": request(b"".join(b"X-%d: a\r\n" % n for n in range(90)) + b"Content-Length: 20\r\n"),
    "expected": request(b"Expect: 100-continue\r\nContent-Length: 20\r\n"),
}


@pytest.mark.parametrize("name", GOOD)
async def test_what_is_good(gateway: Doors, name: str) -> None:
    said = await send(gateway, GOOD[name])
    assert said.statuses == ([100, 200] if name == "expected" else [200]), said.raw


AMBIGUOUS = {
    "both lengths": request(b"Content-Length: 20\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
    "both, the other way": request(b"Transfer-Encoding: chunked\r\nContent-Length: 20\r\n", CHUNKED),
    "two lengths": request(b"Content-Length: 20\r\nContent-Length: 21\r\n"),
    "two equal lengths": request(b"Content-Length: 20\r\nContent-Length: 20\r\n"),
    "a list of lengths": request(b"Content-Length: 20, 20\r\n"),
    "a length with a sign": request(b"Content-Length: +20\r\n"),
    "a negative length": request(b"Content-Length: -20\r\n"),
    "a length in hex": request(b"Content-Length: 0x14\r\n"),
    "a length with _": request(b"Content-Length: 2_0\r\n"),
    "a length beyond 64 bits": request(b"Content-Length: 99999999999999999999999\r\n"),
    "space before the colon": request(b"Content-Length : 20\r\n"),
    "identity": coded(b"identity"),
    "gzip, chunked": coded(b"gzip, chunked"),
    "chunked, gzip": coded(b"chunked, gzip"),
    "chunked, chunked": coded(b"chunked, chunked"),
    "chunked, then identity": request(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKED),
    "chunked twice": request(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
    "xchunked": coded(b"xchunked"),
    "vertical tab": coded(b"\x0bchunked"),
    "chunked in HTTP/1.0": coded(b"chunked").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no chunk": coded(b"chunked", b"zz\r\n"),
    "a chunk in 0x": coded(b"chunked", b"0x14\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a negative chunk": coded(b"chunked", b"-14\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk and a space": coded(b"chunked", b"14 \r\n" + BODY + b"\r\n0\r\n\r\n"),
    "bare LF in chunks": coded(b"chunked", b"14\n" + BODY + b"\n0\n\n"),
    "bare LF in an extension": coded(b"chunked", b"14;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk that is longer": coded(b"chunked", b"13\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk beyond 64 bits": coded(b"chunked", b"fffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a trailer without a colon": coded(b"chunked", CHUNKED[:-2] + b"Content-Length\r\n\r\n"),
    "obs-fold": request(b"X-A: b\r\n c\r\nContent-Length: 20\r\n"),
    "a folded length": request(b"Content-Length:\r\n 20\r\n"),
    "space before the first header": request().replace(b"\r\nHost", b"\r\n Host", 1),
    "bare LF": request().replace(b"\r\n", b"\n"),
    "bare CR": request(b"X: a\rb\r\nContent-Length: 20\r\n"),
    "NUL": request(b"X: a\0b\r\nContent-Length: 20\r\n"),
    "a control character": request(b"X: a\x01b\r\nContent-Length: 20\r\n"),
    "no colon": request(b"XYZ\r\nContent-Length: 20\r\n"),
    "no name": request(b": x\r\nContent-Length: 20\r\n"),
    "a space in the name": request(b"X Y: x\r\nContent-Length: 20\r\n"),
    "two hosts": request(b"Host: other.example\r\nContent-Length: 20\r\n"),
    "no host": request(host=b""),
    "two keys": request(b"X-Api-Key: other\r\nContent-Length: 20\r\n"),
    "two authorizations": request(b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 20\r\n"),
    "two origins": request(b"Origin: https://a.example\r\nOrigin: https://b.example\r\nContent-Length: 20\r\n"),
    "another host in the line": request(line=b"POST http://other.example/v1/recommendations HTTP/1.1"),
    "user and host in the line": request(line=b"POST http://gateway.example@other.example/v1/search HTTP/1.1"),
    "a broken host in the line": request(line=b"POST http://[::1/v1/recommendations HTTP/1.1"),
    "another port in the line": request(line=b"POST http://gateway.example:81/v1/recommendations HTTP/1.1"),
    "CONNECT": request(line=b"CONNECT other.example:443 HTTP/1.1", headers=b"", body=b""),
    "HTTP/0.9": b"GET /docs\r\n\r\n",
    "HTTP/1.2": request(line=b"POST /v1/recommendations HTTP/1.2"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 20,
    "no HTTP": b"hello\r\n\r\n",
    "a method in small letters": request(line=b"post /v1/recommendations HTTP/1.1"),
    "a space in the path": request(line=b"POST /v1/recommendations a HTTP/1.1"),
    "tabs in the line": request(line=b"POST\t/v1/recommendations\tHTTP/1.1"),
    "no gzip": request(b"Content-Encoding: gzip\r\nContent-Length: 20\r\n"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_what_can_be_read_in_two_ways(gateway: Doors, name: str) -> None:
    """Nothing that follows on the same connection is taken for a request."""
    said = await send(gateway, AMBIGUOUS[name] + request(), until=2)
    said.refused()
    assert SECRET.encode() not in said.raw


async def test_requests_one_behind_the_other(gateway: Doors) -> None:
    said = await send(gateway, request() * 3, until=3)
    assert said.statuses == [200, 200, 200]


# --- too long ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        b"".join(b"X-%d: a\r\n" % n for n in range(edges.HEADERS + 1)),
        b"X: " + b"a" * (edges.LINE_BYTES + 10) + b"\r\n",
        b"".join(b"X-%d: %s\r\n" % (n, b"a" * 8000) for n in range(5)),
    ],
    ids=["headers", "a line", "all together"],
)
async def test_a_long_head(gateway: Doors, headers: bytes) -> None:
    (await send(gateway, request(headers + b"Content-Length: 20\r\n"))).refused()
    slices = [request(headers)[n : n + 3000] for n in range(0, len(headers) + 300, 3000)]
    (await send(gateway, *slices, pause=0.001)).refused()


async def test_a_long_path(gateway: Doors) -> None:
    line = b"GET /v1/recommendations?user=" + b"a" * edges.LINE_BYTES + b" HTTP/1.1"
    (await send(gateway, request(b"", b"", line=line))).refused()


async def test_a_head_that_never_ends(gateway: Doors) -> None:
    said = await send(
        gateway, b"GET / HTTP/1.1\r\n", *(b"X-%d: %s\r\n" % (n, b"a" * 900) for n in range(60)), pause=0.001
    )
    said.refused()
    assert len(said.raw) < 2000


@pytest.mark.parametrize("length", [b"5000", b"2000000000"])
async def test_a_long_body_is_refused_before_it_comes(gateway: Doors, length: bytes) -> None:
    (await send(gateway, request(b"Content-Length: " + length + b"\r\n", b""))).refused(413)
    expecting = request(b"Expect: 100-continue\r\nContent-Length: " + length + b"\r\n", b"")
    (await send(gateway, expecting)).refused(413)


async def test_a_long_body_in_chunks_is_refused_while_it_comes(gateway: Doors) -> None:
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    (await send(gateway, coded(b"chunked", b""), *[chunk] * 5, pause=0.005)).refused(413)
    (await send(gateway, coded(b"chunked", chunk * 6 + b"0\r\n\r\n"))).refused(413)


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_body_that_swells(gateway: Doors, coding: str, pack: object) -> None:
    assert callable(pack)
    bomb = pack(b" " * 3_000_000)
    assert len(bomb) < MOST
    headers = f"Content-Encoding: {coding}\r\nContent-Length: {len(bomb)}\r\n".encode()
    (await send(gateway, request(headers, bomb))).refused(413)
    small = pack(BODY)
    headers = f"Content-Encoding: {coding}\r\nContent-Length: {len(small)}\r\n".encode()
    assert (await send(gateway, request(headers, small))).statuses == [200]


async def test_the_bound_of_bodies_follows_the_configuration(tmp_path: Path) -> None:
    async with doors(tmp_path, {"server": {"max_body": "1KiB"}}) as gateway:
        long = ["x" * 200] * 10
        assert (await gateway.ask(exclude_items=long)).status == 413
        await gateway.reload({"server": {"max_body": "8KiB"}})
        assert (await gateway.ask(exclude_items=long)).status == 200


# --- too slow ----------------------------------------------------------------------------------------------


async def test_a_slow_head(gateway: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "HEAD_TIME", 0.2)
    letters = [bytes([letter]) for letter in request()[:60]]
    said = await send(gateway, *letters, pause=0.01)
    said.refused()
    assert "did not arrive" in said.body.decode()


async def test_a_slow_second_head(gateway: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "HEAD_TIME", 0.2)
    said = await send(gateway, request(), request()[:40], pause=0.1, until=2)
    assert said.statuses == [200, 400] and said.closed


async def test_a_slow_body(gateway: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "TIME", 0.2)
    said = await send(gateway, request(body=b""), *[b" "] * 15, pause=0.02)
    said.refused()
    assert "did not arrive" in said.body.decode()


async def test_a_slow_sender_is_not_cut_off_while_it_is_fast_enough(
    gateway: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edges, "HEAD_TIME", 0.5)
    whole = request()
    said = await send(gateway, whole[:50], whole[50:110], whole[110:-5], whole[-5:], pause=0.1)
    assert said.statuses == [200]
    await asyncio.sleep(0.6)


async def test_a_connection_that_says_nothing(gateway: Doors) -> None:
    """What waits for its first request, or for another one, is left alone: proxies keep such."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    await asyncio.sleep(0.3)
    writer.write(request())
    assert b"200 OK" in await reader.readuntil(b"\r\n")
    writer.close()


async def test_a_caller_that_hangs_up_in_its_body_leaves_nothing_behind(gateway: Doors) -> None:
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request(b"Content-Length: 500\r\n"))
        await writer.drain()
        writer.close()
    assert (await send(gateway, request())).statuses == [200]


# --- what is said of it ------------------------------------------------------------------------------------


async def test_refused_bytes_stand_in_no_log(
    gateway: Doors, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    for raw in (
        b"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + SECRET.encode() + b"\x01\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nAuthorization " + SECRET.encode() + b"\r\n\r\n",
        SECRET.encode() + b"\r\n\r\n",
        request(b"Content-Encoding: gzip\r\nContent-Length: 20\r\n"),
    ):
        said = await send(gateway, raw)
        assert SECRET.encode() not in said.raw
    written = capfd.readouterr()
    assert SECRET not in written.out + written.err + caplog.text
    assert "Traceback" not in written.out + written.err + caplog.text


NOISE = st.lists(
    st.sampled_from([
        b"GET /docs HTTP/1.1\r\n", b"POST /v1/search HTTP/1.1\r\n", b"Host: a\r\n", b"Content-Length: 5\r\n",
        b"\r\n",
        b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"\0", b"\n", b"hello", b"\xff\xfe",
        b"Expect: 100-continue\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"Content-Encoding: gzip\r\n",
    ]),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NOISE)
async def test_noise_is_no_fault_of_ours(gateway: Doors, parts: list[bytes]) -> None:
    said = await send(gateway, b"".join(parts), within=0.05)
    assert not [status for status in said.statuses if status >= 500], said.raw


# --- depth -------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}"\\a,:', max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='[]{}"\\a', max_size=5), inner, max_size=4)
    ),
    max_leaves=60,
)  # fmt: skip


def depth_of(value: object) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (1 if isinstance(value, dict | list) else 0) + max(map(depth_of, inside), default=0)


@given(VALUES, st.integers(0, DEPTH + 5), st.sampled_from(["[]", "{}"]))
async def test_depth_is_counted_outside_of_strings(value: object, more: int, kind: str) -> None:
    for _ in range(more):
        value = [value] if kind == "[]" else {"a": value}
    body, depth = json.dumps(value).encode(), depth_of(value)
    try:
        check_depth(body)
    except InvalidRequest as refused:
        assert depth > DEPTH and refused.http_status == 400
    else:
        assert depth <= 2 * DEPTH


@pytest.mark.parametrize(
    "deep", ["[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200, "[" * 100_000, '[{"a":' * 300]
)
async def test_deep_bodies(tmp_path: Path, deep: str) -> None:
    async with doors(tmp_path, {}) as gateway:
        for path in ("/v1/recommendations", "/v1/recommendations/batch", "/v1/search", "/v1/events"):
            reply = await gateway.request("POST", path, data=deep, headers={"Content-Type": "application/json"})
            reply.problem("invalid-request", 400)
        filter_ = '{"not":' * 200 + "{}" + "}" * 200
        reply = await gateway.request("GET", "/v1/recommendations", params={"filter": filter_})
        reply.problem("invalid-request", 422)

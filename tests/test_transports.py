"""Two transports before the same hostile vendors: what the lean one makes of bytes is what aiohttp's client does.

Where they differ on purpose, DIFFERENT says how and why, and the test holds that they do.
"""

from __future__ import annotations

import gzip
import zlib
from typing import Any, Final

import pytest

from gateway.errors import Misconfigured, ProviderError
from gateway.transport import AiohttpTransport, LeanTransport, Outgoing, Transport
from tests.hostile import Says, Then, always, vendor

OK: Final = b"HTTP/1.1 200 OK\r\n"
HI: Final = OK + b"Content-Length: 2\r\n\r\nhi"
BODY: Final = b'{"documents": [' + b'{"id": "a"},' * 200 + b"{}]}"
RAW: Final = zlib.compressobj(wbits=-15)
RAW_DEFLATED: Final = RAW.compress(BODY) + RAW.flush()
GZIPPED: Final = gzip.compress(BODY)
MOST: Final = 10_000


def packed(coding: bytes, body: bytes) -> bytes:
    return OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (coding, len(body), body)


def chunked(*chunks: bytes, more: bytes = b"") -> bytes:
    return OK + more + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def status(line: bytes, fields: bytes = b"", body: bytes = b"") -> bytes:
    return b"HTTP/1.1 " + line + b"\r\n" + fields + b"\r\n" + body


ANSWERS: Final[dict[str, tuple[bytes, Then]]] = {
    "plain": (HI, "stay"),
    "empty": (status(b"200 OK", b"Content-Length: 0\r\n"), "stay"),
    "long": (OK + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY), "stay"),
    "an error with a body": (status(b"503 Busy", b"Retry-After: 7\r\nContent-Length: 2\r\n", b"no"), "stay"),
    "a redirect": (status(b"302 Found", b"Location: http://127.0.0.1:1/\r\nContent-Length: 0\r\n"), "stay"),
    "no reason": (status(b"200", b"Content-Length: 2\r\n", b"hi"), "stay"),
    "an odd status": (status(b"799 What", b"Content-Length: 2\r\n", b"hi"), "stay"),
    "names in any case": (OK + b"content-LENGTH: 2\r\nX-a: 1\r\nx-A: 2\r\nX-B:\r\nX-C:  c \t\r\n\r\nhi", "stay"),
    "bytes above ASCII": (OK + b"X: \xc3\xa4\xff\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "128 headers": (OK + b"".join(b"X-%d: y\r\n" % n for n in range(127)) + b"Content-Length: 0\r\n\r\n", "stay"),
    "129 headers": (OK + b"".join(b"X-%d: y\r\n" % n for n in range(128)) + b"Content-Length: 0\r\n\r\n", "stay"),
    "a long header": (OK + b"X: " + b"y" * 8189 + b"\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "a header too long": (OK + b"X: " + b"y" * 8190 + b"\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "a reason without end": (b"HTTP/1.1 200 " + b"y" * 200_000, "stay"),
    "a header without end": (OK + b"X: " + b"y" * 200_000, "stay"),
    "lines without CR": (HI.replace(b"\r\n", b"\n"), "stay"),
    # whose end is the connection's
    "until it closes": (OK + b"\r\nhello", "close"),
    "until it closes, nothing": (OK + b"\r\n", "close"),
    "until it closes, compressed": (OK + b"Content-Encoding: gzip\r\n\r\n" + GZIPPED, "close"),
    "connection: close": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", "close"),
    "1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "close"),
    "1.0, until it closes": (b"HTTP/1.0 200 OK\r\n\r\nhello", "close"),
    "1.0, kept": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    # early ends
    "nothing, closed": (b"", "close"),
    "nothing, reset": (b"", "reset"),
    "nothing at all": (b"", "stay"),
    "half a status line, closed": (b"HTTP/1.", "close"),
    "half a head, closed": (OK + b"Content-Le", "close"),
    "half a head": (OK + b"Content-Le", "stay"),
    "half a body, closed": (OK + b"Content-Length: 10\r\n\r\nhello", "close"),
    "half a body, reset": (OK + b"Content-Length: 10\r\n\r\nhello", "reset"),
    "half a body": (OK + b"Content-Length: 10\r\n\r\nhello", "stay"),
    "half a chunk, closed": (chunked(b"5\r\nhel"), "close"),
    "no last chunk, closed": (chunked(b"5\r\nhello\r\n"), "close"),
    "no last chunk": (chunked(b"5\r\nhello\r\n"), "stay"),
    "a last chunk without end, closed": (chunked(b"5\r\nhello\r\n0\r\n"), "close"),
    # interim answers
    "100": (status(b"100 Continue") + HI, "stay"),
    "103 with headers": (status(b"103 Early Hints", b"Link: </a>\r\nX: 1\r\n") + HI, "stay"),
    "several": (status(b"102 Processing") * 5 + HI, "stay"),
    "100, then nothing": (status(b"100 Continue"), "close"),
    # framing
    "chunked": (chunked(b"5\r\nhello\r\n", b"0\r\n\r\n"), "stay"),
    "many chunks": (chunked(*(b"1\r\n%c\r\n" % c for c in BODY[:300]), b"0\r\n\r\n"), "stay"),
    "extensions": (chunked(b'5;a=b;c="d e"\r\nhello\r\n', b"0;last\r\n\r\n"), "stay"),
    "spaces after the size": (chunked(b"5  \r\nhello\r\n", b"0\r\n\r\n"), "stay"),
    "trailers": (chunked(b"5\r\nhello\r\n", b"0\r\nX-Sum: 1\r\nX-More:\r\n\r\n"), "stay"),
    "a length as trailer": (chunked(b"5\r\nhello\r\n", b"0\r\nContent-Length: 9\r\n\r\n"), "stay"),
    "chunked and closed": (chunked(b"5\r\nhello\r\n0\r\n\r\n", more=b"Connection: close\r\n"), "close"),
    "a size that is none": (chunked(b"x\r\nhello\r\n"), "stay"),
    "a size beyond all": (chunked(b"fffffffffffffffff\r\nhello\r\n"), "stay"),
    "a chunk longer than said": (chunked(b"3\r\nhello\r\n0\r\n\r\n"), "stay"),
    "both lengths": (chunked(b"5\r\nhello\r\n0\r\n\r\n", more=b"Content-Length: 5\r\n"), "stay"),
    "both lengths, the other way": (
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "stay"
    ),
    "two lengths": (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", "stay"),
    "two lengths alike": (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "a length below zero": (OK + b"Content-Length: -2\r\n\r\nhi", "stay"),
    "a length with a sign": (OK + b"Content-Length: +2\r\n\r\nhi", "stay"),
    "a length in hex": (OK + b"Content-Length: 0x2\r\n\r\nhi", "stay"),
    "a length beyond all": (OK + b"Content-Length: 99999999999999999999\r\n\r\nhi", "stay"),
    "chunked twice": (
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "stay"
    ),
    # without a body
    "204": (status(b"204 No Content"), "stay"),
    "204 with a length": (status(b"204 No Content", b"Content-Length: 0\r\n"), "stay"),
    "304": (status(b"304 Not Modified", b'ETag: "a"\r\n'), "stay"),
    "304 with a length": (status(b"304 Not Modified", b"Content-Length: 100\r\n"), "stay"),
    # compressed
    "gzip": (packed(b"gzip", GZIPPED), "stay"),
    "gzip, shouted": (packed(b"GZip", GZIPPED), "stay"),
    "gzip, chunked": (
        chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(GZIPPED), GZIPPED), more=b"Content-Encoding: gzip\r\n"), "stay"
    ),
    "gzip, two members": (packed(b"gzip", gzip.compress(b"hello ") + gzip.compress(b"world")), "stay"),
    "gzip of nothing": (packed(b"gzip", gzip.compress(b"")), "stay"),
    "gzip, and nothing came": (packed(b"gzip", b""), "stay"),
    "gzip that is none": (packed(b"gzip", BODY), "stay"),
    "gzip, its sum wrong": (packed(b"gzip", GZIPPED[:-8] + b"12345678"), "stay"),
    "gzip, and garbage": (packed(b"gzip", GZIPPED + b"garbage"), "stay"),
    "deflate": (packed(b"deflate", zlib.compress(BODY)), "stay"),
    "deflate, raw": (packed(b"deflate", RAW_DEFLATED), "stay"),
    "deflate, half": (packed(b"deflate", zlib.compress(BODY)[:40]), "stay"),
    "identity": (packed(b"identity", b"hi"), "stay"),
    "brotli": (packed(b"br", b"hi"), "stay"),
    # bounds
    "as long as it may be": (OK + b"Content-Length: %d\r\n\r\n%b" % (MOST, b"x" * MOST), "stay"),
    "longer": (OK + b"Content-Length: %d\r\n\r\n%b" % (MOST + 1, b"x" * (MOST + 1)), "stay"),
    "longer, chunked": (chunked(b"1000\r\n%b\r\n" % (b"x" * 0x1000) * 4, b"0\r\n\r\n"), "stay"),
    "a bomb": (packed(b"gzip", gzip.compress(b" " * 50_000_000)), "stay"),
    "a bomb, deflated": (packed(b"deflate", zlib.compress(b" " * 50_000_000)), "stay"),
    # no HTTP
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00" * 20, "stay"),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", "stay"),
    "HTTP/2": (b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "ICY": (b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "HTTP/9.9": (b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "a status of two figures": (b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "a header without a colon": (OK + b"what\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "a space before the colon": (OK + b"X : y\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "NUL in a header": (OK + b"X: a\0b\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    # said here, held to below
    "a folded header": (OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "a control character": (OK + b"X: a\x01b\r\nContent-Length: 2\r\n\r\nhi", "stay"),
    "gzip, half": (packed(b"gzip", GZIPPED[:40]), "stay"),
    "a coding not asked for": (packed(b"compress", b"hi"), "stay"),
    "x-gzip": (packed(b"x-gzip", GZIPPED), "stay"),
    "until it resets": (OK + b"\r\nhello", "reset"),
    "100 with a body": (status(b"100 Continue", b"Content-Length: 2\r\n", b"hi") + HI, "stay"),
    "endless interim answers": (status(b"102 Processing") * 50 + HI, "stay"),
    "204 with a body": (status(b"204 No Content", b"Content-Length: 2\r\n", b"hi"), "stay"),
    "101": (status(b"101 Switching", b"Upgrade: x\r\nConnection: upgrade\r\n"), "stay"),
    "gzip within the transfer": (OK + b"Transfer-Encoding: gzip\r\n\r\n" + GZIPPED, "close"),
    "a long head": (OK + b"".join(b"X-%d: %b\r\n" % (n, b"y" * 8000) for n in range(20)) + b"\r\n", "stay"),
    "endless trailers": (chunked(b"2\r\nhi\r\n0\r\n", *(b"X-%d: y\r\n" % n for n in range(20_000))), "stay"),
    "an endless extension": (chunked(b"2;" + b"x" * 200_000), "stay"),
}  # fmt: skip

MALFORMED: Final = ("Malformed", None)
DIFFERENT: Final[dict[str, tuple[Any, str]]] = {
    "a folded header": (MALFORMED, "llhttp's strict reading of headers; nobody has sent these since RFC 7230"),
    "a control character": (MALFORMED, "forbidden by RFC 9110 §5.5"),
    "gzip, half": (MALFORMED, "aiohttp's client passes on what there is"),
    "a coding not asked for": (MALFORMED, "aiohttp's client passes the packed bytes on"),
    "x-gzip": ((200, {"content-encoding": "x-gzip", "content-length": "67"}, BODY), "RFC 9110 §8.4.1.3"),
    "until it resets": (MALFORMED, "an end that is no end: there may have been more"),
    "endless interim answers": (MALFORMED, "bounded"),
    "204 with a body": ((204, {"content-length": "2"}, b""), "its body is passed over, the connection closed"),
    "gzip within the transfer": (MALFORMED, "aiohttp's client passes the packed bytes on"),
    "a long head": (MALFORMED, "64 KiB in all; aiohttp's client has no bound but that of each header"),
    "an endless extension": (MALFORMED, "bounded; aiohttp's client reads until the time is over"),
}
"""What the lean one makes of it, and why it is not the same."""
HEADS: Final = {
    "a length": OK + b"Content-Length: 200\r\n\r\n",
    "no length": OK + b"\r\n",
    "chunked": chunked(),
    "compressed": OK + b"Content-Encoding: gzip\r\nContent-Length: 67\r\n\r\n",
    "after another": status(b"103 Early Hints", b"Link: </a>\r\n") + OK + b"Content-Length: 200\r\n\r\n",
    "an error": status(b"404 Not Found", b"Content-Length: 9\r\n"),
    "204": status(b"204 No Content"),
    "longer than may be": OK + b"Content-Length: 100000\r\n\r\n",
}
"""Answers to HEAD (RFC 9112 §6.3, 1)."""


def lean() -> Transport:
    return LeanTransport(connect_timeout=20, max_answer=MOST, max_connections=4)


def with_aiohttp() -> Transport:
    return AiohttpTransport(connect_timeout=20, max_answer=MOST, max_connections=4)


UNENDED: Final = {"nothing at all", "half a head", "half a body", "no last chunk"}
"""Of these there is never more: whoever waits, waits in vain …"""
UNENDED_FOR_AIOHTTP: Final = UNENDED | {"a long head", "an endless extension"}
"""… aiohttp's client for these too."""


def seconds(name: str, in_vain: set[str] | None = None) -> float:
    """How long one is waited for: long on a busy machine, where there is something to come."""
    return 0.3 if name in (UNENDED if in_vain is None else in_vain) else 20.0


async def outcome(transport: Transport, says: Says, method: str, within: float = 20.0) -> Any:
    """The answer, or the sort of error and its status."""
    body = None if method in ("GET", "HEAD") else b"{}"
    async with vendor(lambda _number: says) as there:
        asked = Outgoing(method, f"{there.url}/a?b=c", (("x", "y"),), body, repeatable=False)
        try:
            answer = await transport.exchange(asked, within)
            return answer.status, dict(answer.headers), answer.body
        except ProviderError as error:
            return type(error).__name__, error.status
        finally:
            await transport.close()


def cut(answer: bytes, length: int) -> tuple[bytes, ...]:
    return tuple(answer[at : at + length] for at in range(0, len(answer), length))


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("name", ANSWERS)
async def test_both_make_the_same_of_it(name: str, method: str) -> None:
    answer, then = ANSWERS[name]
    says = Says((answer,), then)
    ours = await outcome(lean(), says, method, seconds(name))
    theirs = await outcome(with_aiohttp(), says, method, seconds(name, UNENDED_FOR_AIOHTTP))
    if name in DIFFERENT:
        assert ours == DIFFERENT[name][0]
        assert ours != theirs, "no difference any more: out of the list"
    else:
        assert ours == theirs


@pytest.mark.parametrize("name", HEADS)
async def test_head_has_no_body(name: str) -> None:
    says = Says((HEADS[name],))
    ours, theirs = await outcome(lean(), says, "HEAD"), await outcome(with_aiohttp(), says, "HEAD")
    assert ours == theirs
    assert ours[2] == b""


@pytest.mark.parametrize("name", ANSWERS)
async def test_it_does_not_matter_in_which_pieces_it_comes(name: str) -> None:
    answer, then = ANSWERS[name]
    pieces = cut(answer, max(1, len(answer) // 300))
    in_pieces = await outcome(lean(), Says(pieces, then), "POST", seconds(name))
    assert in_pieces == await outcome(lean(), Says((answer,), then), "POST", seconds(name))


async def test_both_send_the_same() -> None:
    """Apart from the order of headers, which means nothing (RFC 9110 §5.3)."""
    requests = [
        ("GET", (), None), ("GET", (("accept", "a/b"),), None), ("DELETE", (), None), ("POST", (), None),
        ("POST", (), b""), ("PUT", (("content-type", "a/b"), ("Authorization", "ä ü")), b"{}"), ("HEAD", (), None),
        ("POST", (("user-agent", "me"), ("Accept-Encoding", "identity"), ("x", ""), ("x", "2")), b"x" * 100_000),
        ("PATCH", (("host", "elsewhere"),), b"1"), ("GET", (), b"{}"), ("OPTIONS", (), None),
    ]  # fmt: skip
    for method, headers, body in requests:
        sent = []
        for transport in (lean(), with_aiohttp()):
            async with vendor(always(status(b"204 No Content"))) as there:
                url = f"{there.url}/a%2Fb;c/?d=%20e&f=+"
                await transport.exchange(Outgoing(method, url, headers, body), 20)
                await transport.close()
                head, _, rest = there.asked[0].replace(str(there.port).encode(), b"PORT").partition(b"\r\n\r\n")
                line, *fields = head.split(b"\r\n")
                split = [field.split(b":", 1) for field in fields]
                sent.append((line, sorted((name.lower(), value.strip()) for name, value in split), rest))
        assert sent[0] == sent[1]


@pytest.mark.parametrize("transport", [lean, with_aiohttp])
@pytest.mark.parametrize("evil", ["a\r\nx-admin: 1", "a\nx-admin: 1", "a\rb", "a\0b"])
async def test_a_line_break_never_becomes_a_header(transport: Any, evil: str) -> None:
    out = transport()
    async with vendor(always(HI)) as there:
        for asked in (
            Outgoing("GET", there.url + "/", (("authorization", evil),), None),
            Outgoing("GET", there.url + "/", ((evil, "x"),), None),
            Outgoing(f"GET{evil}", there.url + "/", (), None),
        ):
            with pytest.raises(Misconfigured) as caught:
                await out.exchange(asked, 1)
            assert "admin" not in str(caught.value)
        assert there.asked == []
    await out.close()

"""Answers out of bytes, without sockets: every cut, generated answers, and bytes that are no answer."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.errors import Malformed
from gateway.transport.reading import MOST_FRUITLESS, Reading
from tests.test_transports import ANSWERS, MOST

SHORT = {name: case for name, case in ANSWERS.items() if len(case[0]) < 3000}


def read(pieces: Iterable[bytes], *, closes: bool, reading: Reading | None = None) -> Any:
    """What comes of it, or None; and may the connection be used again?"""
    reading = reading or Reading(MOST)
    reading.begin(without_body=False)
    try:
        for piece in pieces:
            if (answer := reading.feed(piece)) is not None:
                return answer.status, dict(answer.headers), answer.body, reading.reusable
        if closes and (answer := reading.end(in_order=True)) is not None:
            return answer.status, dict(answer.headers), answer.body, False
    except Malformed as error:
        return "malformed", error.status
    return None


@pytest.mark.parametrize("name", SHORT)
def test_every_cut(name: str) -> None:
    """In two pieces, cut at every byte (of the longest, at every few).

    Only what is left over after an answer may come too late to be seen.
    """
    answer, then = SHORT[name]
    whole = read([answer], closes=then == "close")
    for at in range(1, len(answer), 1 + len(answer) // 600):
        got = read([answer[:at], answer[at:]], closes=then == "close")
        if name == "204 with a body":
            assert got[:3] == whole[:3]
        else:
            assert got == whole, f"cut at {at}"


CODINGS = {
    "": bytes, "gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes, "x-gzip": gzip.compress,
    "GZIP": lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:]),
}  # fmt: skip
VALUES = some.text(some.characters(min_codepoint=33, max_codepoint=126), max_size=20)
HEADERS = some.dictionaries(some.from_regex(r"\AX-[A-Za-z0-9-]{1,12}\Z"), VALUES, max_size=5)


@some.composite
def answers(draw: some.DrawFn) -> tuple[bytes, Any, bool]:
    """An answer's bytes, what is to come of it, and whether its end is the connection's."""
    body = draw(some.binary(max_size=200))
    status = draw(some.sampled_from([200, 201, 404, 429, 503, 599]))
    headers = draw(HEADERS)
    coding = draw(some.sampled_from(sorted(CODINGS)))
    if coding:
        headers["Content-Encoding"] = coding
    sent = CODINGS[coding](body)  # type: ignore[operator]  # each takes bytes
    framing = draw(some.sampled_from(["length", "chunked", "close"]))
    if framing == "length":
        headers["content-length"] = str(len(sent))
    elif framing == "chunked":
        headers["Transfer-Encoding"] = "chunked"
        sent = draw(chunks(sent))
    before = b"".join(
        b"HTTP/1.1 %d x\r\nX-Early: 1\r\n\r\n" % early
        for early in draw(some.lists(some.sampled_from([100, 102, 103]), max_size=3))
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    expected: dict[str, str] = {}
    for name, value in headers.items():
        expected[name.lower()] = value
    whole = before + f"HTTP/1.1 {status} some reason\r\n{lines}\r\n".encode() + sent
    return whole, (status, expected, body, framing != "close"), framing == "close"


@some.composite
def chunks(draw: some.DrawFn, sent: bytes) -> bytes:
    """The same, chunked, with extensions and trailers."""
    out = b""
    while sent:
        size = draw(some.integers(1, len(sent)))
        out += b"%x%b\r\n%b\r\n" % (size, draw(some.sampled_from([b"", b";a", b';a=b;c="d"'])), sent[:size])
        sent = sent[size:]
    return out + b"0\r\n" + draw(some.sampled_from([b"", b"X-Sum: 1\r\n", b"X-Sum: 1\r\nx-more:\r\n"])) + b"\r\n"


def cuts(whole: bytes, at: Iterable[int]) -> list[bytes]:
    places = sorted({place % (len(whole) + 1) for place in at})
    return [piece for a, b in zip([0, *places], [*places, len(whole)], strict=True) if (piece := whole[a:b])]


PLACES = some.lists(some.integers(0, 10_000), max_size=6)


@given(answers(), PLACES)
def test_what_was_said_is_what_is_read(said: tuple[bytes, Any, bool], at: list[int]) -> None:
    whole, expected, closes = said
    assert read(cuts(whole, at), closes=closes) == expected


@given(some.lists(answers().filter(lambda said: not said[2]), min_size=2, max_size=4), PLACES)
def test_one_answer_leaves_nothing_to_the_next(said: list[tuple[bytes, Any, bool]], at: list[int]) -> None:
    reading = Reading(MOST)
    for whole, expected, _ in said:
        assert read(cuts(whole, at), closes=False, reading=reading) == expected


@given(answers(), answers(), PLACES)
def test_a_second_answer_never_passes_for_the_first(
    one: tuple[bytes, Any, bool], two: tuple[bytes, Any, bool], at: list[int]
) -> None:
    whole, expected, closes = one
    if closes:
        return  # there is no second one
    got = read([whole + two[0]], closes=True)
    assert got == (*expected[:3], False)


@given(answers(), some.lists(some.tuples(some.integers(0, 10_000), some.binary(max_size=3)), max_size=4), PLACES)
def test_no_bytes_do_more_than_fail(
    said: tuple[bytes, Any, bool], changes: list[tuple[int, bytes]], at: list[int]
) -> None:
    """Anything else than an answer, Malformed or more waiting raises here."""
    whole = bytearray(said[0])
    for place, new in changes:
        begin = place % (len(whole) + 1)
        whole[begin : begin + len(new)] = new
    got = read(cuts(bytes(whole), at), closes=said[2])
    assert got is None or got[0] == "malformed" or len(got[2]) <= MOST


@given(some.binary(max_size=300), some.binary(max_size=300))
def test_nor_does_noise(noise: bytes, more: bytes) -> None:
    read([noise, more], closes=True)
    read([b"HTTP/1.1 200 OK\r\n", noise, more], closes=True)
    read([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", noise, more], closes=True)
    read([b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n", noise, more], closes=True)


@pytest.mark.parametrize(
    "begins", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;"]
)
def test_what_brings_no_body_is_bounded(begins: bytes) -> None:
    reading, came = Reading(MOST), 0
    reading.begin(without_body=False)
    with pytest.raises(Malformed):
        if begins:
            reading.feed(begins)
        while True:
            came += 1000
            assert came < 2 * MOST_FRUITLESS
            assert reading.feed(b"HTTP"[: came // 250] if not begins and came == 1000 else b"x" * 1000) is None


def test_a_bomb_stops_where_the_bound_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after having been unpacked: 64 MiB here."""
    layer = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join(layer.compress(bytes(1 << 20)) for _ in range(64)) + layer.flush()
    made: list[int] = []
    real = zlib.decompressobj

    class Counted:
        def __init__(self, wbits: int) -> None:
            self._real = real(wbits=wbits)

        def decompress(self, piece: bytes, most: int) -> bytes:
            out = self._real.decompress(piece, most)
            made.append(len(out))
            return out

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setattr("gateway.transport.unpacking.zlib.decompressobj", Counted)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    assert read(cuts(head + bomb, range(0, len(bomb), 9000)), closes=False) == ("malformed", 200)
    assert sum(made) == MOST + 1

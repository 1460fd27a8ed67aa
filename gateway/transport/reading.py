"""One answer after another, out of the bytes of one connection.

    head ─ 1xx ─▸ head … ─ final ─▸ body ─▸ complete
                                └─ HEAD, 101, 204, 304 ─▸ complete

The parser is llhttp (by httptools), which knows RFC 9112's framing; here stand the bounds and what we make of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gateway.adapter import Response
from gateway.errors import Malformed
from gateway.transport.unpacking import Unpacking, unpacking

MOST_FRUITLESS: Final = 64 << 10
"""Bytes that may come in a row without any of a body: of heads, trailers, chunks' extensions."""
MOST_FIELD: Final = 8190
"""Bytes of one header, name and value; MOST_FIELDS: how many headers. Both as aiohttp has them."""
MOST_FIELDS: Final = 128
MOST_INTERIM: Final = 16
"""Interim answers (1xx) before the final one."""
WITHOUT_BODY: Final = frozenset({101, 204, 304})
"""RFC 9112 §6.3; 101 is no answer to anything that we send, and nothing after it is HTTP."""


class Fields(Mapping[str, str]):
    """An answer's headers, by lower-case name; made into text when somebody looks, which is seldom.

    Of several with one name the last counts.
    """

    __slots__ = ("_raw", "_text")

    def __init__(self, raw: dict[bytes, bytes]) -> None:
        self._raw = raw
        self._text: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        if self._text is None:
            self._text = {_name(name): _text(value).strip(" \t") for name, value in self._raw.items()}
        return self._text

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _name(raw: bytes) -> str:
    return _text(raw).lower()


PLAIN: Final[set[bytes]] = set()
"""Names as servers have spelled them, none of which is `Content-Encoding`: it need not be looked for in these."""
MOST_PLAIN: Final = 1000


class Reading:
    """Reads the answers of one connection. `begin` before each."""

    __slots__ = (
        "_body", "_complete", "_failure", "_fields", "_fruitless", "_headers", "_interim", "_keep", "_max_answer",
        "_parser", "_size", "_status", "_surplus", "_unpacking", "_without_body", "on_header", "untouched",
    )  # fmt: skip

    def __init__(self, max_answer: int) -> None:
        self._max_answer = max_answer
        self._fields: dict[bytes, bytes] = {}
        self.on_header = self._fields.__setitem__  # in C, all the way
        self._parser = HttpResponseParser(self)
        # What old servers do and aiohttp's client forgives, too.
        self._parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self.begin(without_body=False)

    def begin(self, *, without_body: bool) -> None:
        """A request goes out. `without_body`: whatever its answer says, no body follows (HEAD)."""
        self._fields.clear()  # trailers of the answer before
        self._without_body = without_body
        self._headers: Fields | None = None
        self._status = self._size = self._interim = self._fruitless = 0
        self._body: list[bytes] = []
        self._unpacking: Unpacking | None = None
        self._failure: Malformed | None = None
        self._complete = self._keep = self._surplus = False
        self.untouched = True
        """Has nothing at all come yet?"""

    def feed(self, piece: bytes) -> Response | None:
        """The answer, if these bytes complete it. Raises Malformed."""
        self.untouched = False
        self._fruitless += len(piece)
        try:
            self._parser.feed_data(piece)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._complete:
                raise self._failure or Malformed("the answer is not whole, or not HTTP") from error
            self._surplus = True
        if self._failure is not None:
            raise self._failure
        if self._complete:
            return self._answer()
        if self._fruitless > MOST_FRUITLESS:
            raise Malformed("the answer's head is too long")
        return None

    def end(self, *, in_order: bool) -> Response | None:
        """The connection is over; `in_order`: closed, not broken. None where no final answer had begun.

        The answer, where its end is the connection's (RFC 9112 §6.3, 8). Raises Malformed where it is not whole.
        """
        headers = self._headers
        if headers is None:
            return None
        if not in_order or "content-length" in headers or "transfer-encoding" in headers:
            raise Malformed("the answer is not whole, or not HTTP")
        return self._answer()

    @property
    def reusable(self) -> bool:
        """After an answer: may the connection be asked again? Not if more came than the answer."""
        return self._keep and not self._surplus

    def _answer(self) -> Response:
        if self._unpacking is not None:
            self._unpacking.end()
        assert self._headers is not None  # noqa: S101  # complete
        body = self._body
        return Response(self._status, self._headers, body[0] if len(body) == 1 else b"".join(body))

    # What the parser calls. An exception would be swallowed there, so failures are noted.

    def on_message_begin(self) -> None:
        self._surplus = self._complete  # another answer, for which nobody has asked

    def on_headers_complete(self) -> None:
        if self._surplus:
            return
        self._status = status = self._parser.get_status_code()
        fields = self._fields
        if self._fruitless > MOST_FIELD or len(fields) > MOST_FIELDS:
            self._measure()
        if 100 <= status < 200 and status != 101:
            fields.clear()
            self._interim += 1
            if self._interim > MOST_INTERIM:
                self._failure = Malformed("the answer does not begin: too many interim ones")
            return
        self._headers = Fields(fields.copy())
        if self._without_body or status in WITHOUT_BODY:
            self._without_body = self._complete = True
        elif not fields.keys() <= PLAIN:
            self._find_coding(self._headers)

    def _find_coding(self, headers: Fields) -> None:
        if len(PLAIN) < MOST_PLAIN:
            PLAIN.update(name for name in self._fields if len(name) < 64 and _name(name) != "content-encoding")
        if "content-encoding" in headers:
            try:
                self._unpacking = unpacking(headers["content-encoding"])
            except Malformed as error:
                self._failure = error

    def _measure(self) -> None:
        longest = max((len(name) + len(value) for name, value in self._fields.items()), default=0)
        if longest > MOST_FIELD or len(self._fields) > MOST_FIELDS:
            self._failure = Malformed("the answer's head is too long")

    def on_body(self, piece: bytes) -> None:
        if self._without_body or self._surplus or self._failure is not None:
            return
        if self._headers is None:
            self._failure = Malformed("an interim answer has a body")
            return
        if self._unpacking is not None:
            try:
                piece = self._unpacking.unpacked(piece, self._max_answer - self._size)
            except Malformed as error:
                self._failure = error
                return
        self._fruitless = 0
        self._size += len(piece)
        if self._size > self._max_answer:
            why = f"the answer is longer than {self._max_answer} bytes"
            self._failure = Malformed(why, status=self._status)
        else:
            self._body.append(piece)

    def on_message_complete(self) -> None:
        if self._headers is not None and not self._surplus:
            self._complete = True
            self._keep = self._parser.should_keep_alive()

"""Answers that come compressed (RFC 9110 §8.4.1), bounded by what they unpack to: a bomb stops early."""

from __future__ import annotations

import zlib
from typing import Final

from gateway.errors import Malformed

GZIP: Final = zlib.MAX_WBITS | 16
"""zlib's word for a gzip header and trailer."""
DEFLATE: Final = 8
"""The low bits of a zlib stream's first byte (RFC 1950 §2.2)."""


def unpacking(coding: str) -> Unpacking | None:
    """What unpacks a `Content-Encoding`; None where nothing is packed. Raises Malformed: we asked for no other."""
    name = coding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in ("gzip", "x-gzip"):
        return Unpacking(GZIP)
    if name == "deflate":
        return Unpacking(None)
    raise Malformed("the answer has a content coding that was not asked for")


class Unpacking:
    """Unpacks one answer, piece by piece."""

    __slots__ = ("_bits", "_stream")

    def __init__(self, bits: int | None) -> None:
        """`bits`: zlib's `wbits`. None: `deflate`, which some servers send without zlib's own frame around it."""
        self._bits = bits
        self._stream: zlib._Decompress | None = None

    def unpacked(self, piece: bytes, most: int) -> bytes:
        """What a piece unpacks to, but no more than `most` + 1 bytes. Raises Malformed."""
        whole = b""
        try:
            while piece and len(whole) <= most:
                stream = self._stream or self._started(piece)
                whole += stream.decompress(piece, most + 1 - len(whole))
                piece = stream.unused_data
                if stream.eof and piece:  # another member follows (RFC 1952 §2.2)
                    self._stream = None
        except zlib.error as error:
            raise Malformed("the answer cannot be unpacked") from error
        return whole

    def _started(self, piece: bytes) -> zlib._Decompress:
        bits = self._bits
        if bits is None:
            bits = zlib.MAX_WBITS if piece[0] & 0xF == DEFLATE else -zlib.MAX_WBITS
        self._stream = zlib.decompressobj(wbits=bits)
        return self._stream

    def end(self) -> None:
        """The last piece was there. Raises Malformed where the stream is not whole; an empty answer is."""
        if self._stream is not None and not self._stream.eof:
            raise Malformed("the answer is not whole, or not HTTP")

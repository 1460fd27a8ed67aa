"""What a supervisor and its workers tell each other, over a socket pair that only the two of them have.

    down   Birth, once ▸ Loaded | Refused, whenever the configuration's files changed     pickled: from a parent
    up     Up: a sign of life each second ▸ ready ▸ why it ended                          MessagePack: plain values

Its end tells a worker that the supervisor is gone, however it went.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from typing import Any, Final, NamedTuple

import msgspec

from gateway.config import Loaded
from gateway.place import Place

LENGTH: Final = struct.Struct(">I")


class Birth(NamedTuple):
    """What a worker starts with."""

    place: Place
    loaded: Loaded
    """The last configuration that was good."""
    refused: list[str]
    """What is wrong with the file as it is now."""
    public: list[int]
    admin: list[int]
    """Inherited descriptors of the listening sockets."""
    directory: str
    """Private, for the workers' own sockets."""


class Refused(NamedTuple):
    """A changed file is not taken, and why."""

    mistakes: list[str]


class Up(msgspec.Struct, frozen=True):
    """Of a worker."""

    ready: bool = False
    failed: str = ""
    watched: bool = False
    """Does it hang if nothing follows for long (pulse.py)?"""


def framed(message: bytes) -> bytes:
    """With its length before it."""
    return LENGTH.pack(len(message)) + message


def down(message: Birth | Loaded | Refused) -> bytes:
    """A frame for a worker."""
    return framed(pickle.dumps(message))


def up(message: Up) -> bytes:
    """A frame for the supervisor."""
    return framed(msgspec.msgpack.encode(message))


async def received(reader: asyncio.StreamReader) -> bytes | None:
    """The next message; None: the other side is gone."""
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def from_above(reader: asyncio.StreamReader) -> Any:
    """A Birth, Loaded or Refused; None: the supervisor is gone."""
    message = await received(reader)
    return None if message is None else pickle.loads(message)  # noqa: S301  # the parent's, over a private pair


async def from_below(reader: asyncio.StreamReader) -> Up | None:
    """What a worker says; None: it is gone."""
    message = await received(reader)
    return None if message is None else msgspec.msgpack.decode(message, type=Up)

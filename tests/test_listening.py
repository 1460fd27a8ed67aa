"""Where connections come in: nobody who was let in is turned away, whoever else takes from the same socket."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
import time
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from gateway.place import Place
from gateway.server.listening import Entrance, bound, close
from gateway.server.workers.crowd import Crowd


class Echo(asyncio.Protocol):
    """Says whose entrance it came through."""

    def __init__(self, name: str) -> None:
        self.name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self.name.encode())
        transport.close()


async def greeting(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return (await reader.read()).decode()
    finally:
        writer.close()


def entrance(name: str, sock: socket.socket, *, shared: bool = True) -> Entrance:
    return Entrance(lambda: Echo(name), [sock], shared=shared)


async def test_two_share_a_port_and_both_take() -> None:
    (sock,) = bound("127.0.0.1", 0)
    port = sock.getsockname()[1]
    one, other = entrance("one", sock.dup()), entrance("other", sock)
    one.open()
    other.open()
    heard = [await greeting(port) for _ in range(5)]
    await one.close()
    assert {await greeting(port) for _ in range(5)} == {"other"}, "the port stays while anybody takes"
    await other.close()
    assert {*heard} <= {"one", "other"}
    with pytest.raises(ConnectionRefusedError):
        await greeting(port)


def test_who_has_more_leaves_the_next_to_others(tmp_path: Path) -> None:
    one, other = Crowd(tmp_path, Place(0, 2)), Crowd(tmp_path, Place(1, 2))
    assert one.may_take(0)
    assert one.may_take(1)
    assert not one.may_take(2), "the other one has none"
    assert other.may_take(1)
    assert one.may_take(2)
    other.leave()
    assert one.may_take(99), "who takes none is nobody to wait for"
    assert not Crowd(tmp_path, Place(1, 2)).may_take(101), "a new one in that slot sees what the others have"


async def test_where_the_other_one_does_not_come_everybody_is_taken_all_the_same(tmp_path: Path) -> None:
    (sock,) = bound("127.0.0.1", 0)
    port = sock.getsockname()[1]
    absent, present = Crowd(tmp_path, Place(0, 2)), Crowd(tmp_path, Place(1, 2))
    absent.may_take(0)
    door = Entrance(lambda: Echo("present"), [sock], shared=True, crowd=present, connections=lambda: 50)
    door.open()
    assert await asyncio.gather(*(greeting(port) for _ in range(10))) == ["present"] * 10
    await door.close()


async def test_who_waits_in_the_queue_at_the_end_is_taken() -> None:
    (sock,) = bound("127.0.0.1", 0)
    port = sock.getsockname()[1]
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    await entrance("last", sock).close()  # it was never opened: all of them are in the queue
    for one in waiting:
        with closing(one):
            assert await asyncio.to_thread(one.recv, 9) == b"last"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can keep newcomers out")
async def test_newcomers_are_kept_out_before_the_port_is_given_up() -> None:
    (sock,) = bound("127.0.0.1", 0)
    port = sock.getsockname()[1]
    door = entrance("last", sock, shared=False)
    door.open()
    closing_ = asyncio.create_task(door.close())
    await asyncio.sleep(0)  # the filter is in place, the socket still open
    late = asyncio.create_task(greeting(port))
    await closing_
    with pytest.raises(ConnectionRefusedError):  # not reset: nothing of theirs was taken
        await late


async def test_without_descriptors_callers_wait_and_nobody_looks_in_vain() -> None:
    (sock,) = bound("127.0.0.1", 0)
    out = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    scarce = mock.Mock(wraps=sock)
    tried: list[float] = []

    def accept() -> tuple[socket.socket, object]:
        tried.append(time.monotonic())
        if len(tried) <= 2:
            raise out
        return sock.accept()

    scarce.accept = accept
    door = Entrance(lambda: Echo("open"), [scarce], shared=False)
    with mock.patch("gateway.server.listening.PAUSE", 0.1):
        door.open()
        assert await greeting(sock.getsockname()[1]) == "open"
        at_once, later, well = tried[:3]
        assert later - at_once > 0.09 and well - later > 0.09, "at once, and after a pause each"
    await door.close()


def test_a_port_that_is_taken_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}: Address already in use") as error:
            bound("127.0.0.1", port)
    assert error.value.errno == errno.EADDRINUSE
    again = bound("127.0.0.1", port)
    close(again)

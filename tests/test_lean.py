"""The lean transport's connections: kept, shared out, given up; what is tried again; time, names, TLS.

On asyncio's own event loop and on uvloop.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from asyncio import AbstractEventLoopPolicy, DefaultEventLoopPolicy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.errors import Disconnected, Malformed, Misconfigured, NotConnected, ProviderError, TimedOut
from gateway.transport import LeanTransport, Outgoing
from gateway.transport.addresses import REFRESH, Address
from gateway.transport.connection import Connection
from gateway.transport.pool import KEPT, Pool
from tests.clock import FakeClock
from tests.hostile import Says, always, in_turn, until, vendor
from tests.test_outbound import certificate

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
SOON = 20.0
"""Seconds for what answers at once, on however busy a machine."""
GOODBYE = HI.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")


@pytest.fixture(params=[DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> AbstractEventLoopPolicy:
    """Which pytest-asyncio asks for."""
    policy: AbstractEventLoopPolicy = request.param()
    return policy


@asynccontextmanager
async def lean(**how: Any) -> AsyncIterator[LeanTransport]:
    out = LeanTransport(**{"connect_timeout": SOON, "max_answer": 1 << 20, "max_connections": 4} | how)
    try:
        yield out
    finally:
        await out.close()


def asking(url: str, *, method: str = "GET", body: bytes | None = None, repeatable: bool = False) -> Outgoing:
    return Outgoing(method, url + "/", (), body, repeatable)


def pool(out: LeanTransport) -> Pool:
    """Of the one host that it talks to."""
    (origin,) = out._origins.values()
    return origin.pool


# --- kept connections --------------------------------------------------------------------------------------


async def test_a_connection_is_used_again() -> None:
    async with vendor(always(HI)) as there, lean() as out:
        for _ in range(5):
            assert (await out.exchange(asking(there.url), SOON)).body == b"hi"
        assert (there.opened, len(there.asked), pool(out).idle) == (1, 5, 1)


async def test_the_last_one_used_is_the_first_used_again() -> None:
    async with vendor(always(HI)) as there, lean() as out:
        await asyncio.gather(*(out.exchange(asking(there.url), SOON) for _ in range(3)))
        assert pool(out).idle == 3
        last = pool(out)._idle[-1]
        for _ in range(5):
            await out.exchange(asking(there.url), SOON)
            assert pool(out)._idle[-1] is last


@pytest.mark.parametrize(
    "says",
    [
        Says((GOODBYE,)),
        Says((HI.replace(b"1.1", b"1.0"),)),
        Says((HI + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstole",)),
        Says((HI + b"x",)),
        Says((b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nstole",)),
        Says((b"HTTP/1.1 200 OK\r\n\r\nhi",), "close"),
    ],
    ids=["says close", "1.0", "a second answer", "one byte more", "a body where there is none", "until it closes"],
)
async def test_a_connection_that_is_not_used_again(says: Says) -> None:
    async with vendor(lambda _: says) as there, lean() as out:
        for _ in range(2):
            assert (await out.exchange(asking(there.url), SOON)).body in (b"hi", b"")
        assert (there.opened, len(pool(out))) == (2, 0)
        await until(lambda: there.open == 0)


async def test_head_is_the_end_of_a_connection_whose_answer_announces_a_body() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    async with vendor(always(answer)) as there, lean() as out:
        assert (await out.exchange(asking(there.url, method="HEAD"), SOON)).body == b""
        assert len(pool(out)) == 0


async def test_bytes_that_nobody_asked_for_end_a_connection() -> None:
    async with vendor(always(HI)) as there, lean() as out:
        await out.exchange(asking(there.url), SOON)
        (writer,) = there._writers
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstole")
        await until(lambda: len(pool(out)) == 0)
        assert (await out.exchange(asking(there.url), SOON)).body == b"hi"
        assert there.opened == 2


async def test_a_vendor_that_closes_an_idle_connection() -> None:
    async with vendor(always(HI)) as there, lean() as out:
        await out.exchange(asking(there.url), SOON)
        (writer,) = there._writers
        writer.close()
        await until(lambda: len(pool(out)) == 0)
        await out.exchange(asking(there.url, method="POST"), SOON)
        assert there.opened == 2


async def test_what_nobody_uses_for_a_minute_is_closed() -> None:
    clock = FakeClock()
    async with vendor(always(HI)) as there, lean(clock=clock) as out:
        await asyncio.gather(*(out.exchange(asking(there.url), SOON) for _ in range(3)))
        clock.passes(KEPT - 1)
        await out.exchange(asking(there.url), SOON)
        clock.passes(1.5)
        pool(out).sweep()
        assert (pool(out).idle, there.opened) == (1, 3)
        await until(lambda: there.open == 1)
        clock.passes(KEPT)
        await out.exchange(asking(there.url), SOON)  # found to be too old as it is taken
        assert there.opened == 4


# --- a kept connection that was closed just as we wrote ------------------------------------------------------

STALE = [Says((HI,)), Says((), "close"), Says((HI,))]


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_what_may_be_repeated_is_repeated_on_a_fresh_connection(how: Any) -> None:
    async with vendor(in_turn([Says((HI,)), Says((), how), Says((HI,))])) as there, lean() as out:
        await out.exchange(asking(there.url), SOON)
        assert (
            await out.exchange(asking(there.url, method="POST", body=b"{}", repeatable=True), SOON)
        ).body == b"hi"
        assert (there.opened, len(there.asked), len(pool(out))) == (2, 3, 1)


async def test_what_may_not_be_repeated_is_not() -> None:
    async with vendor(in_turn(STALE)) as there, lean() as out:
        await out.exchange(asking(there.url), SOON)
        with pytest.raises(Disconnected):
            await out.exchange(asking(there.url, method="POST", body=b"{}"), SOON)
        assert len(there.asked) == 2


async def test_it_is_repeated_once() -> None:
    async with vendor(in_turn([Says((HI,)), Says((), "close")])) as there, lean() as out:
        await out.exchange(asking(there.url), SOON)
        with pytest.raises(Disconnected):
            await out.exchange(asking(there.url, repeatable=True), SOON)
        assert len(there.asked) == 3


async def test_it_is_not_repeated_on_another_kept_one() -> None:
    """They were made at the same time, and may be closed at the same time."""
    async with vendor(in_turn([Says((HI,)), Says((HI,)), *STALE[1:]])) as there, lean(max_connections=2) as out:
        await asyncio.gather(*(out.exchange(asking(there.url), SOON) for _ in range(2)))
        await out.exchange(asking(there.url, repeatable=True), SOON)
        assert there.opened == 3
        assert len(pool(out)) == 2 - 1 + 1


@pytest.mark.parametrize("first", [b"", b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_fresh_one_that_breaks_or_an_answer_that_began_is_not_repeated(first: bytes) -> None:
    answers = [Says((first,), "close")] if not first else [Says((HI,)), Says((first,), "close")]
    async with vendor(in_turn([*answers, Says((HI,))])) as there, lean() as out:
        for _ in answers[1:]:
            await out.exchange(asking(there.url), SOON)
        with pytest.raises(Disconnected):
            await out.exchange(asking(there.url, repeatable=True), SOON)
        assert len(there.asked) == len(answers)


async def test_a_repetition_has_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    ask = Connection.ask

    def noted(self: Connection, request: bytes, seconds: float, *, without_body: bool) -> Any:
        given.append(seconds)
        return ask(self, request, seconds, without_body=without_body)

    def slow(number: int) -> Says:
        time.sleep(0.02)  # for all: the loop stands still
        return (Says((HI,)), Says((), "close"), Says())[number]

    monkeypatch.setattr(Connection, "ask", noted)
    async with vendor(slow) as there, lean() as out:
        await out.exchange(asking(there.url), SOON)
        with pytest.raises(TimedOut):
            await out.exchange(asking(there.url, repeatable=True), 0.2)
        assert given[1] == 0.2 and given[2] < 0.19
        assert len(there.asked) == 3


# --- time, cancellation, places ------------------------------------------------------------------------------


async def test_too_late_is_timed_out_and_the_connection_closed() -> None:
    async with vendor(in_turn([Says((HI,)), Says(), Says((HI,))])) as there, lean() as out:
        await out.exchange(asking(there.url), 5)  # its alarm is set for later than the next one's
        with pytest.raises(TimedOut, match=r"0\.050"):
            await out.exchange(asking(there.url, repeatable=True), 0.05)
        assert len(pool(out)) == 0
        await until(lambda: there.open == 0)
        assert (await out.exchange(asking(there.url), SOON)).body == b"hi"


async def test_an_alarm_that_rings_for_an_earlier_question_is_not_the_present_ones() -> None:
    gate = asyncio.Event()
    async with vendor(always(HI)) as there, lean() as out:
        await out.open(there.url)
        await out.exchange(asking(there.url), 0.5)
        there._answers = always()  # says nothing …
        asked = asyncio.create_task(out.exchange(asking(there.url), SOON))
        await asyncio.sleep(0.6)
        assert not asked.done()
        (writer,) = there._writers
        writer.write(HI)  # … until now
        assert (await asked).body == b"hi"
        gate.set()


@pytest.mark.parametrize("answered", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"])
async def test_cancelled_the_connection_is_closed_and_the_place_free(answered: bytes) -> None:
    async with vendor(in_turn([Says((answered,)), Says((HI,))])) as there, lean(max_connections=1) as out:
        asked = asyncio.create_task(out.exchange(asking(there.url), 5))
        await until(lambda: len(there.asked) == 1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert len(pool(out)) == 0
        await until(lambda: there.open == 0)
        assert (await out.exchange(asking(there.url), SOON)).body == b"hi"


async def test_an_answer_that_comes_to_a_cancelled_question_is_nobodys() -> None:
    async with vendor(always(HI)) as there, lean() as out:
        await out.exchange(asking(there.url), SOON)
        for turns in range(40):  # cancelled at every moment of its life
            asked = asyncio.create_task(out.exchange(asking(there.url), SOON))
            for _ in range(turns):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            assert (await out.exchange(asking(there.url), SOON)).body == b"hi"
            assert len(pool(out)) == pool(out).idle
            assert all(one._waiter is None for one in pool(out)._idle)


async def test_whoever_finds_no_place_waits_for_one() -> None:
    async with vendor(always(HI)) as there, lean(max_connections=2) as out:
        answers = await asyncio.gather(*(out.exchange(asking(there.url), 2) for _ in range(20)))
        assert [answer.body for answer in answers] == [b"hi"] * 20
        assert (there.opened, len(pool(out))) == (2, 2)


async def test_waiting_for_a_place_counts() -> None:
    async with vendor(always()) as there, lean(max_connections=1) as out:
        first = asyncio.create_task(out.exchange(asking(there.url), 5))
        await until(lambda: len(there.asked) == 1)
        with pytest.raises(TimedOut):
            await out.exchange(asking(there.url), 0.05)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert len(pool(out)) == 0


async def test_places_survive_whatever_becomes_of_those_who_wait() -> None:
    """Some of forty give up at different moments, some answers break; in the end no place is missing."""
    answers = in_turn([Says((HI,)), Says((), "close"), Says((HI[:-1],), "close"), Says((GOODBYE,))] * 200)
    async with vendor(answers) as there, lean(max_connections=3) as out:
        for late in range(12):
            asked = [asyncio.create_task(out.exchange(asking(there.url), 2)) for _ in range(40)]
            for _ in range(late * 3):
                await asyncio.sleep(0)
            for one in asked[late::3]:
                one.cancel()
            ended = await asyncio.gather(*asked, return_exceptions=True)
            kinds = (asyncio.CancelledError, Disconnected, Malformed)
            assert all(not isinstance(one, BaseException) or isinstance(one, kinds) for one in ended)
            assert not any(not waiter.done() for waiter in pool(out)._waiting)
            assert len(pool(out)) == pool(out).idle <= 3
            assert pool(out)._opening == 0


async def test_an_answer_that_comes_before_all_was_heard() -> None:
    """413, say: it is taken, and the rest of the body is not sent as somebody's request."""
    refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    async with vendor(always(refused, before_body=True)) as there, lean() as out:
        asked = asking(there.url, method="POST", body=b"x" * 30_000_000)
        answer = await out.exchange(asked, 5)
        assert (answer.status, answer.body) == (413, b"no")
        assert len(pool(out)) == 0
        await until(lambda: there.open == 0)


async def test_a_long_body_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000
    async with vendor(always(HI)) as there, lean() as out:
        await out.exchange(asking(there.url, method="POST", body=body), 5)
        assert there.asked[0].endswith(b"\r\n\r\n" + body)


# --- opening and closing ------------------------------------------------------------------------------------


async def test_opened_ahead() -> None:
    async with vendor(always(HI)) as there, lean() as out:
        await out.open(there.url)
        await out.open(there.url + "/vendor")
        assert (there.opened, pool(out).idle) == (1, 1)
        await out.exchange(asking(there.url), SOON)
        assert there.opened == 1


async def test_closed() -> None:
    async with vendor(in_turn([Says((HI,)), Says((HI[:-1],))])) as there, lean() as out:
        await out.open(there.url)
        await asyncio.gather(*(out.exchange(asking(there.url), SOON) for _ in range(1)))
        running = asyncio.create_task(out.exchange(asking(there.url), 5))
        await until(lambda: len(there.asked) == 2)
        await out.close()
        with pytest.raises(Disconnected):
            await running
        await until(lambda: there.open == 0)
        for late in (out.exchange(asking(there.url), SOON), out.open(there.url)):
            with pytest.raises(NotConnected, match="replaced"):
                await late
        assert there.opened == 1


async def test_closed_while_it_connects() -> None:
    gate = asyncio.Event()

    async def slowly(host: str, port: int) -> Sequence[Address]:
        await gate.wait()
        return at("127.0.0.1", port)

    async with vendor(always(HI)) as there, lean(resolve=slowly) as out:
        asked = asyncio.create_task(out.exchange(asking(f"http://a.example:{there.port}"), 5))
        await asyncio.sleep(0.01)
        await out.close()
        gate.set()
        with pytest.raises(NotConnected):
            await asked
        await until(lambda: there.open == 0)


# --- connecting ---------------------------------------------------------------------------------------------


def at(address: str, port: int) -> Sequence[Address]:
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]


class Names:
    """A resolver that is told what names mean."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        await asyncio.sleep(0)
        if not self.addresses:
            raise socket.gaierror("Name or service not known")
        return [one for address in self.addresses for one in at(address, port)]


@asynccontextmanager
async def silence() -> AsyncIterator[int]:
    """A port that takes no connection and refuses none: its queue is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        await asyncio.sleep(0.01)
        try:
            yield port
        finally:
            for one in waiting:
                one.close()


async def test_connecting_has_a_time_of_its_own() -> None:
    async with silence() as port, lean(connect_timeout=0.05) as out:
        with pytest.raises(NotConnected, match=r"0\.05 s"):
            await out.exchange(asking(f"http://127.0.0.1:{port}"), 5)
        with pytest.raises(NotConnected):
            await out.open(f"http://127.0.0.1:{port}")
        assert len(pool(out)) == 0


async def test_connecting_counts() -> None:
    async with silence() as port, lean(connect_timeout=5) as out:
        with pytest.raises(TimedOut):
            await out.exchange(asking(f"http://127.0.0.1:{port}"), 0.05)
        assert len(pool(out)) == 0


async def test_cancelled_while_it_connects() -> None:
    async with silence() as port, lean(connect_timeout=5) as out:
        asked = asyncio.create_task(out.exchange(asking(f"http://127.0.0.1:{port}"), 5))
        await asyncio.sleep(0.02)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert len(pool(out)) == 0


async def test_refused(unused_tcp_port: int) -> None:
    async with lean() as out:
        for _ in range(2):
            with pytest.raises(NotConnected, match="cannot connect"):
                await out.exchange(asking(f"http://127.0.0.1:{unused_tcp_port}"), SOON)
        assert len(pool(out)) == 0


async def test_the_next_address_is_tried() -> None:
    """Of those of a name, whichever answers: one refuses here."""
    names = Names("127.0.0.2", "127.0.0.1")
    async with vendor(always(HI)) as there, lean(resolve=names) as out:
        assert (await out.exchange(asking(f"http://a.example:{there.port}"), SOON)).body == b"hi"
        assert b"\r\nhost: a.example:" in there.asked[0]


async def test_a_name_is_looked_up_once_a_minute() -> None:
    clock, names = FakeClock(), Names("127.0.0.1")
    async with vendor(always(GOODBYE)) as there, lean(resolve=names, clock=clock) as out:
        url = f"http://a.example:{there.port}"
        await asyncio.gather(*(out.exchange(asking(url), SOON) for _ in range(3)))
        assert names.asked == ["a.example"]
        clock.passes(REFRESH - 1)
        await out.exchange(asking(url), SOON)
        assert len(names.asked) == 1
        clock.passes(2)
        await out.exchange(asking(url), SOON)
        assert len(names.asked) == 2
        assert there.opened == 5


async def test_a_host_that_moves_is_followed_even_by_connections_in_use() -> None:
    clock, names = FakeClock(), Names("127.0.0.1")
    async with (
        vendor(always(HI)) as before,
        lean(resolve=names, clock=clock) as out,
    ):
        server = await asyncio.start_server(before.serve, "127.0.0.2", before.port)
        url = f"http://a.example:{before.port}"
        await asyncio.gather(*(out.exchange(asking(url), SOON) for _ in range(3)))
        names.addresses = ("127.0.0.2",)
        for _ in range(4):
            clock.passes(REFRESH / 3)
            await out.exchange(asking(url), SOON)
        await until(lambda: pool(out).idle < 3)
        await out.exchange(asking(url), SOON)
        assert {one.address for one in pool(out)._all} == {"127.0.0.2"}
        await until(lambda: before.open == 1)
        assert len(names.asked) == 2
        server.close()


async def test_a_resolver_that_fails_does_not_undo_what_it_said() -> None:
    clock, names = FakeClock(), Names("127.0.0.1")
    async with vendor(always(GOODBYE)) as there, lean(resolve=names, clock=clock) as out:
        url = f"http://a.example:{there.port}"
        await out.exchange(asking(url), SOON)
        names.addresses = ()
        clock.passes(REFRESH + 1)
        assert (await out.exchange(asking(url), SOON)).body == b"hi"
        assert len(names.asked) == 2


async def test_an_unknown_name() -> None:
    async with lean(resolve=Names()) as out:
        for _ in range(2):
            with pytest.raises(NotConnected, match="name"):
                await out.exchange(asking("http://a.example"), SOON)


async def test_this_machines_own_resolver() -> None:
    async with vendor(always(HI)) as there, lean() as out:
        assert (await out.exchange(asking(f"http://localhost:{there.port}"), SOON)).body == b"hi"


@pytest.mark.parametrize(
    "url", ["ftp://a/", "http:///x", "http://u:p@a/", "http://a:x/", "http://a:70000/", "http://ä.example/", "x"]
)
async def test_what_is_no_url(url: str) -> None:
    async with lean() as out:
        for trying in (out.exchange(Outgoing("GET", url, (), None), SOON), out.open(url)):
            with pytest.raises(Misconfigured):
                await trying


@pytest.mark.parametrize("path", ["/a b", "/a\r\nx: y", "/ä", "/a#b", "/a\0", "/a\x7f"])
async def test_a_path_that_is_not_encoded_is_not_sent(path: str) -> None:
    async with vendor(always(HI)) as there, lean() as out:
        with pytest.raises(Misconfigured):
            await out.exchange(Outgoing("GET", there.url + path, (), None), SOON)
        assert there.opened == 0


@pytest.mark.parametrize("rest", ["", "?a=/b"])
async def test_an_url_without_a_path(rest: str) -> None:
    async with vendor(always(HI)) as there, lean() as out:
        await out.exchange(Outgoing("GET", there.url + rest, (), None), SOON)
        assert there.asked[0].startswith(f"GET /{rest} HTTP/1.1\r\n".encode())
        assert len(out._origins) == 1


@pytest.mark.parametrize("name", ["Transfer-Encoding", "content-length", "Connection", "Expect", "TE", "a b", ""])
async def test_the_length_is_the_transports_own_matter(name: str) -> None:
    async with vendor(always(HI)) as there, lean() as out:
        with pytest.raises(Misconfigured):
            await out.exchange(Outgoing("POST", there.url + "/", ((name, "1"),), b"xx"), SOON)
        assert there.opened == 0


async def test_sets_of_headers_that_are_never_the_same() -> None:
    """A caller's id in a header, say: the memory of heads is bounded."""
    async with vendor(always(HI)) as there, lean() as out:
        for number in range(600):
            await out.exchange(Outgoing("GET", there.url + "/", (("x-request-id", str(number)),), None), SOON)
        assert f"x-request-id: {599}\r\n".encode() in there.asked[-1]
        (origin,) = out._origins.values()
        assert len(origin.heads._kept) <= 256


# --- TLS ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "days", "trusted", "connects"),
    [
        ("127.0.0.1", 1, True, True), ("127.0.0.1", 1, False, False), ("127.0.0.2", 1, True, False),
        ("127.0.0.1", -1, True, False),
    ],
    ids=["good", "self-signed", "of another host", "expired"],
)  # fmt: skip
async def test_tls_is_verified(tmp_path: Path, address: str, days: int, trusted: bool, connects: bool) -> None:
    tls = certificate(tmp_path, address, days)
    trust = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem") if trusted else None)
    async with vendor(always(HI), tls=tls) as there, lean(tls=trust) as out:
        url = f"https://127.0.0.1:{there.port}"
        for _ in range(2):
            if connects:
                assert (await out.exchange(asking(url), 2)).body == b"hi"
                continue
            with pytest.raises(NotConnected):
                await out.exchange(asking(url), 2)
            with pytest.raises(NotConnected):
                await out.open(url)
        assert len(there.asked) == (2 if connects else 0)
        assert len(pool(out)) == (1 if connects else 0)
        assert there.opened <= 1 or not connects


async def test_by_default_this_machines_authorities_are_trusted_and_nobody_else(tmp_path: Path) -> None:
    async with vendor(always(HI), tls=certificate(tmp_path)) as there, lean() as out:
        with pytest.raises(NotConnected):
            await out.exchange(asking(f"https://127.0.0.1:{there.port}"), 2)
        assert there.asked == []


def trusting(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    served = certificate(folder)
    return served, ssl.create_default_context(cafile=str(folder / "certificate.pem"))


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (Says((), "close"), Disconnected), (Says((HI[:-1],), "close"), Malformed),
        (Says((b"HTTP/1.1 200 OK\r\n\r\nhi",), "close"), None), (Says((HI + HI,)), None),
        (Says((HI[:9],)), TimedOut),
    ],
    ids=["early", "half", "until it closes", "twice", "late"],
)  # fmt: skip
async def test_hostile_over_tls(tmp_path: Path, says: Says, error: type[ProviderError] | None) -> None:
    served, trust = trusting(tmp_path)
    async with vendor(lambda _: says, tls=served) as there, lean(tls=trust) as out:
        url = f"https://127.0.0.1:{there.port}"
        if error is None:
            assert (await out.exchange(asking(url), SOON)).body == b"hi"
        else:
            with pytest.raises(error):
                await out.exchange(asking(url), 0.5)
        assert len(pool(out)) == 0
        await until(lambda: there.open == 0)


async def test_cancelled_in_a_handshake() -> None:
    """The other side speaks no TLS, and says nothing at all."""
    seen: list[bytes] = []
    ended = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(100))
        try:
            while await reader.read(1000):
                pass
        except ConnectionError:
            pass
        writer.close()
        ended.set()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with lean() as out:
        asked = asyncio.create_task(
            out.exchange(asking(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"), 5)
        )
        await until(lambda: bool(seen))
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        async with asyncio.timeout(30):
            await ended.wait()
        assert len(pool(out)) == 0
    server.close()


async def test_a_handshake_that_does_not_end_is_timed_out(tmp_path: Path) -> None:
    """TCP alone has its own time (CONFIG.md); what was not asked in the attempt's time was not answered in it."""
    async with vendor(always()) as there, lean(connect_timeout=0.05) as out:
        with pytest.raises(TimedOut):
            await out.exchange(asking(f"https://127.0.0.1:{there.port}"), 0.2)
        assert len(pool(out)) == 0


async def test_plain_http_where_tls_is_meant() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with lean() as out:
        with pytest.raises(NotConnected):
            await out.exchange(asking(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"), 2)
    server.close()


async def test_credentials_go_to_the_host_that_is_asked_and_nowhere_else() -> None:
    async with vendor(always(HI)) as thief:
        away = b"HTTP/1.1 307 Go\r\nLocation: %b/\r\nContent-Length: 0\r\nAlt-Svc: h2=%b\r\n\r\n"
        where = thief.url.encode()
        async with vendor(always(away % (where, where))) as there, lean() as out:
            asked = Outgoing("POST", there.url + "/", (("authorization", "planted"),), b"{}")
            for _ in range(2):
                assert (await out.exchange(asked, SOON)).status == 307
            assert len(there.asked) == 2
        assert thief.opened == 0

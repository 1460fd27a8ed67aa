"""One request made to arrive: hosts, retries, tokens and shares of the time, on a clock that is told to pass."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

import pytest

from gateway.adapter import Adapter, Request, Response, Token
from gateway.deadline import Deadline
from gateway.errors import (
    Disconnected,
    Failed,
    Misconfigured,
    NotConnected,
    PassedOver,
    ProviderError,
    Refused,
    Throttled,
    TimedOut,
    Unauthenticated,
)
from gateway.provider.attempts import PAUSE, Attempts, outgoing
from gateway.provider.token import TokenKeeper
from gateway.telemetry.notes import Notes
from gateway.transport import Outgoing
from tests.clock import FakeClock

Outcome = int | ProviderError


class Keyed(Adapter):
    """Puts its token on a request."""

    def authorize(self, request: Request, token: str | None) -> Request:
        return Request(
            request.method, request.path, headers=(("token", str(token)),), repeatable=request.repeatable
        )


class Wire:
    """Ends each exchange as told, after as much time as told."""

    def __init__(self, clock: FakeClock, outcomes: Iterable[Outcome], takes: float) -> None:
        self._clock = clock
        self._outcomes = iter(outcomes)
        self._takes = takes
        self.asked: list[str] = []
        self.seconds: list[float] = []
        self.tokens: list[str | None] = []

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        self.asked.append(outgoing.url.removesuffix("/x"))
        self.seconds.append(round(seconds, 6))
        self.tokens.append(dict(outgoing.headers).get("token"))
        self._clock.passes(self._takes)
        outcome = next(self._outcomes, 200)
        if isinstance(outcome, ProviderError):
            raise outcome
        return Response(outcome, {}, b"")

    async def open(self, url: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class Hosts:
    """The same order always; notes what it is told."""

    def __init__(self, *urls: str) -> None:
        self._urls = urls
        self.told: list[str] = []

    def order(self) -> tuple[str, ...]:
        return self._urls

    def failed(self, url: str) -> None:
        self.told.append(f"{url} failed")

    def worked(self, url: str) -> None:
        self.told.append(f"{url} worked")


class Budget:
    """Allows so many retries."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.requests = self.spent = 0

    def request(self) -> None:
        self.requests += 1

    def spend(self) -> bool:
        self.spent += 1
        return self.spent <= self.allowed


class Scene:
    """Attempts with everything around them played."""

    def __init__(
        self, *outcomes: Outcome, hosts: tuple[str, ...] = ("a",), attempts: int | None = None, takes: float = 0.0,
        budget: int = 9,
    ) -> None:  # fmt: skip
        self.clock = FakeClock()
        self.wire = Wire(self.clock, outcomes, takes)
        self.hosts = Hosts(*hosts)
        self.budget = Budget(budget)
        self.pauses: list[float] = []
        self.attempts = Attempts(
            Keyed(), self.wire, {"main": self.hosts}, self.budget, provider="p", attempts=attempts,
            rng=random.Random(1), clock=self.clock, notes=Notes(), sleep=self._sleep,
        )  # fmt: skip

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.passes(seconds)

    async def send(self, *, repeatable: bool = True, within: float = 10.0, after: int = 0) -> int:
        request = Request("POST", "/x", repeatable=repeatable)
        deadline = Deadline.within(self.clock, within).before(after)
        return (await self.attempts.send(request, deadline, 0.3)).status


async def fails(scene: Scene, error: type[ProviderError], **how: bool | float) -> None:
    with pytest.raises(error) as caught:
        await scene.send(**how)  # type: ignore[arg-type]  # named as in `send`
    assert type(caught.value) is error


# --- hosts and retries -------------------------------------------------------------------------------------


async def test_another_host_costs_neither_budget_nor_pause() -> None:
    scene = Scene(503, TimedOut(), Disconnected(), hosts=("a", "b", "c", "d"))
    assert await scene.send() == 200
    assert scene.wire.asked == ["a", "b", "c", "d"]
    assert (scene.budget.requests, scene.budget.spent, scene.pauses) == (1, 0, [])
    assert scene.hosts.told == ["a failed", "b failed", "c failed", "d worked"]


async def test_the_same_host_again_costs_both() -> None:
    scene = Scene(503)
    assert await scene.send() == 200
    assert scene.wire.asked == ["a", "a"]
    assert scene.budget.spent == 1
    (pause,) = scene.pauses
    assert 0 < pause <= PAUSE


async def test_pauses_double_at_most() -> None:
    scene = Scene(*[503] * 6, attempts=6)
    await fails(scene, Failed)
    assert len(scene.pauses) == 5
    assert all(0 <= pause <= PAUSE * 2**n for n, pause in enumerate(scene.pauses))
    assert max(scene.pauses) > PAUSE


async def test_a_spent_budget_ends_it() -> None:
    scene = Scene(503, hosts=("a",), budget=0)
    await fails(scene, Failed)
    assert scene.wire.asked == ["a"]


@pytest.mark.parametrize(
    ("attempts", "hosts", "asked"),
    [
        (None, "a", "aa"), (None, "ab", "ab"), (None, "abcd", "abcd"),
        (1, "a", "a"), (1, "abcd", "a"), (3, "abcd", "abc"), (5, "ab", "ababa"),
    ],
)  # fmt: skip
async def test_how_many_attempts(attempts: int | None, hosts: str, asked: str) -> None:
    """Two, or as many as there are hosts; where the configuration says a number, that one."""
    scene = Scene(*[503] * 9, hosts=tuple(hosts), attempts=attempts)
    await fails(scene, Failed)
    assert "".join(scene.wire.asked) == asked


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Refused), (404, Misconfigured), (422, Refused), (429, Throttled), (405, Misconfigured)],
)
async def test_what_is_no_failure_is_not_tried_elsewhere(status: int, error: type[ProviderError]) -> None:
    scene = Scene(status, hosts=("a", "b"))
    await fails(scene, error)
    assert scene.wire.asked == ["a"]
    assert scene.hosts.told == []


@pytest.mark.parametrize("first", [503, TimedOut(), Disconnected()], ids=str)
async def test_what_may_have_happened_is_not_repeated(first: Outcome) -> None:
    scene = Scene(first, hosts=("a", "b"))
    with pytest.raises(Failed):
        await scene.send(repeatable=False)
    assert scene.wire.asked == ["a"]
    assert scene.hosts.told == ["a failed"]


async def test_what_never_left_always_is() -> None:
    scene = Scene(NotConnected(), NotConnected(), 503, hosts=("a", "b", "c", "d"))
    await fails(scene, Failed, repeatable=False)
    assert scene.wire.asked == ["a", "b", "c"]


# --- time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "within", "after", "seconds"),
    [
        ("a", 10.0, 0, [0.3, 0.3]),  # the timeout
        ("a", 0.22, 0, [0.2]),  # what is left, but 20 ms; nothing is left for another
        ("a", 0.22, 1, [0.1, 0.05]),  # half of it: another provider comes after; then what any attempt gets
        ("abc", 0.32, 0, [0.1, 0.1, 0.1]),
        ("abc", 0.82, 1, [0.2, 0.2, 0.2]),
        ("abcd", 0.12, 2, [0.05, 0.05]),  # 50 ms at least, while there is time for that
    ],
)
async def test_shares_of_the_time(
    monkeypatch: pytest.MonkeyPatch, hosts: str, within: float, after: int, seconds: list[float]
) -> None:
    scene = Scene(*[TimedOut()] * 9, hosts=tuple(hosts))

    async def exchange(outgoing: Outgoing, share: float) -> Response:
        scene.wire.seconds.append(round(share, 6))
        scene.clock.passes(share)
        raise TimedOut

    monkeypatch.setattr(scene.wire, "exchange", exchange)  # takes all the time that it gets
    with pytest.raises(TimedOut):
        await scene.send(within=within, after=after)
    got = scene.wire.seconds
    assert len(got) == len(seconds)
    assert got == pytest.approx(seconds, abs=0.013)  # the pauses before the same host


async def test_nothing_is_sent_without_time() -> None:
    scene = Scene()
    await fails(scene, PassedOver, within=0.04)
    assert scene.wire.asked == []


async def test_a_pause_longer_than_the_deadline_is_not_made() -> None:
    scene = Scene(503, takes=0.1)
    await fails(scene, Failed, within=0.1001)
    assert scene.pauses == []


# --- tokens ------------------------------------------------------------------------------------------------


def with_logins(scene: Scene, *tokens: str) -> list[str]:
    """Give it a keeper that logs in to these tokens; returned: those not yet used."""
    left = list(tokens)

    async def login() -> Token:
        return Token(left.pop(0))

    scene.attempts.token = TokenKeeper(login, scene.clock)
    return left


async def test_a_token_is_fetched_once_and_kept() -> None:
    scene = Scene()
    left = with_logins(scene, "t1", "t2")
    assert [await scene.send(), await scene.send()] == [200, 200]
    assert scene.wire.tokens == ["t1", "t1"]
    assert left == ["t2"]


async def test_a_401_is_answered_by_one_new_token() -> None:
    scene = Scene(401)
    with_logins(scene, "t1", "t2")
    assert await scene.send() == 200
    assert scene.wire.tokens == ["t1", "t2"]


async def test_a_second_401_is_the_end() -> None:
    scene = Scene(401, 401, 401)
    left = with_logins(scene, "t1", "t2", "t3")
    await fails(scene, Unauthenticated)
    assert scene.wire.tokens == ["t1", "t2"]
    assert left == ["t3"]


async def test_a_401_soon_after_is_not_renewed() -> None:
    scene = Scene(401, 200, 401, 401)
    left = with_logins(scene, "t1", "t2", "t3", "t4")
    assert await scene.send() == 200
    scene.clock.passes(9.9)
    await fails(scene, Unauthenticated)
    assert left == ["t3", "t4"]
    scene.clock.passes(0.2)
    assert await scene.send() == 200
    assert scene.wire.tokens == ["t1", "t2", "t2", "t2", "t3"]


async def test_waiting_for_a_login_is_an_attempt() -> None:
    """It ends with its share of the time, and the login goes on for others."""
    scene = Scene()
    gate = asyncio.Event()

    async def login() -> Token:
        await gate.wait()
        return Token("t1")

    scene.attempts.token = TokenKeeper(login, scene.clock)
    with pytest.raises(TimedOut, match="token"):
        await asyncio.wait_for(scene.send(within=0.12, after=1), 30)
    gate.set()
    assert await scene.send() == 200
    assert scene.wire.tokens == ["t1"]


# --- bytes -------------------------------------------------------------------------------------------------


def test_a_request_on_the_wire() -> None:
    request = Request(
        "POST", "/a%2Fb", query=(("q", "a b+c/ü"), ("n", "")), json={"a": [1]}, headers=(("x", "y"),)
    )
    assert outgoing(request, "https://host/base") == Outgoing(
        "POST",
        "https://host/base/a%2Fb?q=a%20b%2Bc%2F%C3%BC&n=",
        (("x", "y"), ("content-type", "application/json")),
        b'{"a":[1]}',
    )
    form = outgoing(Request("POST", "/t", form={"a": "ü &"}), "h")
    assert form.body == b"a=%C3%BC+%26"
    assert form.headers == (("content-type", "application/x-www-form-urlencoded"),)
    own = Request("POST", "/t", json=None, headers=(("Content-Type", "application/json; charset=UTF-8"),))
    assert outgoing(own, "h").headers == own.headers
    assert outgoing(own, "h").body == b"null"
    assert outgoing(Request("GET", "/t"), "h") == Outgoing("GET", "h/t", (), None)

"""One request of an adapter's, made to arrive: hosts and retries as one mechanism.

Attempt n goes to the n-th host. Another host costs nothing; the same host again costs a unit of the provider's
retry budget and a pause with full jitter. Only a failure is tried again, and only where the request may be
repeated or never left. A 401 is answered by one new token.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from gateway.adapter import Adapter, Request, Response
from gateway.deadline import Clock, Deadline
from gateway.errors import PassedOver, ProviderError, TimedOut, Unauthenticated
from gateway.provider.drift import Drift
from gateway.provider.token import TokenKeeper
from gateway.telemetry.notes import Exchange, Notes
from gateway.transport import Outgoing, Transport

T = TypeVar("T")

PAUSE: Final = 0.025
"""Seconds: the upper bound of the first pause before the same host is asked again; doubles."""


class Hosts(Protocol):
    """The order in which one set of hosts is tried."""

    def order(self) -> tuple[str, ...]:
        """Base URLs, the most promising first."""

    def failed(self, url: str) -> None:
        """Try this one last for a while."""

    def worked(self, url: str) -> None:
        """Back to its place."""


class Budget(Protocol):
    """What retries of one provider may cost."""

    def request(self) -> None:
        """A request was made: it earns its share."""

    def spend(self) -> bool:
        """May one more retry go?"""


class Attempts:
    """Makes requests of one adapter arrive, or raises the ProviderError of the last attempt."""

    def __init__(
        self,
        adapter: Adapter,
        transport: Transport,
        hosts: Mapping[str, Hosts],
        budget: Budget,
        *,
        provider: str,
        attempts: int | None,
        rng: random.Random,
        clock: Clock,
        notes: Notes,
        drift: Drift | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._adapter = adapter
        self._notes = notes
        self._provider = provider
        self._clock = clock
        self._transport = transport
        self._hosts = hosts
        self._budget = budget
        self._attempts = attempts
        self._rng = rng
        self._sleep = sleep
        self.token: TokenKeeper | None = None
        self._drift = drift

    def send(self, request: Request, deadline: Deadline, timeout: float) -> Awaitable[Response]:
        """The vendor's 2xx answer, with credentials on the request. `timeout`: of one attempt alone."""
        if self.token is None:
            return self.send_plain(self._adapter.authorize(request, None), deadline, timeout)
        return self._send_with(self.token, request, deadline, timeout)

    async def _send_with(
        self,
        keeper: TokenKeeper,
        request: Request,
        deadline: Deadline,
        timeout: float,  # noqa: ASYNC109  # as above
    ) -> Response:
        token = keeper.current()
        if token is None:
            token = await _in_time(keeper.fetched(), deadline.share(timeout, 1))
        try:
            return await self.send_plain(self._adapter.authorize(request, token), deadline, timeout)
        except Unauthenticated:
            fresh = await _in_time(keeper.renewed(token), deadline.share(timeout, 1))
            if fresh is None:
                raise
        return await self.send_plain(self._adapter.authorize(request, fresh), deadline, timeout)

    async def send_plain(self, request: Request, deadline: Deadline, timeout: float) -> Response:  # noqa: ASYNC109  # as above
        """The vendor's 2xx answer to a request that has its credentials, or needs none."""
        hosts = self._hosts[request.hosts]
        order = hosts.order()
        tries = self._attempts or max(2, len(order))
        self._budget.request()
        failure: ProviderError | None = None
        for attempt in range(tries):
            if attempt >= len(order) and not await self._may_repeat(attempt - len(order), deadline):
                break
            if not deadline.worth_trying():
                break
            url = order[attempt % len(order)]
            seconds = deadline.share(timeout, max(1, min(tries, len(order)) - attempt))
            try:
                answer = await self._exchange(request, url, seconds, deadline, attempt)
            except ProviderError as error:
                failure = error
                if not error.retry:
                    raise
                hosts.failed(url)
                if error.left and not request.repeatable:
                    raise
            else:
                hosts.worked(url)
                return answer
        raise failure or PassedOver("no time left")

    async def _may_repeat(self, times: int, deadline: Deadline) -> bool:
        pause = self._rng.uniform(0, PAUSE * 2**times)
        if pause >= deadline.left() or not self._budget.spend():
            return False
        await self._sleep(pause)
        return True

    async def _exchange(
        self, request: Request, url: str, seconds: float, deadline: Deadline, resend: int
    ) -> Response:
        """One exchange, with a note of how it went."""
        started = self._clock()
        outcome: int | str = "cancelled"
        out, span = outgoing(request, url), None
        if self._notes.propagation is not None and deadline.trace is not None:
            out, span = self._notes.propagation.told(out, deadline.trace)
        try:
            answer = await self._transport.exchange(out, seconds)
            outcome = answer.status
        except ProviderError as error:
            outcome = error.name
            raise
        finally:
            self._note(request, url, outcome, started, deadline, resend, span)
        if 200 <= answer.status < 300:
            if self._drift is not None:
                self._drift.look(request, answer)
            return answer
        raise self._adapter.error(answer)

    def _note(
        self,
        request: Request,
        url: str,
        outcome: int | str,
        started: float,
        deadline: Deadline,
        resend: int,
        span: str | None,
    ) -> None:
        route, took = request.route or request.path, self._clock() - started
        trace, breaker = deadline.trace, deadline.breaker
        note = Exchange(
            self._provider, request.method, url, route, outcome, started, took, resend, trace, span, breaker
        )
        self._notes.note(note)
        if deadline.trail is not None:
            deadline.trail.append(note)


async def _in_time(waiting: Awaitable[T], seconds: float) -> T:
    """Waiting for a login is an attempt like any other: the providers after this one need their time too."""
    try:
        async with asyncio.timeout(seconds):
            return await waiting
    except TimeoutError as error:
        raise TimedOut("no token in time") from error


def outgoing(request: Request, base_url: str) -> Outgoing:
    """A request as it goes over the wire to one host."""
    url = base_url + request.path
    if request.query:
        url += "?" + "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in request.query)
    headers, body = request.headers, None
    if request.form is not None:
        body = urlencode(request.form).encode()
        headers = _with_type(headers, "application/x-www-form-urlencoded")
    elif request.json is not msgspec.UNSET:
        body = msgspec.json.encode(request.json)
        headers = _with_type(headers, "application/json")
    return Outgoing(request.method, url, headers, body, request.repeatable)


def _with_type(headers: tuple[tuple[str, str], ...], media_type: str) -> tuple[tuple[str, str], ...]:
    for name, _ in headers:
        if name.lower() == "content-type":
            return headers
    return (*headers, ("content-type", media_type))

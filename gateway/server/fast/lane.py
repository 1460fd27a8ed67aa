"""What the fast front does with a request: the same as the ordinary front, with less around it."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from yarl import URL

from gateway.access import Access
from gateway.answering.asked import Asked, Caller
from gateway.answering.delivery import Call, Delivery, Headers
from gateway.departures import Departures
from gateway.events.attribution import Signer
from gateway.plan import Plan
from gateway.server import problems
from gateway.server.dressing import Dressing
from gateway.server.fast.connection import NOT_OURS, NOT_WHOLE, TAKEN
from gateway.server.fast.heads import CUT, END, MOST, Cut, Head, cut, read
from gateway.server.fast.memo import Memo
from gateway.server.runtime import Runtime
from gateway.server.tracing import HUNG_UP, request_id
from gateway.telemetry.notes import Served
from gateway.telemetry.sorts import Sort
from gateway.telemetry.trace import Trace

if TYPE_CHECKING:
    from gateway.server.fast.connection import FastEdge

ROUTES: Final = {
    ("POST", "/v1/recommendations"): "recommend",
    ("GET", "/v1/recommendations"): "recommend_by_url",
    ("POST", "/v1/search"): "search",
}
"""What is taken here: method and path, and the name of the operation."""
JSON_TYPES: Final = frozenset({"", "application/json", "application/json; charset=utf-8"})
BODILESS: Final = frozenset({204, 304})
CLOSES: Final = b"Connection: close\r\n"

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


class Known(msgspec.Struct):
    """One head, as often as it comes: what it asks for, and whom its credentials mean. Not its limits."""

    head: Head
    operation: str
    route: str
    query: tuple[tuple[str, str], ...] | None
    access: Access | None = None
    caller: Caller | None = None
    """Whom the credentials mean, as long as `access` is in force; None for a token, whose time ends."""


class Decision(msgspec.Struct, gc=False):
    """One request, head and body, as often as it comes, and what was decided about it."""

    known: Known
    body: bytes
    signer: Signer | None = None
    asked: Asked | None = None
    """What is asked of the plan in force, as long as this signer is, by `asked_by`."""
    asked_by: Caller | None = None
    written: Written | None = None


class Written(msgspec.Struct, gc=False):
    """The last answer's head: the same in the same second, but for the lines that are others each time."""

    second: int
    own: Headers
    body: bytes
    dressing: object
    before: bytes
    """What stands before those lines."""
    after: bytes
    """What stands after them."""
    first: Served | None = None
    """The first request that it went out for: the others are of its sort, once a reader of notes found it out."""


class Lane:
    """Of one listener."""

    def __init__(self, runtime: Runtime, dressing: Dressing) -> None:
        self._runtime = runtime
        self._pipeline = runtime.pipeline
        self._dressing = dressing
        self._heads: Memo[Known] = Memo()
        self._decisions: Memo[Decision] = Memo()
        self._date = (0, "")
        self._said: dict[Headers, str] = {}
        self._plan: Plan | None = None
        self._open = True
        self.departures = Departures()
        """Of all its connections."""

    def take(self, edge: FastEdge, data: bytes) -> int:
        """Answer it, if it is one whole, plain request that is taken here."""
        if self._pipeline.plan is not self._plan:
            self._begin(self._pipeline.plan)
        end = data.find(END, 0, MOST)
        if end < 0 or not self._open:
            return NOT_OURS
        part = cut(data, end)
        decision = self._decisions.get(part.rest)
        if decision is None:
            found = self._read(part.rest)
            if isinstance(found, int):
                return found
            decision = found
        self._serve(edge, decision, part)
        return TAKEN

    def _begin(self, plan: Plan) -> None:
        """With another plan: nothing holds of what was decided, and nothing of the old one is kept alive.

        Closed where a header that is cut out decides about somebody's arm.
        """
        self._plan = plan
        self._heads, self._decisions = Memo(), Memo()
        experiments = (placement.settings.experiment for placement in plan.placements.values())
        self._open = not any(one is not None and one.unit.lower() in CUT for one in experiments)

    def _read(self, rest: bytes) -> Decision | int:
        end = rest.find(END, 0, MOST)
        head = rest[:end]
        known = self._heads.get(head)
        if known is None:
            known = self._known(head)
            if known is None:
                return NOT_OURS
            self._heads.keep(head, known)
        length = known.head.length or 0
        if length > self._runtime.configuration.server.max_body:
            return NOT_OURS
        missing = end + len(END) + length - len(rest)
        if missing:
            return NOT_WHOLE if missing > 0 else NOT_OURS
        return Decision(known, rest[end + len(END) :])

    def _known(self, said: bytes) -> Known | None:
        """What this head asks for; None where that is not taken here."""
        head = read(said)
        if head is None or any(name in head.headers for name in CUT):
            return None
        path, asks, query = head.target.partition("?")
        operation = ROUTES.get((head.method, path))
        if operation is None or "#" in query:
            return None
        if head.method == "GET":
            taken = head.length is None
        else:
            kind = head.headers.get("Content-Type", "").lower()
            taken = head.length is not None and not asks and kind in JSON_TYPES
        if not taken:
            return None
        parameters = None
        if head.method == "GET":
            parameters = tuple(URL.build(path=path, query_string=query, encoded=True).query.items())
        return Known(head, operation, path, parameters)

    # --- a request ----------------------------------------------------------------------------------------------

    def _serve(self, edge: FastEdge, decision: Decision, part: Cut) -> None:
        started = time.monotonic()
        trace = Trace(part.traceparent)
        known = decision.known
        call = Call(known.operation, known.head.headers, decision.body, query=known.query, trace=trace)
        name = part.request_id or request_id({})
        slug: str | None = None
        try:
            self._admit(call, decision)
            delivery = self._pipeline.at_once(call)
            self._remember(part.rest, decision, call)
        except Exception as error:  # here a request ends
            delivery, slug = self._problem(error, decision, trace)
        if delivery is None:
            edge.ask(self._fetch(edge, decision, call, name, started))
        else:
            self._leave(edge, decision, call, delivery, name, started, slug)

    def _admit(self, call: Call, decision: Decision) -> None:
        """Raises Unauthorized, RateLimited, Forbidden."""
        pipeline, known = self._pipeline, decision.known
        access = pipeline.access
        if known.access is access and known.caller is not None:
            caller = known.caller
        else:
            caller = access.look(call.headers)
            known.access, known.caller = access, None if caller.passing else caller
        call.caller = caller
        caller.admit("recommend")
        if decision.signer is pipeline.signer and decision.asked_by is caller:
            call.asked = decision.asked

    def _remember(self, key: bytes, decision: Decision, call: Call) -> None:
        """Where it was answered from the cache: what was not seldom comes again, and would push out what does."""
        if call.found is None or decision.asked is call.asked or call.explain or call.pinned:
            return
        decision.signer, decision.asked, decision.asked_by = self._pipeline.signer, call.asked, call.caller
        self._decisions.keep(key, decision)

    async def _fetch(self, edge: FastEdge, decision: Decision, call: Call, name: str, started: float) -> None:
        slug: str | None = None
        try:
            delivery = await self._pipeline.fetch(call)
        except asyncio.CancelledError:
            self._note(decision, call, HUNG_UP, started)
            raise
        except Exception as error:  # here a request ends
            delivery, slug = self._problem(error, decision, call.trace)
        self._leave(edge, decision, call, delivery, name, started, slug)

    def _problem(self, error: Exception, decision: Decision, trace: Trace) -> tuple[Delivery, str]:
        route = decision.known.route
        told = problems.known(error, route, trace)
        return problems.delivery(told, instance=route, trace_id=trace.trace_id), told.slug

    def _leave(
        self, edge: FastEdge, decision: Decision, call: Call, delivery: Delivery, name: str, started: float,
        slug: str | None,
    ) -> None:  # fmt: skip
        last, written = edge.last, self._written(decision, call, delivery)
        edge.say(_bytes(written, call, delivery, name, last=last), last=last)
        sort = None if written.first is None else written.first.sort
        served = self._note(decision, call, delivery.status, started, slug, sort)
        written.first = written.first or served

    def _note(
        self, decision: Decision, call: Call, status: int, started: float, slug: str | None = None,
        sort: Sort | None = None,
    ) -> Served:  # fmt: skip
        known, epoch = decision.known, self._pipeline.plan.epoch
        served = Served(
            known.head.method, known.route, status, started, time.monotonic(), call.trace, call, slug, epoch, sort
        )
        self._runtime.notes.note(served)
        return served

    # --- its bytes ----------------------------------------------------------------------------------------------

    def _written(self, decision: Decision, call: Call, delivery: Delivery) -> Written:
        second, dressing = int(time.time()), self._dressing.cors
        kept = decision.written
        if (
            kept is not None
            and kept.second == second
            and kept.body is delivery.body
            and kept.own == delivery.headers
            and kept.dressing is dressing
        ):
            return kept
        limited = call.caller is not None and call.caller.limit is not None
        own, more = self._dressing.parts(delivery.headers, call.headers.get("Origin"), limited=limited)
        said = self._said.get(more)
        if said is None:  # as many as there are origins in the configuration
            said = self._said[more] = _lines(more)
        before = f"HTTP/1.1 {delivery.status} {_REASONS[delivery.status]}\r\n{_lines(own)}{said}"
        if self._date[0] != second:
            self._date = second, formatdate(second, usegmt=True)
        length = "" if delivery.status in BODILESS else f"Content-Length: {len(delivery.body)}\r\n"
        after = f"{length}Date: {self._date[1]}\r\n\r\n"
        written = Written(second, delivery.headers, delivery.body, dressing, before.encode(), after.encode())
        if call.found is not None:  # it was cached, so the same bytes may go out again
            decision.written = written
        return written


def _bytes(written: Written, call: Call, delivery: Delivery, name: str, *, last: bool) -> bytes:
    limit = call.caller.limit if call.caller is not None else None
    rate = "" if limit is None else _lines(limit.headers())
    varying = f"{rate}X-Request-Id: {name}\r\n".encode()
    after = CLOSES + written.after if last else written.after
    return b"".join((written.before, varying, after, delivery.body))


def _lines(headers: Headers) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers])

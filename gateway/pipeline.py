"""The way of a request, in two phases. Every front calls these two and nothing else.

    at_once(call)   plain synchronous code; a fresh cached answer leaves from here
      credentials ▸ limit ▸ placement ▸ split (arm) ▸ cache
    answer(call)    begins with at_once; then fetch: everything that awaits (answering/fetching.py)
      ▸ one flight a key ▸ second level ▸ failover ▸ tailoring ▸ provider ▸ bytes ▸ cache

Why this order: a cache above the split would serve one arm's answer to another's users; a stand-in's answer is
cached too; a stale one is tried after *all* providers failed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import floor

import msgspec
import structlog
from msgspec.structs import replace

from gateway.access import Access
from gateway.answering.asked import Asked, Caller, asked_for_recommendations, asked_for_search, pin
from gateway.answering.concluding import LATE
from gateway.answering.delivery import Call, Delivery, deliver
from gateway.answering.explaining import Explanation, attempt_told
from gateway.answering.fetching import MISS, Fetched, Fetching
from gateway.answering.second_level import SecondLevel
from gateway.answering.seen import SEEN, who_needs_log
from gateway.answering.tailoring import Ask
from gateway.deadline import Clock, Deadline, Hurried
from gateway.errors import (
    DeadlineExceeded,
    Forbidden,
    GatewayError,
    InvalidRequest,
    Mistake,
)
from gateway.events.attribution import Signer
from gateway.events.hidden import Hidden
from gateway.experiments.exposures import Exposures
from gateway.model.wire import RecommendationRequest, SearchRequest
from gateway.plan import Plan
from gateway.policies.cache import AnswerCache, CachedAnswer, Found
from gateway.policies.failover import Attempt, NoneAnswered
from gateway.server.mistakes import convert, decode
from gateway.server.query import as_parameters, from_query
from gateway.state.store import Store, StoreError
from gateway.telemetry.notes import Notes

log = structlog.get_logger("gateway")


class Pipeline:
    """Answers questions. `plan` and `access` are swapped whole at a reload."""

    def __init__(
        self,
        plan: Plan,
        access: Access,
        store: Store,
        signer: Signer,
        cache: AnswerCache,
        *,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
        exposures: Exposures | None = None,
        notes: Notes | None = None,
        second: SecondLevel | None = None,
    ) -> None:
        self.plan = plan
        self.access = access
        self.signer = signer
        self.cache = cache
        self.exposures = exposures
        """Where the answers of experiments are noted as they go out."""
        self.notes = notes or Notes()
        """Where what happens is noted, to be told of later."""
        self.hidden = Hidden()
        """Items that were deleted: in no answer, not from the cache either."""
        self.second = second
        """Where all processes share answers; None: nowhere."""
        self.fetching = Fetching(
            cache,
            second,
            store,
            self.hidden,
            self.notes,
            signer=lambda: self.signer,
            deadline=lambda: Deadline.within(self._clock, self.plan.configuration.server.deadline),
            clock=clock,
            wall=wall,
        )
        self._store = store
        self._clock = clock

    # --- phase one
    def at_once(self, call: Call) -> Delivery | None:
        """The answer if it is there; None if it must be fetched. Raises GatewayError."""
        if "Request-Timeout" in call.headers:
            self.deadline(call.headers)  # one that is no time is refused, even where nobody waits
        if call.caller is None:
            call.caller = self.access.admit(call.headers, "recommend")
        asked = call.asked
        if asked is None:
            call.asked = asked = self._for_ops(call, self._read(call))
        caching = asked.placement.caching
        if caching is None or call.explain or call.pinned:
            return None
        call.found = found = self.fetching.look_up(asked.key, caching)
        if found is None:
            return None
        if found.freshness == "fresh":
            return self._deliver(call, found.answer, f"gateway; hit; ttl={floor(found.ttl)}", found.ttl)
        if found.freshness == "revalidate":
            if found.due:
                self.fetching.renew(asked, caching, call.trace)
            return self._deliver(call, found.answer, f"gateway; hit; ttl={floor(found.ttl)}", 0)
        return None if found.due else self._deliver_stale(call, found)

    def _read(self, call: Call) -> Asked:
        assert call.caller is not None  # noqa: S101  # identified just before
        if call.operation == "search":
            search = decode(call.body, SearchRequest)
            return asked_for_search(search, self.plan, call.caller, self.signer, call.headers)
        if call.query is not None:
            return self._read_query(call.caller, call.query, call.headers)
        if call.value is not msgspec.UNSET:
            request = convert(call.value, RecommendationRequest)
        else:
            request = decode(call.body, RecommendationRequest)
        return asked_for_recommendations(request, self.plan, call.caller, self.signer, call.headers)

    def _read_query(self, caller: Caller, query: tuple[tuple[str, str], ...], headers: Mapping[str, str]) -> Asked:
        """The URL form; its mistakes are named as parameters."""
        request = from_query(query, RecommendationRequest)
        try:
            return asked_for_recommendations(request, self.plan, caller, self.signer, headers)
        except InvalidRequest as invalid:
            raise InvalidRequest(as_parameters(invalid.mistakes)) from None

    def _for_ops(self, call: Call, asked: Asked) -> Asked:
        """What only ops may ask for: an explanation, or one provider and no other."""
        explain, pinned = call.headers.get("Gateway-Explain"), call.headers.get("Gateway-Provider")
        if explain is None and pinned is None:
            return asked
        if call.caller is None or not call.caller.may("ops"):
            raise Forbidden("Gateway-Explain and Gateway-Provider need the scope `ops`")
        call.explain, call.pinned = explain == "1", pinned
        return asked if pinned is None else pin(asked, self.plan, pinned)

    def _deliver(self, call: Call, answer: CachedAnswer, status: str, max_age: float) -> Delivery:
        call.provider, call.answer, call.cache_status = answer.provider, answer, status
        self._note_exposure(call, answer)
        return deliver(answer, status, max_age, call.headers.get("If-None-Match"))

    def _note_exposure(self, call: Call, answer: CachedAnswer) -> None:
        """For its experiment, if it is part of one: what ops ask for, and who has no unit, is not."""
        asked = call.asked
        if asked is None or asked.unit is None or asked.placement.phase is None or self.exposures is None:
            return
        if call.shown and not (call.explain or call.pinned):
            empty = answer.provider is None
            fallback = answer.fallback and not empty
            call.exposed = True
            self.exposures.note(
                asked.placement.phase, asked.arm.name or "", asked.unit, empty=empty, fallback=fallback
            )

    def _deliver_stale(self, call: Call, found: Found) -> Delivery:
        return self._deliver(call, found.answer, f"gateway; hit; fwd=stale; ttl={floor(found.ttl)}", 0)

    # --- phase two
    async def answer(self, call: Call, ask: Ask | None = None, deadline: Deadline | None = None) -> Delivery:
        """The answer. Raises GatewayError.

        `ask`: how providers are asked, where questions travel together; `deadline`: where one holds for several.
        """
        delivery = self.at_once(call)
        return delivery if delivery is not None else await self.fetch(call, ask, deadline)

    async def fetch(self, call: Call, ask: Ask | None = None, deadline: Deadline | None = None) -> Delivery:
        """What `at_once` did not have. Raises GatewayError."""
        asked = call.asked
        assert asked is not None  # noqa: S101  # at_once read it
        deadline = deadline or self.deadline(call.headers)
        deadline.trace = call.trace
        if call.explain or call.pinned:
            return await self._answer_for_ops(call, asked, ask, deadline)
        try:
            fetched = await self.fetching.fetched(asked, ask, deadline)
        except NoneAnswered as none:
            if (found := self._stale(call, asked)) is not None:
                return self._deliver_stale(call, found)
            fetched = Fetched(self.fetching.concluded(asked, none), MISS, 0.0)
        except TimeoutError as late:
            if (found := self._stale(call, asked)) is not None:
                return self._deliver_stale(call, found)
            raise DeadlineExceeded(LATE, attempts=[]) from late
        return self._deliver(call, fetched.answer, fetched.status, max(0.0, fetched.ttl))

    def _stale(self, call: Call, asked: Asked) -> Found | None:
        """What goes out where the providers failed: found here before, or meanwhile taken over from another."""
        caching = asked.placement.caching
        if call.found is not None or caching is None or self.second is None:
            return call.found
        return self.fetching.look_up(asked.key, caching)

    async def read_ahead(self, calls: Sequence[Call]) -> None:
        """What their users have seen, where the questions need it: one look, so that none waits for its own."""
        needing = [
            (call, call.asked, user) for call in calls if call.asked and (user := who_needs_log(call.asked))
        ]
        if not needing:
            return
        try:
            seen = await self._store.seen({user for _, _, user in needing}, SEEN)
        except StoreError as error:  # each will try for itself, and say what it went without
            log.warning("what users have seen cannot be read", error=str(error))
            return
        for call, asked, user in needing:
            call.asked = replace(asked, seen=seen[user])

    async def _answer_for_ops(self, call: Call, asked: Asked, ask: Ask | None, deadline: Deadline) -> Delivery:
        """Past the cache; with the way of the request told where that is wanted."""
        explanation = Explanation(asked, self._cached(asked)) if call.explain else None
        if explanation is None:
            answer = await self._ask_or_conclude(asked, ask, deadline, [])
        else:
            deadline.trail = explanation.exchanges
            try:
                answer = await self._ask_or_conclude(asked, ask, deadline, explanation.attempts)
            except GatewayError as error:
                error.members["explain"] = explanation.told()
                raise
            answer = explanation.added_to(answer)
        return self._deliver(call, answer, "gateway; fwd=bypass", 0)

    async def _ask_or_conclude(
        self, asked: Asked, ask: Ask | None, deadline: Deadline, attempts: list[Attempt]
    ) -> CachedAnswer:
        try:
            return await self.fetching.asked_for(asked, ask, deadline, attempts)
        except NoneAnswered as none:
            return self.fetching.concluded(asked, none)
        except TimeoutError as late:
            raise DeadlineExceeded(LATE, attempts=[attempt_told(one) for one in attempts]) from late

    def _cached(self, asked: Asked) -> str:
        """What the cache would have said."""
        caching = asked.placement.caching
        if caching is None:
            return "off"
        found = self.cache.lookup(asked.key, caching)
        return "miss" if found is None else f"{found.freshness}; ttl={floor(found.ttl)}"

    def deadline(self, headers: Mapping[str, str], seconds: float | None = None) -> Deadline:
        """When this request is over: after so many seconds, by default `server.deadline`, or sooner if it says so.

        Raises InvalidRequest (400) for a Request-Timeout that is no time.
        """
        seconds = self.plan.configuration.server.deadline if seconds is None else seconds
        wished = headers.get("Request-Timeout")
        if wished is not None and (shorter := _positive(wished)) < seconds:
            return Hurried.within(self._clock, shorter)
        return Deadline.within(self._clock, seconds)

    async def close(self) -> None:
        """Break off what runs in the background."""
        await self.fetching.close()
        for placement in self.plan.placements.values():
            if placement.shadow is not None:
                await placement.shadow.close()


def _positive(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        mistake = Mistake("Request-Timeout", "must be a positive number of seconds, such as 0.3")
        raise InvalidRequest([mistake], status=400)
    return seconds

"""The way of a request, in two phases. Every front calls these two and nothing else.

    at_once(call)   plain synchronous code; a fresh cached answer leaves from here
      credentials ▸ limit ▸ placement ▸ split (arm) ▸ cache
    answer(call)    begins with at_once; then fetch: everything that awaits
      ▸ one flight a key ▸ second level ▸ failover ▸ tailoring ▸ provider ▸ bytes ▸ cache

Why this order: a cache above the split would serve one arm's answer to another's users; a stand-in's answer is
cached too; a stale one is tried after *all* providers failed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import floor
from typing import Final, NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

from gateway.access import Access
from gateway.asked import Asked, Caller, asked_for_recommendations, asked_for_search, pin
from gateway.concluding import LATE, problem
from gateway.curfew import Curfew
from gateway.deadline import Clock, Deadline, Hurried
from gateway.delivery import Call, Delivery, deliver
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
from gateway.explaining import Explanation, attempt_told
from gateway.model.query import Recommendations
from gateway.model.wire import RecommendationRequest, SearchRequest
from gateway.plan import Plan
from gateway.policies.cache import AnswerCache, CachedAnswer, Caching, Found
from gateway.policies.failover import Attempt, NoneAnswered
from gateway.policies.flights import Flights
from gateway.provider import Provider
from gateway.rendering import render
from gateway.rounds import Rounds
from gateway.second_level import NOTHING, Recalled, SecondLevel
from gateway.seen import SEEN, who_needs_log
from gateway.server.mistakes import convert, decode
from gateway.server.query import as_parameters, from_query
from gateway.shadowing import shadowed
from gateway.state.store import Store, StoreError
from gateway.tailoring import Ask
from gateway.telemetry.notes import Notes

MISS: Final = "gateway; fwd=miss"
STORED: Final = "gateway; fwd=miss; stored"
COLLAPSED: Final = "gateway; fwd=miss; collapsed"
GRACE: Final = 0.02
"""Seconds after the deadline in which the attempts may still say how they ended, before they are broken off."""

log = structlog.get_logger("gateway")


class Fetched(NamedTuple):
    """An answer that `at_once` did not have."""

    answer: CachedAnswer
    status: str
    """What is said of the cache."""
    ttl: float
    """Seconds for which it is good; below 0 since it is stale."""


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
    ) -> None:
        self.plan = plan
        self.access = access
        self.signer = signer
        self.cache = cache
        self.hidden = Hidden()
        """Items that were deleted: in no answer, not from the cache either."""
        self.exposures = exposures
        """Where the answers of experiments are noted as they go out."""
        self.notes = notes or Notes()
        """Where what happens is noted, to be told of later."""
        self._store = store
        self._clock = clock
        self._wall = wall
        self.second: SecondLevel | None = None
        """Where all processes share answers; None: nowhere."""
        self._rounds = Rounds(store, self.hidden, self.notes, clock)
        self._flights: Flights[Fetched] = Flights()
        self._curfew = Curfew()

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
        call.found = found = self._look_up(asked.key, caching)
        if found is None:
            return None
        if found.freshness == "fresh":
            return self._deliver(call, found.answer, f"gateway; hit; ttl={floor(found.ttl)}", found.ttl)
        if found.freshness == "revalidate":
            if found.due:
                self._flights.launch(asked.key, lambda: self._renew(asked, caching))
            return self._deliver(call, found.answer, f"gateway; hit; ttl={floor(found.ttl)}", 0)
        return None if found.due else self._deliver_stale(call, found)

    def _look_up(self, key: bytes, caching: Caching) -> Found | None:
        """A cached answer, unless an item in it was deleted meanwhile."""
        found = self.cache.lookup(key, caching)
        return None if found is None or self._hides(found.answer) else found

    def _hides(self, answer: CachedAnswer) -> bool:
        """Does it show an item that is to be in no answer?"""
        return bool(self.hidden.items) and self.hidden.shows(answer.items)

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
            fetched = await self._fetched(asked, ask, deadline)
            if self._hides(fetched.answer):  # deleted while it was asked for
                fetched = Fetched(await self._ask(asked, ask, deadline), MISS, 0.0)
        except NoneAnswered as none:
            if (found := self._stale(call, asked)) is not None:
                return self._deliver_stale(call, found)
            fetched = Fetched(self._concluded(asked, none), MISS, 0.0)
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
        return self._look_up(asked.key, caching)

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
            with self._curfew.after(deadline.left() + GRACE):
                return await self._ask(asked, ask, deadline, attempts)
        except NoneAnswered as none:
            return self._concluded(asked, none)
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

    async def _fetched(self, asked: Asked, ask: Ask | None, deadline: Deadline) -> Fetched:
        """Through the cache, where the placement has one.

        A caller in a hurry asks alone: others must not be cut short by its deadline, nor it wait for theirs.
        """
        caching = asked.placement.caching
        with self._curfew.after(deadline.left() + GRACE):
            if caching is None:
                return Fetched(await self._ask(asked, ask, deadline), MISS, 0.0)
            if isinstance(deadline, Hurried):
                fetched, collapsed = await self._fetch_and_keep(asked, caching, ask, deadline), False
            else:
                fetched, collapsed = await self._flights.join(
                    asked.key, lambda: self._fetch_and_keep(asked, caching, ask, deadline)
                )
        if fetched.ttl < 0:  # another process had it, and it is stale by now: renewed as if it had been here
            self._flights.launch(asked.key, lambda: self._renew(asked, caching))
        if collapsed:
            return Fetched(fetched.answer, COLLAPSED, fetched.ttl)
        return fetched if fetched.status != MISS else Fetched(fetched.answer, MISS, 0.0)

    async def _fetch_and_keep(
        self, asked: Asked, caching: Caching, ask: Ask | None, deadline: Deadline
    ) -> Fetched:
        """From another process, else from the providers: kept here and for the others.

        A `MISS` is not kept: it may be too large, or overtaken by a drop.
        """
        asked_at = self._clock()
        recalled = NOTHING
        if self.second is not None:
            recalled = await self.second.recall(asked.key, asked.placement.name, asked.subject)
            found = self._taken_over(asked, caching, recalled, asked_at)
            if found is not None:
                return Fetched(found.answer, f"gateway; hit; ttl={floor(found.ttl)}", found.ttl)
        try:
            answer = await self._ask(asked, ask, deadline)
        except NoneAnswered as none:
            if none.verdict != "late" or not isinstance(deadline, Hurried):  # nobody's hurry keeps it stale
                self.cache.refresh_failed(asked.key, caching)
            raise
        kept = self.cache.store(asked.key, answer, caching, asked.placement.name, asked.subject, asked_at)
        if kept and self.second is not None:
            self.second.keep(asked.key, answer, caching, recalled)
        return Fetched(answer, STORED if kept else MISS, caching.ttl)

    def _taken_over(self, asked: Asked, caching: Caching, recalled: Recalled, asked_at: float) -> Found | None:
        """What another process had of the providers, now kept here too; None where they must be asked."""
        fresh = recalled.age < caching.ttl
        if recalled.answer is None or (not fresh and self.cache.lookup(asked.key, caching) is not None):
            return None
        placement, subject = asked.placement.name, asked.subject
        self.cache.store(asked.key, recalled.answer, caching, placement, subject, asked_at, recalled.age)
        found = self._look_up(asked.key, caching)
        return None if found is None or found.freshness == "if_error" else found

    async def _renew(self, asked: Asked, caching: Caching) -> Fetched:
        """Renew an answer that was served stale; nobody waits, so what goes wrong is noted and forgotten."""
        deadline = Deadline.within(self._clock, self.plan.configuration.server.deadline)
        try:
            return await self._fetch_and_keep(asked, caching, None, deadline)
        except NoneAnswered:
            found = self._look_up(asked.key, caching)
            if found is None:  # dropped meanwhile: for those who joined
                raise
            return Fetched(found.answer, STORED, caching.ttl)
        except Exception:  # here a renewal ends: nobody waits for it
            log.exception("renewal", placement=asked.placement.name)
            raise

    async def _ask(
        self, asked: Asked, ask: Ask | None, deadline: Deadline, failed: list[Attempt] | None = None
    ) -> CachedAnswer:
        """One provider after the other; those that did not answer are added to `failed`. Raises NoneAnswered."""
        attempts: list[Attempt] = [] if failed is None else failed
        name, said = await self._rounds.first(asked, ask, deadline, attempts)
        shadow = asked.placement.shadow
        if shadow is not None and failed is None:
            shadow.consider(lambda: self._shadow(asked, shadow.provider, said))
        return render(asked, name, said, fallback=bool(attempts), signer=self.signer, now=self._wall())

    async def _shadow(self, asked: Asked, provider: Provider, served: Recommendations) -> None:
        deadline = Deadline.within(self._clock, self.plan.configuration.server.deadline).before(1)
        self.notes.note(await shadowed(asked, provider, served, self._store, self.hidden, deadline, self._clock))

    def _concluded(self, asked: Asked, none: NoneAnswered) -> CachedAnswer:
        """What is answered when nobody did: nothing, if somebody simply had nothing; else raises the problem."""
        if none.verdict != "empty":
            raise problem(asked, none) from none
        nothing = Recommendations()
        return render(asked, None, nothing, fallback=True, signer=self.signer, now=self._wall())

    async def close(self) -> None:
        """Break off what runs in the background."""
        await self._flights.close()
        self._curfew.close()
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

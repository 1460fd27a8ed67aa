"""How an answer is had that must be fetched, and kept for those who ask next.

    look_up        what this process has kept
    fetched  ─▸ one flight a key ─▸ second level ─▸ providers (rounds.py) ─▸ bytes ─▸ kept, here and for the others
    renew      the same for an answer that went out stale: nobody waits for it
    asked_for      past all that: for ops

A stand-in's answer is kept too. Whether a stale one goes out where nobody answered is for the pipeline to say.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Final, NamedTuple

import structlog

from gateway.answering.asked import Asked
from gateway.answering.concluding import problem
from gateway.answering.curfew import Curfew
from gateway.answering.rendering import render
from gateway.answering.rounds import Rounds
from gateway.answering.second_level import NOTHING, Recalled, SecondLevel
from gateway.answering.shadowing import shadowed
from gateway.answering.tailoring import Ask
from gateway.deadline import Clock, Deadline, Hurried
from gateway.events.attribution import Signer
from gateway.events.hidden import Hidden
from gateway.model.query import Recommendations
from gateway.policies.cache import AnswerCache, CachedAnswer, Caching, Found
from gateway.policies.failover import Attempt, NoneAnswered
from gateway.policies.flights import Flights
from gateway.provider.account import Provider
from gateway.state.store import Store
from gateway.telemetry.notes import Notes
from gateway.telemetry.trace import Trace

MISS: Final = "gateway; fwd=miss"
STORED: Final = "gateway; fwd=miss; stored"
COLLAPSED: Final = "gateway; fwd=miss; collapsed"
GRACE: Final = 0.02
"""Seconds after the deadline in which the attempts may still say how they ended, before they are broken off."""

log = structlog.get_logger("gateway")


class Fetched(NamedTuple):
    """An answer that was not at hand."""

    answer: CachedAnswer
    status: str
    """What is said of the cache."""
    ttl: float
    """Seconds for which it is good; below 0 since it is stale."""


class Fetching:
    """Of one pipeline."""

    def __init__(
        self,
        cache: AnswerCache,
        second: SecondLevel | None,
        store: Store,
        hidden: Hidden,
        notes: Notes,
        *,
        signer: Callable[[], Signer],
        deadline: Callable[[], Deadline],
        clock: Clock,
        wall: Clock,
    ) -> None:
        """`signer`, `deadline`: as the configuration in force has them; of a request that begins now."""
        self._cache = cache
        self._second = second
        self._store = store
        self._hidden = hidden
        self._notes = notes
        self._signer = signer
        self._deadline = deadline
        self._clock = clock
        self._wall = wall
        self._rounds = Rounds(store, hidden, notes, clock)
        self._flights: Flights[Fetched] = Flights()
        self._curfew = Curfew()

    def look_up(self, key: bytes, caching: Caching) -> Found | None:
        """A cached answer, unless an item in it was deleted meanwhile."""
        found = self._cache.lookup(key, caching)
        return None if found is None or self._hides(found.answer) else found

    def _hides(self, answer: CachedAnswer) -> bool:
        """Does it show an item that is to be in no answer?"""
        return bool(self._hidden.items) and self._hidden.shows(answer.items)

    # --- somebody waits
    async def fetched(self, asked: Asked, ask: Ask | None, deadline: Deadline) -> Fetched:
        """Through the cache, where the placement has one. Raises NoneAnswered, TimeoutError."""
        caching = asked.placement.caching
        with self._curfew.after(deadline.left() + GRACE):
            if caching is None:
                fetched = Fetched(await self._ask(asked, ask, deadline), MISS, 0.0)
            else:
                fetched = await self._through_cache(asked, caching, ask, deadline)
        if self._hides(fetched.answer):  # deleted while it was asked for
            return Fetched(await self._ask(asked, ask, deadline), MISS, 0.0)
        return fetched

    async def asked_for(
        self, asked: Asked, ask: Ask | None, deadline: Deadline, attempts: list[Attempt]
    ) -> CachedAnswer:
        """Past the cache and without a shadow; the attempts that failed are added. Raises as `fetched`."""
        with self._curfew.after(deadline.left() + GRACE):
            return await self._ask(asked, ask, deadline, attempts)

    async def _through_cache(self, asked: Asked, caching: Caching, ask: Ask | None, deadline: Deadline) -> Fetched:
        """A caller in a hurry asks alone: others must not be cut short by its deadline, nor it wait for theirs."""
        if isinstance(deadline, Hurried):
            fetched, collapsed = await self._fetch_and_keep(asked, caching, ask, deadline), False
        else:
            fetched, collapsed = await self._flights.join(
                asked.key, lambda: self._fetch_and_keep(asked, caching, ask, deadline)
            )
        if fetched.ttl < 0:  # another process had it, and it is stale by now: renewed as if it had been here
            self.renew(asked, caching, deadline.trace)
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
        if self._second is not None:
            recalled = await self._second.recall(asked.key, asked.placement.name, asked.subject)
            found = self._taken_over(asked, caching, recalled, asked_at)
            if found is not None:
                return Fetched(found.answer, f"gateway; hit; ttl={floor(found.ttl)}", found.ttl)
        try:
            answer = await self._ask(asked, ask, deadline)
        except NoneAnswered as none:
            if none.verdict != "late" or not isinstance(deadline, Hurried):  # nobody's hurry keeps it stale
                self._cache.refresh_failed(asked.key, caching)
            raise
        kept = self._cache.store(asked.key, answer, caching, asked.placement.name, asked.subject, asked_at)
        if kept and self._second is not None:
            self._second.keep(asked.key, answer, caching, recalled)
        return Fetched(answer, STORED if kept else MISS, caching.ttl)

    def _taken_over(self, asked: Asked, caching: Caching, recalled: Recalled, asked_at: float) -> Found | None:
        """What another process had of the providers, now kept here too; None where they must be asked."""
        fresh = recalled.age < caching.ttl
        if recalled.answer is None or (not fresh and self._cache.lookup(asked.key, caching) is not None):
            return None
        placement, subject = asked.placement.name, asked.subject
        self._cache.store(asked.key, recalled.answer, caching, placement, subject, asked_at, recalled.age)
        found = self.look_up(asked.key, caching)
        return None if found is None or found.freshness == "if_error" else found

    async def _ask(
        self, asked: Asked, ask: Ask | None, deadline: Deadline, failed: list[Attempt] | None = None
    ) -> CachedAnswer:
        """One provider after the other; those that did not answer are added to `failed`. Raises NoneAnswered."""
        attempts: list[Attempt] = [] if failed is None else failed
        name, said = await self._rounds.first(asked, ask, deadline, attempts)
        shadow = asked.placement.shadow
        if shadow is not None and failed is None:
            cause = deadline.trace or deadline.cause
            shadow.consider(lambda: self._shadow(asked, shadow.provider, said, cause))
        return render(asked, name, said, fallback=bool(attempts), signer=self._signer(), now=self._wall())

    def concluded(self, asked: Asked, none: NoneAnswered) -> CachedAnswer:
        """What is answered when nobody did: nothing, if somebody simply had nothing; else raises the problem."""
        if none.verdict != "empty":
            raise problem(asked, none) from none
        nothing = Recommendations()
        return render(asked, None, nothing, fallback=True, signer=self._signer(), now=self._wall())

    # --- nobody waits
    def renew(self, asked: Asked, caching: Caching, cause: Trace | None = None) -> None:
        """Fetch it anew; whoever asks meanwhile waits for this. `cause`: of the request that got the stale one."""
        self._flights.launch(asked.key, lambda: self._renew(asked, caching, cause))

    async def _renew(self, asked: Asked, caching: Caching, cause: Trace | None) -> Fetched:
        """What goes wrong is noted and forgotten."""
        deadline = self._deadline()
        deadline.cause = cause
        try:
            return await self._fetch_and_keep(asked, caching, None, deadline)
        except NoneAnswered:
            found = self.look_up(asked.key, caching)
            if found is None:  # dropped meanwhile: for those who joined
                raise
            return Fetched(found.answer, STORED, caching.ttl)
        except Exception:  # here a renewal ends: nobody waits for it
            log.exception("renewal", placement=asked.placement.name, trace_id=deadline.logged_as)
            raise

    async def _shadow(
        self, asked: Asked, provider: Provider, served: Recommendations, cause: Trace | None
    ) -> None:
        deadline = self._deadline().before(1)
        deadline.cause = cause
        self._notes.note(await shadowed(asked, provider, served, self._store, self._hidden, deadline, self._clock))

    async def close(self) -> None:
        """Break off what runs in the background."""
        await self._flights.close()
        self._curfew.close()

"""Follows the state store, and answers what the adapter `local` is asked.

    refresh   at most every `REFRESH` seconds, and at once after this process wrote: reads on from where it stopped
    rebuild   where something was deleted from what it has learned: learns all anew beside what serves, then swaps
    recall    waits a little for a refresh that is due, then answers from what is there

Learning is done in slices between which the event loop serves others. A store that fails is no reason not to
answer: what was learned before still holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import structlog

from gateway.deadline import Clock
from gateway.errors import NoAnswer
from gateway.memory.model import Model, Personal, Ranking
from gateway.model.filters import matches
from gateway.model.query import FacetScore, Item, Recommend, Recommendations, Search
from gateway.state.learned import Learned, Position
from gateway.state.store import Store, StoreError

REFRESH: Final = 2.0
"""Seconds between two looks at the store."""
REBUILD: Final = 60.0
"""Seconds at least between two learnings anew: many deletions cost one."""
READ: Final = 1000
"""Deeds and records that are read at once."""
SLICE: Final = 50
"""Deeds learned, or items looked at, before others have their turn: a millisecond."""
SEEN: Final = 1000
"""The user's last items that `exclude_seen` leaves out."""
LOOKED_AT: Final = 20_000
"""The most items that one question looks at."""
TRENDING: Final = 5_000
"""The most popular items, whose values trend."""

log = structlog.get_logger("gateway")


class Memory:
    """One process's; empty until something was learned."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._looked = float("-inf")
        self._rebuilt = float("-inf")
        self._forgotten: int | None = None
        self._position = Position()
        self._model = Model()
        self._refreshing: asyncio.Task[None] | None = None
        self._rebuilding: asyncio.Task[None] | None = None
        self._erased: set[str] = set()
        """While it learns: what is on its way from the store may be older than the erasure."""

    # --- following the store
    def changed(self) -> None:
        """The store has more to be learned, by this process's own doing: the next question looks at once."""
        self._looked = float("-inf")

    def forget_user(self, user: str) -> None:
        """At once; the rest of what was learned of this user goes with the next learning anew."""
        self._model.forget_user(user)
        if self._learning():
            self._erased.add(user)
        self.changed()

    def _learning(self) -> list[asyncio.Task[None]]:
        return [task for task in (self._refreshing, self._rebuilding) if task is not None and not task.done()]

    async def follow(self, wanted: Callable[[], bool]) -> None:
        """Keep up with the store until cancelled, so that no question has to wait; while anybody wants it."""
        while True:
            if wanted():
                await self._fresh(None)
            await asyncio.sleep(REFRESH / 2)

    async def close(self) -> None:
        """Break off what runs."""
        running = self._learning()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _fresh(self, patience: float | None) -> None:
        """Look at the store if that is due; wait no longer than `patience` seconds."""
        if self._refreshing is None or self._refreshing.done():
            if self._clock() - self._looked < REFRESH:
                return
            self._looked = self._clock()
            if not self._learning():
                self._erased.clear()
            self._refreshing = asyncio.get_running_loop().create_task(_noting(self._refresh()))
        await asyncio.wait({self._refreshing}, timeout=patience)

    async def _refresh(self) -> None:
        learned = await self._store.learned_since(self._position, READ)
        if self._forgotten is None:
            self._forgotten = learned.forgotten
        if learned.forgotten != self._forgotten:
            self._consider_rebuilding(learned.forgotten)
        await self._learn(self._model, learned)

    def _consider_rebuilding(self, forgotten: int) -> None:
        if self._rebuilding is not None and not self._rebuilding.done():
            return
        if self._clock() - self._rebuilt >= REBUILD:
            self._rebuilt = self._clock()
            self._rebuilding = asyncio.get_running_loop().create_task(_noting(self._rebuild(forgotten)))

    async def _rebuild(self, forgotten: int) -> None:
        """The old model serves, and follows, until the new one is whole."""
        model = Model()
        position = await self._learn(model, await self._store.learned_since(Position(), READ))
        self._model, self._position, self._forgotten = model, position, forgotten

    async def _learn(self, model: Model, learned: Learned) -> Position:
        """Take in this part and all that follow it; where the store's lists end."""
        while learned.deeds or learned.records:
            for start in range(0, max(len(learned.deeds), len(learned.records)), SLICE):
                for record in learned.records[start : start + SLICE]:
                    model.take_record(record)
                for deed in learned.deeds[start : start + SLICE]:
                    model.take_deed(deed)
                for user in self._erased:
                    model.forget_user(user)
                await asyncio.sleep(0)
            if model is self._model:
                self._position = learned.position  # what fails later must not be learned twice
            learned = await self._store.learned_since(learned.position, READ)
        model.settle()
        return learned.position

    # --- answering
    async def recall(self, question: Recommend | Search, patience: float | None = None) -> Recommendations:
        """What there is to recommend. Raises NoAnswer when nothing was learned that fits.

        `patience`: seconds that a look at the store may take, if one is due; None: as long as it takes.
        """
        await self._fresh(patience)
        model = self._model
        model.settle()
        personal = await self._personal(model, question)
        ranking = model.ranking(question, personal)
        if isinstance(question, Recommend) and question.kind == "trending_facets":
            return await self._facets(model, question)
        items = await self._chosen(model, question, ranking, personal.seen)
        if not items:
            raise NoAnswer("nothing was learned yet that fits")
        return Recommendations(items, cold_start=ranking.cold)

    async def _personal(self, model: Model, question: Recommend | Search) -> Personal:
        """The items given, else the user's last ones by what was learned, else by the store."""
        user = question.user
        if user is None:
            return Personal({}, frozenset())
        wants = dict(model.together.recent(user.id)) if user.id is not None else {}
        if user.id is not None and not wants and model.together.forgot_users:
            wants = dict.fromkeys(await self._seen(user.id, SLICE), 1.0)
        given = [seen.item for seen in user.history]
        for item in given:
            wants.pop(item, None)
            wants[item] = 1.0
        seen: set[str] = set()
        habit = isinstance(question, Recommend) and question.kind == "for_you"
        if question.exclude_seen or (question.exclude_seen is None and habit):
            seen = {*wants}
        if question.exclude_seen and user.id is not None:
            seen |= {*await self._seen(user.id, SEEN)}
        return Personal(wants, frozenset(seen))

    async def _seen(self, user: str, limit: int) -> tuple[str, ...]:
        try:
            return (await self._store.seen([user], limit)).get(user, ())
        except StoreError as error:
            log.warning("what a user has seen cannot be read now", error=str(error))
            return ()

    async def _chosen(
        self, model: Model, question: Recommend | Search, ranking: Ranking, seen: frozenset[str]
    ) -> tuple[Item, ...]:
        left_out = {*question.exclude_items, *seen}
        if isinstance(question, Recommend):
            left_out |= {*question.items}
        elif question.item is not None:
            left_out.add(question.item)
        chosen: list[Item] = []
        for looked_at, (id_, score) in enumerate(ranking.items, 1):
            if id_ not in left_out and _fits(model, question, id_):
                properties = dict(model.properties(id_)) if question.properties else None
                chosen.append(Item(id_, score, properties))
            if len(chosen) == question.count or looked_at == LOOKED_AT:
                break
            if looked_at % SLICE == 0:
                await asyncio.sleep(0)
        return tuple(chosen)

    async def _facets(self, model: Model, question: Recommend) -> Recommendations:
        assert question.facet is not None  # noqa: S101  # the API has checked it
        name = question.facet.name
        scores: dict[str, float] = {}
        for looked_at, (id_, weight) in enumerate(model.popularity.ranked(), 1):
            if weight <= 0 or looked_at > TRENDING:
                break
            if _fits(model, question, id_):
                for value in model.facet(name, id_):
                    scores[value] = scores.get(value, 0.0) + weight
            if looked_at % SLICE == 0:
                await asyncio.sleep(0)
        if not scores:
            raise NoAnswer("no item on record that is wanted has this facet")
        best = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[: question.count]
        return Recommendations(facets=tuple(FacetScore(name, value, score) for value, score in best))


async def _noting(learning: Awaitable[None]) -> None:
    try:
        await learning
    except StoreError as error:
        log.warning("what is wanted cannot be learned now", error=str(error))
    except Exception:  # here a task ends that nobody asks for its result
        log.exception("learning")


def _fits(model: Model, question: Recommend | Search, id_: str) -> bool:
    if not model.has(id_):
        return False
    properties = model.properties(id_)
    if question.filter is not None and not matches(question.filter, id_, properties):
        return False
    facet = question.facet if isinstance(question, Recommend) else None
    return facet is None or facet.value is None or facet.value in _texts(properties.get(facet.name))


def _texts(value: object) -> Iterator[str]:
    listed = value if isinstance(value, list) else [value]
    return (one for one in listed if isinstance(one, str))

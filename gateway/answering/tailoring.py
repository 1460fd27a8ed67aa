"""Fits one question to what a provider can say, and mends its answer to what was asked.

    question ─▸ taken out: what the provider cannot say          ─▸ asked (one question, or one a seed)
    answer   ─▸ fused ▸ filtered ▸ excluded ▸ scored ▸ cut to count ─▸ properties from the records

Nothing is dropped in silence: what is taken out is made up for here, or a warning says so, or the provider is
passed over (`Unsupported`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from msgspec.structs import replace

from gateway.adapter import Adapter, Part
from gateway.answering.asked import NEEDS_SEEDS, Asked
from gateway.answering.fusion import fuse
from gateway.answering.seen import RECENT, SEEN, Log, seen_by, wanted_of_log
from gateway.deadline import Deadline
from gateway.errors import NoAnswer, PassedOver, Unsupported
from gateway.events.hidden import Hidden
from gateway.model.filters import Compare, Filter, conjunction, conjuncts, leaves, matches
from gateway.model.query import Item, Recommend, Recommendations, Search, Snippet, User
from gateway.provider.account import Provider
from gateway.state.store import StoreError

OVERSAMPLE: Final = 3
"""Times the count that is asked for where the gateway will leave some out (API.md §3)."""
FUSED_SEEDS: Final = 5
"""Seeds that are asked one by one where a vendor takes no set; the last ones given."""

NOTHING_HIDDEN: Final = Hidden()

Ask = Callable[[Provider, Recommend | Search, Deadline], Awaitable[Recommendations]]


class Records(Log, Protocol):
    """The gateway's own records of items, and its log."""

    async def items(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        """`{id: properties}` of those on record."""


class Tailor:
    """One question for one provider: what is said to it, and what is left for the gateway to do."""

    def __init__(self, asked: Asked, provider: Provider, hidden: Hidden = NOTHING_HIDDEN) -> None:
        self._asked = asked
        self._provider = provider
        self._hidden = hidden
        self._adapter = provider.adapter
        self._strict = asked.placement.settings.strict
        self._warnings: list[str] = []
        self._left: tuple[Filter, ...] = ()
        self._exclude: set[str] = {*asked.placement.hide}
        self._seen: set[str] = set()
        self._question = asked.question if _fits_anybody(asked, self._adapter) else self._fit(asked.question)

    async def answer(self, ask: Ask, records: Records, deadline: Deadline) -> Recommendations:
        """The mended answer. Raises ProviderError, NoAnswer where nothing is left of it."""
        question = self._asked.question
        try:
            if question.exclude_seen or self._adapter.wants_recent:
                await self._look_into_log(records)
            said = await self._ask(ask, deadline)
            if said.facets:
                return replace(said, facets=said.facets[: question.count], warnings=self._all(said))
            items = self._allowed(said.items)
            if self._left or question.properties:
                items = await self._with_properties(items, records)
        except StoreError as error:  # the next provider may need none of our records
            raise PassedOver(str(error)) from error
        if self._left:
            items = self._filtered(items)
        if not items:
            raise NoAnswer("nothing to recommend")
        return replace(said, items=items[: question.count], warnings=self._all(said))

    def _all(self, said: Recommendations) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._warnings, *said.warnings)))

    # --- what is said
    def _fit(self, question: Recommend | Search) -> Recommend | Search:
        tree = self._fit_filter(question.filter)
        exclude = self._fit_excluded(question)
        if isinstance(question, Recommend):
            fitted: Recommend | Search = self._fit_items(replace(question, contexts=self._fit_contexts(question)))
        else:
            fitted = replace(question, hybrid=question.hybrid and self._says("hybrid", "a hybrid search"))
        if question.user is not None and question.user.history and "history" not in self._adapter.says:
            fitted = self._without_history(fitted, question.user)
        return replace(
            fitted,
            filter=tree,
            exclude_items=exclude,
            exclude_seen=self._fit_seen(question),
            count=self._fit_count(question.count),
            properties=question.properties or bool(self._left),
            options=self._asked.options.get(self._provider.name, {}),
            snippets=self._snippets(question),
        )

    def _fit_filter(self, tree: Filter | None) -> Filter | None:
        parts = conjuncts(tree)
        if not parts:
            return None
        can = self._adapter.expressible([self._provider.dialect.filter(part) for part in parts])
        self._left = tuple(part for part, said in zip(parts, can, strict=True) if not said)
        for part in self._left:
            names = {leaf.property if isinstance(leaf, Compare) else "ids" for leaf in leaves(part)}
            self._warnings += [f"filter on `{name}` applied by the gateway" for name in sorted(names)]
        return conjunction([part for part, said in zip(parts, can, strict=True) if said])

    def _fit_excluded(self, question: Recommend | Search) -> tuple[str, ...]:
        self._exclude |= {*question.exclude_items}
        if isinstance(question, Recommend):
            self._exclude |= {*question.items}
        if "exclude_items" not in self._adapter.says:
            return ()
        return tuple(dict.fromkeys((*question.exclude_items, *sorted(self._asked.placement.hide))))

    def _fit_seen(self, question: Recommend | Search) -> bool | None:
        wanted = question.exclude_seen
        if wanted is None:
            return None
        if ("exclude_seen" if wanted else "include_seen") in self._adapter.says:
            return wanted
        if not wanted:
            self._warnings.append(f"{self._provider.name} cannot be told to show what was seen")
            return None
        self._seen |= {seen.item for seen in (question.user.history if question.user else ())}
        return None

    def _fit_contexts(self, question: Recommend) -> tuple[str, ...]:
        return question.contexts if question.contexts and self._says("contexts", "contexts") else ()

    def _says(self, part: Part, what: str) -> bool:
        if part in self._adapter.says:
            return True
        if self._strict:
            raise Unsupported(f"has no {what.removeprefix('a ')}")
        warning = f"{self._provider.name} has no {what.removeprefix('a ')}: ignored"
        wanted = self._asked.question
        if (part == "hybrid" and isinstance(wanted, Search) and wanted.hybrid) or part == "contexts":
            self._warnings.append(warning)
        return False

    def _fit_items(self, question: Recommend) -> Recommend:
        """Items beside a kind that is not about items: only for a provider that says what they mean there."""
        if not question.items or question.kind in NEEDS_SEEDS or question.kind in self._adapter.seeds:
            return question
        self._warnings.append(f"items are not used for {question.kind}")
        return replace(question, items=())

    def _without_history(self, question: Recommend | Search, user: User) -> Recommend | Search:
        """For a provider that takes no history: the user's id alone, or nobody."""
        if user.id is not None:
            self._warnings.append(f"{self._provider.name} takes no history: ignored")
            return replace(question, user=User(user.id))
        if isinstance(question, Recommend) and question.kind == "for_you":
            raise Unsupported("takes no history in place of a user id")
        return replace(question, user=None)

    def _fit_count(self, count: int) -> int:
        bound = self._adapter.max_count
        if count > bound:
            self._warnings.append(f"{self._provider.name} gives at most {bound} items")
        if self._left:
            return min(bound, OVERSAMPLE * count)
        spare = len(self._seen) + (0 if "exclude_items" in self._adapter.says else len(self._exclude))
        return min(bound, count + min(spare, (OVERSAMPLE - 1) * count))

    def _snippets(self, question: Recommend | Search) -> tuple[Snippet, ...]:
        origin = self._asked.origin
        if origin is None or origin.provider != self._provider.name or "snippets" not in self._adapter.says:
            return ()
        seeds = question.items if isinstance(question, Recommend) else (question.item,)
        parts = ((seed, origin.part(seed)) for seed in seeds if seed)
        return tuple(Snippet(seed, part) for seed, part in parts if part is not None)

    async def _look_into_log(self, log: Log) -> None:
        """Fill in what the gateway's own log says of the user; `exclude_seen` is ours where it cannot."""
        question, asked = self._question, self._asked.question
        limit = wanted_of_log(asked, self._adapter)
        seen = await seen_by(self._asked, log, limit) if limit else None
        if isinstance(question, Recommend) and question.kind in self._adapter.wants_recent:
            question = replace(question, recent=(seen or ())[-RECENT:])
        if asked.exclude_seen and "exclude_seen" not in self._adapter.says:
            self._seen |= {*(seen or ())}
            question = replace(question, count=self._fit_count(asked.count))
            to = "the history given" if seen is None else f"the user's last {SEEN} items and the history given"
            self._warnings.append(f"exclude_seen applied by the gateway to {to}")
        self._question = question

    # --- asking
    def _ask(self, ask: Ask, deadline: Deadline) -> Awaitable[Recommendations]:
        question = self._question
        if isinstance(question, Recommend):
            most = self._adapter.seeds.get(question.kind, 1)
            if len(question.items) > most:
                return self._ask_each(question, ask, deadline)
        return ask(self._provider, question, deadline)

    async def _ask_each(self, question: Recommend, ask: Ask, deadline: Deadline) -> Recommendations:
        """One question a seed, fused by rank. A seed without an answer takes nothing from the others."""
        seeds = question.items[-FUSED_SEEDS:]
        if len(question.items) > len(seeds):
            self._warnings.append(f"only the last {len(seeds)} of {len(question.items)} items were used")
        questions = [
            replace(question, items=(seed,), snippets=tuple(s for s in question.snippets if s.item == seed))
            for seed in seeds
        ]
        answers = await asyncio.gather(
            *(ask(self._provider, one, deadline) for one in questions), return_exceptions=True
        )
        said: list[Recommendations] = []
        for one in answers:
            if isinstance(one, BaseException):
                if not isinstance(one, NoAnswer):
                    raise one
            else:
                said.append(one)
        if not said:
            raise NoAnswer("no seed had an answer")
        return Recommendations(
            items=fuse([one.items for one in said], question.count),
            data=tuple(entry for one in said for entry in one.data),
            query_id=said[0].query_id if len(said) == 1 else None,  # a fused rank is no rank of the vendor's
            cold_start=all(one.cold_start for one in said),
            warnings=tuple(warning for one in said for warning in one.warnings),
        )

    # --- mending
    def _allowed(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """Each item once, at its best place; none that is excluded, seen, hidden or scored too low."""
        ids = {item.id for item in items}
        without = (self._exclude, self._seen, self._hidden.items)
        if len(ids) < len(items) or not all(map(ids.isdisjoint, without)):
            best: dict[str, Item] = {}
            for item in items:
                if not any(item.id in out for out in without):
                    best.setdefault(item.id, item)
            items = tuple(best.values())
        least = self._asked.placement.settings.min_score.get(self._provider.name)
        if least is not None:
            items = tuple(item for item in items if item.score is None or item.score >= least)
        return items

    async def _with_properties(self, items: tuple[Item, ...], records: Records) -> tuple[Item, ...]:
        """The vendor's properties, else those on record."""
        lacking = [item.id for item in items if not item.properties]
        on_record = await _on_record(lacking, records) if lacking else {}
        return tuple(
            item if item.properties else replace(item, properties=on_record.get(item.id, item.properties))
            for item in items
        )

    def _filtered(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        compares = any(isinstance(leaf, Compare) for part in self._left for leaf in leaves(part))
        known = tuple(item for item in items if item.properties is not None) if compares else items
        if items and not known:
            raise Unsupported("the properties to filter by are not known of its items")
        return tuple(item for item in known if self._fits(item))

    def _fits(self, item: Item) -> bool:
        return all(matches(part, item.id, item.properties or {}) for part in self._left)


def _fits_anybody(asked: Asked, adapter: Adapter) -> bool:
    """Is it a question that every provider of its kind can take as it is, and nothing is left to do for us?"""
    question = asked.question
    if isinstance(question, Recommend):
        more: object = question.items or question.contexts
    else:
        more = question.hybrid
    return not (
        more
        or question.filter is not None
        or question.exclude_items
        or question.exclude_seen is not None
        or (question.user is not None and question.user.history)
        or question.count > adapter.max_count
        or asked.placement.hide
        or asked.options
        or asked.origin
    )


async def _on_record(ids: list[str], records: Records) -> Mapping[str, dict[str, Any]]:
    """What is on record; nothing where the store is in trouble: recommendations do not wait for it to mend."""
    try:
        return await records.items(ids)
    except StoreError:
        return {}

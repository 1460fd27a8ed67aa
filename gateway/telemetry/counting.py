"""Reads notes and counts. What a label may say is decided here: nothing that a caller or a vendor makes up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from gateway.errors import Malformed, ProviderError
from gateway.model.activity import Receipt
from gateway.model.query import Recommendations
from gateway.telemetry import families
from gateway.telemetry.lists import Lists
from gateway.telemetry.notes import Called, Exchange, Note, Round, Served, Shadowed, Unknown
from gateway.telemetry.outcomes import HUNG_UP, OTHER_METHOD
from gateway.telemetry.sorts import Sort, Sorts, Told, Took, told_of
from gateway.telemetry.tallies import Counts, Distribution

OTHER: Final = OTHER_METHOD
"""Routes have no word of their own for it."""
RATE_LIMITED: Final = "rate-limited"
MOST_ROUTES: Final = 100
"""Routes of one provider that are told apart: an adapter may have forgotten to name one, and its paths are
without end."""
CHANGES: Final = ("open", "half_open", "closed")
DRIFTS: Final = ("missing", "unreadable", "unknown")
_ID: Final = attrgetter("id")
PORTS: Final = {"http": 80, "https": 443}


class Counting:
    """One process's numbers."""

    def __init__(self, sorts: Sorts, lists: Lists | None = None) -> None:
        self._sorts = sorts
        self._lists = lists or Lists()
        self.server = Distribution(families.SERVER)
        self.client = Distribution(families.CLIENT)
        self.answers = Counts(families.ANSWERS)
        self.cache = Counts(families.CACHE)
        self.rounds = Distribution(families.ROUND)
        self.failovers = Counts(families.FAILOVERS)
        self.calls = Counts(families.CALLS)
        self.told = Counts(families.TOLD)
        self.retries = Counts(families.RETRIES)
        self.throttles = Counts(families.THROTTLES)
        self.breaker_changes = Counts(families.BREAKER_CHANGES)
        self.flaws = Counts(families.FLAWS)
        self.repeats = Counts(families.REPEATS)
        self.duplicates = Counts(families.DUPLICATES)
        self.drift = Counts(families.DRIFT)
        self.exposures = Counts(families.EXPOSURES)
        self.rate_limited = Counts(families.RATE_LIMITED)
        self.shadows = Counts(families.SHADOWS)
        self.shadow_overlap = Distribution(families.SHADOW_OVERLAP)
        self.shadow_duration = Distribution(families.SHADOW_DURATION)
        self._took = Took(self._count_served)
        self._routes: dict[str, set[str]] = {}
        self._places: dict[str, tuple[str, int]] = {}
        self._words: dict[type[ProviderError], str] = {}
        self._count: dict[type[Any], Callable[[Any], None]] = {
            Exchange: self._exchange,
            Called: self._called,
            Round: self._round,
            Shadowed: self._shadowed,
            Unknown: self._unknown,
        }

    def read(self, notes: Sequence[Note]) -> None:
        """Count what happened. What is the same of many requests is looked at once, when it is shown."""
        count, took = self._count, self._took
        for note in notes:
            if type(note) is not Served:
                count[type(note)](note)
                continue
            sort = note.sort or self._sorts.of(note)
            took[sort].append(note.ended - note.started)
            if sort.batch or sort.problem == RATE_LIMITED:
                self._look_closer(note, sort)
        took.noted(len(notes))

    def all(self) -> Iterator[Counts | Distribution]:
        """Every family."""
        self._took.tell()
        return (one for one in vars(self).values() if isinstance(one, Counts | Distribution))

    def welcome(self, provider: str, adapter: str) -> None:
        """A provider that is new: what may never happen stands at 0, so that its first time shows as a change."""
        self.retries.begin((provider,))
        self.throttles.begin((provider,))
        self.duplicates.begin((provider,))
        for what in DRIFTS:
            self.drift.begin((adapter, provider, what))
        for operations in ("reads", "writes"):
            for state in CHANGES:
                self.breaker_changes.begin((provider, operations, state))

    # --- requests of callers
    def _count_served(self, sort: Sort, seconds: list[float]) -> None:
        """So many of one sort."""
        self.server.observe_all((sort.method, sort.route, sort.status, _error(sort)), seconds)
        if sort.told is not None and not sort.batch:
            self._count_told(sort.told, len(seconds))

    def _count_told(self, told: Told, times: int) -> None:
        placement, answerer = told.placement, told.answerer
        if placement is None or not told.answered:
            return
        self.cache.add((placement, (told.cache or "miss") if told.cached else "off"), times)
        source = "none" if answerer is None else "fallback" if told.fallback else "first"
        self.answers.add((placement, answerer or "", source), times)
        if told.experiment is not None:
            self.exposures.add((told.experiment, told.arm or ""), times)

    def _look_closer(self, served: Served, sort: Sort) -> None:
        """What is not of the sort: parts of a batch, and who was refused."""
        call = served.call
        if call is None:
            return
        if sort.problem == RATE_LIMITED and call.caller is not None:
            self.rate_limited.add((call.caller.name,))
        for part in call.parts:
            self._count_told(told_of(part), 1)

    # --- what providers were asked
    def _exchange(self, exchange: Exchange) -> None:
        provider, outcome = exchange.provider, exchange.outcome
        address, port = self._places.get(exchange.host) or self._place(exchange.host)
        status: str | int = ""
        error: str | int = outcome
        if isinstance(outcome, int):
            status, error = outcome, outcome if outcome >= 400 else ""
            if outcome == 429:
                self.throttles.add((provider,))
        if exchange.resend:
            self.retries.add((provider,))
        route = self._route(provider, exchange.route)
        labels = (provider, exchange.method, route, address, port, status, error)
        self.client.observe(labels, exchange.seconds)

    def _place(self, url: str) -> tuple[str, int]:
        """Host and port: of the configuration, so bounded."""
        parts = urlsplit(url)
        place = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
        self._places[url] = place
        return place

    def _route(self, provider: str, route: str) -> str:
        known = self._routes.get(provider)
        if known is None:
            known = self._routes[provider] = set()
        if route in known:
            return route
        if len(known) >= MOST_ROUTES:
            return OTHER
        known.add(route)
        return route

    def _called(self, called: Called) -> None:
        provider, error, result = called.provider, called.error, called.result
        self.calls.add((provider, called.operation, "answered" if error is None else self._word(error)))
        if isinstance(result, Recommendations):
            self._look_for_duplicates(provider, result)
        elif isinstance(result, Receipt):
            self._arrived(called, result)
        elif isinstance(result, list):
            for one in result:
                if isinstance(one, Recommendations):
                    self._look_for_duplicates(provider, one)
        elif error is not None:
            if error.receipt is not None:
                self._arrived(called, error.receipt)
            if isinstance(error, Malformed):
                self.drift.add((called.adapter, provider, _sort_of(error)))

    def _arrived(self, called: Called, receipt: Receipt) -> None:
        if receipt.done:
            self.told.add((called.provider, called.operation), len(receipt.done))

    def _look_for_duplicates(self, provider: str, said: Recommendations) -> None:
        if len(set(map(_ID, said.items))) < len(said.items):
            self.duplicates.add((provider,))

    def _unknown(self, unknown: Unknown) -> None:
        self.drift.add((unknown.adapter, unknown.provider, "unknown"))

    def _round(self, round_: Round) -> None:
        placement, provider = round_.placement, round_.provider
        self.rounds.observe((placement, provider or ""), round_.seconds)
        for attempt in round_.attempts:
            self.failovers.add((placement, attempt.provider, self._word(attempt.error)))
            if attempt.error.outcome == "empty":
                self.flaws.add((placement, attempt.provider, "empty"))
        if provider is None or not round_.items:  # nobody answered, or with facets
            return
        list_ = hash(round_.items)
        if len(round_.items) < round_.wanted:
            self.flaws.add((placement, provider, "short"))
        if self._lists.same_for_others(round_, list_):
            self.flaws.add((placement, provider, "same_for_others"))
        unchanged = self._lists.unchanged(round_, list_)
        if unchanged is not None:
            self.repeats.add((placement, provider))
            if unchanged:
                self.flaws.add((placement, provider, "unchanged"))

    def _word(self, error: ProviderError) -> str:
        """For an error: the catalogue's, whatever an adapter calls its own sort of it."""
        kind = type(error)
        word = self._words.get(kind)
        if word is None:
            known = next(one for one in kind.__mro__ if one.__module__ == ProviderError.__module__)
            word = self._words[kind] = known().name
        return word

    def _shadowed(self, shadowed: Shadowed) -> None:
        labels = (shadowed.placement, shadowed.provider)
        self.shadows.add((*labels, shadowed.outcome))
        if shadowed.outcome in ("answered", "empty"):
            self.shadow_duration.observe(labels, shadowed.seconds)
        if shadowed.overlap is not None:
            self.shadow_overlap.observe(labels, shadowed.overlap)

    def breaker_changed(self, provider: str, operations: str) -> Callable[[str, str, str], None]:
        """To be told of the changes of a breaker."""
        return lambda _old, new, _why: self.breaker_changes.add((provider, operations, new))


def _error(sort: Sort) -> str:
    return sort.problem or ("hung-up" if sort.status == HUNG_UP else "")


def _sort_of(error: Malformed) -> str:
    """`missing`: it was read, and did not hold what is documented; `unreadable`: not even that."""
    cause = error.__cause__
    unread = isinstance(cause, msgspec.DecodeError) and not isinstance(cause, msgspec.ValidationError)
    return "missing" if error.place and not unread else "unreadable"

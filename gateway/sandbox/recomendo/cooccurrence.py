"""Training: correlated cross-occurrence (CCO) by log-likelihood ratio, as the Universal Recommender does it.

For each type of event E (an *indicator*) and each pair of items (i, j), over distinct users:

                  did E with j    did not
    did primary       k11           k12          LLR(k11, k12, k21, k22) says how surprising k11 is;
    with i                                       the 50 most surprising j are i's correlators under E.
    did not           k21           k22

Only users with at least three primary events count. Method and figures: T. Dunning, "Accurate Methods for the
Statistics of Surprise and Coincidence", 1993; the vendor's own defaults for the limits.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import chain
from typing import Final

from gateway.sandbox.recomendo.events import Event

MIN_EVENTS_PER_USER: Final = 3
CORRELATORS: Final = 50
# A user's latest items of one type that count: pairs grow with the square (the vendor's maxEventsPerEventType).
MAX_EVENTS_PER_TYPE: Final = 500
MAX_BITS: Final = 8 * 64 * 1024 * 1024  # of all sets of users as bits: 64 MiB, above which they are not made

Strengths = Mapping[str, Mapping[str, float]]


class Stopped(Exception):
    """Training was told to end before it was done."""


@dataclass(frozen=True, slots=True)
class Model:
    """What training made.

    `correlators[event][i]` are i's correlators with their strengths, strongest first; `followers[event][j]` is
    the same read backwards: the items that have j as a correlator. `ranking` is every item, most popular first;
    `popularity` counts primary events. `unit` is the mean strength of a correlator, 1.0 where there is none.
    """

    primary: str | None = None
    correlators: Mapping[str, Strengths] = field(default_factory=dict)
    followers: Mapping[str, Strengths] = field(default_factory=dict)
    popularity: Mapping[str, int] = field(default_factory=dict)
    ranking: tuple[str, ...] = ()
    unit: float = 1.0


def train(
    events: Iterable[Event],
    primary: str | None,
    items: Iterable[str],
    stopped: Callable[[], bool] = lambda: False,
) -> Model:
    """Make a model of all `events`; `items` are those that may be recommended. Raises Stopped."""
    histories, counts = gather(events)
    popularity = Counter(counts.get(primary or "", {}))
    ranking = ranked(items, popularity)
    if primary is None:
        return Model(ranking=ranking)
    users = qualified(histories, primary)
    correlators = {
        event: correlate(
            {user: histories[primary][user] for user in users},
            {user: of_type[user] for user in users if user in of_type},
            same=event == primary,
            stopped=stopped,
        )
        for event, of_type in histories.items()
    }
    return Model(
        primary=primary,
        correlators=correlators,
        followers={event: backwards(strengths) for event, strengths in correlators.items()},
        popularity=popularity,
        ranking=ranking,
        unit=mean(correlators),
    )


def ranked(items: Iterable[str], popularity: Mapping[str, int]) -> tuple[str, ...]:
    """Items, most popular first, by name among equals."""
    return tuple(sorted(items, key=lambda item: (-popularity.get(item, 0), item)))


def gather(events: Iterable[Event]) -> tuple[dict[str, dict[str, dict[str, int]]], dict[str, Counter[str]]]:
    """Usage events as type ▸ user ▸ item ▸ how often (latest items last), and type ▸ item ▸ how often."""
    histories: defaultdict[str, defaultdict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    usage = [event for event in events if event.is_usage]
    for event in sorted(usage, key=lambda event: event.time):
        item = event.target_entity_id or ""
        mine = histories[event.event][event.entity_id]
        mine[item] = mine.pop(item, 0) + 1
        counts[event.event][item] += 1
    return {event: dict(users) for event, users in histories.items()}, dict(counts)


def qualified(histories: Mapping[str, Mapping[str, Mapping[str, int]]], primary: str) -> list[str]:
    """The users that count in training: those with enough primary events."""
    users = histories.get(primary, {})
    return [user for user, items in users.items() if sum(items.values()) >= MIN_EVENTS_PER_USER]


def correlate(
    primary: Mapping[str, Mapping[str, int]],
    other: Mapping[str, Mapping[str, int]],
    same: bool,
    stopped: Callable[[], bool],
) -> dict[str, dict[str, float]]:
    """One indicator: for each item of `primary` its strongest correlators among the items of `other`.

    Both are user ▸ items; `same` says that they are one type, in which an item is no correlator of itself.
    """
    total = len(primary)
    table = [x_log_x(count) for count in range(total + 1)]
    numbers = {user: number for number, user in enumerate(primary)}
    done = {numbers[user]: list(items)[-MAX_EVENTS_PER_TYPE:] for user, items in other.items()}
    rows = by_item({numbers[user]: list(items)[-MAX_EVENTS_PER_TYPE:] for user, items in primary.items()})
    columns = by_item(done)
    sizes = {item: len(users) for item, users in columns.items()}
    fits = total * len(columns) <= MAX_BITS
    masks = {item: mask(users) for item, users in columns.items()} if fits else {}
    strengths = {}
    for item, users in rows.items():
        if stopped():
            raise Stopped
        both = together(users, done, masks)
        if same:
            both.pop(item, None)
        strengths[item] = strongest(both, len(users), sizes, total, table)
        time.sleep(0)  # gives the interpreter to the event loop's thread
    return strengths


def by_item(done: Mapping[int, Iterable[str]]) -> dict[str, list[int]]:
    """From user ▸ items to item ▸ users."""
    users: defaultdict[str, list[int]] = defaultdict(list)
    for user, items in done.items():
        for item in items:
            users[item].append(user)
    return dict(users)


def mask(users: Iterable[int]) -> int:
    """A set of users as the bits of a number."""
    return sum(1 << user for user in users)


def together(users: list[int], done: Mapping[int, list[str]], masks: Mapping[str, int]) -> dict[str, int]:
    """How many of `users` did something with each item: by walking through what they did, or, where that is
    longer than the list of all items, by counting the bits that sets of users share."""
    if not masks or sum(len(done.get(user, ())) for user in users) < len(masks):
        return Counter(chain.from_iterable(done.get(user, ()) for user in users))
    mine = mask(users)
    return {item: (mine & theirs).bit_count() for item, theirs in masks.items()}


def strongest(
    both: Mapping[str, int], row: int, columns: Mapping[str, int], total: int, f: list[float]
) -> dict[str, float]:
    """The correlators of one item, strongest first, by name among equals.

    The ratio is large for pairs that avoid each other too; only those seen together more often than chance
    has it are *correlated*. Millions of pairs come by here, so `llr` is written out; `f` is x_log_x as a table.
    """
    rest = total - row
    fixed = f[total] - f[row] - f[rest]
    scored = []
    for j, k11 in both.items():
        column = columns[j]
        if k11 * total > row * column:
            cells = f[k11] + f[row - k11] + f[column - k11] + f[rest - column + k11]
            scored.append((f[column] + f[total - column] - cells, j))
    return {j: max(0.0, 2.0 * (fixed - score)) for score, j in nsmallest(CORRELATORS, scored)}


def llr(k11: int, k12: int, k21: int, k22: int) -> float:
    """Dunning's log-likelihood ratio of a two-by-two table of counts; 0.0 for independence, never below.

    2 · (Σ k·ln k − Σ rows·ln rows − Σ columns·ln columns + N·ln N)
    """
    cells = sum(x_log_x(k) for k in (k11, k12, k21, k22))
    margins = sum(x_log_x(k) for k in (k11 + k12, k21 + k22, k11 + k21, k12 + k22))
    return max(0.0, 2.0 * (cells - margins + x_log_x(k11 + k12 + k21 + k22)))


def x_log_x(count: int) -> float:
    """k · ln k, 0 for 0."""
    return count * math.log(count) if count else 0.0


def backwards(strengths: Strengths) -> dict[str, dict[str, float]]:
    """From item ▸ correlators to correlator ▸ items."""
    followers: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for item, correlators in strengths.items():
        for correlator, strength in correlators.items():
            followers[correlator][item] = strength
    return dict(followers)


def mean(correlators: Mapping[str, Strengths]) -> float:
    """The mean strength of all correlators."""
    all_of_them = [
        strength
        for strengths in correlators.values()
        for of_item in strengths.values()
        for strength in of_item.values()
    ]
    return sum(all_of_them) / len(all_of_them) if all_of_them else 1.0

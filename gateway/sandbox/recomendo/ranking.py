"""From a query to items: what correlates first, then what is popular with score 0.0.

user     ▸ that user's history in every indicator            ┐
item     ▸ the item's own correlators in every indicator     ├ score = Σ strength of matching correlators
itemSet  ▸ its members in the primary event's indicator      ┘         × the part's bias
fields   ▸ boost: `bias` correlators of mean strength · only · none
left out ▸ the user's primary items, blacklistItems, members of itemSet, the item itself unless returnSelf
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from gateway.sandbox.recomendo.cooccurrence import Model, ranked
from gateway.sandbox.recomendo.query import NUM, DateRange, Query, moment
from gateway.sandbox.recomendo.store import Store

MAX_QUERY_EVENTS: Final = 100  # the latest of a user's items in one indicator that count (the vendor's default)
# Properties that `currentDate` is held against: the names of the vendor's sample configuration.
AVAILABLE: Final = "available"
EXPIRES: Final = "expires"

Terms = Mapping[str, Iterable[str]]
Test = Callable[[str], bool]


def answer(query: Query, store: Store, model: Model | None) -> list[dict[str, Any]]:
    """The `itemScores` of a query; before any training what is popular by the events so far."""
    model = model or untrained(store)
    history = store.history(query.user) if query.user is not None else {}
    scores: defaultdict[str, float] = defaultdict(float)
    tests: list[Test] = []
    for terms, bias in parts(query, history, model):
        part = matching(model, terms)
        if bias < 0:  # a filter, which adds nothing to the score
            tests.append(part.__contains__)
            continue
        for item, score in part.items():
            scores[item] += score * bias
    boost(query, store, model.unit, scores)
    tests += rules(query, store)
    hidden = left_out(query, history, store.primary())
    found = [i for i in model.ranking if i not in hidden and all(test(i) for test in tests)]
    found.sort(key=lambda item: -scores.get(item, 0.0))  # stable: popularity orders ties and gaps
    return list(shown(query, found, scores, model))


def untrained(store: Store) -> Model:
    """A model that knows only what is popular."""
    popularity = store.popularity.get(store.primary() or "", Counter())
    return Model(popularity=popularity, ranking=ranked(store.items(), popularity))


def parts(query: Query, history: Terms, model: Model) -> Iterator[tuple[Terms, float]]:
    """What is to be matched against the indicators, each part with its bias."""
    asked = set(model.correlators if query.event_names is None else query.event_names)
    if query.user is not None:
        recent = {e: list(islice(items, MAX_QUERY_EVENTS)) for e, items in history.items() if e in asked}
        yield recent, default(query.user_bias)
    if query.item is not None:
        yield (
            {e: of_type.get(query.item, {}) for e, of_type in model.correlators.items() if e in asked},
            default(query.item_bias),
        )
    if query.item_set is not None and model.primary is not None:
        yield {model.primary: dict.fromkeys(query.item_set)}, default(query.item_set_bias)


def default(bias: float | None) -> float:
    """A part's bias; one that is not given changes nothing."""
    return 1.0 if bias is None else bias


def matching(model: Model, terms: Terms) -> dict[str, float]:
    """The items that have any of `terms` among their correlators, with the sum of the strengths."""
    scores: defaultdict[str, float] = defaultdict(float)
    for event, items in terms.items():
        followers = model.followers.get(event, {})
        for correlator in items:
            for item, strength in followers.get(correlator, {}).items():
                scores[item] += strength
    return dict(scores)


def boost(query: Query, store: Store, unit: float, scores: dict[str, float]) -> None:
    """Raise what matches a field of positive bias, by as much as `bias` mean correlators."""
    for field in query.fields or ():
        if field.bias > 0:
            for item in store.values:
                if has(store, item, field.name, frozenset(field.values)):
                    scores[item] += field.bias * unit


def rules(query: Query, store: Store) -> Iterator[Test]:
    """The tests that an item must pass: fields of negative bias and of none, and dates."""
    for field in query.fields or ():
        if field.bias <= 0:
            yield field_rule(store, field.name, frozenset(field.values), wanted=field.bias < 0)
    if query.date_range is not None:
        yield date_rule(store, query.date_range)
    if query.current_date is not None:
        yield availability_rule(store, moment(query.current_date) or 0)


def has(store: Store, item: str, name: str, values: frozenset[str]) -> bool:
    """Whether an item's property holds any of the values."""
    return not values.isdisjoint(store.values.get(item, {}).get(name, ()))


def field_rule(store: Store, name: str, values: frozenset[str], wanted: bool) -> Test:
    """Only those that hold a value, or only those that hold none."""
    return lambda item: has(store, item, name, values) is wanted


def date_rule(store: Store, between: DateRange) -> Test:
    """Only items whose date lies strictly between the two; one without that date is out."""
    after = None if between.after is None else moment(between.after)
    before = None if between.before is None else moment(between.before)

    def test(item: str) -> bool:
        date = moment(store.properties.get(item, {}).get(between.name))
        return date is not None and (after is None or date > after) and (before is None or date < before)

    return test


def availability_rule(store: Store, now: int) -> Test:
    """Only items that are available by now and have not expired; an item that says nothing is."""

    def test(item: str) -> bool:
        properties = store.properties.get(item, {})
        available, expires = moment(properties.get(AVAILABLE)), moment(properties.get(EXPIRES))
        return (available is None or available <= now) and (expires is None or expires > now)

    return test


def left_out(query: Query, history: Terms, primary: str | None) -> set[str]:
    """The items that no answer to this query holds."""
    hidden = {*history.get(primary or "", ()), *(query.blacklist_items or ()), *(query.item_set or ())}
    if query.item is not None and not query.return_self:
        hidden.add(query.item)
    return hidden


def shown(query: Query, found: list[str], scores: Mapping[str, float], model: Model) -> Iterator[dict[str, Any]]:
    """The page of the answer that the query asks for."""
    start, count = query.skip or 0, NUM if query.num is None else query.num
    for item in found[start : start + count]:
        entry: dict[str, Any] = {"item": item, "score": scores.get(item, 0.0)}
        if query.with_ranks:
            entry["ranks"] = {"popRank": float(model.popularity.get(item, 0))}
        yield entry

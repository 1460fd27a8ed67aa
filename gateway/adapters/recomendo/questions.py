"""A normalized question in the Universal Recommender's query language, and its answer back.

A query's `fields` narrow and boost: `{name, values, bias}` with bias < 0 includes only items that have one of
the values, 0 excludes them, > 0 boosts. `dateRange` is exclusive at both ends, and a query has only one.

    {}  or unknown user or item  ▸  popular items, all scores 0.0: "backfill"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from gateway.adapters.recomendo.wire import Predictions
from gateway.errors import NoAnswer, Refused
from gateway.model.filters import Compare, Filter, Not, conjuncts, instant
from gateway.model.query import Item, Kind, Recommend, Recommendations, User

INCLUDES: Final = -1
EXCLUDES: Final = 0
BOOLEANS: Final[Mapping[bool, str]] = {True: "yes", False: "no"}
"""How categorical values that are booleans are spelled (FACTS.md §1)."""


def timestamp(moment: datetime) -> str:
    """A moment as the vendor writes it: ISO 8601 with milliseconds, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- the query --------------------------------------------------------------------------------------------------


def query_of(question: Recommend) -> dict[str, Any]:
    """The query for a question. Raises Refused where the caller's own `fields` cannot be added to."""
    return {
        **question.options,
        **_subject(question),
        **_narrowed(question),
        **({"blacklistItems": list(question.exclude_items)} if question.exclude_items else {}),
        "num": question.count,
    }


def history_of(question: Recommend) -> list[str]:
    """The items of the caller's history, each once, oldest first."""
    seen = question.user.history if question.user else ()
    return list(dict.fromkeys(one.item for one in seen))


def _subject(question: Recommend) -> dict[str, Any]:
    """Whom or what it is about. A user beside seeds personalizes what is similar, not what goes together."""
    user = question.user.id if question.user else None
    named: dict[str, Any] = {} if user is None else {"user": user}
    match question.kind:
        case "for_you":
            taste = [*(history_of(question) if user is None else ()), *question.items]
            return {**named, "itemSet": taste} if taste else named
        case "similar_items" if len(question.items) == 1:
            return {**named, "item": question.items[0]}
        case "similar_items":
            return {**named, "itemSet": list(question.items)}
        case "bought_together":
            return {"itemSet": list(question.items)}
        case _:
            return {}


def _narrowed(question: Recommend) -> dict[str, Any]:
    fields = question.options.get("fields", [])
    if not isinstance(fields, list):
        raise Refused("the option `fields` must be a list")
    fields = list(fields)
    if question.facet is not None:  # trending items of a facet are the popular ones among those that have it
        fields.append({"name": question.facet.name, "values": [question.facet.value], "bias": INCLUDES})
    date_range: dict[str, str] = {}
    for part in conjuncts(question.filter):
        if (field := _field(part)) is not None:
            fields.append(field)
        elif (bound := _date_bound(part)) is not None:
            date_range |= {"name": bound[0], bound[1]: bound[2]}
    return ({"fields": fields} if fields else {}) | ({"dateRange": date_range} if date_range else {})


# --- what of a filter can be said -------------------------------------------------------------------------------


def expressible(parts: Sequence[Filter]) -> list[bool]:
    """Categories by `fields`; of the dates one range, over the first property that asks for one."""
    range_of: str | None = None
    bounds: set[str] = set()
    answers = []
    for part in parts:
        bound = _date_bound(part)
        if bound is None:
            answers.append(_field(part) is not None)
            continue
        fits = bound[1] not in bounds and range_of in (None, bound[0])
        if fits:
            range_of = bound[0]
            bounds.add(bound[1])
        answers.append(fits)
    return answers


def _field(part: Filter) -> dict[str, Any] | None:
    leaf, bias = (part.of, EXCLUDES) if isinstance(part, Not) else (part, INCLUDES)
    if not isinstance(leaf, Compare) or leaf.op not in ("eq", "in"):
        return None
    wanted = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    values = [_category(value) for value in wanted]
    return None if None in values else {"name": leaf.property, "values": values, "bias": bias}


def _category(value: object) -> str | None:
    """A value as a category; None for numbers and dates, which the vendor keeps otherwise."""
    if isinstance(value, bool):
        return BOOLEANS[value]
    return value if isinstance(value, str) and instant(value) is None else None


def _date_bound(part: Filter) -> tuple[str, str, str] | None:
    """Property, `after` or `before`, and moment. Inclusive bounds cannot be said, nor parts of milliseconds."""
    if not isinstance(part, Compare) or part.op not in ("gt", "lt"):
        return None
    moment = instant(part.value)
    if moment is None or moment.microsecond % 1000:
        return None
    return part.property, "after" if part.op == "gt" else "before", timestamp(moment)


# --- the answer -------------------------------------------------------------------------------------------------

_KNOWS_THE_SUBJECT: Final[frozenset[Kind]] = frozenset({"for_you", "similar_items"})


def is_backfill(predictions: Predictions) -> bool:
    """Did the vendor know nothing of the subject, and filled up with what is popular?"""
    return all(one.score == 0 for one in predictions.item_scores)


def knows_only_the_history(question: Recommend, predictions: Predictions) -> bool:
    """Is the user unknown to the vendor, while the caller says what the user has seen?"""
    user = question.user
    known_by_id = question.kind == "for_you" and user is not None and user.id is not None
    return known_by_id and bool(history_of(question)) and is_backfill(predictions)


def about_the_history(question: Recommend) -> Recommend:
    """The same question about somebody who has this history and no id."""
    return replace(question, user=User(history=question.user.history if question.user else ()))


def answer_of(question: Recommend, predictions: Predictions) -> Recommendations:
    """What the vendor recommends. Raises NoAnswer where popular items stand in for what goes together.

    Popular items are an answer to `trending_items`, a cold start for a user or an item; but of seeds that
    nobody has bought together they would say something untrue.
    """
    backfill = is_backfill(predictions)
    if backfill and question.kind == "bought_together":
        raise NoAnswer("knows of nothing that goes with these items")
    return Recommendations(
        items=tuple(Item(one.item, one.score) for one in predictions.item_scores),
        cold_start=backfill and question.kind in _KNOWS_THE_SUBJECT and bool(predictions.item_scores),
        warnings=_unused_history(question),
    )


def _unused_history(question: Recommend) -> tuple[str, ...]:
    if question.kind == "for_you" or not history_of(question):
        return ()
    return (f"the history is not used for {question.kind}",)

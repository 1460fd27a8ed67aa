"""Which words of each operation pass through a provider's dialect, on the way in and on the way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.adapter import Entity, EventQuery, Operation
from gateway.errors import Refused
from gateway.model.activity import Activity, Change, Event, Listing
from gateway.model.control import Condition, FacetMatch, Profile, Promotion, Rule, RulePage, ScoredFacet, Strategy
from gateway.model.filters import Filter
from gateway.model.query import Recommendations
from gateway.provider.dialect import Dialect, is_hashed


def _facets(matches: tuple[FacetMatch, ...], name: Callable[[str], str]) -> tuple[FacetMatch, ...]:
    return tuple(replace(match, facet=name(match.facet)) for match in matches)


AS_THEY_ARE: Final = "_as_they_are"
"""The member of a rule's `vendor` with the words that have no spelling of the caller's (`_read_rule`)."""
RULE_WORDS: Final = ("conditions", "promote", "hide", "filter", "match", "boost")
"""The members of a rule that name items or properties."""


class _AsTheyAre(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Those words, in the vendor's spelling."""

    conditions: tuple[Condition, ...] = ()
    promote: tuple[Promotion, ...] = ()
    hide: tuple[str, ...] = ()
    filter: Filter | None = None
    match: tuple[FacetMatch, ...] = ()
    boost: tuple[FacetMatch, ...] = ()


def _rule(dialect: Dialect, rule: Rule) -> Rule:
    """Raises Refused where `vendor` was tampered with."""
    kept = rule.vendor.get(AS_THEY_ARE)
    spoken = _spoken_rule(dialect, rule)
    if kept is None:
        return spoken
    try:
        words = msgspec.convert(kept, _AsTheyAre)
    except msgspec.ValidationError as error:
        raise Refused(f"`vendor.{AS_THEY_ARE}` is not as it was read: {error}") from error
    vendor = {name: value for name, value in rule.vendor.items() if name != AS_THEY_ARE}
    members = {name: getattr(words, name) for name in RULE_WORDS if not getattr(spoken, name)}
    return replace(spoken, vendor=vendor, **members)


def _spoken_rule(dialect: Dialect, rule: Rule) -> Rule:
    return replace(
        rule,
        conditions=tuple(Condition(c.context, c.filter and dialect.filter(c.filter)) for c in rule.conditions),
        promote=tuple(Promotion(tuple(map(dialect.item, p.items)), p.position) for p in rule.promote),
        hide=tuple(map(dialect.item, rule.hide)),
        filter=rule.filter and dialect.filter(rule.filter),
        match=_facets(rule.match, dialect.name),
        boost=_facets(rule.boost, dialect.name),
    )


def _strategy(dialect: Dialect, strategy: Strategy) -> Strategy:
    return replace(strategy, facets=tuple(ScoredFacet(dialect.name(f.name), f.score) for f in strategy.facets))


def _event_query(dialect: Dialect, query: EventQuery) -> EventQuery:
    return replace(
        query, user=query.user and dialect.user(query.user), item=query.item and dialect.item(query.item)
    )


def _changes(entity: Entity) -> Callable[[Dialect, Sequence[Change]], list[Change]]:
    return lambda dialect, changes: [dialect.change(entity, change) for change in changes]


Speak = Callable[[Dialect, Any], Any]

_FIRST: Final[Mapping[Operation, Speak]] = {
    "recommend": Dialect.question,
    "recommend_batch": lambda dialect, queries: [dialect.question(query) for query in queries],
    "search": Dialect.search,
    "track": lambda dialect, events: [dialect.event(event) for event in events],
    "put_users": _changes("user"),
    "put_items": _changes("item"),
    "delete_items": lambda dialect, ids: [dialect.item(id_) for id_ in ids],
    "erase_user": Dialect.user,
    "list_events": _event_query,
    "profile": Dialect.user,
    "forget_profile": Dialect.user,
    "put_strategy": _strategy,
}
"""How the first argument of an operation is said."""


def speak(dialect: Dialect, operation: Operation, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of an operation in the vendor's words."""
    if operation == "put_rules":
        kind, rules, replaces = arguments
        return kind, [_rule(dialect, rule) for rule in rules], replaces
    if operation in _FIRST:
        return _FIRST[operation](dialect, arguments[0]), *arguments[1:]
    return arguments


def spoken_ids(operation: Operation, arguments: tuple[Any, ...]) -> tuple[tuple[Entity, str], ...]:
    """The ids that an operation writes: what a receipt names, and whose way back must be kept."""
    if operation == "track":
        events: Sequence[Event] = arguments[0]
        found: list[tuple[Entity, str]] = [("user", event.user) for event in events]
        found += [("item", item.id) for event in events for item in event.items]
        return tuple(found)
    if operation in ("put_users", "put_items"):
        entity: Entity = "user" if operation == "put_users" else "item"
        return tuple((entity, change.id) for change in arguments[0])
    if operation == "delete_items":
        return tuple(("item", id_) for id_ in arguments[0])
    return ()


def hashed_ids(result: object) -> tuple[tuple[Entity, str], ...]:
    """The ids of a vendor's answer whose way back only the id map knows."""
    found: list[tuple[Entity, str | None]] = []
    if isinstance(result, Recommendations):
        found = [("item", item.id) for item in result.items]
    elif isinstance(result, Listing):
        found = [(entity, one.id) for one in result.entries for entity in ("user", "item")]
    elif isinstance(result, list):
        for one in result:
            if isinstance(one, Activity):
                found += [("user", one.user), ("item", one.item)]
            elif isinstance(one, Recommendations):
                found += [("item", item.id) for item in one.items]
    return tuple((entity, id_) for entity, id_ in found if id_ and is_hashed(id_))


def read(
    dialect: Dialect, operation: Operation, arguments: tuple[Any, ...], result: Any, known: Mapping[str, str]
) -> Any:
    """An operation's result in the caller's words; `arguments` are the caller's."""
    match result:
        case Recommendations():
            return dialect.answer(result, known)
        case Listing():
            return dialect.listing("user" if operation == "list_users" else "item", result, known)
        case Profile():
            affinities = {dialect.caller_name(facet): values for facet, values in result.affinities.items()}
            return replace(result, user=arguments[0], affinities=affinities)
        case Strategy():
            facets = tuple(ScoredFacet(dialect.caller_name(f.name), f.score) for f in result.facets)
            return replace(result, facets=facets)
        case Rule():
            return _read_rule(dialect, result)
        case RulePage():
            return replace(result, rules=tuple(_read_rule(dialect, rule) for rule in result.rules))
        case list():
            return [_read_one(dialect, one, known) for one in result]
    return result


def _read_one(dialect: Dialect, one: Any, known: Mapping[str, str]) -> Any:
    if isinstance(one, Recommendations):
        return dialect.answer(one, known)
    return dialect.activity(one, known) if isinstance(one, Activity) else one


def _read_rule(dialect: Dialect, rule: Rule) -> Rule:
    """The rule in the caller's words; what would not be spelled back alike is carried in `vendor` as it is.

    Such are ids that the gateway would encode, in rules that were made elsewhere, and properties that are called
    as callers call another one.
    """
    said = replace(
        rule,
        conditions=tuple(
            Condition(c.context, c.filter and dialect.read_filter(c.filter)) for c in rule.conditions
        ),
        promote=tuple(
            Promotion(tuple(dialect.read_item(id_, {}) for id_ in p.items), p.position) for p in rule.promote
        ),
        hide=tuple(dialect.read_item(id_, {}) for id_ in rule.hide),
        filter=rule.filter and dialect.read_filter(rule.filter),
        match=_facets(rule.match, dialect.caller_name),
        boost=_facets(rule.boost, dialect.caller_name),
    )
    again = _spoken_rule(dialect, said)
    lost = [name for name in RULE_WORDS if getattr(again, name) != getattr(rule, name)]
    if not lost:
        return said
    kept = msgspec.to_builtins(_AsTheyAre(**{name: getattr(rule, name) for name in lost}))
    nothing = {name: None if name == "filter" else () for name in lost}
    return replace(said, vendor={**said.vendor, AS_THEY_ARE: kept}, **nothing)

"""Merchandising rules between their JSON (API.md §7) and the words of the core, every mistake named at once.

    body ─▸ decoded ─▸ wire types   what the types can say: members, bounds, patterns
                   └─▸ complaints   what they cannot: filters, ids, sums, order of moments, size of `data`
         ─▸ Rule    ─▸ said ─▸ JSON that `read` takes back

Both halves look at the same decoded body, so that a caller hears of everything in one answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from gateway.errors import Mistake
from gateway.model import filters
from gateway.model.control import Condition, FacetMatch, Period, Promotion, Rule
from gateway.model.control_wire import RuleBatch, WireFacetMatch, WireRule
from gateway.model.filters import Filter, Not
from gateway.model.ids import id_complaint
from gateway.server.mistakes import all_mistakes, decode

MOST_PROMOTED: Final = 30
"""Items in all promotions of a rule."""
MOST_DATA: Final = 1024
"""Bytes of `data` as minified JSON."""
CONSEQUENCES: Final = ("promote", "hide", "filter", "match", "boost", "data")

Json = dict[str, Any]

# --- JSON ▸ Rule ------------------------------------------------------------------------------------------------


def read(body: bytes, mistakes: list[Mistake], *, replace: bool) -> tuple[Rule, ...]:
    """The rules of a batch; what is wrong is appended. Raises InvalidRequest (400) for what is not JSON."""
    value: Any = decode(body, Any)
    found = list(_complaints(value, replace=replace))
    try:
        batch = msgspec.convert(value, RuleBatch)
    except msgspec.ValidationError as error:
        mistakes += all_mistakes(value, RuleBatch, str(error))
        batch = RuleBatch(())
    mistakes += found
    return () if mistakes else tuple(_rule(wire) for wire in batch.rules)


def _rule(wire: WireRule) -> Rule:
    return Rule(
        id=wire.id,
        enabled=wire.enabled,
        description=wire.description,
        conditions=tuple(Condition(one.context, _tree(one.filter)) for one in wire.conditions),
        promote=tuple(Promotion(one.items, one.position) for one in wire.promote),
        hide=wire.hide,
        filter=_tree(wire.filter),
        match=tuple(map(_match, wire.match)),
        boost=tuple(map(_match, wire.boost)),
        valid=tuple(Period(one.from_, one.until) for one in wire.valid or ()),
        data=wire.data,
        vendor=wire.vendor,
    )


def _tree(value: Json | None) -> Filter | None:
    return None if value is None else filters.parse(value, "", [])


def _match(wire: WireFacetMatch) -> FacetMatch:
    return FacetMatch(wire.facet, wire.disjunctive, wire.negative, wire.score)


# --- what the types cannot say; where a member has the wrong type they have said so ------------------------------


def _complaints(value: Any, *, replace: bool) -> Iterator[Mistake]:
    rules = value.get("rules") if isinstance(value, dict) else None
    if not isinstance(rules, list):
        return
    if not rules and not replace:
        yield Mistake("/rules", "may be empty only with `replace=true`, which then drops all rules")
    known: set[str] = set()
    for index, rule in enumerate(rules):
        if isinstance(rule, dict):
            id_ = rule.get("id")
            if isinstance(id_, str):
                if id_ in known:
                    yield Mistake(f"/rules/{index}/id", "is the id of another rule of this batch")
                known.add(id_)
            yield from _of_rule(rule, f"/rules/{index}")


def _of_rule(rule: Json, at: str) -> Iterator[Mistake]:
    for index, condition in enumerate(_list(rule.get("conditions"))):
        if isinstance(condition, dict):
            yield from _of_condition(condition, f"{at}/conditions/{index}")
    yield from _of_promotions(_list(rule.get("promote")), f"{at}/promote")
    yield from _of_ids(_list(rule.get("hide")), f"{at}/hide")
    yield from _of_filter(rule.get("filter"), f"{at}/filter")
    for index, period in enumerate(_list(rule.get("valid"))):
        if isinstance(period, dict) and _ends_before_it_begins(period):
            yield Mistake(f"{at}/valid/{index}/until", "must be later than `from`")
    if isinstance(rule.get("data"), dict) and len(msgspec.json.encode(rule["data"])) > MOST_DATA:
        yield Mistake(f"{at}/data", "must have at most 1 kB as minified JSON")
    if not any(rule.get(member) for member in CONSEQUENCES) and not rule.get("vendor"):
        yield Mistake(at, f"must have a consequence: one of {', '.join(f'`{one}`' for one in CONSEQUENCES)}")


def _of_condition(condition: Json, at: str) -> Iterator[Mistake]:
    if condition.get("context") is None and condition.get("filter") is None:
        yield Mistake(at, "must have a `context`, a `filter` or both")
    yield from _of_filter(condition.get("filter"), f"{at}/filter", negation=False)


def _of_promotions(promotions: list[Any], at: str) -> Iterator[Mistake]:
    items = [_list(one.get("items")) if isinstance(one, dict) else [] for one in promotions]
    for index, group in enumerate(items):
        yield from _of_ids(group, f"{at}/{index}/items")
    if sum(map(len, items)) > MOST_PROMOTED:
        yield Mistake(at, f"must name at most {MOST_PROMOTED} items in all")


def _of_ids(ids: list[Any], at: str) -> Iterator[Mistake]:
    for index, id_ in enumerate(ids):
        if isinstance(id_, str) and id_ and (complaint := id_complaint(id_)) and len(id_) <= 256:
            yield Mistake(f"{at}/{index}", complaint)


def _of_filter(value: Any, at: str, *, negation: bool = True) -> Iterator[Mistake]:
    if not isinstance(value, dict):
        return
    mistakes: list[Mistake] = []
    tree = filters.parse(value, at, mistakes)
    yield from mistakes
    if tree is not None and not negation and _negates(tree):
        yield Mistake(at, "takes no `not` in a condition")


def _negates(tree: Filter) -> bool:
    if isinstance(tree, Not):
        return True
    return any(_negates(part) for part in getattr(tree, "of", ()))


def _ends_before_it_begins(period: Json) -> bool:
    try:
        from_, until = (msgspec.convert(period.get(name), datetime) for name in ("from", "until"))
        return from_ >= until
    except (msgspec.ValidationError, TypeError):  # no moments, or one without an offset: the types say so
        return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# --- Rule ▸ JSON ------------------------------------------------------------------------------------------------


def said(rule: Rule) -> Json:
    """The rule as API.md writes it: members that say nothing are left out."""
    members: Json = {
        "id": rule.id,
        "enabled": rule.enabled,
        "description": rule.description,
        "conditions": [_given(context=one.context, filter=_json(one.filter)) for one in rule.conditions] or None,
        "promote": msgspec.to_builtins(rule.promote) or None,
        "hide": list(rule.hide) or None,
        "filter": _json(rule.filter),
        "match": [_given(**msgspec.structs.asdict(one)) for one in rule.match] or None,
        "boost": [_given(**msgspec.structs.asdict(one)) for one in rule.boost] or None,
        "valid": msgspec.to_builtins(rule.valid) or None,
        "data": rule.data,
        "vendor": rule.vendor or None,
    }
    return _given(**members)


def _json(tree: Filter | None) -> Json | None:
    return None if tree is None else filters.to_json(tree)


def _given(**members: Any) -> Json:
    return {name: value for name, value in members.items() if value is not None}

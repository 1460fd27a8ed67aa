"""Recommend rules as they are sent: checked against every documented limit, and read into what takes effect.

A rule is when (`conditions` of which one has to hold, `validity`) and what (`consequence`: filters, facets of the
source item to match, items to promote and to hide, `userData`). `promote` and `hide` stand beside `params`; two
samples of the vendor's show them inside, so both are read.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.algolia import filter_lists
from gateway.sandbox.algolia.conditions import Conjunction
from gateway.sandbox.algolia.filters import FilterError, parse
from gateway.sandbox.algolia.parameters import FILTERING, selection
from gateway.sandbox.algolia.refusal import Refused, a_list, a_text, an_object, member_names, names, whole

IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")
MEMBERS = names("_metadata objectID condition conditions consequence description enabled validity")
CONSEQUENCES = names("params promote hide userData")
PARAMS = FILTERING | {"automaticFacetFilters", "automaticOptionalFacetFilters", "promote", "hide"}


@dataclass(frozen=True, slots=True)
class When:
    """One condition: a context that the request names, filters that the source item matches, or both."""

    context: str | None
    filters: Conjunction | None

    def holds(self, contexts: frozenset[str], source: Mapping[str, Any] | None) -> bool:
        if self.context is not None and self.context not in contexts:
            return False
        return self.filters is None or (source is not None and self.filters.matches(source))


@dataclass(frozen=True, slots=True)
class AutomaticFacet:
    """A facet whose values are taken from the source item."""

    facet: str
    score: int = 1
    disjunctive: bool = False
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Promotion:
    """Items to put at a position (from 0) as a group."""

    objects: tuple[str, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule read; `sent` is the JSON as it came, which reads give back."""

    id: str
    sent: dict[str, Any]
    changed_at: float
    enabled: bool
    when: tuple[When, ...]
    valid: tuple[tuple[int, int], ...]
    hard: Conjunction
    soft: Conjunction
    summed: bool
    match: tuple[AutomaticFacet, ...]
    prefer: tuple[AutomaticFacet, ...]
    promote: tuple[Promotion, ...]
    hide: frozenset[str]
    user_data: object

    def applies(self, contexts: frozenset[str], source: Mapping[str, Any] | None, now: float) -> bool:
        """Whether the rule takes effect on a request about `source` at `now` (seconds since the epoch)."""
        if not self.enabled or (self.valid and not any(start <= now <= end for start, end in self.valid)):
            return False
        return not self.when or any(one.holds(contexts, source) for one in self.when)


def read_rule(value: object, now: float) -> Rule:
    """Read a rule.

    Raises:
        Refused: 400 naming what is wrong with it.
    """
    sent = an_object(value, "rule")
    member_names(sent, MEMBERS, "rule")
    rule_id = a_text(sent.get("objectID"), "rule.objectID")
    if not IDENTIFIER.fullmatch(rule_id):
        raise Refused(400, f"rule.objectID must match [A-Za-z0-9_-]+, '{rule_id}' does not")
    if "description" in sent:
        a_text(sent["description"], "rule.description")
    enabled = sent.get("enabled", True)
    if not isinstance(enabled, bool):
        raise Refused(400, "rule.enabled must be a boolean")
    consequence = an_object(sent.get("consequence"), "rule.consequence")
    member_names(consequence, CONSEQUENCES, "rule.consequence")
    if not any(consequence.values()):
        raise Refused(400, "rule.consequence must not be empty")
    params = an_object(consequence.get("params", {}), "rule.consequence.params")
    member_names(params, PARAMS, "rule.consequence.params")
    hard, soft = selection(params, "rule.consequence.params")
    return Rule(
        id=rule_id,
        sent=sent,
        changed_at=now,
        enabled=enabled,
        when=_when(sent),
        valid=_validity(sent),
        hard=hard,
        soft=soft,
        summed=bool(params.get("sumOrFiltersScores", False)),
        match=_automatic(params.get("automaticFacetFilters", []), "automaticFacetFilters"),
        prefer=_automatic(params.get("automaticOptionalFacetFilters", []), "automaticOptionalFacetFilters"),
        promote=_promotions(_beside_or_inside("promote", consequence, params)),
        hide=_hidden(_beside_or_inside("hide", consequence, params)),
        user_data=_user_data(consequence),
    )


def _when(sent: Mapping[str, Any]) -> tuple[When, ...]:
    given = a_list(sent.get("conditions", []), "rule.conditions")
    if sent.get("condition"):
        given = [sent["condition"], *given]
    if len(given) > 10:
        raise Refused(400, "rule.conditions must not have more than 10 entries")
    return tuple(_condition(one) for one in given)


def _condition(value: object) -> When:
    condition = an_object(value, "rule.condition")
    member_names(condition, frozenset({"context", "filters"}), "rule.condition")
    context = condition.get("context")
    if context is not None and not IDENTIFIER.fullmatch(a_text(context, "rule.condition.context")):
        raise Refused(400, "rule.condition.context must match [A-Za-z0-9_-]+")
    filters = condition.get("filters")
    if filters is None:
        return When(context, None)
    try:
        return When(context, parse(a_text(filters, "rule.condition.filters"), negation=False, scoring=False))
    except FilterError as wrong:
        raise Refused(400, f"rule.condition: {wrong}") from wrong


def _validity(sent: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    if "validity" not in sent:
        return ()
    given = a_list(sent["validity"], "rule.validity")
    if not given:
        raise Refused(400, "rule.validity must not be empty")
    return tuple(_time_range(one) for one in given)


def _time_range(value: object) -> tuple[int, int]:
    given = an_object(value, "rule.validity[]")
    member_names(given, frozenset({"from", "until"}), "rule.validity[]")
    start = whole(given.get("from"), "rule.validity[].from", 0)
    return start, whole(given.get("until"), "rule.validity[].until", start)


def _automatic(value: object, where: str) -> tuple[AutomaticFacet, ...]:
    return tuple(_automatic_facet(one, where) for one in a_list(value, where))


def _automatic_facet(value: object, where: str) -> AutomaticFacet:
    if isinstance(value, str):
        facet, score = filter_lists.scored(value)
        return AutomaticFacet(facet, score)
    given = an_object(value, f"{where}[]")
    member_names(given, frozenset({"facet", "score", "disjunctive", "negative"}), f"{where}[]")
    for name in ("disjunctive", "negative"):
        if not isinstance(given.get(name, False), bool):
            raise Refused(400, f"{where}[].{name} must be a boolean")
    return AutomaticFacet(
        a_text(given.get("facet"), f"{where}[].facet"),
        whole(given.get("score", 1), f"{where}[].score", 0),
        given.get("disjunctive", False),
        given.get("negative", False),
    )


def _beside_or_inside(name: str, consequence: Mapping[str, Any], params: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for place in (consequence, params):
        if name in place:
            given = a_list(place[name], name)
            if not given:
                raise Refused(400, f"rule.consequence.{name} must not be empty")
            found += given
    return found


def _promotions(given: list[Any]) -> tuple[Promotion, ...]:
    promotions = tuple(_promotion(one) for one in given)
    if sum(len(one.objects) for one in promotions) > 30:
        raise Refused(400, "rule.consequence.promote must not name more than 30 items")
    return promotions


def _promotion(value: object) -> Promotion:
    given = an_object(value, "promote[]")
    member_names(given, frozenset({"objectID", "objectIDs", "position"}), "promote[]")
    if ("objectID" in given) == ("objectIDs" in given):
        raise Refused(400, "promote[] takes either objectID or objectIDs")
    named = a_list(given["objectIDs"], "promote[].objectIDs") if "objectIDs" in given else [given["objectID"]]
    if not named:
        raise Refused(400, "promote[].objectIDs must not be empty")
    objects = tuple(a_text(one, "promote[].objectID") for one in named)
    return Promotion(objects, whole(given.get("position"), "promote[].position", 0))


def _hidden(given: list[Any]) -> frozenset[str]:
    if len(given) > 50:
        raise Refused(400, "rule.consequence.hide must not have more than 50 entries")
    hidden: set[str] = set()
    for one in given:
        entry = an_object(one, "hide[]")
        member_names(entry, frozenset({"objectID"}), "hide[]")
        hidden.add(a_text(entry.get("objectID"), "hide[].objectID"))
    return frozenset(hidden)


def _user_data(consequence: Mapping[str, Any]) -> object:
    if "userData" not in consequence:
        return None
    user_data = an_object(consequence["userData"], "rule.consequence.userData")
    minified = json.dumps(user_data, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
    if len(minified) > 1024:
        raise Refused(400, "rule.consequence.userData must not be larger than 1 kB")
    return user_data

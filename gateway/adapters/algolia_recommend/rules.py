"""Merchandising rules between our words and Algolia's, so that reading and writing back loses nothing.

    wire ─▸ read ─▸ Rule   each member that our words can say, and say back to the same JSON, becomes a word;
                           whatever is left is carried in `vendor`, where it stood
    Rule ─▸ write ─▸ wire  `vendor` as it is, with the words put over it

Where Algolia knows two spellings of one thing, `vendor._spelling` remembers the one that is not ours:

    enabled: "absent"                   the member is missing (which means true)
    conditions: "list"                  a single condition as `conditions`, not as `condition`
    promote, hide: "params"             inside `consequence.params`, not beside it (two samples of the page)
    groups: ["i1"]                      a single item promoted as `objectIDs`
    match, boost: ["brand<score=5>"]    facets as strings, not as objects
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Final, TypeVar

import msgspec

from gateway.adapters.algolia_recommend import places
from gateway.adapters.algolia_recommend import rule_words as words
from gateway.adapters.algolia_recommend.places import Json, Path
from gateway.model.control import Condition, FacetMatch, Promotion, Rule

T = TypeVar("T")

SPELLING: Final = "_spelling"
READ_ONLY: Final = frozenset({"_metadata", "_highlightResult"})
"""What only Algolia writes."""
FACET_LISTS: Final = {"match": "automaticFacetFilters", "boost": "automaticOptionalFacetFilters"}

# --- wire ▸ Rule ----------------------------------------------------------------------------------------------


def read(wire: Json) -> Rule:
    """A rule as Algolia gives it, in our words."""
    rest = deepcopy({name: value for name, value in wire.items() if name not in READ_ONLY})
    id_ = msgspec.convert(rest.pop("objectID"), str)
    reader = _Reader(rest)
    rule = Rule(
        id=id_,
        enabled=reader.enabled(),
        description=reader.take(("description",), words.text, words.itself),
        conditions=reader.conditions(),
        promote=reader.promotions(),
        hide=reader.hidden(),
        filter=reader.take(("consequence", "params", "filters"), words.tree, words.filters),
        match=reader.facets("match"),
        boost=reader.facets("boost"),
        valid=reader.take(("validity",), words.periods, words.wire_periods) or (),
        data=reader.take(("consequence", "userData"), words.mapping, words.itself),
    )
    vendor = {**reader.rest, SPELLING: reader.spelling} if reader.spelling else reader.rest
    return msgspec.structs.replace(rule, vendor=vendor)


class _Reader:
    """Takes members out of the wire's rule where our words can say them exactly."""

    def __init__(self, rest: Json) -> None:
        self.rest = rest
        self.spelling: Json = {}

    def take(self, path: Path, read_: Callable[[Any], T], write_: Callable[[T], Any]) -> T | None:
        """A member as a word, gone from the rest; None where it is missing, empty or has no exact word."""
        raw = places.at(self.rest, path)
        try:
            word = read_(raw)
            if word == () or not places.same(write_(word), raw):
                return None
        except words.MISFITS:
            return None
        places.remove(self.rest, path)
        return word

    def enabled(self) -> bool:
        """A missing one is true."""
        if isinstance(self.rest.get("enabled"), bool):
            return bool(self.rest.pop("enabled"))
        if "enabled" not in self.rest:
            self.spelling["enabled"] = "absent"
        return True

    def conditions(self) -> tuple[Condition, ...]:
        """One as `condition`, several as `conditions`, one in a list too."""
        if "condition" in self.rest and "conditions" in self.rest:
            return ()
        if found := self.take(
            ("condition",), lambda raw: (words.condition(raw),), lambda said: words.wire_condition(said[0])
        ):
            return found
        listed = self.take(
            ("conditions",),
            lambda raw: tuple(words.condition(one) for one in msgspec.convert(raw, list)),
            lambda said: [words.wire_condition(one) for one in said],
        )
        if listed and len(listed) == 1:
            self.spelling["conditions"] = "list"
        return listed or ()

    def promotions(self) -> tuple[Promotion, ...]:
        """Items at positions."""
        path = self._beside_or_inside("promote")
        raw = places.at(self.rest, path)
        groups = words.lone_groups(raw)
        found = self.take(path, words.promotions, lambda said: words.wire_promotions(said, groups))
        return self._spelled("promote", path, found, {"groups": groups})

    def hidden(self) -> tuple[str, ...]:
        """Items that are never shown."""
        path = self._beside_or_inside("hide")
        return self._spelled("hide", path, self.take(path, words.hidden, words.wire_hidden), {})

    def facets(self, word: str) -> tuple[FacetMatch, ...]:
        """What `match` or `boost` says."""
        path = ("consequence", "params", FACET_LISTS[word])
        raw = places.at(self.rest, path)
        texts = [one for one in raw if isinstance(one, str)] if isinstance(raw, list) else []
        found = self.take(path, words.matches, lambda said: words.wire_matches(said, texts))
        if found and texts:
            self.spelling[word] = texts
        return found or ()

    def _beside_or_inside(self, member: str) -> Path:
        """Where a list stands; nowhere if in both places, for then no word could tell them apart."""
        beside, inside = _places(member)
        if not places.has(self.rest, inside):
            return beside
        return () if places.has(self.rest, beside) else inside

    def _spelled(self, word: str, path: Path, found: tuple[T, ...] | None, more: Json) -> tuple[T, ...]:
        if not found:
            return ()
        if "params" in path:
            self.spelling[word] = "params"
        self.spelling.update({name: value for name, value in more.items() if value})
        return found


# --- Rule ▸ wire ----------------------------------------------------------------------------------------------


def write(rule: Rule) -> Json:
    """A rule as Algolia takes it. Raises Unsupported where a filter has no form there."""
    wire: Json = deepcopy(rule.vendor)
    spelling = wire.pop(SPELLING, None)
    spelling = spelling if isinstance(spelling, dict) else {}
    wire["objectID"] = rule.id
    if not rule.enabled or (spelling.get("enabled") != "absent" and "enabled" not in wire):
        wire["enabled"] = rule.enabled
    if rule.description is not None:
        wire["description"] = rule.description
    _write_conditions(wire, rule.conditions, as_list=spelling.get("conditions") == "list")
    if rule.valid:
        wire["validity"] = words.wire_periods(rule.valid)
    _write_consequence(wire, rule, spelling)
    return wire


def _write_conditions(wire: Json, conditions: Sequence[Condition], *, as_list: bool) -> None:
    if not conditions:
        return
    wire.pop("condition", None)
    wire.pop("conditions", None)
    said = [words.wire_condition(one) for one in conditions]
    if len(said) == 1 and not as_list:
        wire["condition"] = said[0]
    else:
        wire["conditions"] = said


def _write_consequence(wire: Json, rule: Rule, spelling: Json) -> None:
    lists = {
        "promote": words.wire_promotions(rule.promote, spelling.get("groups")),
        "hide": words.wire_hidden(rule.hide),
    }
    for member, said in lists.items():
        beside, inside = _places(member)
        if said:
            places.remove(wire, beside)
            places.remove(wire, inside)
            places.put(wire, inside if spelling.get(member) == "params" else beside, said)
    for word, member in FACET_LISTS.items():
        if matches := getattr(rule, word):
            places.put(wire, ("consequence", "params", member), words.wire_matches(matches, spelling.get(word)))
    if rule.filter is not None:
        places.put(wire, ("consequence", "params", "filters"), words.filters(rule.filter))
    if rule.data is not None:
        places.put(wire, ("consequence", "userData"), rule.data)


def _places(member: str) -> tuple[Path, Path]:
    """Where a list of items may stand: beside `params`, or inside."""
    return ("consequence", member), ("consequence", "params", member)

"""What the rules that apply to one recommendation do to it, put together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.sandbox.algolia.conditions import Clause, Conjunction, Facet, text_of, values
from gateway.sandbox.algolia.rules import AutomaticFacet, Promotion, Rule


@dataclass(frozen=True, slots=True)
class Effects:
    """The consequences of every rule that applies, in the order of their objectIDs."""

    applied: tuple[str, ...] = ()
    hard: Conjunction = field(default_factory=Conjunction)
    soft: Conjunction = field(default_factory=Conjunction)
    summed: bool = False
    promote: tuple[Promotion, ...] = ()
    hide: frozenset[str] = frozenset()
    user_data: tuple[object, ...] = ()

    @classmethod
    def of(
        cls, rules: Iterable[Rule], contexts: frozenset[str], source: Mapping[str, Any] | None, now: float
    ) -> "Effects":
        """Of those rules that apply to a request about `source` at `now` (seconds since the epoch)."""
        applying = [
            rule for rule in sorted(rules, key=lambda rule: rule.id) if rule.applies(contexts, source, now)
        ]
        return cls(
            applied=tuple(rule.id for rule in applying),
            hard=_joined([_and(rule.hard, rule.match, source) for rule in applying]),
            soft=_joined([_and(rule.soft, rule.prefer, source) for rule in applying]),
            summed=any(rule.summed for rule in applying),
            promote=tuple(one for rule in applying for one in rule.promote),
            hide=frozenset().union(*(rule.hide for rule in applying)),
            user_data=tuple(rule.user_data for rule in applying if rule.user_data is not None),
        )

    def placed(self, ranked: list[str]) -> list[str]:
        """The ranking with promoted items at their positions; what is hidden stays hidden."""
        groups = [[one for one in promotion.objects if one not in self.hide] for promotion in self.promote]
        promoted = {one for group in groups for one in group}
        rest = [item for item in ranked if item not in promoted]
        for promotion, group in sorted(zip(self.promote, groups, strict=True), key=lambda pair: pair[0].position):
            fresh = [one for one in group if one not in rest]
            rest[promotion.position : promotion.position] = fresh
        return rest


def _joined(conjunctions: list[Conjunction]) -> Conjunction:
    return sum(conjunctions, start=Conjunction())


def _and(own: Conjunction, facets: Iterable[AutomaticFacet], source: Mapping[str, Any] | None) -> Conjunction:
    return _joined([own, *(_of_source(facet, source) for facet in facets)])


def _of_source(automatic: AutomaticFacet, source: Mapping[str, Any] | None) -> Conjunction:
    """The source item's own values as a filter: all of them, or any where disjunctive; none found, no filter."""
    conditions = tuple(
        Facet(automatic.facet, text_of(value), automatic.negative, automatic.score)
        for value in values(source, automatic.facet)
    )
    if automatic.disjunctive:
        return Conjunction((Clause(conditions),)) if conditions else Conjunction()
    return Conjunction(tuple(Clause((condition,)) for condition in conditions))

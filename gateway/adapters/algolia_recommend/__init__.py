"""Algolia Recommend, with the Insights API that its models learn from.

    options.py     the account: options, hosts, keys
    recommend.py   questions ─▸ one POST ─▸ answers
    filters.py     our filters ─▸ Algolia's;  grammar.py   and back
    rules.py       merchandising rules, both ways;  rule_calls.py   the calls about them
    insights.py    events, erasure;  feeding.py   records of the index;  deliver.py   both in few calls
    calls.py       one exchange; what a 403 and a 404 mean

Source: algolia-recommend-api.txt, FACTS.md §2 and §6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from gateway.adapter import Alphabet, Flow, How, Part
from gateway.adapters.algolia_recommend import feeding, filters, insights, questions, rule_calls
from gateway.adapters.algolia_recommend.options import Options
from gateway.errors import Unsupported
from gateway.model.activity import Change, ErasureStatus, Event
from gateway.model.control import Rule, RulePage, RuleSearch, TaskStarted, TaskStatus
from gateway.model.filters import Filter
from gateway.model.query import Kind, Recommend, Recommendations


class AlgoliaRecommend(Options):
    """Algolia's models behind the normalized kinds. It excludes nothing that a user has seen by itself."""

    kinds: ClassVar[Mapping[Kind, How]] = {
        "for_you": "made",
        "similar_items": "native",
        "bought_together": "native",
        "looking_similar": "native",
        "trending_items": "native",
        "trending_facets": "native",
    }
    says: ClassVar[frozenset[Part]] = frozenset({"exclude_items", "include_seen", "contexts", "history"})
    max_count: ClassVar[int] = questions.MOST
    wants_recent: ClassVar[frozenset[Kind]] = frozenset({"for_you"})
    carries_properties: ClassVar[bool] = True
    user_ids: ClassVar[Alphabet] = Alphabet(r"[a-zA-Z0-9_=/+-]+", 129)
    caller_options: ClassVar[frozenset[str]] = frozenset(questions.PARAMETERS)
    max_event_age: ClassVar[float | None] = insights.MAX_AGE

    @property
    def events_per_call(self) -> int:
        """As many as one call to Insights takes."""
        return insights.MOST_EVENTS

    def expressible(self, parts: Sequence[Filter]) -> Sequence[bool]:
        """Each part by itself: a filter of Algolia's is an AND of what each of them becomes."""
        return [filters.expressible(part) for part in parts]

    def caller_options_complaint(self, options: Mapping[str, Any]) -> str | None:
        """What is wrong with a caller's options, beyond their names: members that the gateway sets itself."""
        return questions.options_complaint(options)

    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        """Answer one question; `for_you` is a question about each of the user's last items."""
        (answer,) = yield from questions.ask(self, [query])
        return answer

    def recommend_batch(self, queries: Sequence[Recommend]) -> Flow[list[Recommendations]]:
        """Answer several questions in one call, in order."""
        return questions.ask(self, queries)

    def takes(self, event: Event) -> str | None:
        """Everything about items but dislikes and searches."""
        return insights.takes(event)

    def track(self, events: Sequence[Event]) -> Flow[None]:
        """Deliver events to Insights."""
        return insights.track(self, events)

    def put_items(self, changes: Sequence[Change]) -> Flow[None]:
        """Replace records of the index."""
        self._feeds()
        return feeding.put(self, changes)

    def delete_items(self, ids: Sequence[str]) -> Flow[None]:
        """Remove records of the index."""
        self._feeds()
        return feeding.delete(self, ids)

    def erase_user(self, user: str) -> Flow[ErasureStatus]:
        """Delete the user's events at Insights."""
        return insights.erase(user)

    def put_rules(self, kind: Kind, rules: Sequence[Rule], replace: bool) -> Flow[TaskStarted]:
        """Create or update rules of a kind's model."""
        return rule_calls.put(self, kind, rules, replace)

    def rule(self, kind: Kind, rule: str) -> Flow[Rule]:
        """One rule of a kind's model."""
        return rule_calls.read(self, kind, rule)

    def delete_rule(self, kind: Kind, rule: str) -> Flow[TaskStarted]:
        """Delete one rule of a kind's model."""
        return rule_calls.delete(self, kind, rule)

    def search_rules(self, kind: Kind, search: RuleSearch) -> Flow[RulePage]:
        """Search among the rules of a kind's model."""
        return rule_calls.search(self, kind, search)

    def task(self, kind: Kind, task: str) -> Flow[TaskStatus]:
        """Has a change of rules taken effect?"""
        return rule_calls.task(self, kind, task)

    def _feeds(self) -> None:
        if not self.feed_index:
            raise Unsupported("its index is fed elsewhere (feed_index is off)")

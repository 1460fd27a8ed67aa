"""The vendor that is never down: the gateway's own model (`gateway.memory`), asked by effects instead of HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gateway.adapter import Adapter, Done, Flow, How, Learn, Operation, Part, Recall
from gateway.model.activity import Change, ErasureStatus, Event
from gateway.model.filters import Filter
from gateway.model.query import Kind, Recommend, Recommendations, Search


class Local(Adapter):
    """Learns from the events and records that pass through; bulkhead, breaker and rate do not apply to it."""

    kinds: ClassVar[Mapping[Kind, How]] = {
        "for_you": "made",
        "similar_items": "made",
        "bought_together": "made",
        "trending_items": "made",
        "trending_facets": "made",
    }
    made: ClassVar[frozenset[Operation]] = frozenset({"search"})
    says: ClassVar[frozenset[Part]] = frozenset({"exclude_items", "exclude_seen", "include_seen", "history"})
    seeds: ClassVar[Mapping[Kind, int]] = {"similar_items": 50, "bought_together": 50}
    carries_properties: ClassVar[bool] = True
    over_http: ClassVar[bool] = False

    @property
    def events_per_call(self) -> int:
        return 1000

    def expressible(self, parts: Sequence[Filter]) -> Sequence[bool]:
        return [True] * len(parts)

    def takes(self, event: Event) -> str | None:
        return None

    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        answer: Recommendations = yield Recall(query)
        return answer

    def search(self, query: Search) -> Flow[Recommendations]:
        answer: Recommendations = yield Recall(query)
        return answer

    def track(self, events: Sequence[Event]) -> Flow[None]:
        yield Learn()
        yield Done(tuple(event.id for event in events))

    def put_users(self, changes: Sequence[Change]) -> Flow[None]:
        yield Done(tuple(change.id for change in changes))  # the gateway's own records of users suffice

    def put_items(self, changes: Sequence[Change]) -> Flow[None]:
        yield Learn()
        yield Done(tuple(change.id for change in changes))

    def delete_items(self, ids: Sequence[str]) -> Flow[None]:
        yield Learn()
        yield Done(tuple(ids))

    def erase_user(self, user: str) -> Flow[ErasureStatus]:
        yield Learn()
        yield Done((user,))  # it was forgotten in the commit that accepted this, and by every process at once
        return "erased"

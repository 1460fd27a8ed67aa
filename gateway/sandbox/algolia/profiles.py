"""Affinities: what a person's events say about facet values, under the strategy in force.

Each event that the strategy scores adds `event score · facet score / 10,000` to every value its items have in
every scored facet; a value's score is that sum rounded, at least 1 and at most 20 (the vendor's bound). The
formula is ours, the vendor's is not published; inputs, bound and shape are the vendor's.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from gateway.sandbox.algolia.behaviour import Event
from gateway.sandbox.algolia.conditions import text_of, values
from gateway.sandbox.algolia.world import World

BOUND = 20
Scores = dict[str, dict[str, int]]


class Profiles:
    """The profiles of one world, each kept until anything that it is made from changes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: dict[str, Scores] = {}
        self._kept_at = -1

    def scores(self, user: str) -> Scores:
        """Facet → value → score; empty where there is no strategy or nothing that it scores."""
        if self._kept_at != self._world.revision:
            self._kept.clear()
            self._kept_at = self._world.revision
        if user not in self._kept:
            self._kept[user] = self._made(user)
        return self._kept[user]

    def events(self, user: str) -> list[Event]:
        """The events that count: those after the profile was last deleted."""
        since = self._world.deleted_until.get(user, 0.0)
        return [event for event in self._world.people.get(user, ()) if event.at >= since]

    def affinity(self, user: str, record: Mapping[str, Any]) -> float:
        """How much a person likes what a record has, 0..1."""
        liked = sum(
            of_value.get(text_of(value), 0)
            for facet, of_value in self.scores(user).items()
            for value in values(record, facet)
        )
        return min(1.0, liked / BOUND)

    def impact(self, asked: int | None) -> float:
        """The weight of affinities in a ranking, 0..1: what the request asks for, else the strategy's."""
        strategy = self._world.strategy
        if strategy is None:
            return 0.0
        return float(strategy["personalizationImpact"] if asked is None else asked) / 100

    def _made(self, user: str) -> Scores:
        strategy = self._world.strategy
        if strategy is None:
            return {}
        worth = {(one["eventType"], one["eventName"]): one["score"] for one in strategy["eventsScoring"]}
        sums: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        for event in self.events(user):
            score = worth.get((event.type, event.name), 0)
            records = self._world.index(event.index).records
            for item in event.objects if score else ():
                for facet in strategy["facetsScoring"]:
                    for value in values(records.get(item, {}), facet["facetName"]):
                        sums[facet["facetName"]][text_of(value)] += score * facet["score"] / 10_000
        return {
            facet: {value: min(BOUND, max(1, round(sum_))) for value, sum_ in of_value.items() if sum_ > 0}
            for facet, of_value in sums.items()
        }

"""What people did with the records of one index, kept so that every model can count from it.

Counts follow each event at once: who touched and who bought what, and how hot an item is. Heat decays by half in
three days; as every item's decays alike, it is kept relative to one fixed moment and never has to be swept.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

HALF_LIFE = 3 * 86_400.0
WEIGHTS: Mapping[str, float] = {"view": 1.0, "click": 2.0, "addToCart": 3.0, "conversion": 3.0, "purchase": 5.0}


@dataclass(frozen=True, slots=True)
class Event:
    """One Insights event as the models see it; `at` in seconds since the epoch."""

    user: str
    type: str
    name: str
    index: str
    objects: tuple[str, ...]
    at: float
    subtype: str | None = None

    @property
    def weight(self) -> float:
        return WEIGHTS[self.subtype or self.type]


@dataclass(slots=True)
class Behaviour:
    """The events of one index, counted; `since` is the moment that heat is relative to."""

    since: float
    version: int = 0
    touched: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    touched_by: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    bought: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    bought_by: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _heat: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, event: Event) -> None:
        """Count one event."""
        self.version += 1
        degrees = self._degrees(event)
        for item in event.objects:
            self.touched[event.user].add(item)
            self.touched_by[item].add(event.user)
            self._heat[item] += degrees
            if event.subtype == "purchase":
                self.bought[event.user].add(item)
                self.bought_by[item].add(event.user)

    def forget(self, user: str, events: list[Event]) -> None:
        """Take back everything a user did here; `events` are all of that user's in this index."""
        self.version += 1
        for event in events:
            for item in event.objects:
                self._heat[item] -= self._degrees(event)
        for of_user, of_item in ((self.touched, self.touched_by), (self.bought, self.bought_by)):
            for item in of_user.pop(user, ()):
                of_item[item].discard(user)

    def heat(self) -> dict[str, float]:
        """How much attention each item got lately; only relations between the numbers mean anything."""
        return {item: heat for item, heat in self._heat.items() if self.touched_by[item] and heat > 0}

    def _degrees(self, event: Event) -> float:
        return event.weight * math.exp2((event.at - self.since) / HALF_LIFE)

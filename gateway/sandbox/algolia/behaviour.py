"""What people did with the records of one index, kept so that every model can count from it.

Counts follow each event at once: who touched and who bought what, and how hot an item is. Heat decays by half in
three days; as every item's decays alike, it is kept relative to one fixed moment and never has to be swept.
"""

import math
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

HALF_LIFE = 3 * 86_400.0
WEIGHTS: Mapping[str, float] = {"view": 1.0, "click": 2.0, "addToCart": 3.0, "conversion": 3.0, "purchase": 5.0}
PAIRS_KEPT = 256  # items whose pair counts are kept up to date; those of all would take hundreds of megabytes


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
class Pairs:
    """Which people have to do with which items, and how many with both of two."""

    of_user: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    of_item: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _both: OrderedDict[str, Counter[str]] = field(default_factory=OrderedDict)

    def add(self, user: str, item: str) -> None:
        mine = self.of_user[user]
        if item in mine:
            return
        for other in mine & self._both.keys():
            self._both[other][item] += 1
        if item in self._both:
            self._both[item].update(mine)
        mine.add(item)
        self.of_item[item].add(user)

    def forget(self, user: str) -> None:
        for item in self.of_user.pop(user, ()):
            self.of_item[item].discard(user)
        self._both.clear()

    def people(self, item: str) -> int:
        """How many people have to do with an item."""
        return len(self.of_item.get(item, ()))

    def both(self, item: str) -> Counter[str]:
        """Other item → how many people have to do with both; counted once, then kept up to date."""
        if item not in self._both:
            counts: Counter[str] = Counter()
            for user in self.of_item.get(item, ()):
                counts.update(self.of_user[user])
            del counts[item]
            self._both[item] = counts
            if len(self._both) > PAIRS_KEPT:
                self._both.popitem(last=False)
        self._both.move_to_end(item)
        return self._both[item]


@dataclass(slots=True)
class Behaviour:
    """The events of one index, counted; `since` is the moment that heat is relative to."""

    since: float
    version: int = 0
    touched: Pairs = field(default_factory=Pairs)
    bought: Pairs = field(default_factory=Pairs)
    _heat: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, event: Event) -> None:
        """Count one event."""
        self.version += 1
        degrees = self._degrees(event)
        for item in event.objects:
            self.touched.add(event.user, item)
            self._heat[item] += degrees
            if event.subtype == "purchase":
                self.bought.add(event.user, item)

    def forget(self, user: str, events: list[Event]) -> None:
        """Take back everything a user did here; `events` are all of that user's in this index."""
        self.version += 1
        for event in events:
            for item in event.objects:
                self._heat[item] -= self._degrees(event)
        self.touched.forget(user)
        self.bought.forget(user)

    def heat(self) -> dict[str, float]:
        """How much attention each item got lately; only relations between the numbers mean anything."""
        return {item: heat for item, heat in self._heat.items() if self.touched.people(item) and heat > 0}

    def _degrees(self, event: Event) -> float:
        return event.weight * math.exp2((event.at - self.since) / HALF_LIFE)

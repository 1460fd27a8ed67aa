"""What the demo's vendors are fed: items, and people with their ratings, told as events.

    each rating     ▸ view
    5 stars         ▸ … add_to_cart
    4 or 5 stars    ▸ … purchase

The time of the ratings, however long it was, becomes the last four weeks: Algolia takes no event older than 30
days. The order stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from gateway.model.activity import Change, Event, EventItem

SPAN: Final = timedelta(days=28)
JUST_NOW: Final = timedelta(minutes=10)
"""How long ago the latest event was: clear of what clocks differ by."""
STEP: Final = timedelta(milliseconds=1)
"""Between the events of one rating."""


class Rating(msgspec.Struct, frozen=True):
    """What somebody thought of an item."""

    item: str
    stars: float
    """1..5."""
    time: float
    """On any scale that all of a data set share."""

    @property
    def steps(self) -> tuple[str, ...]:
        """The types of the events that this is told as."""
        if self.stars >= 5:
            return "view", "add_to_cart", "purchase"
        return ("view", "purchase") if self.stars >= 4 else ("view",)


class Data(msgspec.Struct, frozen=True):
    """One data set."""

    about: str
    """Where it comes from and how large it is, for people."""
    items: tuple[Change, ...]
    """Properties: `title`, `genre` (a list), `year`."""
    people: dict[str, tuple[Rating, ...]]
    """By user id, oldest first."""

    def events(self, now: datetime) -> Iterator[list[Event]]:
        """Everybody's events, one list a person, oldest first."""
        times = [rating.time for ratings in self.people.values() for rating in ratings]
        first, last = min(times), max(times)
        scale = SPAN / ((last - first) or 1.0)
        start = now - JUST_NOW - SPAN
        for user, ratings in self.people.items():
            yield [
                Event(
                    id=f"{user}-{rating.item}-{step}",
                    type=step,
                    user=user,
                    items=(EventItem(rating.item),),
                    time=start + (rating.time - first) * scale + place * STEP,
                )
                for rating in ratings
                for place, step in enumerate(rating.steps)
            ]

    def popular(self) -> list[str]:
        """The items rated, those rated most often first."""
        counts = Counter(rating.item for ratings in self.people.values() for rating in ratings)
        return sorted(counts, key=lambda item: (-counts[item], item))


def described(source: str, items: int, people: int, ratings: int) -> str:
    """How large a data set is, in words."""
    return f"{source}: {items:,} items, {people:,} people, {ratings:,} ratings"

"""A data set for when MovieLens cannot be had: made up, the same every time, of the same shape.

People have tastes: each likes two genres, sees what is popular among them more often than the rest, and rates
what fits the taste higher. So there is something for every vendor's model to find.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from gateway.demo.data import Data, Rating, described
from gateway.model.activity import Change

ITEMS: Final = 600
GENRES: Final = (
    "Drama", "Comedy", "Action", "Thriller", "Romance", "Adventure", "Crime", "Horror", "War", "Mystery",
    "Musical", "Documentary", "Western", "Fantasy",
)  # fmt: skip
FIRST: Final = (
    "Silent", "Golden", "Last", "Broken", "Distant", "Hidden", "Crimson", "Paper", "Midnight", "Frozen", "Wild",
    "Empty", "Burning", "Forgotten", "Secret", "Northern", "Borrowed", "Quiet", "Hollow", "Second", "Bright",
    "Winter", "Restless", "Gentle", "Iron",
)  # fmt: skip
SECOND: Final = (
    "River", "Garden", "Letter", "Harbour", "Mirror", "Orchard", "Station", "Island", "Lantern", "Bridge",
    "Circus", "Summer", "Promise", "Canyon", "Orchestra", "Lighthouse", "Carnival", "Meadow", "Stranger",
    "Kingdom", "Train", "Valley", "Witness", "Journey",
)  # fmt: skip
LIKED: Final = 8.0
"""How much more often people see what they like."""
DAY: Final = 86_400.0


def generated(people: int) -> Data:
    """So many people, and what they rated in half a year."""
    rng = Random("recommendation-gateway")  # noqa: S311  # the same every time, on purpose
    items = _items(rng)
    popularity = {item.id: 1 / (place + 10) for place, item in enumerate(rng.sample(items, len(items)))}
    sample = {f"u{number}": _ratings(rng, items, popularity) for number in range(1, people + 1)}
    count = sum(map(len, sample.values()))
    return Data(described("A generated data set", len(items), people, count), tuple(items), sample)


def _items(rng: Random) -> list[Change]:
    names = rng.sample([f"The {first} {second}" for first in FIRST for second in SECOND], ITEMS)
    return [Change(f"m{number}", _properties(rng, name)) for number, name in enumerate(names, 1)]


def _properties(rng: Random, title: str) -> dict[str, Any]:
    genres = {rng.choice(GENRES[: rng.randint(3, len(GENRES))]) for _ in range(rng.randint(1, 3))}
    return {"title": title, "genre": sorted(genres), "year": 2000 - int(rng.expovariate(1 / 8)) % 70}


def _ratings(rng: Random, items: list[Change], popularity: dict[str, float]) -> tuple[Rating, ...]:
    """One person's, oldest first."""
    taste = set(rng.sample(GENRES, 2))
    likes = {item.id: bool(taste.intersection(item.properties["genre"])) for item in items}
    weights = [popularity[item.id] * (LIKED if likes[item.id] else 1.0) for item in items]
    wanted = min(150, 20 + int(rng.expovariate(1 / 40)))
    seen = dict.fromkeys(item.id for item in rng.choices(items, weights, k=wanted))
    times = sorted(rng.uniform(0, 180 * DAY) for _ in seen)
    return tuple(Rating(item, _stars(rng, likes[item]), time) for item, time in zip(seen, times, strict=True))


def _stars(rng: Random, liked: bool) -> float:
    return float(min(5, max(1, round(rng.gauss(4.1 if liked else 2.9, 0.9)))))

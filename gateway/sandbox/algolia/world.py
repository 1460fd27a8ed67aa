"""The state that the emulated Recommend, Insights and Personalization share: what they were sent, nothing else.

World ─┬─ indexes ── records, behaviour, models
       ├─ rules (by index and model), tasks
       ├─ people (events by userToken), deleted_until
       └─ strategy, queries (what was shown under a queryID)
"""

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.sandbox.algolia.behaviour import Behaviour, Event
from gateway.sandbox.algolia.models import Models
from gateway.sandbox.algolia.refusal import Refused
from gateway.sandbox.algolia.rules import Rule

PUBLISHED_AFTER = 0.5  # seconds until a task's status says so
QUERIES_KEPT = 100_000
FIRST_TASK = 2**53 + 1  # a taskID may need all 64 bits: more than a double holds


@dataclass(slots=True)
class Index:
    """One index: its records by objectID, what people did with them, and the models over both."""

    name: str
    behaviour: Behaviour
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    fed: bool = False
    models: Models = field(init=False)

    def __post_init__(self) -> None:
        self.models = Models(self.records, self.behaviour)


@dataclass(slots=True)
class Shown:
    """A result handed out under a queryID, and which of its items were clicked since."""

    index: str
    model: str
    objects: tuple[str, ...]
    clicked: set[str] = field(default_factory=set)
    converted: set[str] = field(default_factory=set)


class World:
    """One Algolia application. `clock` gives seconds since the epoch; everything happens on one event loop."""

    def __init__(self, clock: Callable[[], float] = time.time, rng: random.Random | None = None) -> None:
        self.clock = clock
        self.rng = rng or random.Random()
        self.indexes: dict[str, Index] = {}
        self.rules: dict[tuple[str, str], dict[str, Rule]] = {}
        self.people: dict[str, list[Event]] = {}
        self.deleted_until: dict[str, float] = {}
        self.strategy: dict[str, Any] | None = None
        self.queries: OrderedDict[str, Shown] = OrderedDict()
        self.revision = 0  # of everything that a profile is made from
        self._tasks: dict[tuple[str, int], float] = {}
        self._next_task = FIRST_TASK

    def index(self, name: str) -> Index:
        """The index of that name, made if need be, fed or not."""
        if name not in self.indexes:
            self.indexes[name] = Index(name, Behaviour(since=self.clock()))
        return self.indexes[name]

    def fed(self, name: str) -> Index:
        """The index of that name.

        Raises:
            Refused: 404 if it was never fed.
        """
        index = self.indexes.get(name)
        if index is None or not index.fed:
            raise Refused(404, f"Index {name} does not exist")
        return index

    def changed_records(self, index: Index) -> None:
        """Say that an index's records are other than they were."""
        index.fed = True
        index.models.records_version += 1
        self.revision += 1

    def remember(self, event: Event) -> None:
        """Take in one valid event."""
        self.people.setdefault(event.user, []).append(event)
        self.index(event.index).behaviour.add(event)
        self.revision += 1

    def forget(self, user: str) -> None:
        """Drop all events of a user, as `DELETE /1/usertokens/{userToken}` does."""
        events = self.people.pop(user, [])
        for name in {event.index for event in events}:
            self.index(name).behaviour.forget(user, [event for event in events if event.index == name])
        self.revision += 1

    def show(self, shown: Shown) -> str:
        """Hand out a queryID (32 hexadecimal digits) for a result."""
        query_id = f"{self.rng.getrandbits(128):032x}"
        self.queries[query_id] = shown
        if len(self.queries) > QUERIES_KEPT:
            self.queries.popitem(last=False)
        return query_id

    def new_task(self, place: str) -> int:
        """Begin an asynchronous change of a place (an index, or an index and a model)."""
        task = self._next_task
        self._next_task += 1 + self.rng.randrange(1000)
        self._tasks[place, task] = self.clock() + PUBLISHED_AFTER
        return task

    def task_status(self, place: str, task: int) -> str:
        """`notPublished` for a moment, then `published`.

        Raises:
            Refused: 404 for a task that is not of this place.
        """
        if (place, task) not in self._tasks:
            raise Refused(404, f"taskID {task} does not exist")
        return "published" if self.clock() >= self._tasks[place, task] else "notPublished"


def iso(seconds: float, *, milliseconds: bool = True) -> str:
    """A time as the vendor writes it: `2021-06-04T08:24:55.069Z`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds" if milliseconds else "seconds").replace("+00:00", "Z")

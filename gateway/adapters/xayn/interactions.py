"""Events as interactions: the vendor knows that a user was with a document, not how, how much or when.

So a purchase and a view become the same, and what says no (a dislike, a bad rating) is not told at all. Given
twice, an interaction counts twice; as events are delivered at least once anyway, a lost answer may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.adapter import Done, Flow, Request, quoted
from gateway.adapters.xayn.questions import reference
from gateway.model.activity import Event

MOST: Final = 1000
"""Interactions in one call."""
MIDDLE: Final = 2.5
"""Of the scale 0..5. A rating that is exactly there says neither yes nor no."""
POSITIVE: Final = frozenset({"view", "click", "add_to_cart", "purchase", "like"})


def objection(event: Event) -> str | None:
    """Why this event is no interaction; None if it is one."""
    if event.type == "rating":
        if event.value is None or event.value <= MIDDLE:
            return "knows no negative: a rating must be above 2.5"
    elif event.type not in POSITIVE:
        return f"has no word for {event.type}"
    return None if event.items else "an interaction needs an item"


def track(events: Sequence[Event]) -> Flow[None]:
    """One call for the events of one user that follow each other here, in their order."""
    theirs: dict[str, list[Event]] = {}
    for event in events:
        theirs.setdefault(event.user, []).append(event)
    for user, of_user in theirs.items():
        for batch in _batches(of_user):
            documents = [document for event in batch for document in _documents(event)]
            for start in range(0, len(documents), MOST):
                yield _call(user, documents[start : start + MOST])
            yield Done(tuple(event.id for event in batch))


def _batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    """As many whole events as go into one call; one that is larger than a call is alone."""
    batch: list[Event] = []
    size = 0
    for event in events:
        if batch and size + len(event.items) > MOST:
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event.items)
    if batch:
        yield batch


def _documents(event: Event) -> list[dict[str, Any]]:
    snippets = event.credit.snippets if event.credit else ()
    return [{"id": reference(item.id, snippets)} for item in event.items]


def _call(user: str, documents: list[dict[str, Any]]) -> Request:
    return Request(
        "PATCH",
        f"/users/{quoted(user)}/interactions",
        json={"documents": documents},
        hosts="front",
        route="/users/{id}/interactions",
    )

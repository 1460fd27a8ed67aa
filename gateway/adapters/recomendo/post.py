"""How letters reach the vendor: one call each, or up to 50 in one.

An event or a change has arrived when the last of its letters has; it is refused when one of them is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from gateway.adapter import Done, Flow, Refuse, Request
from gateway.adapters.recomendo import wire
from gateway.adapters.recomendo.letters import Letter
from gateway.errors import Failed, Refused

EVENTS: Final = "/v1/events.json"
BATCH: Final = "/v1/batch/events.json"
MOST_IN_A_BATCH: Final = 50


def one(letter: Letter) -> Flow[None]:
    """Send one letter. May be repeated: a usage event carries its id, the rest says the same twice."""
    answer = yield Request("POST", EVENTS, json=letter.event, hosts="events")
    wire.read(answer, wire.Accepted)


def one_by_one(letters: Iterable[Letter]) -> Flow[None]:
    """Send each in a call of its own; what is refused holds up nothing."""
    for owner, own in groupby(letters, key=lambda letter: letter.owner):
        try:
            for letter in own:
                yield from one(letter)
        except Refused as refusal:
            yield Refuse(owner, refusal.vendor_message or str(refusal))
        else:
            yield Done((owner,))


def in_batches(letters: Sequence[Letter]) -> Flow[None]:
    """Send up to 50 in a call, whose answer has a status for each. Raises Failed when some must be sent again."""
    open_ = Counter(letter.owner for letter in letters)
    refused: dict[str, str] = {}
    failed: set[str] = set()
    for start in range(0, len(letters), MOST_IN_A_BATCH):
        batch = letters[start : start + MOST_IN_A_BATCH]
        answer = yield Request("POST", BATCH, json=[letter.event for letter in batch], hosts="events")
        for letter, outcome in zip(batch, wire.batch_statuses(answer), strict=True):
            open_[letter.owner] -= 1
            if outcome.status in (400, 413, 422):
                refused[letter.owner] = outcome.message or f"refused with {outcome.status}"
            elif outcome.status >= 300:
                failed.add(letter.owner)
        closed = [owner for owner, letters_left in open_.items() if not letters_left]
        if arrived := tuple(owner for owner in closed if owner not in refused and owner not in failed):
            yield Done(arrived)
        for owner in closed:
            del open_[owner]
            if owner in refused:
                yield Refuse(owner, refused[owner])
    if failed - refused.keys():
        raise Failed(f"{len(failed - refused.keys())} of a batch failed")

"""Delivering many things in few calls, where one bad thing makes Algolia refuse the whole call.

pack ─▸ send ─┬▸ taken: Done
              └▸ refused: one alone ▸ Refuse it; several ▸ send each half
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from gateway.adapter import Done, Flow, Refuse, Request, Response
from gateway.adapters.algolia_recommend.calls import Acl, asked
from gateway.errors import Refused


class Parcel(msgspec.Struct, frozen=True):
    """What one event or change becomes on the wire; all of it goes in one call."""

    id: str
    entries: tuple[dict[str, Any], ...]


Call = Callable[[list[dict[str, Any]]], Request]


def deliver(
    parcels: Sequence[Parcel],
    call: Call,
    acl: Acl,
    accepted: Callable[[Response], object],
    *,
    most: int,
    most_bytes: int,
) -> Flow[None]:
    """Send parcels in order, at most `most` entries and `most_bytes` of JSON in a call.

    `accepted` reads the answer to a call, so that a stranger's 200 is not taken for the vendor's.
    """
    for load in packed(parcels, most, most_bytes):
        yield from _isolated(load, call, acl, accepted)


def _isolated(load: Sequence[Parcel], call: Call, acl: Acl, accepted: Callable[[Response], object]) -> Flow[None]:
    request = call([entry for parcel in load for entry in parcel.entries])
    try:
        answer = yield from asked(request, acl)
    except Refused as refused:
        if len(load) == 1:
            yield Refuse(load[0].id, refused.vendor_message or str(refused))
            return
    else:
        accepted(answer)
        yield Done(tuple(parcel.id for parcel in load))
        return
    middle = len(load) // 2
    yield from _isolated(load[:middle], call, acl, accepted)
    yield from _isolated(load[middle:], call, acl, accepted)


def packed(parcels: Sequence[Parcel], most: int, most_bytes: int) -> Iterator[list[Parcel]]:
    """Parcels in order, as many in a load as fit; one that is too large by itself goes alone."""
    load: list[Parcel] = []
    entries = size = 0
    for parcel in parcels:
        weight = len(msgspec.json.encode(parcel.entries))
        if load and (entries + len(parcel.entries) > most or size + weight > most_bytes):
            yield load
            load, entries, size = [], 0, 0
        load.append(parcel)
        entries += len(parcel.entries)
        size += weight
    if load:
        yield load

"""The effects: what a flow may yield, and what it is sent back for each."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal, TypeVar

import msgspec

from gateway.adapter.wire import Request, Response
from gateway.model.query import Recommend, Search

T = TypeVar("T")

Entity = Literal["user", "item"]


class Lookup(msgspec.Struct, frozen=True):
    """Sent back: `{caller's id: vendor's id}` of those in the id map; creates nothing."""

    entity: Entity
    ids: tuple[str, ...]


class Owners(msgspec.Struct, frozen=True):
    """The other way. Sent back: `{vendor's id: caller's id}` of those in the id map."""

    entity: Entity
    vendor_ids: tuple[str, ...]


class Register(msgspec.Struct, frozen=True):
    """Sent back: the vendor's id of `id`, created by `request` if it has none yet.

    Created once for one caller's id, whatever happens at the same time in this or another process.
    """

    entity: Entity
    id: str
    request: Request
    read: Callable[[Response], str]
    """Finds the vendor's id in the answer."""


class Done(msgspec.Struct, frozen=True):
    """These events or changes have arrived: what follows may fail without their being sent again."""

    ids: tuple[str, ...]


class Refuse(msgspec.Struct, frozen=True):
    """The vendor will never take this one; the others go on."""

    id: str
    reason: str


class Learn(msgspec.Struct, frozen=True):
    """For the adapter `local`: the gateway's own model looks at the state store at once.

    What `local` is told stands there already, in the commit that accepted it, and may since have been erased or
    put anew: nothing that is on its way is written once more.
    """


class Recall(msgspec.Struct, frozen=True):
    """For the adapter `local`: ask the gateway's own model. Sent back: `Recommendations`."""

    question: Recommend | Search


Effect = Request | Lookup | Owners | Register | Done | Refuse | Learn | Recall
Flow = Generator[Effect, Any, T]
"""Yields effects, is sent what each promises, returns T."""

"""What a store keeps once it was accepted; no provider is told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.model.activity import Change, Event
from gateway.state.kept import Edit, Entry
from gateway.state.store import Store

NOW: Final = 1_800_000_000.0
"""When it was accepted."""


async def note_activity(store: Store, events: Iterable[Event]) -> None:
    await store.accept([Entry(event, {}) for event in events], NOW)


async def forget_activity(store: Store, user: str) -> None:
    await store.erase(user, user.encode().hex(), {}, NOW, user.encode())


async def put_items(store: Store, changes: Iterable[Change]) -> None:
    """Whole, not merged."""
    await store.edit("item", [Edit(change.id, change.properties) for change in changes], {}, NOW)


async def delete_items(store: Store, ids: Iterable[str]) -> None:
    for id_ in ids:
        await store.remove_item(id_, {}, NOW)

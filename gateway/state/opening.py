"""Which state store a configuration names: an embedded file, or a server that several machines share."""

from __future__ import annotations

from gateway.config.model import State
from gateway.state.sqlite import SqliteStore
from gateway.state.store import Store
from gateway.state.valkey import ValkeyStore, checks


async def open_store(settings: State) -> Store:
    """The store of `state:`. Raises StoreError where it cannot be opened."""
    return await open_at(settings.url, settings.max_bytes)


async def hazards(store: Store) -> list[str]:
    """What may lose what this store has acknowledged. Raises StoreError."""
    return await checks.hazards(store.server) if isinstance(store, ValkeyStore) else []


async def open_at(url: str, max_bytes: int | None = None) -> Store:
    """The store at `url`: `sqlite:` and a path, or one of `gateway.state.valkey.places`. Raises StoreError."""
    if url.startswith("sqlite:"):
        return await SqliteStore.open(url.removeprefix("sqlite:").removeprefix("//"), max_bytes)
    return await ValkeyStore.open(url, max_bytes)

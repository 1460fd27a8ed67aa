"""What a running gateway would change: two effective configurations, compared.

providers, placements    added, removed, changed
experiments              the share of units that gets another arm
restarts                 what takes effect only then
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway.config.consistency import at
from gateway.config.mistakes import dotted
from gateway.policies.split import moved

RESTARTS: Final = (
    ("server", "listen"), ("server", "admin_listen"), ("server", "workers"), ("state", "url"),
)  # fmt: skip


ROUNDING: Final = 1e-9


class Named(msgspec.Struct, frozen=True):
    """What became of the entries of one mapping."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: dict[str, tuple[str, ...]] = {}
    """By name: the paths inside that changed."""


class Moves(msgspec.Struct, frozen=True):
    """What becomes of the units of one experiment."""

    placement: str
    share: float
    """0..1: how many get another arm than before."""


class Changes(msgspec.Struct, frozen=True):
    """All of it. `lines` says it to people."""

    providers: Named
    placements: Named
    moves: tuple[Moves, ...]
    """Of the experiments that stay but deal otherwise."""
    restarts: tuple[str, ...]
    """The paths whose change waits for a restart."""
    others: tuple[str, ...]
    """The other paths that changed."""

    def lines(self) -> Iterator[str]:
        """One line a change; none where nothing changes. A change of a secret cannot be seen."""
        for what, named in (("provider", self.providers), ("placement", self.placements)):
            yield from (f"{what} {name}: added" for name in named.added)
            yield from (f"{what} {name}: removed" for name in named.removed)
            yield from (f"{what} {name}: changed: {', '.join(paths)}" for name, paths in named.changed.items())
        for one in self.moves:
            yield f"placement {one.placement}: {one.share:.2%} of the units get another arm; a new phase begins"
        yield from (f"{path}: changed" for path in self.others)
        yield from (f"{path}: changed, which needs a restart" for path in self.restarts)


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    """What changes from one effective configuration (`effective`, `GET /v1/config`) to another."""
    others = [
        path
        for section in new
        if section not in ("providers", "placements")
        for path in _differences(old.get(section), new[section], (section,))
    ]
    restarts = {dotted(path) for path in RESTARTS if at(old, *path) != at(new, *path)}
    return Changes(
        _named(old.get("providers"), new.get("providers")),
        _named(old.get("placements"), new.get("placements")),
        tuple(_moves(old.get("placements"), new.get("placements"))),
        tuple(sorted(restarts)),
        tuple(path for path in map(dotted, others) if path not in restarts),
    )


def _named(old: Any, new: Any) -> Named:
    old, new = old or {}, new or {}
    changed = {name: tuple(map(dotted, _differences(old[name], new[name], ()))) for name in new if name in old}
    return Named(
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
        {name: paths for name, paths in changed.items() if paths},
    )


def _differences(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The deepest paths where the two differ; the order of keys is no difference."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _differences(old.get(key), new.get(key), (*path, key))
    elif old != new:
        yield path


def _moves(old: Any, new: Any) -> Iterator[Moves]:
    for name in new or {}:
        before, after = at(old, name, "experiment"), at(new, name, "experiment")
        if before and after:
            share = _moving(before, after)
            if share > ROUNDING:
                yield Moves(name, share)


def _moving(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    old, new = _weights(before), _weights(after)
    if all(before.get(member) == after.get(member) for member in ("key", "salt", "unit")):
        return moved(old, new)
    # Dealt anew: an arm is kept by chance alone.
    total, new_total = sum(old.values()), sum(new.values())
    return 1 - sum(old[arm] / total * new[arm] / new_total for arm in old if arm in new)


def _weights(experiment: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(arm["weight"]) for name, arm in experiment["arms"].items()}

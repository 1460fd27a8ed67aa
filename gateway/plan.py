"""A configuration made ready to serve: providers opened, placements compiled. Swapped whole at a reload.

Whatever a request looks up is worked out here: who can serve which kind, and why the others cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from random import Random
from typing import Literal

import msgspec

from gateway.config.model import Configuration
from gateway.config.traffic import Placement as PlacementSettings
from gateway.memory import Memory
from gateway.model.query import KINDS, Kind
from gateway.policies.cache import Caching
from gateway.policies.shadow import Shadow
from gateway.policies.split import Split
from gateway.provider import Provider
from gateway.state.store import Store

Served = Kind | Literal["search"]


class Candidates(msgspec.Struct, frozen=True):
    """Who can serve one kind, in failover order, and why the others of the list cannot."""

    providers: tuple[Provider, ...]
    passed_over: dict[str, str]


class Arm(msgspec.Struct, frozen=True):
    """One failover list of a placement; `name` is None without an experiment."""

    name: str | None
    by_kind: dict[str, Candidates]


class Placement(msgspec.Struct, frozen=True):
    """One spot that asks, compiled."""

    name: str
    settings: PlacementSettings
    arms: dict[str | None, Arm]
    split: Split | None
    first: Arm
    """For requests that no unit assigns."""
    hide: frozenset[str]
    caching: Caching | None
    shadow: Shadow | None
    fingerprint: str
    """Changes whenever its answers could: part of their cache keys."""

    def arm(self, unit: str | None) -> Arm:
        """The arm of a unit."""
        if self.split is None or unit is None:
            return self.first
        return self.arms[self.split.arm(unit)]


class Plan(msgspec.Struct, frozen=True):
    """All that one epoch serves with."""

    epoch: str
    configuration: Configuration
    providers: dict[str, Provider]
    placements: dict[str, Placement]


def build(
    configuration: Configuration, epoch: str, store: Store, memory: Memory, key: bytes, old: Plan | None
) -> Plan:
    """Compile a configuration. Providers that did not change are taken over from `old`, with all their state."""
    providers: dict[str, Provider] = {}
    for name, wanted in configuration.providers.items():
        kept = old.providers.get(name) if old else None
        if kept is not None and old is not None and old.configuration.providers[name] == wanted:
            providers[name] = kept
        else:
            providers[name] = Provider(name, wanted.options, wanted, store, key=key, memory=memory)
    placements = {
        name: _placement(name, settings, configuration, providers)
        for name, settings in configuration.placements.items()
    }
    return Plan(epoch, configuration, providers, placements)


def _placement(
    name: str, settings: PlacementSettings, configuration: Configuration, providers: Mapping[str, Provider]
) -> Placement:
    arms = {
        arm: Arm(arm, {kind: candidates(kind, [providers[one] for one in names]) for kind in (*KINDS, "search")})
        for arm, names in settings.lists.items()
    }
    experiment = settings.experiment
    split = None
    if experiment is not None:
        weights = {arm: one.weight for arm, one in experiment.arms.items()}
        split = Split(experiment.key, experiment.salt, weights)
    caching = settings.cache if settings.cache is not None and settings.cache.life else None
    return Placement(
        name,
        settings,
        arms,
        split,
        first=next(iter(arms.values())),
        hide=frozenset(settings.hide),
        caching=caching,
        shadow=_shadow(settings),
        fingerprint=_fingerprint(settings, configuration),
    )


def _shadow(settings: PlacementSettings) -> Shadow | None:
    if settings.shadow is None:
        return None
    return Shadow(settings.shadow.provider, settings.shadow.share, Random())  # noqa: S311  # a sample, no secret


def _fingerprint(settings: PlacementSettings, configuration: Configuration) -> str:
    """Of the placement's own settings and of every provider that may answer for it."""
    names = sorted({name for names in settings.lists.values() for name in names})
    shaping = settings.model_dump_json(exclude={"cache", "shadow"})
    shaping += "".join(configuration.providers[name].model_dump_json() for name in names)
    return blake2b(shaping.encode(), digest_size=8).hexdigest()


def candidates(kind: str, providers: list[Provider]) -> Candidates:
    """Of these providers those that can serve a kind."""
    able: list[Provider] = []
    passed_over: dict[str, str] = {}
    for provider in providers:
        adapter = type(provider.adapter)
        if adapter.has("search") if kind == "search" else kind in adapter.kinds:
            able.append(provider)
        else:
            passed_over[provider.name] = f"cannot serve {kind}"
    return Candidates(tuple(able), passed_over)

"""A configuration made ready to serve: providers opened, placements compiled. Swapped whole at a reload.

Whatever a request looks up is worked out here: who can serve which kind, and why the others cannot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from random import Random
from typing import Literal

import msgspec

from gateway.config.model import Configuration, ConfiguredProvider
from gateway.config.traffic import Placement as PlacementSettings
from gateway.experiments.phase import Phase, phase_of
from gateway.memory import Memory
from gateway.model.query import KINDS, Kind
from gateway.place import ALONE, Place
from gateway.policies.cache import Caching
from gateway.policies.shadow import Shadow
from gateway.policies.split import Split
from gateway.provider.account import Provider
from gateway.provider.redaction import secrets_of
from gateway.state.store import Store
from gateway.telemetry.notes import Notes

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
    shadow: Shadow[Provider] | None
    phase: Phase | None
    """Of its experiment."""
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
    configuration: Configuration,
    epoch: str,
    store: Store,
    memory: Memory,
    key: bytes,
    old: Plan | None,
    notes: Notes | None = None,
    place: Place = ALONE,
) -> Plan:
    """Compile a configuration. What did not change is taken over from `old` with all its state.

    notes: where its providers note what happens; None: nobody reads it.
    place: among the processes that divide the providers' rates.
    """
    providers: dict[str, Provider] = {}
    for name, wanted in configuration.providers.items():
        kept = old.providers.get(name) if old else None
        if kept is not None and old is not None and old.configuration.providers[name] == wanted:
            providers[name] = kept
        else:
            providers[name] = Provider(
                name,
                wanted.options,
                wanted,
                store,
                key=key,
                memory=memory,
                longest_pause=configuration.events.retry.max,
                notes=notes,
                place=place,
            )
    placements = {
        name: _placement(name, settings, configuration, providers, key, old)
        for name, settings in configuration.placements.items()
    }
    return Plan(epoch, configuration, providers, placements)


def _placement(
    name: str,
    settings: PlacementSettings,
    configuration: Configuration,
    providers: Mapping[str, Provider],
    key: bytes,
    old: Plan | None,
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
        phase=phase_of(name, experiment) if experiment is not None else None,
        shadow=_shadow(settings, providers, old.placements.get(name) if old else None),
        fingerprint=_fingerprint(settings, configuration, key),
    )


def _shadow(
    settings: PlacementSettings, providers: Mapping[str, Provider], old: Placement | None
) -> Shadow[Provider] | None:
    if settings.shadow is None:
        return None
    provider, share = providers[settings.shadow.provider], settings.shadow.share
    kept = old.shadow if old else None
    if kept is not None and (kept.provider, kept.share) == (provider, share):
        return kept  # what it is allowed at once is counted over reloads too
    return Shadow(provider, share, Random())  # noqa: S311  # a sample, no secret


def _fingerprint(settings: PlacementSettings, configuration: Configuration, key: bytes) -> str:
    """Of the placement's own settings and of every provider that may answer for it."""
    names = sorted({name for names in settings.lists.values() for name in names})
    shaping = [settings.model_dump_json(exclude={"cache", "shadow"})]
    for name in names:
        shaping += _shaping(configuration.providers[name])
    return blake2b(msgspec.json.encode(shaping), key=key, digest_size=8).hexdigest()


def _shaping(provider: ConfiguredProvider) -> Iterator[str]:
    """What of a provider's settings shapes its answers: whose account it is and what is said to it.

    Not how long it may take and when it is left alone: who takes a dead vendor out of service (`forced_open`)
    needs the answers that are cached. Secrets too, which a dump masks: other credentials may be another account.
    """
    yield provider.model_dump_json(include={"adapter", "options", "pseudonymize", "properties"})
    yield from secrets_of(provider.options)


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

"""A phase: an experiment for as long as its arms, weights and providers stay as they are.

Counts of different phases are never added up: with other weights another mixture of people is in each arm.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from gateway.policies.split import Experiment


class Phase(msgspec.Struct, frozen=True):
    """What the counts of one phase belong to."""

    experiment: str
    """The experiment's key."""
    name: str
    """Eight hex digits of a hash over all that makes the phase: the same again is the same phase."""
    placement: str
    unit: str
    """`user`, or a header's name."""
    weights: dict[str, float]
    """By arm."""


def phase_of(placement: str, experiment: Experiment) -> Phase:
    """The phase that an experiment of a placement is in, by its configuration."""
    arms = [(name, arm.weight, arm.providers) for name, arm in sorted(experiment.arms.items())]
    said = msgspec.json.encode((placement, experiment.key, experiment.unit, experiment.salt, arms))
    name = blake2b(said, digest_size=4).hexdigest()
    weights = {name: arm.weight for name, arm in experiment.arms.items()}
    return Phase(experiment.key, name, placement, experiment.unit, weights)


def unit_mark(key: bytes, unit: str) -> bytes:
    """What is kept of a unit, so that it is counted once: a keyed hash, never its id."""
    return blake2b(unit.encode("utf-8", "surrogatepass"), key=key, digest_size=16).digest()

"""Which arm of an experiment a unit (mostly: a user) is in: weighted rendezvous hashing.

Every arm draws a number 0 < u < 1 for the unit, from nothing but a hash; the highest −weight / ln(u) wins. So

* an arm wins with the probability weight / Σ weights;
* a changed weight moves units only to or from the arm that changed, and no more of them than it must;
* a unit's arm is the same after a restart, in every process and on every machine, in whatever order arms stand.

    u = (h + ½) / 2⁵²,  h = the upper 52 bits of BLAKE2b-64(‖salt‖ salt ‖key‖ key ‖arm‖ arm unit)

where ‖x‖ is the length of x in bytes as 4 bytes, the highest first, and text is UTF-8: enough to compute an
assignment elsewhere. Sources: Schindelhauer, Schomaker, "Weighted Distributed Hash Tables", SPAA 2005
(logarithmic method); the share that moves: Moulton, Jiang, "Maximally Consistent Sampling and the Jaccard Index
of Probability Distributions", ICDM 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from math import log
from typing import Annotated

from pydantic import Field, field_validator

from gateway.policies.settings import Settings

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Arm(Settings):
    """One side of an experiment."""

    weight: Weight
    """This arm's part of the units, in proportion to the sum over all arms. 0: nobody, without removing it."""
    providers: tuple[str, ...] = Field(min_length=1)
    """Failover order of this arm."""


class Experiment(Settings):
    """A placement's traffic, split between arms."""

    key: str = Field(min_length=1)
    """Its name in `GET /v1/experiments/{key}`. A new key assigns all units anew."""
    unit: str = Field("user", min_length=1)
    """What is assigned: `user`, because one person should see one arm, or a header's name. A request without
    one gets the first arm and is not recorded."""
    salt: str = ""
    """Mixed into the assignment. Empty, because the key already keeps experiments independent of each other."""
    arms: dict[str, Arm] = Field(min_length=1)
    """By name; the first also serves requests without a unit."""

    @field_validator("arms")
    @classmethod
    def _somebody(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        if not any(arm.weight for arm in arms.values()):
            raise ValueError("at least one arm must have a weight above 0")
        return arms


class Split:
    """The assignment of one experiment, compiled: immutable, and nothing is stored."""

    __slots__ = ("_arms", "_only")

    def __init__(self, key: str, salt: str, arms: Mapping[str, float]) -> None:
        """`arms`: weights by name; one at least above 0, or ValueError."""
        weighted = sorted((name, weight) for name, weight in arms.items() if weight > 0)
        if not weighted:
            raise ValueError("at least one arm must have a weight above 0")
        self._arms = [
            (name, weight, blake2b(_framed(salt, key, name), digest_size=8)) for name, weight in weighted
        ]
        self._only = weighted[0][0] if len(weighted) == 1 else None

    def arm(self, unit: str) -> str:
        """The name of the arm that the unit is in."""
        if self._only is not None:
            return self._only
        encoded = unit.encode("utf-8", "surrogatepass")  # a header's value may be no UTF-8
        best, highest = "", 0.0
        for name, weight, prefix in self._arms:
            draw = prefix.copy()
            draw.update(encoded)
            score = -weight / log(_fraction(draw.digest()))
            if score > highest:
                best, highest = name, score
        return best


def moved(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """The share of units, 0..1, that changes arms when these weights become those (same key and salt)."""
    stays = 0.0
    for name, old in before.items():
        new = after.get(name, 0)
        if old > 0 and new > 0:
            names = {*before, *after}
            stays += 1 / sum(max(before.get(n, 0) / old, after.get(n, 0) / new) for n in names)
    return max(0.0, 1 - stays)


def _framed(*texts: str) -> bytes:
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _fraction(digest: bytes) -> float:
    """0 < u < 1; 52 bits and a half, so that rounding reaches neither end."""
    return ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2.0**52

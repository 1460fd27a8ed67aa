"""The counts as ops read them: the answers of `GET /v1/experiments`, as JSON and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from gateway.experiments.counts import Counts, Tally
from gateway.experiments.phase import Phase
from gateway.experiments.statistics import sample_ratio, wilson

IMPROBABLE: Final = 0.001
"""A dealing of units less probable than this is held to be wrong, not bad luck."""


class Rate(msgspec.Struct, frozen=True):
    """A share of units, and how sure it is."""

    value: float
    """0..1."""
    low: float
    """With 95 % confidence it is not less (Wilson)."""
    high: float
    """Nor more."""


class ArmResult(msgspec.Struct, frozen=True):
    """What one arm did in this phase."""

    weight: float
    """As configured."""
    units: int
    """Different units that got an answer of this arm."""
    exposures: int
    """Answers that went out, cached ones too."""
    clicks: int
    """Items clicked, each once for a unit."""
    conversions: int
    """Items bought, each once for a unit."""
    value: float
    """What was paid for them, added up whatever the currency."""
    empty: int
    """Of the exposures: answers without anything to show."""
    fallback: int
    """Of the exposures: answers that a stand-in gave, because the first provider of the arm did not."""
    clicking_units: int
    """Units that clicked anything."""
    converting_units: int
    """Units that bought anything."""
    click_rate: Rate | None
    """Clicking units among units; null without units."""
    conversion_rate: Rate | None
    """Converting units among units; null without units."""


class SampleRatio(msgspec.Struct, frozen=True):
    """Were the units dealt as the weights say?"""

    p: float
    """How probable so uneven a dealing is by chance, 0..1."""
    mismatch: bool
    """Too improbable: something keeps units out of an arm, and the arms cannot be compared."""


class PhaseBegun(msgspec.Struct, frozen=True):
    """A phase: an experiment as long as its arms and weights stay as they are."""

    phase: str
    """Its name, for `?phase=`."""
    began_at: datetime
    """When it was first in force."""


class ExperimentResult(msgspec.Struct, frozen=True):
    """One experiment in one phase."""

    key: str
    """The experiment's."""
    placement: str
    """The one that it splits."""
    phase: str
    """New weights or arms open a new phase with counts of its own."""
    unit: str
    """What is dealt: `user`, or a header's name."""
    arms: dict[str, ArmResult]
    """By name."""
    running: bool
    """Is this phase in force?"""
    began_at: datetime
    """When it was first in force."""
    sample_ratio: SampleRatio | None
    """Null while there are too few units to say."""
    phases: tuple[PhaseBegun, ...]
    """All that this experiment has had, in the order in which they began."""


class ExperimentResults(msgspec.Struct, frozen=True):
    """Every experiment in its present, else its last phase."""

    experiments: tuple[ExperimentResult, ...]
    """By key."""


class PhaseQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which phase."""

    phase: str | None = None
    """Absent: the one in force, else the last."""


def result(tallies: Sequence[Tally], running: Phase | None, wanted: str | None = None) -> ExperimentResult | None:
    """One experiment's, by its tallies in the order in which they began; None where there is no such phase."""
    name = wanted or (running.name if running else tallies[-1].phase.name)
    tally = next((one for one in tallies if one.phase.name == name), None)
    return None if tally is None else told(tally, tallies, running)


def told(tally: Tally, tallies: Sequence[Tally], running: Phase | None) -> ExperimentResult:
    """One phase of an experiment, as ops read it."""
    phase = tally.phase
    arms = {arm: _arm(phase, arm, tally.arms.get(arm, Counts())) for arm in {**phase.weights, **tally.arms}}
    p = sample_ratio({arm: one.units for arm, one in arms.items()}, phase.weights)
    return ExperimentResult(
        key=phase.experiment,
        placement=phase.placement,
        phase=phase.name,
        unit=phase.unit,
        arms=arms,
        running=running is not None and running.name == phase.name,
        began_at=_moment(tally.began_at),
        sample_ratio=None if p is None else SampleRatio(p, p < IMPROBABLE),
        phases=tuple(PhaseBegun(one.phase.name, _moment(one.began_at)) for one in tallies),
    )


def _arm(phase: Phase, arm: str, counts: Counts) -> ArmResult:
    return ArmResult(
        weight=phase.weights.get(arm, 0.0),
        **msgspec.structs.asdict(counts),
        click_rate=_rate(counts.clicking_units, counts.units),
        conversion_rate=_rate(counts.converting_units, counts.units),
    )


def _rate(successes: int, units: int) -> Rate | None:
    if not units:
        return None
    successes = min(successes, units)  # an id handed on to somebody else earns for a unit that saw nothing
    return Rate(successes / units, *wilson(successes, units))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


# --- as a table -------------------------------------------------------------------------------------------------

COLUMNS: Final = (
    "experiment", "placement", "phase", "unit", "arm", "weight", "units", "exposures", "clicks", "conversions",
    "value", "empty", "fallback", "clicking_units", "converting_units", "click_rate", "click_rate_low",
    "click_rate_high", "conversion_rate", "conversion_rate_low", "conversion_rate_high",
)  # fmt: skip


def table(results: Iterable[ExperimentResult]) -> str:
    """One row an arm, as CSV (RFC 4180)."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(COLUMNS)
    for one in results:
        for name, arm in one.arms.items():
            counts = [getattr(arm, column) for column in COLUMNS[5:15]]
            rates = [*_cells(arm.click_rate), *_cells(arm.conversion_rate)]
            writer.writerow([one.key, one.placement, one.phase, one.unit, name, *counts, *rates])
    return written.getvalue()


def _cells(rate: Rate | None) -> tuple[float | str, ...]:
    return ("", "", "") if rate is None else (rate.value, rate.low, rate.high)

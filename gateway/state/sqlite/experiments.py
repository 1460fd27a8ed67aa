"""Counts of experiments: sums by arm, and who was counted already.

phases       what each phase was made of, and since when
arm_counts   the sums
arm_units    one row a unit and arm, so that a unit is counted once
credits      one row a unit, item and kind of event, so that each earns once
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from gateway.experiments.counts import Counts, Earned, Shown, Tally
from gateway.experiments.phase import Phase
from gateway.state.sqlite.database import Database

SUMS: Final = tuple(field.name for field in msgspec.structs.fields(Counts))
FLAGS: Final = {"click": "clicked", "purchase": "converted"}
"""What a unit has done once it earned this."""


def credit(db: Database, earned: Iterable[Earned]) -> None:
    """Count what events earned. On the store's thread, inside the change that accepts the events."""
    for one in earned:
        _credit(db, one)


def forget_unit(db: Database, mark: bytes) -> None:
    """Nobody remembers any more that this unit was counted; the sums stay. On the store's thread."""
    arms = db.connection.execute("SELECT phase, arm FROM arm_counts").fetchall()
    db.connection.executemany(
        "DELETE FROM arm_units WHERE phase = ? AND arm = ? AND unit = ?", [(*arm, mark) for arm in arms]
    )


def _credit(db: Database, one: Earned) -> None:
    phase = _number(db, one.experiment, one.phase)
    new = [(item, worth) for item, worth in one.items if _first(db, phase, one, item)]
    if not new:
        return
    once = _mark_unit(db, phase, one.arm, one.unit, FLAGS[one.type])
    if one.type == "click":
        _add(db, phase, one.arm, clicks=len(new), clicking_units=once)
        return
    whole = one.value is not None and len(new) == len(one.items)
    value = one.value if whole else sum(worth for _, worth in new)
    _add(db, phase, one.arm, conversions=len(new), value=value or 0.0, converting_units=once)


def _first(db: Database, phase: int, one: Earned, item: str) -> bool:
    """Has this unit not yet earned this by this item?"""
    mark = blake2b(f"{one.arm}\0{one.type}\0{item}".encode(), key=one.unit, digest_size=16).digest()
    return db.connection.execute("INSERT OR IGNORE INTO credits VALUES (?, ?)", (phase, mark)).rowcount == 1


def _mark_unit(db: Database, phase: int, arm: str, unit: bytes, flag: str) -> int:
    """1 if the unit had not done this before, else 0."""
    query = (
        f"INSERT INTO arm_units (phase, arm, unit, {flag}) VALUES (?, ?, ?, 1) "  # noqa: S608  # columns of ours
        f"ON CONFLICT DO UPDATE SET {flag} = 1 WHERE {flag} = 0"
    )
    return db.connection.execute(query, (phase, arm, unit)).rowcount


def _add(db: Database, phase: int, arm: str, **more: float) -> None:
    db.connection.execute("INSERT OR IGNORE INTO arm_counts (phase, arm) VALUES (?, ?)", (phase, arm))
    sums = ", ".join(f"{name} = {name} + :{name}" for name in more)
    query = f"UPDATE arm_counts SET {sums} WHERE phase = :phase AND arm = :arm"  # noqa: S608  # columns of ours
    db.connection.execute(query, {**more, "phase": phase, "arm": arm})


def _number(db: Database, experiment: str, phase: str) -> int:
    query = "SELECT number FROM phases WHERE experiment = ? AND name = ?"
    found = db.connection.execute(query, (experiment, phase)).fetchone()
    if found is None:  # whoever opened the phase had another state store
        return _open(db, Phase(experiment, phase, "", "", {}), 0.0)
    number: int = found[0]
    return number


def _open(db: Database, phase: Phase, now: float) -> int:
    weights = msgspec.json.encode(phase.weights).decode()
    values = (phase.experiment, phase.name, phase.placement, phase.unit, weights, now)
    insert = (
        "INSERT INTO phases (experiment, name, placement, unit, weights, began_at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET placement = excluded.placement, unit = excluded.unit, "
        "weights = excluded.weights, began_at = excluded.began_at WHERE began_at = 0 AND excluded.began_at > 0"
    )
    db.connection.execute(insert, values)
    return _number(db, phase.experiment, phase.name)


class Experiments:
    """Part of the store."""

    db: Database

    async def open_phases(self, phases: Sequence[Phase], now: float) -> None:
        def work() -> None:
            for phase in phases:
                _open(self.db, phase, now)

        await self.db.change(work)

    async def note_shown(self, shown: Sequence[Shown], now: float, batch: tuple[str, int] | None = None) -> None:
        """`batch` is not needed: what fails here has changed nothing."""

        def work() -> None:
            for one in shown:
                self._note_shown(one, now)

        await self.db.change(work)

    def _note_shown(self, one: Shown, now: float) -> None:
        phase = _open(self.db, one.phase, now)
        units = sum(_mark_unit(self.db, phase, one.arm, unit, "exposed") for unit in one.units)
        more = {"units": units, "exposures": one.exposures, "empty": one.empty, "fallback": one.fallback}
        _add(self.db, phase, one.arm, **more)

    async def credit(self, earned: Sequence[Earned]) -> None:
        await self.db.change(lambda: credit(self.db, earned))

    async def tallies(self, experiment: str | None = None) -> list[Tally]:
        return await self.db.read(lambda: self._tallies(experiment))

    def _tallies(self, experiment: str | None) -> list[Tally]:
        rows = self.db.reading.execute(
            "SELECT number, experiment, name, placement, unit, weights, began_at FROM phases "
            "WHERE ? IS NULL OR experiment = ? ORDER BY began_at, number",
            (experiment, experiment),
        ).fetchall()
        return [
            Tally(
                Phase(key, name, placement, unit, msgspec.json.decode(weights, type=dict[str, float])),
                began_at,
                self._arms(number),
            )
            for number, key, name, placement, unit, weights, began_at in rows
        ]

    def _arms(self, phase: int) -> dict[str, Counts]:
        query = f"SELECT arm, {', '.join(SUMS)} FROM arm_counts WHERE phase = ? ORDER BY arm"  # noqa: S608  # ours
        return {arm: Counts(*sums) for arm, *sums in self.db.reading.execute(query, (phase,))}

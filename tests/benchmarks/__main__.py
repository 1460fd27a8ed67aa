"""`python -m tests.benchmarks`: 0 measured, 1 an answer was wrong, 2 something is not installed."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.benchmarks import lone, memory, report, required, stages
from tests.benchmarks.figures import CASES, Found
from tests.benchmarks.processes import Broken
from tests.benchmarks.rounds import Cores, Way

HERE: Final = Path(__file__).parent
PARTS: Final = (*CASES, "lone", "memory", "features", "flat", "events")
QUICK: Final = 1
"""Rounds, and seconds of each, that show that all works and nothing else."""
FINER: Final = 3
"""Times as many rounds, of a second each, where some µs of a few dozen are looked for."""


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is ended on the way out
    way = Way(args.rounds, args.seconds, args.connections, _tell)
    if args.quick:
        way = msgspec.structs.replace(way, rounds=QUICK, seconds=QUICK)
    cores = Cores.first_two()
    setting = report.Setting(
        cores=f"server on core {cores.server}, load and vendor on core {cores.load}",
        rounds=way.rounds,
        seconds=way.seconds,
        connections=way.connections,
        load_before=os.getloadavg()[0],
    )
    os.sched_setaffinity(0, {cores.load})
    try:
        required.ensure()
        found = measured(cores, args.only, way, 2000 if args.quick else args.entries)
    except required.Lacking as lacking:
        _tell(f"benchmarks: {lacking}")
        return 2
    except Broken as broken:
        _tell(f"benchmarks: {broken}")
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(f"{report.machine(setting)}\n\n{report.warning(setting)}{report.tables(found)}")
    if args.quick or {*args.only} != {*PARTS}:
        _tell("benchmarks: not all was measured, or not well: nothing is written")
    else:
        report.write(args.results, args.readme, found, setting)
    return 0


def measured(cores: Cores, parts: Sequence[str], way: Way, entries: int) -> Found:
    """Part by part. Raises Broken."""
    found, rounds = Found(), way.rounds if way.rounds == QUICK else way.rounds * FINER
    short = msgspec.structs.replace(way, seconds=1, rounds=rounds)
    compared = [case for case in CASES if case in parts]
    if compared:
        found.beside = stages.beside(cores, compared, way)
    if "lone" in parts:
        found.lone = lone.alone(cores, way)
    if "memory" in parts:
        found.memory = memory.resident(cores, entries, way)
    if "features" in parts:
        found.features = stages.features(cores, short)
    if "flat" in parts:
        found.flat = stages.flat(cores, short)
    if "events" in parts:
        found.told = stages.told(cores, way)
    return found


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _positive(written: str) -> int:
    if not written.isdecimal() or int(written) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return int(written)


def _parts(written: str) -> list[str]:
    parts = written.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(PARTS)}")
    return parts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Hits, translated misses and all around them, beside nginx."
    )
    parser.add_argument("--rounds", type=_positive, default=5, help="how often all are measured (5)")
    parser.add_argument("--seconds", type=_positive, default=2, help="how long each time, beside nginx (2)")
    parser.add_argument("--connections", type=_positive, default=64, help="that the load keeps open (64)")
    parser.add_argument("--entries", type=_positive, default=20_000, help="cached answers to measure (20000)")
    parser.add_argument("--only", type=_parts, default=[*PARTS], metavar="PART,…", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    parser.add_argument("--results", metavar="FILE", type=Path, default=HERE / "RESULTS.md", help="written whole")
    parser.add_argument(
        "--readme", metavar="FILE", type=Path, default=HERE.parent.parent / "README.md",
        help=f"gets the first tables between {report.BEGIN} and {report.END}, if it has them",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())

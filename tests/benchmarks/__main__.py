"""`python -m tests.benchmarks`: 0 measured, 1 an answer was wrong, 2 something is not installed."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks import report, required
from tests.benchmarks.processes import Broken
from tests.benchmarks.rounds import Cores, measured

HERE = Path(__file__).parent


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is ended on the way out
    cores = Cores.first_two()
    setting = report.Setting(
        cores=f"server on core {cores.server}, load and stub on core {cores.load}",
        rounds=args.rounds,
        seconds=args.seconds,
        connections=args.connections,
        load_before=os.getloadavg()[0],
    )
    os.sched_setaffinity(0, {cores.load})
    try:
        required.ensure()
        with TemporaryDirectory(prefix="gateway-benchmarks-") as folder:
            found = [
                *measured(
                    Path(folder), cores,
                    rounds=args.rounds, seconds=args.seconds, connections=args.connections, tell=_tell,
                )
            ]  # fmt: skip
    except required.Lacking as lacking:
        _tell(f"benchmarks: {lacking}")
        return 2
    except Broken as broken:
        _tell(f"benchmarks: {broken}")
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(f"{report.warning(setting)}{report.table(found)}\n{report.ratios(found)}")
    report.write(args.results, args.readme, found, setting)
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _positive(written: str) -> int:
    if not written.isdecimal() or int(written) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return int(written)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Hits and translated misses beside nginx."
    )
    parser.add_argument("--rounds", type=_positive, default=5, help="how often all are measured (5)")
    parser.add_argument("--seconds", type=_positive, default=5, help="how long each time (5)")
    parser.add_argument("--connections", type=_positive, default=64, help="that the load keeps open (64)")
    parser.add_argument("--results", metavar="FILE", type=Path, default=HERE / "RESULTS.md", help="written whole")
    parser.add_argument(
        "--readme", metavar="FILE", type=Path, default=HERE.parent.parent / "README.md",
        help=f"gets the table between {report.BEGIN} and {report.END}, if it has them",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())

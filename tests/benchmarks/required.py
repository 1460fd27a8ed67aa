"""What the benchmarks need beside Python. As root on Debian it is installed, elsewhere it is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Final

PACKAGES: Final = {"nginx": "nginx-light", "wrk": "wrk", "taskset": "util-linux"}
"""Program → Debian package."""
PATIENCE: Final = 300
"""Seconds that each step of an installation may take."""


class Lacking(Exception):
    """What is missing, and how to get it."""


def ensure() -> None:
    """Have every program on the path. Raises Lacking."""
    missing = _missing()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(sorted(PACKAGES[program] for program in missing))
        missing = _missing()
    if missing:
        packages = " ".join(sorted(PACKAGES[program] for program in missing))
        raise Lacking(f"{', '.join(missing)} not found; on Debian: apt-get install {packages}")


def _missing() -> list[str]:
    return [program for program in PACKAGES if shutil.which(program) is None]


def _install(packages: list[str]) -> None:
    # RUNLEVEL: the package must not start a server of its own (invoke-rc.d(8))
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        sys.stderr.write(f"apt-get {' '.join(command)}\n")
        try:
            subprocess.run(
                ["apt-get", "-qq", *command], check=True, timeout=PATIENCE, env=environment, stdout=sys.stderr
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise Lacking(f"apt-get {command[0]} failed: {error}") from error

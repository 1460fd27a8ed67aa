"""What the image installs: `requirements.txt`, every package with its version and its wheels' hashes.

    python -m tests.pins        writes it anew, from the versions in this environment: what was tested is shipped

pip itself resolves, once for each platform that images are built for, and says the hashes of what it would take.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parent.parent
FILE: Final = ROOT / "requirements.txt"
PYTHON: Final = "3.11"
"""The image's."""
MACHINES: Final = ("x86_64", "aarch64")
LIBCS: Final = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux1")
"""The image's C library is newer than the first of them asks for."""

HEAD: Final = f"""\
# What the image installs (Dockerfile): CPython {PYTHON} on {" and ".join(MACHINES)}, versions as tested.
# Written by `python -m tests.pins`; do not edit.
"""


def dependencies() -> list[str]:
    """Those that pyproject.toml asks for."""
    asked: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return asked


def resolved(machine: str, constraints: Path) -> list[dict[str, Any]]:
    """What pip would install there. Raises CalledProcessError."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += [
        "--only-binary=:all:",
        "--report",
        "-",
        "--target",
        "/nonexistent",
        "--constraint",
        str(constraints),
    ]
    command += ["--implementation", "cp", "--python-version", PYTHON]
    for libc in LIBCS:
        command += ["--platform", f"{libc}_{machine}"]
    said = subprocess.run([*command, *dependencies()], check=True, stdout=subprocess.PIPE, text=True).stdout
    taken: list[dict[str, Any]] = json.loads(said)["install"]
    return taken


def pins() -> str:
    """The text of `requirements.txt`."""
    hashes: defaultdict[str, set[str]] = defaultdict(set)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{one.name}=={one.version}\n" for one in distributions() if one.name != OURS)
        file.flush()
        for machine in MACHINES:
            for one in resolved(machine, Path(file.name)):
                about = one["metadata"]
                pin = f"{canonicalize_name(about['name'])}=={about['version']}"
                hashes[pin].add(one["download_info"]["archive_info"]["hashes"]["sha256"])
    parts = [
        " \\\n    ".join([pin, *(f"--hash=sha256:{one}" for one in sorted(hashes[pin]))]) for pin in sorted(hashes)
    ]
    return HEAD + "\n".join(parts) + "\n"


OURS: Final = "recommendation-gateway"

if __name__ == "__main__":
    FILE.write_text(pins())

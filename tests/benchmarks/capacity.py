"""The table in docs/scaling.md, from RESULTS.md: `python -m tests.benchmarks.capacity`; a test compares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "RESULTS.md"
PAGE: Final = HERE.parent.parent / "docs" / "scaling.md"
BEGIN: Final = "<!-- capacity -->"
END: Final = "<!-- /capacity -->"
PLAN: Final = 0.6
"""Of what a core can do: above it answers wait for each other, and a machine that fails has nowhere to go."""
TITLES: Final = "| one process on one core | measured, at its limit | to plan with | cores for 1,000/s |"
WORDS: Final = {"hit": "answers from the cache", "miss": "answers that a vendor is asked for"}


def block(results: str) -> str:
    """What stands between the markers: what was measured, and what to plan with."""
    measured = re.search(r"^\d{4}-\d\d-\d\d: .+$", results, re.MULTILINE)
    lines = [TITLES, "|---|---:|---:|---:|"]
    lines += [_line(what, rate) for what, rate in _rates(results)]
    where = f"Measured by `make bench`: {measured[0]}" if measured else ""
    return "\n".join(("", *lines, "", where, ""))


def _rates(results: str) -> Iterator[tuple[str, float]]:
    for row in _rows(results):
        if row.get("server") == "gateway" and row.get("case") in WORDS:
            yield WORDS[row["case"]], _number(row["requests/s"])
        if "accepted/s" in row:
            yield f"events, {row['events']}", _number(row["accepted/s"])


def _rows(text: str) -> Iterator[Mapping[str, str]]:
    """Of every table, by the titles of their columns."""
    titles: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            titles = []
        elif not titles:
            titles = cells
        elif not set(line) <= set("|-: "):
            yield dict(zip(titles, cells, strict=False))


def _number(written: str) -> float:
    return float(written.replace(",", ""))


def _line(what: str, rate: float) -> str:
    return f"| {what} | {rate:,.0f}/s | {rate * PLAN:,.0f}/s | {1000 / (rate * PLAN):.1f} |"


def filled(page: str, results: str) -> str:
    """The page with its block made anew."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin and end, f"{PAGE} has no {BEGIN} … {END}"
    return f"{before}{begin}{block(results)}{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(), RESULTS.read_text()))

"""What was found, as tables and a picture: on the terminal, in RESULTS.md, in the README between its markers."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from tests.benchmarks.figures import Figure, Found, Pairs, cases, costs, figures
from tests.benchmarks.lone import Lone
from tests.benchmarks.memory import Memory
from tests.benchmarks.plot import svg
from tests.benchmarks.rounds import Measured
from tests.benchmarks.stages import BATCHES, Feature

QUIET: Final = 0.5
"""Load average for each core: above it the machine has other work, and its numbers are not for quoting."""
BEGIN: Final = "<!-- benchmarks -->"
END: Final = "<!-- /benchmarks -->"
PICTURE: Final = "results.svg"


class Setting(msgspec.Struct, frozen=True):
    """Where and how it was measured."""

    cores: str
    rounds: int
    seconds: float
    connections: int
    load_before: float
    """The machine's load average over the last minute, before the run: other work takes from all numbers."""


def summary(found: Found) -> str:
    """What something is wanted of."""
    rows = []
    for one in figures(found):
        low, high = (_written(end(one.rounds), one) for end in (min, max))
        enough = "yes" if one.reached >= 1 else "**no**"
        wanted = f"{one.bound} {_written(one.wanted, one)}"
        rows.append((one.name, wanted, _written(one.measured, one), f"{low} to {high}", enough))
    return _table("figure|wanted|median|rounds|reached", rows, left=1)


def _written(number: float, figure: Figure) -> str:
    return f"{number:.2f}" if figure.unit == "×" else f"{number:,.0f} {figure.unit}"


def beside(found: Sequence[Measured]) -> str:
    """The servers of each case."""
    title = "case|server|requests/s|p50 ms|p99 ms|CPU µs/request|load core busy|errors"
    return _table(title, [(*each, *_speed(found, *each), "0") for each in _pairs(found)], left=2)


def _speed(found: Sequence[Measured], case: str, server: str) -> tuple[str, ...]:
    rate, p50, p99, cpu, busy = (
        median(Pairs(found, name).of(case, server)) for name in ("rate", "p50", "p99", "cpu", "load_busy")
    )
    return f"{rate:,.0f}", f"{p50:.2f}", f"{p99:.2f}", f"{cpu:,.0f}", f"{busy:.0%}"


def lone(found: Sequence[Lone]) -> str:
    """One request after the other."""
    us, rows = Pairs(found, "us"), []
    for case, server in _pairs(found):
        first = next(one.server for one in found if one.case == case)
        later = f"{median(us.more(case, server, first)):+.0f}" if server != first else ""
        rows.append((case, server, f"{median(us.of(case, server)):.0f}", later))
    return _table("case|asked|µs|later than the first", rows, left=2)


def features(found: Sequence[Measured]) -> str:
    """What each costs a hit."""
    cpu = median(Pairs(found, "cpu").of("hit", "all off"))
    rows = [("all off (metrics are always on)", "", f"{cpu:.1f}", "", "")]
    for feature, cost in costs([*found]):
        low, high = min(cost.rounds), max(cost.rounds)
        name = feature.name if feature.over == "all off" else f"{feature.name} (over {feature.over})"
        rounds = f"{low:+.1f} to {high:+.1f}"
        rows.append((name, f"{cost.wanted:g}", f"{cost.measured:+.1f}", rounds, _arrived(found, feature)))
    return _table("feature|budget, µs a hit|CPU µs a hit|rounds|arrived", rows, left=1)


def _arrived(found: Sequence[Measured], feature: Feature) -> str:
    """Of the lines or spans that there should be: what nobody gets costs nothing."""
    here = [one for one in found if one.server == feature.name]
    requests = sum(one.requests for one in here)
    if feature.setup.logged:
        return f"{min(1.0, sum(one.logged for one in here) / requests):.0%}"
    if feature.setup.traced:
        return f"{min(1.0, sum(one.spans for one in here) * feature.sampled / requests):.0%}"
    return ""


def flat(found: Sequence[Measured]) -> str:
    """Each size's cost; their ratios are in the summary."""
    cpu, servers = Pairs(found, "cpu"), dict.fromkeys(one.server for one in found)
    rows = [(name, *(f"{median(cpu.of(case, name)):,.0f}" for case in cases(found))) for name in servers]
    return _table("configured|" + "|".join(f"CPU µs a {case}" for case in cases(found)), rows, left=1)


def told(found: Sequence[Measured]) -> str:
    """Events."""
    rows = []
    for batch, (case, server) in zip(BATCHES, _pairs(found), strict=True):
        rate, p99, cpu = (median(Pairs(found, name).of(case, server)) for name in ("rate", "p99", "cpu"))
        rows.append((case, f"{rate * batch:,.0f}", f"{rate:,.0f}", f"{cpu / batch:,.0f}", f"{p99:,.0f}"))
    return _table("events|accepted/s|requests/s|CPU µs an event, learning included|p99 ms", rows, left=1)


def memory(found: Memory) -> str:
    """In words."""
    return (
        f"* One more cached answer: {found.entry:,.0f} bytes of resident memory, {found.body:,} of them the answer"
        f" itself ({found.entries:,} answers; the gateway's own account says {found.said:,.0f}).\n"
        f"* A worker that waits: {found.worker / 2**20:.0f} MiB resident, {found.own / 2**20:.0f} MiB of them not"
        " shared with others.\n"
    )


def _pairs(found: Sequence[Measured] | Sequence[Lone]) -> list[tuple[str, str]]:
    return [*dict.fromkeys((one.case, one.server) for one in found)]


def _table(titles: str, rows: Iterable[Sequence[str]], *, left: int) -> str:
    line = "|".join("---" if n < left else "---:" for n in range(titles.count("|") + 1))
    lines = [f"| {titles.replace('|', ' | ')} |", f"|{line}|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def tables(found: Found) -> str:
    """All of it that was measured."""
    parts = [("What is wanted", summary(found) if figures(found) else "")]
    parts += [("Beside nginx", beside(found.beside) if found.beside else "")]
    parts += [("A lone request (median)", lone(found.lone) if found.lone else "")]
    parts += [("What is switched on", features(found.features) if found.features else "")]
    parts += [("One of each, or many", flat(found.flat) if found.flat else "")]
    parts += [("Accepted events", told(found.told) if found.told else "")]
    parts += [("Memory", memory(found.memory) if found.memory else "")]
    return "\n".join(f"## {title}\n\n{text}" for title, text in parts if text)


def document(found: Found, setting: Setting) -> str:
    """RESULTS.md: the machine named, the tables, and what their columns mean."""
    every = [*found.beside, *found.features, *found.flat, *found.told]
    requests, witnessed = sum(one.requests for one in every), sum(one.witnessed for one in every)
    return f"""# Benchmarks

Written by `python -m tests.benchmarks`; what is compared with what: `tests/benchmarks/__init__.py`.

{machine(setting)}

{warning(setting)}![How much of what is wanted was reached]({PICTURE})

{tables(found)}
## How to read it

* Medians over rounds ({setting.rounds}, each {setting.seconds:g} s; three times as many, each 1 s, of
  *What is switched on* and *One of each, or many*), {setting.connections} connections; a ratio or a difference is
  the median of those within a round. Each request has another traceparent and id; one in ten is sampled.
  *gateway*: an API key, its rate, metrics, a log line for each request, traces. *all off*: metrics
  alone. nginx logs and counts nothing.
* p50 and p99 are those of a server at its limit. A core of load that is busy all the time is a limit, too; the CPU
  time per request (user and system, what is written and exported after the load included) knows nothing of either.
* The interpreter counts: one that was built with a profile (Debian's, the image's) takes a quarter less for a
  miss than one that was not (pyenv's by default). Another one is asked by
  `make bench PYTHON=/usr/bin/python3.11 VENV=/tmp/bench`.
* Errors are failed connections, timeouts and statuses above 399. Of {requests:,} answers each had its full length;
  {witnessed:,} were read while the load ran, and were right.
"""


def machine(setting: Setting) -> str:
    """One line on what it ran on."""
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    return (
        f"{when}: {os.cpu_count()} cores, {_cpu()}, {setting.cores}; {platform.system()} {platform.release()}; "
        f"{platform.python_implementation()} {platform.python_version()} of {sys.base_prefix}, {_nginx()}; "
        f"load average before: {setting.load_before:.2f}"
    )


def warning(setting: Setting) -> str:
    """What is to be said against these numbers; empty on a machine that had nothing else to do."""
    if setting.load_before <= QUIET * (os.cpu_count() or 1):
        return ""
    return f"**Other work was running (load average {setting.load_before:.2f} before): measure again.**\n\n"


def _cpu() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _nginx() -> str:
    said = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True, timeout=10).stderr
    return said.strip().removeprefix("nginx version: ")


def write(results: Path, readme: Path, found: Found, setting: Setting) -> None:
    """RESULTS.md and the picture beside it whole, the README between its markers if it has them."""
    results.write_text(document(found, setting))
    picture = results.with_name(PICTURE)
    picture.write_text(svg(figures(found)))
    text = readme.read_text() if readme.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        where = os.path.relpath(picture, readme.parent)
        block = f"{machine(setting)}\n\n{warning(setting)}{summary(found)}\n![What was reached]({where})\n\n"
        more = os.path.relpath(results, readme.parent)
        block += f"{beside(found.beside)}\nAll of it, and how to read it: [{results.name}]({more}).\n"
        readme.write_text(f"{before}{BEGIN}\n{block}{END}{after}")

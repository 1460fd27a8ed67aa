"""What was found, as a table: on the terminal, in RESULTS.md, in the README between its markers."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from tests.benchmarks.rounds import Measured

QUIET: Final = 0.5
"""Load average for each core: above it the machine has other work, and its numbers are not for quoting."""
BEGIN: Final = "<!-- benchmarks -->"
END: Final = "<!-- /benchmarks -->"
SERVERS: Final = ("nginx", "gateway")


class Setting(msgspec.Struct, frozen=True):
    """Where and how it was measured."""

    cores: str
    rounds: int
    seconds: float
    connections: int
    load_before: float
    """The machine's load average over the last minute, before the run: other work takes from all numbers."""


def table(found: Sequence[Measured]) -> str:
    """Medians over the rounds, and the median of the rounds' ratios."""
    lines = [
        "| case | server | requests/s | p50 ms | p99 ms | CPU µs/request | load core busy | errors |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for case in dict.fromkeys(one.case for one in found):
        for server in SERVERS:
            rounds = _rounds(found, case, server)
            cells = (
                f"{median(one.rate for one in rounds):,.0f}",
                f"{median(one.p50 for one in rounds):.2f}",
                f"{median(one.p99 for one in rounds):.2f}",
                f"{median(one.cpu for one in rounds):,.0f}",
                f"{median(one.load_busy for one in rounds):.0%}",
                "0",  # a run with any error ends without a table
            )
            lines.append(f"| {case} | {server} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def ratios(found: Sequence[Measured]) -> str:
    """Of each case, in words."""
    lines = []
    for case in dict.fromkeys(one.case for one in found):
        nginx, gateway = (_rounds(found, case, server) for server in SERVERS)
        rates = [ours.rate / theirs.rate for ours, theirs in zip(gateway, nginx, strict=True)]
        cpu = median(ours.cpu / max(theirs.cpu, 0.01) for ours, theirs in zip(gateway, nginx, strict=True))
        lines.append(
            f"* {case}: {median(rates):.1%} of nginx's requests/s (rounds: {min(rates):.1%} to {max(rates):.1%}),"
            f" {cpu:.1f} times its CPU time per request"
        )
    return "\n".join(lines) + "\n"


def _rounds(found: Sequence[Measured], case: str, server: str) -> list[Measured]:
    return [one for one in found if (one.case, one.server) == (case, server)]


def document(found: Sequence[Measured], setting: Setting) -> str:
    """RESULTS.md: the machine named, the table, and what its columns mean."""
    requests = sum(one.requests for one in found)
    witnessed = sum(one.witnessed for one in found)
    logged = sum(one.logged for one in found if one.server == "gateway")
    return f"""# Benchmarks

Written by `python -m tests.benchmarks`; what is compared with what: `tests/benchmarks/__init__.py`.

{machine(setting)}

{warning(setting)}{table(found)}
{ratios(found)}
Medians over rounds ({setting.rounds}, each {setting.seconds:g} s); {setting.connections} connections.

* p50 and p99 are those of a server at its limit. A core of load that is busy all the time is a limit, too; the CPU
  time per request knows nothing of either.
* Errors are failed connections, timeouts and statuses above 399. Of {requests:,} answers each had its full length;
  {witnessed:,} were read while the load ran, and were right.
* nginx logs no requests; the gateway, told to log errors only, wrote {logged:,} lines.
"""


def machine(setting: Setting) -> str:
    """One line on what it ran on."""
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    return (
        f"{when}: {os.cpu_count()} cores, {_cpu()}, {setting.cores}; {platform.system()} {platform.release()}; "
        f"{platform.python_implementation()} {platform.python_version()}, {_nginx()}; "
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


def write(results: Path, readme: Path, found: Sequence[Measured], setting: Setting) -> None:
    """RESULTS.md whole, the README between its markers if it has them."""
    results.write_text(document(found, setting))
    text = readme.read_text() if readme.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        block = f"{machine(setting)}\n\n{warning(setting)}{table(found)}\n{ratios(found)}"
        readme.write_text(f"{before}{BEGIN}\n{block}{END}{after}")

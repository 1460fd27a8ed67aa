"""The load: wrk with a script that makes every request another one, and what it found."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from tests.benchmarks.processes import Broken

UNIQUE: Final = "@@"
"""In a request: replaced by 16 hex digits that differ from request to request."""
TURN: Final = "@T"
"""In a request: five digits that count up to `turns` and begin again."""
FLAGS: Final = "@S"
"""In a request: the trace flags, `01` (sampled) in one of `sampled` requests."""
EXTRA: Final = 30
"""Seconds that wrk may take longer than it was told to."""

GROUP: Final = 40
"""Pieces that are joined at once: one expression of Lua's has some 200 registers."""

LUA: Final = {
    UNIQUE: 'local unique = format("%016x", n)',
    TURN: 'local turn = format("%05d", n % {turns})',
    FLAGS: 'local flags = n % {sampled} == 0 and "01" or "00"',
}
NAMES: Final = {UNIQUE: "unique", TURN: "turn", FLAGS: "flags"}
SIGNS: Final = re.compile("(" + "|".join(LUA) + ")")

SCRIPT: Final = """
local n = {first}
local part = {parts}
local format = string.format
request = function()
  n = n + 1
  {varying}
  return {joined}
end
done = function(summary, latency)
  local e = summary.errors
  io.write(format('\\n{{"requests":%d,"us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,"errors":%d}}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class Load(msgspec.Struct, frozen=True):
    """What one run of wrk found."""

    requests: int
    us: int
    bytes: int
    p50_us: int
    p99_us: int
    errors: int
    """Connections that broke, timeouts, and statuses above 399."""


class Request(msgspec.Struct, frozen=True):
    """Head and body as they go over the wire, with the signs above where one is not like the other."""

    text: str
    turns: int = 1
    sampled: int = 10
    """One in so many is sampled by its caller, as happens behind a web server that samples 10 %."""

    def number(self, n: int) -> str:
        """The n-th: as wrk's script would say it."""
        flags = "01" if n % self.sampled == 0 else "00"
        said = {UNIQUE: f"{n:016x}", TURN: f"{n % self.turns:05d}", FLAGS: flags}
        return SIGNS.sub(lambda sign: said[sign[0]], self.text)


def write_script(path: Path, request: Request, first: int = 0) -> Path:
    """A script for wrk that sends these requests, counting from `first`."""
    pieces = SIGNS.split(request.text)  # text, sign, text, sign, …, text
    texts, signs = pieces[::2], pieces[1::2]
    said = ["part[1]", *(f"{NAMES[sign]} .. part[{n}]" for n, sign in enumerate(signs, 2))]
    joined = " .. ".join("(" + " .. ".join(said[at : at + GROUP]) + ")" for at in range(0, len(said), GROUP))
    varying = "\n  ".join(line for sign, line in LUA.items() if sign in signs)
    varying = varying.format(turns=request.turns, sampled=request.sampled)
    listed = "{" + ", ".join(_lua(text) for text in texts) + "}"
    path.write_text(SCRIPT.format(first=first, parts=listed, varying=varying, joined=joined))
    return path


def _lua(text: str) -> str:
    """A Lua string: JSON's escapes of printable ASCII, CR and LF are Lua's too."""
    return json.dumps(text)


def run(script: Path, port: int, *, core: int, connections: int, seconds: float) -> Load:
    """Let wrk send for that long. Raises Broken where it does not come to an end or says nothing."""
    command = ["taskset", "--cpu-list", str(core), "wrk", "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{max(1, round(seconds))}s", "--timeout", "10s", "--script", str(script)]
    command += [f"http://127.0.0.1:{port}/"]
    try:
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + EXTRA).stdout
    except (subprocess.SubprocessError, OSError) as error:
        raise Broken(f"wrk failed: {error}") from error
    try:
        return msgspec.json.decode(said.strip().rpartition("\n")[2], type=Load)
    except msgspec.DecodeError as error:
        raise Broken(f"wrk failed: {said}") from error

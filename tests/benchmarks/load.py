"""The load: wrk with a script that makes every request another one, and what it found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.benchmarks.processes import Broken

UNIQUE: Final = "@@"
"""In a request: replaced by 16 hex digits that differ from request to request."""
EXTRA: Final = 30
"""Seconds that wrk may take longer than it was told to."""

SCRIPT: Final = """
local n = {first}
local part = {parts}
local format = string.format
request = function()
  n = n + 1
  local unique = format("%016x", n)
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


def write_script(path: Path, request: str, first: int = 0) -> Path:
    """A script for wrk that sends this request (head and body, whole), counting from `first`."""
    parts = request.split(UNIQUE)
    joined = " .. unique .. ".join(f"part[{index}]" for index in range(1, len(parts) + 1))
    listed = "{" + ", ".join(_lua(part) for part in parts) + "}"
    path.write_text(SCRIPT.format(first=first, parts=listed, joined=joined))
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
    found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return msgspec.convert(found, Load)

"""What the workers of one slot have counted, one after the other, in a file: a sum over all never falls.

    told ─▸ file ─▸ whoever asked        nothing is shown that is not kept first
    a new worker goes on from the file of the one that died; others read it while there is none

Counted and never shown before a kill -9: lost, as it would be with one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.server.workers.merging import Family, cumulative, merged


class Counts:
    """Of one process."""

    def __init__(self, directory: Path, slot: int) -> None:
        self._directory = directory
        self._slot = slot
        self._before = self.of(slot)

    def told(self, own: Sequence[Family]) -> list[Family]:
        """What this process has counted and those before it, kept; and its gauges."""
        told = merged([self._before, own])
        file = self._file(self._slot)
        beside = file.with_suffix(".new")
        try:
            beside.write_bytes(msgspec.msgpack.encode(cumulative(told)))
            beside.replace(file)
        except OSError:
            pass  # the supervisor is gone, and its directory too: this process is ending
        return told

    def of(self, slot: int) -> list[Family]:
        """What was told last of a slot whose process cannot be asked."""
        try:
            return msgspec.msgpack.decode(self._file(slot).read_bytes(), type=list[Family])
        except (OSError, msgspec.DecodeError):
            return []

    def _file(self, slot: int) -> Path:
        return self._directory / f"{slot}.counts"

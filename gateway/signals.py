"""Signals to processes that asyncio waits for."""

from __future__ import annotations

import os
from asyncio.subprocess import Process
from contextlib import suppress


def send(process: Process, number: int) -> None:
    """To the process; none to one that has ended.

    `Process.send_signal` of asyncio looks first whether it has ended, and if it just has, takes the exit code away
    from the thread that waits for it: "Unknown child process pid …, will report returncode 255".
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)

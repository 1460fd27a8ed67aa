"""Signals to processes that asyncio waits for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from gateway import signals


async def test_a_signal_to_who_is_just_ending_does_not_cost_the_exit_code() -> None:
    """Where asyncio sends it, two in three of these are said to have ended with code 255."""
    for _ in range(20):
        process = await asyncio.create_subprocess_exec("sleep", "60")
        os.kill(process.pid, signal.SIGKILL)
        for _ in range(200):
            signals.send(process, signal.SIGTERM)
        assert await process.wait() == -signal.SIGKILL


async def test_nothing_is_sent_to_who_has_ended() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")
    assert await process.wait() == 3
    signals.send(process, signal.SIGTERM)
    assert process.returncode == 3

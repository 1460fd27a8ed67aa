"""Ports for processes that must be told theirs before they listen.

Whoever binds port 0, lets go and passes the number on loses it now and then to somebody else who binds port 0.
These stand below the ports that the kernel gives away, and every test process has a part of them to itself.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from typing import Final

FIRST: Final = 10_000
PART: Final = 1_300
"""For each test process."""
PARTS: Final = 16
"""So that all end below 32768, where the kernel's own begin."""

_worker: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_begin: Final = FIRST + _worker % PARTS * PART
_turns: Final = itertools.count(random.SystemRandom().randrange(PART))  # another run may go on beside this one


def free_ports(count: int) -> list[int]:
    """One after the other, free on every address at this moment, and long not handed out again."""
    for _ in range(PART):
        ports = [_begin + next(_turns) % PART for _ in range(count)]
        if ports[-1] - ports[0] == count - 1 and all(map(_is_free, ports)):
            return ports
    raise AssertionError("no free ports")


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            one.bind(("", port))
            one.listen()
        except OSError:
            return False
    return True

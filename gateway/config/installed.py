"""The installed adapters, one at a time: a third party's that cannot be imported takes down nothing but itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Final

from gateway.adapter import Adapter

Find = Callable[[], type[Adapter]]
"""Imports an adapter; raises one of BROKEN where it cannot."""

BROKEN: Final = (ImportError, SyntaxError, AttributeError, LookupError, NameError, TypeError, ValueError, OSError)
"""What importing somebody's module may raise."""


def adapters() -> Mapping[str, Find]:
    """By the name that `adapter:` takes; nothing is imported yet."""
    return {point.name: point.load for point in sorted(entry_points(group="gateway.adapters"))}

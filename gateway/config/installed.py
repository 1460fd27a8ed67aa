"""The installed adapters, one at a time: a third party's that cannot be imported takes down nothing but itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from gateway.adapter import Adapter, found, installed

Find = Callable[[], type[Adapter]]
"""Imports an adapter; raises one of BROKEN where it cannot."""

BROKEN: Final = (ImportError, SyntaxError, AttributeError, LookupError, NameError, TypeError, ValueError, OSError)
"""What importing somebody's module may raise."""


def adapters() -> Mapping[str, Find]:
    """By the name that `adapter:` takes; nothing is imported yet."""
    return {name: partial(found, point) for name, point in sorted(installed().items())}

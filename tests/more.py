"""Tests that need more than PyPI, or long: marked `more("what")`, skipped by name unless `--more` is given.

Then, too, properties are tried with more `examples`. And for every run: files that take long come first, and the
collector of garbage seldom looks at what a test process has imported and collected, which is much, and stays.
"""

from __future__ import annotations

import gc
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

LONG: Final = (
    "test_demo",
    "test_adapters",
    "test_replay",
    "test_three_gateways",
    "test_schemathesis",
    "test_couriers",
    "test_reload",
    "test_rules",
    "test_memory",
    "test_rollout",
    "test_algolia_filters",
    "test_workers",
    "test_workers_hanging",
    "test_kill",
    "test_valkey",
    "test_thirdparty",
    "test_outage",
    "test_schedule",
    "test_pipeline",
    "test_ui",
    "test_fast_front",
    "test_openapi",
    "test_spans",
    "test_faults",
    "test_guards",
    "test_metrics",
)
"""The files that take longest come first, so that all processes end together (`--no-loadscope-reorder`)."""
_given: Final = {"more": False}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--more", action="store_true", help="run what needs more than PyPI, or long (make test-all)")


def pytest_configure(config: pytest.Config) -> None:
    _given["more"] = config.getoption("--more")
    gc.set_threshold(20_000, 20, 50)
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")  # how fast the machine is says nothing of a property


def examples(few: int, many: int) -> int:
    """How many examples of a property are tried: `many` with `--more`."""
    return many if _given["more"] else few


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rank = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))
    if config.getoption("--more"):
        return
    for item in items:
        marker = item.get_closest_marker("more")
        if marker is not None:
            what = marker.args[0] if marker.args else "more"
            item.add_marker(pytest.mark.skip(reason=f"needs {what}: make test-all"))

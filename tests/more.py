"""Tests that need more than PyPI, or long: marked `more("what")`, skipped by name unless `--more` is given."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--more", action="store_true", help="run what needs more than PyPI, or long (make test-all)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--more"):
        return
    for item in items:
        marker = item.get_closest_marker("more")
        if marker is not None:
            what = marker.args[0] if marker.args else "more"
            item.add_marker(pytest.mark.skip(reason=f"needs {what}: make test-all"))

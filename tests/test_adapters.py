"""Every adapter case, played as it is and against the matrix of bad answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gateway.adapter import load
from gateway.testing import Case, check, check_spoiled

FOLDER = Path(__file__).parent / "cases"
CASES = Case.all(FOLDER)
LEAST = 15
"""Cases that an adapter over HTTP has at least."""


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_case(case: Case) -> None:
    await check(case)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_bad_answers(case: Case) -> None:
    played = await check_spoiled(case)
    assert played >= 45 * len(case.exchanges)


def test_every_adapter_has_its_cases() -> None:
    count = Counter(case.adapter for case in CASES)
    lacking = {name: count[name] for name, adapter in load().items() if adapter.over_http and count[name] < LEAST}
    assert not lacking

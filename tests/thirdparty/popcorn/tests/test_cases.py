"""Every case as it is, and with each of its answers spoiled."""

import asyncio
from pathlib import Path

import pytest

from gateway.testing import Case, check, check_spoiled

CASES = Case.all(Path(__file__).parent / "cases")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    asyncio.run(check(case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_answers(case: Case) -> None:
    asyncio.run(check_spoiled(case))

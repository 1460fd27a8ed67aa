"""docs/coverage.md is true: every row is shown or says why not, and the file is the one that is generated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.coverage.evidence import cases, shown_by
from tests.coverage.rows import Because, Evidence, Section, Sign
from tests.coverage.rows import Case as Named
from tests.coverage.rows import Test as Function
from tests.coverage.written import DOCUMENTS, lacking, markdown

FILE = Path(__file__).parent.parent / "docs" / "coverage.md"
SECTION = Section("training", (), (), "POST", r"/v1/train$")


def test_nothing_is_without_evidence_or_a_reason() -> None:
    assert list(lacking()) == []


def test_the_file_is_what_is_generated() -> None:
    """If not: `python -m tests.coverage`."""
    assert FILE.read_text() == markdown()


def test_all_five_documents_are_there() -> None:
    assert len({document.adapter for document in DOCUMENTS}) == 5
    assert all(cases(document.adapter) for document in DOCUMENTS)
    assert sum(len(section.rows) for document in DOCUMENTS for section in document.sections) > 100


@pytest.mark.parametrize(
    ("evidence", "shows"),
    [
        (Sign("header", "Authorization"), True),
        (Sign("header", "X-Unknown"), False),
        (Sign("status", "200"), True),
        (Sign("status", "418"), False),
        (Sign("answered", "messageCode=EXECUTE_TRAIN_SCHEDULED"), True),
        (Sign("answered", "messageCode=OTHER"), False),
        (Sign("sent", "itemSet"), False),
        (Named("train"), True),
        (Named("nothing"), False),
        (Function("test_coverage::test_nothing_is_without_evidence_or_a_reason"), True),
        (Function("test_coverage::test_other"), False),
        (Function("test_nowhere::test_other"), False),
        (Because("so"), False),
    ],
)
def test_evidence_is_found_where_it_is_and_nowhere_else(evidence: Evidence, shows: bool) -> None:
    assert bool(shown_by("recomendo", SECTION, evidence)) is shows

"""docs/coverage.md: the rows of every document with what shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.server.endpoints import ENDPOINTS
from tests.coverage import discerner, personalization, recomendo, recommend, xayn
from tests.coverage.evidence import shown_by
from tests.coverage.rows import Because, Document, Row, Section, Test

DOCUMENTS: Final = (
    recomendo.DOCUMENT,
    recommend.DOCUMENT,
    personalization.DOCUMENT,
    discerner.DOCUMENT,
    xayn.DOCUMENT,
)
OPERATIONS: Final = {f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS}
SHOWN: Final = 2
"""Cases that are named, the first by name; a number of the others would be out of date with every new case."""
HEAD: Final = """\
# What of the vendors' documents is served, and what shows it

Written by `python -m tests.coverage`; `tests/test_coverage.py` holds it to be true. A *case* is a dialogue under
`tests/cases/<adapter>/`, played through the real provider code and spoiled in every way; a *test* is a function
under `tests/`. Cases are found by what they hold.
"""


def lacking() -> Iterator[str]:
    """What is not as it should be: rows that nothing shows, operations and tests that are not there."""
    for document in DOCUMENTS:
        for section in document.sections:
            for operation in section.over:
                if operation not in OPERATIONS:
                    yield f"{document.title}: {section.title}: there is no operation {operation}"
            for row in section.rows:
                for one in row.evidence or (None,):
                    if one is None or not (isinstance(one, Because) or shown_by(document.adapter, section, one)):
                        yield f"{document.title}: {section.title}: {row.what}: nothing shows {one}"


def markdown() -> str:
    """The whole file."""
    parts = [HEAD]
    for document in DOCUMENTS:
        parts.append(f"\n## {document.title}\n\n`{document.file}` · adapter `{document.adapter}`\n")
        parts += [_section(document, section) for section in document.sections]
    return "".join(parts)


def _section(document: Document, section: Section) -> str:
    over = " · ".join(f"`{operation}`" for operation in section.over)
    lines = [f"\n### {section.title}\n", f"Over HTTP: {over}\n" if over else ""]
    lines += ["| the document says | shown by |", "|---|---|"]
    lines += [f"| {row.what} | {_shown(document, section, row)} |" for row in section.rows]
    return "\n".join(line for line in lines if line) + "\n"


def _shown(document: Document, section: Section, row: Row) -> str:
    said: list[str] = []
    for one in row.evidence:
        if isinstance(one, Because):
            said.append(one.reason)
            continue
        found = shown_by(document.adapter, section, one)
        kind = "test" if isinstance(one, Test) else "case"
        more = " and others" if len(found) > SHOWN else ""
        said.append(f"{kind} {', '.join(f'`{name}`' for name in found[:SHOWN])}{more}")
    return "; ".join(dict.fromkeys(said))

"""Writes docs/coverage.md."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.coverage.written import lacking, markdown

if __name__ == "__main__":
    found = list(lacking())
    Path("docs/coverage.md").write_text(markdown())
    sys.stdout.write("\n".join(found) + "\n" if found else "")
    sys.exit(bool(found))

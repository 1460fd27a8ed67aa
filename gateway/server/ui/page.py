"""The page as one document: its style and script stand in it, and nothing else may be loaded or run.

The policy names both by their hashes: a script that somebody smuggled in by an id or a vendor's message would not
run, and markup cannot be made from text at all (Trusted Types).
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Final

from gateway.server.documents.style import STYLE

HERE: Final = Path(__file__).parent
SCRIPTS: Final = ("dom.js", "words.js", "verdict.js", "placements.js", "tables.js", "explorer.js", "live.js")
"""In this order they are one script."""


def _read(name: str) -> str:
    return (HERE / name).read_text("utf-8")


def _hash(text: str) -> str:
    """As a policy names what stands between the tags (CSP 3 §8.4)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_STYLE: Final = STYLE + _read("page.css")
_SCRIPT: Final = '"use strict";\n' + "\n".join(map(_read, SCRIPTS))

PAGE: Final = _read("page.html").replace("/*style*/", _STYLE).replace("/*script*/", _SCRIPT).encode()
POLICY: Final = "; ".join((
    "default-src 'none'",
    f"script-src {_hash(_SCRIPT)}",
    f"style-src {_hash(_STYLE)}",
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
))  # fmt: skip

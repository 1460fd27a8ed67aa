"""docs/configuration.md: what the models say, all of it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gateway.config import json_schema
from gateway.config.reference import page

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
SCHEMA = json_schema()


def test_the_page_is_what_the_models_say() -> None:
    assert PAGE.read_text() == page(), "run: python -m gateway.config.reference > docs/configuration.md"


def test_every_member_of_every_model_is_on_it_with_what_it_is() -> None:
    rows = {
        tuple(cell.strip() for cell in row) for row in re.findall(r"^\| `(\w+)` \|(.+?)\|(.+?)\|", page(), re.M)
    }
    told = {name for name, *_ in rows}
    wanted = {name for model in SCHEMA["$defs"].values() for name in model.get("properties", {})}
    assert wanted - told == set()
    assert [name for name, is_, default in rows if not is_ or not default] == []


def test_a_default_is_the_models() -> None:
    server: dict[str, Any] = SCHEMA["$defs"]["Server"]["properties"]
    assert f"| `deadline` | duration | `{server['deadline']['default']}` |" in page()
    assert "| `adapter` | " in page() and " | *required* | Whose language it speaks" in page()

"""The table of what each adapter can do: true to FACTS.md §6, and the README's is this one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, get_args

import pytest

from gateway import capabilities
from gateway.adapter import Adapter, How, Operation, load
from gateway.capabilities import BEGIN, END, block, main, markdown, put, table
from gateway.model.query import Kind

README: Final = Path(__file__).parent.parent / "README.md"
COLUMNS: Final = ("recomendo", "algolia-recommend", "algolia-personalization", "discerner", "xayn", "local")
FACTS: Final[Mapping[str, tuple[str, str, str, str, str, str]]] = {
    # FACTS.md §6, in its order of vendors; what is said there in words is split into rows here
    "for_you": ("native", "made", "–", "native", "native", "made"),
    "similar_items": ("native", "native", "–", "–", "native", "made"),
    "bought_together": ("native", "native", "–", "–", "–", "made"),
    "looking_similar": ("–", "native", "–", "–", "–", "–"),
    "trending_items": ("native", "native", "–", "–", "–", "made"),
    "trending_facets": ("–", "native", "–", "–", "–", "made"),
    "search": ("–", "–", "–", "–", "native", "made"),
    "filter: one of some values": ("native", "native", "–", "gateway", "native", "gateway"),
    "filter: not": ("native", "native", "–", "gateway", "gateway", "gateway"),
    "filter: a range of numbers": ("gateway", "native", "–", "gateway", "native", "gateway"),
    "exclude_items": ("native", "native", "–", "gateway", "gateway", "native"),
    "events": ("native", "native", "–", "native", "native", "native"),
    "users": ("native", "–", "–", "native", "–", "native"),
    "items": ("native", "native", "–", "native", "native", "native"),
    "delete items": ("native", "native", "–", "–", "native", "native"),
    "list users": ("–", "–", "–", "native", "–", "–"),
    "profile": ("–", "–", "native", "–", "–", "–"),
    "forget a profile": ("–", "–", "native", "–", "–", "–"),
    "strategy": ("–", "–", "native", "–", "–", "–"),
    "change the strategy": ("–", "–", "native", "–", "–", "–"),
    "write rules": ("–", "native", "–", "–", "–", "–"),
    "read a rule": ("–", "native", "–", "–", "–", "–"),
    "delete a rule": ("–", "native", "–", "–", "–", "–"),
    "search rules": ("–", "native", "–", "–", "–", "–"),
    "tasks": ("–", "native", "–", "–", "–", "–"),
    "training": ("native", "–", "–", "–", "–", "–"),
    "erase a user": ("made", "native", "native", "–", "–", "native"),
    "items in one answer": ("100", "30", "–", "100", "100", "100"),
}
OURS: Final = {name: adapter for name, adapter in load().items() if name in COLUMNS}


@pytest.mark.parametrize("row", FACTS)
def test_the_table_says_what_the_facts_say(row: str) -> None:
    cells = table(OURS)[row]
    assert tuple(cells[name] for name in COLUMNS) == FACTS[row]


def test_the_readmes_table_is_this_one() -> None:
    """If not: `python -m gateway.capabilities --write README.md`."""
    assert block(README.read_text()) == markdown(table(OURS))


def test_every_operation_has_its_row() -> None:
    """A new operation of the protocol cannot be forgotten here; these two stand in the rows of the kinds."""
    assert {*get_args(Operation)} - {"recommend", "search"} == {*capabilities.OPERATIONS.values()}


class Newcomer(Adapter):
    """Nothing but one kind, made."""

    kinds: ClassVar[Mapping[Kind, How]] = {"trending_items": "made"}


def test_a_newcomer_gets_a_column() -> None:
    cells = table({"newcomer": Newcomer})
    assert cells["trending_items"] == {"newcomer": "made"}
    assert cells["exclude_items"] == {"newcomer": "gateway"}
    assert {row for row, of in cells.items() if of["newcomer"] == "native"} == set()


def test_only_what_is_between_the_marks_is_written() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put(text, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert block(put(text, "new\n")) == "new\n"
    with pytest.raises(ValueError, match="one"):
        put(f"{text}{BEGIN}\n{END}", "new\n")
    with pytest.raises(ValueError, match="one"):
        block("none")


def test_as_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"{BEGIN}\n{END}\n")
    assert main(["--write", str(file)]) == 0
    assert main([]) == 0
    assert block(file.read_text()) == capsys.readouterr().out
    assert main(["--what"]) == 2

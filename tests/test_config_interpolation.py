"""`${…}`: where it is filled in, where it is not, and what is said (and kept quiet) where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.interpolation import Interpolation
from gateway.config.mistakes import Wrong

HERE = Path("/nowhere")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${A}", "1"), ("x-${A}-${B}", "x-1-${A}"), ("$${A}", "${A}"), ("$$${A}", "$${A}"), ("$A", "$A"),
        ("$", "$"), ("a$$b", "a$$b"), ("${A}$${A}${A}", "1${A}1"), ("${E}", ""),
    ],
)  # fmt: skip
def test_fills_in_once_and_leaves_the_rest(written: str, value: str) -> None:
    filling = Interpolation({"A": "1", "B": "${A}", "E": ""}, HERE)
    assert filling.fill(written) == value
    assert filling.wrongs == []


def test_only_values_are_filled_and_numbers_stay_numbers() -> None:
    filling = Interpolation({"A": "1"}, HERE)
    assert filling.fill({"${A}": ["${A}", 5, True, None, {"b": "${A}"}]}) == {
        "${A}": ["1", 5, True, None, {"b": "1"}]
    }
    assert filling.filled == {("${A}", 0), ("${A}", 4, "b")}


def test_a_literal_mark_comes_from_nowhere() -> None:
    filling = Interpolation({}, HERE)
    filling.fill({"a": "$${A}"})
    assert filling.filled == set()


def test_an_unset_variable_is_named() -> None:
    filling = Interpolation({}, HERE)
    filling.fill({"a": ["${UNSET}"]})
    assert filling.wrongs == [Wrong(("a", 0), "the environment variable UNSET is not set")]


@pytest.mark.parametrize(
    "written", ["hunter2${", "hunter2${}", "${hunter2 x}", "${file:}", "${a-b}", "${A:-x}", "${{A}}"]
)
def test_what_is_no_name_is_refused_and_not_repeated(written: str) -> None:
    filling = Interpolation({"A": "1"}, HERE)
    filling.fill(written)
    (wrong,) = filling.wrongs
    assert "a literal ${ is written $${" in wrong.message
    assert "hunter2" not in wrong.message


@pytest.mark.parametrize(
    ("text", "value"), [("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), (" s ", " s "), ("", "")]
)
def test_files_lose_the_newline_at_their_end(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / "secret").write_bytes(text.encode())
    filling = Interpolation({}, tmp_path)
    assert filling.fill("${file:secret}") == value
    assert filling.fill(f"${{file:{tmp_path}/secret}}") == value
    assert filling.files == {tmp_path / "secret"}


def test_files_that_cannot_be_read_are_mistakes_and_watched_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * (2**20 + 1))
    filling = Interpolation({}, tmp_path)
    filling.fill({name: f"${{file:{name}}}" for name in ("absent", "binary", "large", ".")})
    said = {str(wrong.path[0]): wrong.message for wrong in filling.wrongs}
    assert "is not there" in said["absent"]
    assert "is not UTF-8" in said["binary"]
    assert "larger than 1MiB" in said["large"]
    assert "is not there" in said["."]
    assert tmp_path / "absent" in filling.files


@settings(deadline=None)  # the machine is shared
@given(st.text(alphabet="${}A:file/x", max_size=30))
def test_any_text_is_filled_in_or_refused(written: str) -> None:
    filling = Interpolation({"A": "1"}, HERE)
    value = filling.fill(written)
    if not filling.wrongs and "$${" not in written:
        assert "${" not in value

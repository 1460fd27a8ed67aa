"""YAML with places: what is plain and what is not, where everything stands, and that nothing breaks the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.document import MAX_BYTES, Document, parse, read
from gateway.config.mistakes import ConfigError


def parsed(text: str) -> Document:
    document, mistakes = parse(text.encode(), "f.yaml")
    assert mistakes == []
    return document


def refused(text: str) -> list[str]:
    try:
        return [str(mistake) for mistake in parse(text.encode(), "f.yaml")[1]]
    except ConfigError as error:
        return [str(mistake) for mistake in error.mistakes]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"), ("on", "on"), ("12:30", "12:30"), ("2026-11-22", "2026-11-22"), ("0x10", "0x10"),
        ("true", True), ("False", False), ("~", None), ("", None), ("'5'", "5"), ("5", 5), ("-7", -7),
        ("1.5", 1.5), ("1e3", 1000.0), ("1_000", "1_000"), ("!!str 5", "5"),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2_has_them(written: str, value: Any) -> None:
    found = parsed(f"key: {written}\n").value["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parsed("{no: 1, 5: 2, true: 3}").value == {"no": 1, "5": 2, "true": 3}


def test_every_key_and_value_has_its_place() -> None:
    document = parsed("a:\n  - x\n  - {b: 5}\n")
    assert document.keys[("a",)] == (1, 1)
    assert document.values[("a", 0)] == (2, 5)
    assert document.keys[("a", 1, "b")] == (3, 6)
    assert document.values[("a", 1, "b")] == (3, 9)
    assert document.place(("a", 1, "b"), at_key=True) == (3, 6)


def test_what_is_not_there_has_the_place_of_what_should_hold_it() -> None:
    document = parsed("a:\n  b: 1\nc: 2\n")
    assert document.place(("a", "missing", "deeper")) == (2, 3)
    assert document.place(("missing",)) == (1, 1)


def test_aliases_stand_for_what_their_anchor_names() -> None:
    document = parsed("a: &x [1, 2]\nb: *x\n")
    assert document.value == {"a": [1, 2], "b": [1, 2]}


def test_all_duplicate_keys_are_mistakes_with_both_lines() -> None:
    assert refused("a: 1\nb: {c: 1, c: 2}\na: 3\n") == [
        "f.yaml:2: b.c: is given twice (first in line 2); each key may stand once",
        "f.yaml:3: a: is given twice (first in line 1); each key may stand once",
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [", 2, "found '<stream end>'"),
        ("a: [}", 1, "found '}'"),
        ("a: 1\n\tb: 2", 2, "not YAML"),
        ("a: !!python/object:os.system x", 1, "tag"),
        ("a: !secret x", 1, "tag"),
        ("a: !x!y z", 1, "tag"),
        ("a: !!binary aGk=", 1, "tag"),
        ("a: *nothing", 1, "alias"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("base: &b {x: 1}\nother:\n  <<: *b", 3, "merge keys"),
        ("? [a]\n: 1", 1, "key must be text"),
        ("- a", 1, "must be a mapping"),
        ("", 1, "must be a mapping"),
        ("just text", 1, "must be a mapping"),
    ],
)
def test_what_is_not_plain_is_a_mistake_with_its_line(text: str, line: int, words: str) -> None:
    (mistake,) = refused(text)
    assert mistake.startswith(f"f.yaml:{line}: ")
    assert words in mistake


@pytest.mark.parametrize(
    "secret", ["*hunter2hunter2", "!hunter2!hunter2", "!hunter2", '"hunter2\\qhunter2"', "@hunter2"]
)
def test_a_password_that_lacks_its_quotation_marks_is_not_repeated(secret: str) -> None:
    (mistake,) = refused(f"password: {secret}")
    assert "hunter2" not in mistake


@settings(deadline=None)  # the machine is shared
@given(st.text(alphabet="*&!|>%@`'\"[]{},#?:-<=~\\ \t\n", max_size=6), st.sampled_from(["", "'", '"', ":", "\n*"]))
def test_no_text_of_the_file_is_in_what_is_said_of_it(before: str, after: str) -> None:
    assert not any("hunter2" in mistake for mistake in refused(f"password: {before}hunter2{after}"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: " + "[" * 3000 + "]" * 3000, "nested deeper"),
        ("a: &a [*a]", "nested deeper"),
        ("a0: &a0 [x,x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1},*a{n - 1}]\n" for n in range(1, 40)), "more than"),
    ],
)
def test_depth_and_growth_are_bounded(text: str, words: str) -> None:
    (mistake,) = refused(text)
    assert words in mistake


def test_size_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"a: 1 #" + b"x" * (MAX_BYTES - 6))
    assert read(file)[0].value == {"a": 1}
    file.write_bytes(b"a: 1 #" + b"x" * (MAX_BYTES - 5))
    with pytest.raises(ConfigError, match="larger than 1MiB"):
        read(file)


def test_a_file_that_cannot_be_read_is_a_mistake_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.yaml: cannot be read: No such file"):
        read(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read(tmp_path)


@settings(deadline=None)  # the machine is shared
@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"#%@` \n\t,?~$", max_size=80).map(str.encode))
def test_any_bytes_are_a_document_or_mistakes(written: bytes) -> None:
    try:
        document, mistakes = parse(written, "f.yaml")
    except ConfigError as error:
        assert error.mistakes
    else:
        assert isinstance(document.value, dict)
        assert all(mistake.line >= 1 for mistake in mistakes)

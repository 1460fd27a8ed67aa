"""The filter language of the emulated Algolia: what it takes, what it refuses, and what matches.

The cases follow the vendor's page on boolean operators; those in LIVE were seen on the vendor's own service
by the authors of its Kotlin client, and are told here over a fixture of our own.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.algolia.filter_lists import facet_filters, numeric_filters, optional_filters, tag_filters
from gateway.sandbox.algolia.filters import FilterError, parse

RECORDS: dict[str, dict[str, Any]] = {
    "1": {"color": "red", "kind": "shirt", "count": 10, "label": "-Movie", "_tags": ["new"], "sale": True},
    "2": {"color": "blue", "kind": "shirt", "count": -12, "label": "Film", "_tags": ["-x"], "sale": False},
    "3": {"color": ["red", "green"], "kind": "pants", "count": 3, "maker": {"name": 'NBC: "East"'}},
    "4": {"color": "Navy Blue", "count": "3", "price": 2.5, "_tags": ["x"]},
}
for _object_id, _record in RECORDS.items():
    _record["objectID"] = _object_id


def matching(conjunction: Any) -> str:
    return "".join(item for item, record in RECORDS.items() if conjunction.matches(record))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1234"),
        ("color:red", "13"),
        ("color:RED", "13"),
        ('color:"navy blue"', "4"),
        ("color:'navy blue'", "4"),
        ("COLOR:red", ""),
        ("color:red AND kind:shirt", "1"),
        ("(color:red AND kind:shirt)", "1"),
        ("color:red OR color:blue", "123"),
        ("NOT color:red", "24"),
        ("NOT color:red AND NOT color:blue", "4"),
        ("color:red OR NOT kind:shirt", "134"),
        ("(color:red OR color:blue) AND kind:shirt", "12"),
        ("kind:shirt AND (color:red OR color:green)", "1"),
        ("kind:shirt AND color:red OR color:green", "1"),  # OR binds tighter: without it, 3 would match too
        ("count > 3", "1"),
        ("count >= 3", "13"),
        ("count<0", "2"),
        ("count != 10", "23"),
        ("count:-12 TO 3", "23"),
        ("NOT count:0 TO 9", "124"),
        ("count = 10 OR count:0 TO 5", "13"),
        ("count:3", "34"),
        ("count:-12", "2"),
        ("price:2.5", "4"),
        ("label:-Movie", "1"),
        ('NOT label:"-Movie"', "234"),
        ("sale:true", "1"),
        ("objectID:3", "3"),
        ('maker.name:"NBC: \\"East\\""', "3"),
        ("_tags:x", "4"),
        ("x OR new", "14"),
        ("_tags:X", ""),
        ("color:red<score=3> OR color:blue<score=1>", "123"),
        ("color : red", "13"),
        ("a\nAND b", ""),
        ("count:0TO9", ""),
    ],
)
def test_filters_match(text: str, expected: str) -> None:
    assert matching(parse(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "NOT (color:red OR color:blue)",
        "(color:red AND kind:shirt) OR color:blue",
        "color:blue OR (color:red AND kind:shirt)",
        "(color:red AND kind:shirt OR color:green) OR color:blue",
        "((color:red OR color:blue))",
        "(kind:shirt AND (color:red OR color:blue))",
        "color:red OR count > 3",
        "color:red OR _tags:x",
        "new OR color:red",
        "color:red and kind:shirt",
        "color:red AND",
        "OR color:red",
        "color:",
        ":red",
        'color:""',
        '"":red',
        'color:"red',
        "color:a:b",
        "color:AND",
        "color:navy blue",
        "count > many",
        "count:1 to 3",
        "count:1 TO",
        "count:a TO b",
        "count > 3<score=2>",
        "color:red<score=many>",
        "color:red<weight=1>",
        "(color:red",
        "color:red)",
        "count ! 3",
        "NOT",
        "NOT NOT color:red",
    ],
)
def test_filters_refused(text: str) -> None:
    with pytest.raises(FilterError):
        parse(text)


@pytest.mark.parametrize("text", ["NOT color:red", "color:red<score=2>", "a:b AND NOT c:d"])
def test_conditions_know_neither_negation_nor_scoring(text: str) -> None:
    parse(text)
    with pytest.raises(FilterError):
        parse(text, negation=False, scoring=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], "1234"),
        ("color:red", "13"),
        (["color:red", "kind:shirt"], "1"),
        ([["color:red", "color:blue"]], "123"),
        ([["color:red", "color:blue"], "kind:shirt"], "12"),
        ([["color:-red"]], "24"),
        ([['"color":"red"']], "13"),
        ([['"color":"-red"']], "24"),
        ([["color:navy blue"]], "4"),
        ([['maker.name:NBC: "East"']], "3"),
        ([["count:10"]], "1"),
        # LIVE
        ([['"label":"-Movie"']], "1234"),
        ([["label:\\-Movie"]], "1"),
        ([["label:--Movie"]], "234"),
        ([["label:-\\-Movie"]], "1234"),
        ([['"color":-"red"']], "1234"),
        ([['-"color":"red"']], ""),
    ],
)
def test_facet_filters(value: object, expected: str) -> None:
    assert matching(facet_filters(value)) == expected


@pytest.mark.parametrize("value", [1, [1], [["a:b", 1]], [[["a:b"]]], "plain", ["a:"], {"a": "b"}])
def test_facet_filters_refused(value: object) -> None:
    with pytest.raises(FilterError):
        facet_filters(value)


def test_numeric_and_tag_filters() -> None:
    assert matching(numeric_filters(["count > 0", ["count = 10", "count:0 TO 1"]])) == "1"
    assert matching(tag_filters([["\\-x", "new"]])) == "12"
    assert matching(tag_filters("-x")) == "123"
    for wrong in ("color:red", "NOT count > 3", "count > 3 AND count < 5", ""):
        with pytest.raises(FilterError):
            numeric_filters([wrong])


def test_optional_filters_give_points() -> None:
    def points(value: object, *, summed: bool = False) -> list[int]:
        return [optional_filters(value).points(record, summed=summed) for record in RECORDS.values()]

    assert points([["color:red"]]) == [1, 0, 1, 0]
    assert points([["color:red<score=3>"], "kind:shirt"]) == [4, 1, 3, 0]
    assert points([["color:red<score=3>", "kind:shirt<score=2>"]]) == [3, 2, 3, 0]
    assert points([["color:red<score=3>", "kind:shirt<score=2>"]], summed=True) == [5, 2, 3, 0]
    assert points([["color:-red<score=2>"]]) == [0, 2, 0, 2]
    assert points([['color:"red"']]) == [0, 0, 0, 0]


def written(clauses: list[list[tuple[bool, str, str]]]) -> str:
    ors = [" OR ".join(f"{'NOT ' * no}{name}:{value}" for no, name, value in clause) for clause in clauses]
    return " AND ".join(f"({one})" for one in ors)


CLAUSES = st.lists(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from(["color", "kind"]), st.sampled_from(["red", "blue", "shirt"])),
        min_size=1,
        max_size=3,
    ),
    min_size=1,
    max_size=3,
)


@given(CLAUSES)
def test_any_and_of_ors_means_what_it_says(clauses: list[list[tuple[bool, str, str]]]) -> None:
    def holds(record: dict[str, Any], name: str, value: str) -> bool:
        has = record.get(name, [])
        return value in has if isinstance(has, list) else value == has

    expected = "".join(
        item
        for item, record in RECORDS.items()
        if all(any(holds(record, name, value) is not no for no, name, value in clause) for clause in clauses)
    )
    assert matching(parse(written(clauses))) == expected
    assert matching(parse(written(clauses).replace("(", "").replace(")", ""))) == expected  # OR binds tighter


@given(
    st.lists(
        st.sampled_from(
            ["a", "1", ":", "(", ")", "<", "=", ">", "!", '"', "\\", " AND ", " OR ", "NOT ", " TO ", "²"]
        )
    )
)
def test_nothing_but_a_filter_error_comes_of_nonsense(pieces: list[str]) -> None:
    try:
        parse("".join(pieces)).matches(RECORDS["1"])
    except FilterError as wrong:
        assert str(wrong)

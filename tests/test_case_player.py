"""What the player says of a case that is wrong itself, and the loader of a class that is no adapter for it."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from gateway.adapter import PROTOCOL, Adapter, Flow, Response, Unusable, complaint_of, found
from gateway.model.activity import Event
from gateway.model.query import Recommend, Recommendations
from gateway.testing import Case, Reply, check, check_spoiled
from gateway.testing.comparing import differences

GOOD: dict[str, Any] = msgspec.json.decode(Path("tests/cases/xayn/for-you-user.json").read_bytes())


def written(folder: Path, **changed: Any) -> Path:
    """A good case with some members in place of its own."""
    file = folder / "case.json"
    file.write_bytes(msgspec.json.encode({**GOOD, **changed}))
    return file


async def test_the_case_itself_is_good(tmp_path: Path) -> None:
    await check(Case.read(written(tmp_path)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"call": "recomend"}, "`recomend` cannot be called; did you mean recommend?"),
        ({"adapter": "xain"}, "no adapter `xain` is installed; there are algolia"),
        ({"arguments": {"qery": {}}}, "the arguments of recommend are `query`, not qery"),
        (
            {"arguments": {"query": {"kind": "for_you", "count": "2"}}},
            "arguments.query: Expected `int`, got `str`",
        ),
        (
            {"arguments": {"query": {"kind": "for_you", "count": 2, "filter": {"property": "x"}}}},
            "arguments.query: /filter: ",
        ),
        (
            {"options": {"url": "https://x.example", "tokn": "x"}},
            "options.tokn is not a known key; did you mean token?",
        ),
    ],
)
async def test_a_case_that_cannot_be_played(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, LookupError)) as caught:
        await check(Case.read(written(tmp_path, **changed)))
    assert said in str(caught.value)


async def test_a_case_that_says_no_result(tmp_path: Path) -> None:
    case = msgspec.structs.replace(Case.read(written(tmp_path)), result=msgspec.UNSET)
    with pytest.raises(AssertionError, match=r'says neither `result` nor `error`; the result is {"items":'):
        await check(case)


async def test_more_and_fewer_requests_than_the_case_has(tmp_path: Path) -> None:
    exchanges = GOOD["exchanges"]
    with pytest.raises(AssertionError, match=r"unexpected request: POST https.*, beside the 0 that the case has"):
        await check(Case.read(written(tmp_path, exchanges=[])))
    with pytest.raises(AssertionError, match=r"never sent: POST https"):
        await check(Case.read(written(tmp_path, exchanges=[*exchanges, *exchanges])))


def test_a_file_that_is_no_case_and_a_folder_without_any(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no case"):
        Case.all(tmp_path)
    file = written(tmp_path, exchange=[])
    with pytest.raises(ValueError, match=rf"{file}: .*unknown field `exchange`"):
        Case.all(tmp_path)
    written(tmp_path, exchanges=[{"request": {"method": "GET", "url": "x"}, "response": {"fails": "late"}}])
    with pytest.raises(ValueError, match=r"Invalid enum value 'late' - at `\$\.exchanges\[0\]\.response\.fails`"):
        Case.all(tmp_path)


def test_differences_are_named_where_they_are() -> None:
    expected = {"items": [{"id": "a", "score": 1}, {"id": "b"}], "more": True}
    got = {"items": [{"id": "a", "score": 2}], "most": None}
    assert list(differences(expected, got, "result")) == [
        "result/items/0/score: expected 1, got 2",
        'result/items/1: expected {"id":"b"}, got nothing',
        "result/more: expected true, got nothing",
        "result/most: expected nothing, got null",
    ]
    assert list(differences(expected, dict(expected), "result")) == []


# --- classes ------------------------------------------------------------------------------------------------


class Newer(Adapter):
    """Was written for a gateway that is yet to come."""

    requires_protocol: ClassVar[int] = PROTOCOL + 1


class Speechless(Adapter):
    """Declares what it cannot do."""

    kinds = {"for_you": "native"}  # noqa: RUF012  # as somebody writes it


class Unasked(Adapter):
    """Can do what it does not declare."""

    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        raise NotImplementedError


class Untold(Adapter):
    """Would be sent no event."""

    def track(self, events: Sequence[Event]) -> Flow[None]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        (Newer, f"needs version {PROTOCOL + 1} of the adapter protocol, and this gateway has version {PROTOCOL}"),
        (Speechless, "declares `kinds`, but has no method `recommend`"),
        (Unasked, "has a method `recommend`, but declares no `kinds`"),
        (Untold, "has a method `track`, but not `takes`"),
    ],
)
def test_what_is_forgotten_is_said_when_it_is_loaded(adapter: type[Adapter], said: str) -> None:
    with pytest.raises(Unusable, match=said):
        found(EntryPoint("one", f"{__name__}:{adapter.__name__}", "gateway.adapters"))


def test_what_is_no_adapter_is_not_loaded() -> None:
    for name in ("GOOD", "written", "Path"):
        with pytest.raises(Unusable, match=f"`{__name__}:{name}` is no subclass of gateway.adapter.Adapter"):
            found(EntryPoint("one", f"{__name__}:{name}", "gateway.adapters"))
    assert complaint_of(Adapter) is None


async def test_bad_answers_are_not_kept_when_they_have_been_played(tmp_path: Path) -> None:
    """The matrix has one of 10 MB; kept, those of all adapters' cases come to many gigabytes."""
    await check_spoiled(Case.read(written(tmp_path)))
    gc.collect()
    bodies = [one.body for one in gc.get_objects() if isinstance(one, Response | Reply)]
    assert [len(body) for body in bodies if body is not None and len(body) > 10**6] == []

"""A question fitted to a provider and its answer mended: nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.adapter import ANY_TEXT, Adapter, Flow, How, Part
from gateway.answering.asked import Asked
from gateway.answering.tailoring import Tailor
from gateway.config.traffic import Placement
from gateway.deadline import Deadline
from gateway.errors import Failed, NoAnswer, ProviderError, Unsupported
from gateway.events.attribution import Credentials
from gateway.model.filters import AnyOf, Compare, Filter, Ids, Not, conjunction
from gateway.model.query import Facet, FacetScore, Item, Kind, Recommend, Recommendations, Search, Seen, User
from gateway.provider.dialect import Dialect
from tests.clock import FakeClock


class Mute(Adapter):
    """Answers, and can be told nothing."""

    kinds: ClassVar[Mapping[Kind, How]] = {"similar_items": "native"}

    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        raise NotImplementedError


class Eloquent(Mute):
    """Can be told everything, and gives 30 items at most."""

    says: ClassVar[frozenset[Part]] = frozenset(
        {"exclude_items", "exclude_seen", "include_seen", "contexts", "hybrid", "history", "snippets"}
    )
    seeds: ClassVar[Mapping[Kind, int]] = {"similar_items": 3}
    max_count: ClassVar[int] = 30

    def expressible(self, parts: Sequence[Filter]) -> Sequence[bool]:
        return [True] * len(parts)


class Half(Mute):
    """Can say comparisons by `eq` alone."""

    def expressible(self, parts: Sequence[Filter]) -> Sequence[bool]:
        return [isinstance(part, Compare) and part.op == "eq" for part in parts]


def items(*ids: str, **properties: Any) -> tuple[Item, ...]:
    return tuple(Item(id_, 1.0, properties.get(id_)) for id_ in ids)


@dataclass
class Scene:
    """What a provider is asked, and what it answers."""

    adapter: Adapter
    answers: Sequence[Recommendations | ProviderError] = (Recommendations(items("a", "b", "c", "d")),)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    origin: Credentials | None = None
    asked: list[Any] = field(default_factory=list)
    log: tuple[str, ...] = ()
    """What the gateway's log says that the user has seen."""

    async def seen(self, users: list[str], limit: int) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(users, self.log[-limit:])

    async def answer(self, question: Recommend | Search) -> Recommendations:
        placement: Any = SimpleNamespace(
            settings=Placement.model_validate({"providers": ["p"], **self.settings}),
            hide=frozenset(self.settings.get("hide", ())),
        )
        provider: Any = SimpleNamespace(name="p", adapter=self.adapter, dialect=Dialect(ANY_TEXT, ANY_TEXT, b"k"))
        asked: Any = SimpleNamespace(
            placement=placement, question=question, options={}, origin=self.origin, seen=None
        )
        asked_type: Asked = asked
        tailor = Tailor(asked_type, provider)
        return await tailor.answer(self._ask, self, Deadline.within(FakeClock(), 5))

    async def _ask(self, provider: object, question: Recommend | Search, deadline: Deadline) -> Recommendations:
        answer = self.answers[len(self.asked) % len(self.answers)]
        self.asked.append(question)
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    async def items(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        return {id_: self.records[id_] for id_ in ids if id_ in self.records}


def similar(count: int = 2, **more: Any) -> Recommend:
    return Recommend(**{"kind": "similar_items", "count": count, "items": ("s",), **more})


def ids(answer: Recommendations) -> list[str]:
    return [item.id for item in answer.items]


# --- mending -----------------------------------------------------------------------------------------------


@given(
    order=st.lists(st.sampled_from("abcdefs"), min_size=1, max_size=12), excluded=st.sets(st.sampled_from("abc"))
)
async def test_each_item_once_at_its_best_place(order: list[str], excluded: set[str]) -> None:
    scene = Scene(Mute(), [Recommendations(tuple(Item(id_, float(n)) for n, id_ in enumerate(order)))])
    wanted = [id_ for id_ in dict.fromkeys(order) if id_ not in {*excluded, "s"}][:4]
    try:
        answer = await scene.answer(similar(4, exclude_items=tuple(excluded)))
    except NoAnswer:
        assert wanted == []
        return
    assert ids(answer) == wanted
    assert [item.score for item in answer.items] == [order.index(id_) for id_ in wanted]


async def test_what_is_excluded_makes_room() -> None:
    scene = Scene(Mute())
    assert ids(await scene.answer(similar(2, exclude_items=("a", "x")))) == ["b", "c"]
    assert scene.asked[0].count == 5  # two, and one for each that may have to go: a, x and the seed
    assert scene.asked[0].exclude_items == ()
    told = Scene(Eloquent(), settings={"hide": ["b"]})
    assert ids(await told.answer(similar(2, exclude_items=("a",)))) == ["c", "d"]
    assert (told.asked[0].count, told.asked[0].exclude_items) == (2, ("a", "b"))


async def test_nothing_left_is_no_answer() -> None:
    with pytest.raises(NoAnswer):
        await Scene(Mute()).answer(similar(exclude_items=("a", "b", "c", "d")))
    with pytest.raises(NoAnswer):
        await Scene(Mute(), [Recommendations()]).answer(similar())


async def test_the_least_score() -> None:
    ranked = Recommendations((Item("a", 2.0), Item("b", 1.0), Item("c", None)))
    scene = Scene(Mute(), [ranked], settings={"min_score": {"p": 1.5}})
    assert ids(await scene.answer(similar(5))) == ["a", "c"]
    assert ids(await Scene(Mute(), [ranked], settings={"min_score": {"q": 9}}).answer(similar(5))) == [
        "a",
        "b",
        "c",
    ]


async def test_properties_of_the_vendor_else_those_on_record() -> None:
    said = Recommendations((Item("a", 1, {"n": 1}), Item("b", 1, {}), Item("c", 1)))
    scene = Scene(Mute(), [said], {"a": {"n": 9}, "b": {"n": 2}})
    answer = await scene.answer(similar(3, properties=True))
    assert [item.properties for item in answer.items] == [{"n": 1}, {"n": 2}, None]
    assert answer.warnings == ()


async def test_facets_are_cut_to_count() -> None:
    facets = tuple(FacetScore("genre", value) for value in "abc")
    question = Recommend(kind="trending_facets", count=2, facet=Facet("genre"))
    answer = await Scene(Eloquent(), [Recommendations(facets=facets)]).answer(question)
    assert [one.value for one in answer.facets] == ["a", "b"]


# --- filters -----------------------------------------------------------------------------------------------

WAR, LATE = Compare("genre", "eq", "War"), Compare("year", "gt", 1990)


async def test_a_filter_is_divided() -> None:
    records = {"a": {"year": 2000}, "b": {"year": 1980}, "c": {"year": 1999}}
    scene = Scene(Half(), records=records)
    answer = await scene.answer(similar(2, filter=conjunction([WAR, LATE])))
    assert ids(answer) == ["a", "c"]
    assert answer.warnings == ("filter on `year` applied by the gateway",)
    assert scene.asked[0].filter == WAR
    assert scene.asked[0].count == 6
    assert scene.asked[0].properties is True


async def test_what_the_vendor_can_say_is_left_to_it() -> None:
    scene = Scene(Eloquent())
    tree = conjunction([WAR, LATE])
    answer = await scene.answer(similar(2, filter=tree))
    assert (scene.asked[0].filter, scene.asked[0].count) == (tree, 2)
    assert (ids(answer), answer.warnings) == (["a", "b"], ())


async def test_a_filter_by_properties_that_nobody_knows() -> None:
    """The provider is passed over; of some items unknown, those are left out."""
    with pytest.raises(Unsupported):
        await Scene(Mute()).answer(similar(filter=LATE))
    some = Scene(Mute(), records={"c": {"year": 2000}})
    assert ids(await some.answer(similar(filter=LATE))) == ["c"]
    with pytest.raises(NoAnswer):
        await Scene(Mute(), records={"c": {}}).answer(similar(filter=LATE))


async def test_ids_need_no_properties() -> None:
    assert ids(await Scene(Mute()).answer(similar(filter=Ids(("b", "d"))))) == ["b", "d"]
    assert ids(await Scene(Mute()).answer(similar(filter=Not(Ids(("a",)))))) == ["b", "c"]
    with pytest.raises(Unsupported):
        await Scene(Mute()).answer(similar(filter=AnyOf((Ids(("a",)), LATE))))


# --- what cannot be said -----------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
async def test_contexts_and_hybrid(strict: bool) -> None:
    search = Search(count=2, query="q", hybrid=True)
    asked: dict[str, Recommend | Search] = {"contexts": similar(contexts=("app",)), "hybrid": search}
    for word, question in asked.items():
        told = Scene(Eloquent(), settings={"strict": strict})
        assert (await told.answer(question)).warnings == ()
        scene = Scene(Mute(), settings={"strict": strict})
        if strict:
            with pytest.raises(Unsupported, match=word):
                await scene.answer(question)
            continue
        (warning,) = (await scene.answer(question)).warnings
        assert word in warning
        assert not getattr(scene.asked[0], word)
    without = Scene(Mute(), settings={"strict": strict})
    assert (await without.answer(similar())).warnings == ()
    assert (await without.answer(replace(search, hybrid=False))).warnings == ()


async def test_seen() -> None:
    user = User("u", (Seen("a"),))
    for wanted in (True, False, None):
        told = Scene(Eloquent())
        await told.answer(similar(user=user, exclude_seen=wanted))
        assert told.asked[0].exclude_seen is wanted
    mute = Scene(Mute())
    answer = await mute.answer(similar(user=user, exclude_seen=True))
    assert ids(answer) == ["b", "c"]
    assert any("exclude_seen" in warning for warning in answer.warnings)
    logged = await Scene(Mute(), log=("b",)).answer(similar(user=user, exclude_seen=True))
    assert ids(logged) == ["c", "d"]
    shown = await Scene(Mute()).answer(similar(user=user, exclude_seen=False))
    assert any("seen" in warning for warning in shown.warnings)


async def test_a_history() -> None:
    seen = (Seen("x"),)
    for_you = Recommend(kind="for_you", count=2, user=User(None, seen))
    with pytest.raises(Unsupported, match="history"):
        await Scene(Mute()).answer(for_you)
    both = Scene(Mute())
    assert "p takes no history: ignored" in (await both.answer(replace(for_you, user=User("u", seen)))).warnings
    assert both.asked[0].user == User("u")
    beside = Scene(Mute())
    await beside.answer(similar(user=User(None, seen)))
    assert beside.asked[0].user is None
    told = Scene(Eloquent())
    assert (await told.answer(for_you)).warnings == ()
    assert told.asked[0].user == for_you.user


async def test_the_vendors_bound() -> None:
    scene = Scene(Eloquent())
    assert (await scene.answer(similar(50))).warnings == ("p gives at most 30 items",)
    assert scene.asked[0].count == 30
    assert (await Scene(Eloquent()).answer(similar(30))).warnings == ()


async def test_items_that_a_kind_has_no_use_for() -> None:
    scene = Scene(Mute())
    answer = await scene.answer(Recommend(kind="trending_items", count=2, items=("a", "x")))
    assert ids(answer) == ["b", "c"]
    assert "items are not used for trending_items" in answer.warnings
    assert [question.items for question in scene.asked] == [()]


# --- several seeds -----------------------------------------------------------------------------------------


async def test_as_many_seeds_as_a_vendor_takes_go_together() -> None:
    scene = Scene(Eloquent())
    await scene.answer(similar(items=("x", "y", "z")))
    assert [question.items for question in scene.asked] == [("x", "y", "z")]


async def test_more_are_asked_for_one_by_one_and_fused() -> None:
    answers: list[Recommendations | ProviderError] = [
        Recommendations(items("a", "b"), data=({"banner": 1},), query_id="q1"),
        NoAnswer("unknown"),
        Recommendations(items("b", "c"), warnings=("careful",)),
        Recommendations(items("b", "w")),
    ]
    scene = Scene(Mute(), answers)
    answer = await scene.answer(similar(5, items=("v", "w", "x", "y")))
    assert [question.items for question in scene.asked] == [("v",), ("w",), ("x",), ("y",)]
    assert ids(answer) == ["b", "a", "c"]  # 1/62 + 2/61, 1/61, 1/62; w is a seed
    assert {item.score for item in answer.items} == {None}
    assert answer.data == ({"banner": 1},)
    assert answer.warnings == ("careful",)


async def test_only_the_last_five() -> None:
    scene = Scene(Mute())
    answer = await scene.answer(similar(items=tuple("stuvwxyz")))
    assert [question.items[0] for question in scene.asked] == list("vwxyz")
    assert answer.warnings == ("only the last 5 of 8 items were used",)


async def test_no_seed_with_an_answer_is_none_and_a_failure_is_one() -> None:
    with pytest.raises(NoAnswer):
        await Scene(Mute(), [NoAnswer()]).answer(similar(items=("x", "y")))
    with pytest.raises(Failed):
        await Scene(Mute(), [NoAnswer(), Failed()]).answer(similar(items=("x", "y")))


# --- the answer that seeds came from -----------------------------------------------------------------------


async def test_the_very_snippet_that_was_shown() -> None:
    from gateway.events.attribution import credentials  # noqa: PLC0415  # used here alone

    def of(provider: str) -> Credentials:
        shown = [("s", 4), ("x", None)]
        return credentials(
            provider=provider, placement="home", experiment=None, arm=None, query_id=None, items=shown, made_at=1
        )

    for provider, adapter, parts in (("p", Eloquent(), [4]), ("q", Eloquent(), []), ("p", Mute(), [])):
        scene = Scene(adapter, origin=of(provider))
        await scene.answer(similar(items=("s", "x", "y") if isinstance(adapter, Eloquent) else ("s",)))
        assert [snippet.part for snippet in scene.asked[0].snippets] == parts

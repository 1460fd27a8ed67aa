"""The driver of flows: effects out, outcomes in, and what surprises become."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from gateway.adapter import Done, Effect, Flow, Lookup, Request, Response
from gateway.errors import Failed, Malformed, NoAnswer, ProviderError, Unsupported
from gateway.provider.dialogue import converse, malformed


class Performer:
    """Plays the outcomes in order; an exception among them is raised."""

    def __init__(self, *outcomes: Any) -> None:
        self._outcomes = list(outcomes)
        self.effects: list[Effect] = []

    async def perform(self, effect: Effect) -> Any:
        self.effects.append(effect)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


ASK = Request("GET", "/x")


def throw(error: Exception) -> None:
    """Raise it, without mypy's seeing that what follows is never reached."""
    raise error


async def test_effects_are_performed_in_order_and_what_comes_of_them_is_sent_back() -> None:
    def flow() -> Flow[list[str]]:
        first = yield ASK
        second = yield Lookup("item", (first,))
        nothing = yield Done(("e",))
        return [first, second, repr(nothing)]

    performer = Performer("one", "two", None)
    assert await converse(flow(), performer) == ["one", "two", "None"]
    assert performer.effects == [ASK, Lookup("item", ("one",)), Done(("e",))]


async def test_a_flow_may_know_better_what_an_error_means() -> None:
    def flow() -> Flow[str]:
        try:
            yield ASK
        except Failed as error:
            return f"mended {error}"
        return "never"

    assert await converse(flow(), Performer(Failed("down"))) == "mended down"


async def test_an_error_that_the_flow_does_not_catch_comes_back_as_it_is() -> None:
    def flow() -> Flow[None]:
        yield ASK

    error = NoAnswer("none")
    with pytest.raises(NoAnswer) as caught:
        await converse(flow(), Performer(error))
    assert caught.value is error


SURPRISES: Sequence[Exception] = (KeyError("a"), IndexError(), TypeError(), ValueError(), AttributeError())


@pytest.mark.parametrize("surprise", [*SURPRISES, msgspec.ValidationError()], ids=repr)
async def test_a_surprise_after_an_answer_is_the_vendors(surprise: Exception) -> None:
    def flow() -> Flow[None]:
        yield ASK
        raise surprise

    with pytest.raises(Malformed) as caught:
        await converse(flow(), Performer("answer"))
    assert type(surprise).__name__ in str(caught.value)
    assert caught.value.place
    assert caught.value.__cause__ is surprise


async def test_also_after_an_error_that_the_flow_caught() -> None:
    def flow() -> Flow[None]:
        try:
            yield ASK
        except Failed:
            throw(KeyError("kind"))

    with pytest.raises(Malformed):
        await converse(flow(), Performer(Failed()))


@pytest.mark.parametrize("surprise", SURPRISES, ids=repr)
async def test_a_surprise_before_any_answer_is_ours(surprise: Exception) -> None:
    def flow() -> Flow[None]:
        throw(surprise)
        yield ASK

    with pytest.raises(type(surprise)) as caught:
        await converse(flow(), Performer())
    assert caught.value is surprise


@pytest.mark.parametrize("fault", [ZeroDivisionError(), RuntimeError(), AssertionError(), OSError()], ids=repr)
async def test_nothing_wider_passes_for_the_vendors(fault: Exception) -> None:
    def flow() -> Flow[None]:
        yield ASK
        raise fault

    with pytest.raises(type(fault)):
        await converse(flow(), Performer("answer"))


async def test_json_nested_beyond_reason_is_the_vendors() -> None:
    class Shape(msgspec.Struct):
        items: list[str]

    def flow() -> Flow[Shape]:
        answer: Response = yield ASK
        return msgspec.json.decode(answer.body, type=Shape)

    deep = b'{"more": ' + b"[" * 100_000
    with pytest.raises(Malformed):
        await converse(flow(), Performer(Response(200, {}, deep)))


async def test_an_answer_is_not_kept_with_the_error_that_it_led_to() -> None:
    kept: list[weakref.ref[Response]] = []

    class Weighty(Response, frozen=True, weakref=True):
        pass

    class Answering:
        async def perform(self, effect: Effect) -> Response:
            answer = Weighty(200, {}, b"x" * 1000)
            kept.append(weakref.ref(answer))
            return answer

    def flow() -> Flow[Any]:
        answer: Response = yield ASK
        return _read(answer)

    with pytest.raises(Malformed) as caught:
        await converse(flow(), Answering())
    assert isinstance(caught.value.__cause__, msgspec.DecodeError)
    assert [one() for one in kept] == [None]


def _read(answer: Response) -> Any:
    return msgspec.json.decode(answer.body)


async def test_a_refusal_to_ask_is_no_surprise() -> None:
    def flow() -> Flow[None]:
        throw(Unsupported("no such kind"))
        yield ASK

    performer = Performer()
    with pytest.raises(Unsupported):
        await converse(flow(), performer)
    assert performer.effects == []


async def test_a_cancelled_dialogue_closes_its_flow() -> None:
    closed = asyncio.Event()

    def flow() -> Flow[None]:
        try:
            yield ASK
        finally:
            closed.set()

    class Never:
        async def perform(self, effect: Effect) -> Any:
            await asyncio.Event().wait()

    task = asyncio.create_task(converse(flow(), Never()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


def test_what_is_said_of_a_surprise_holds_nothing_of_the_answer() -> None:
    try:
        throw(KeyError("secret answer"))
    except KeyError as error:
        said = malformed(error)
    assert isinstance(said, ProviderError)
    assert "secret" not in str(said)

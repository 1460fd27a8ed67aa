"""One case played through the real provider code, with its exchanges in place of the wire."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from functools import cache
from typing import Any, Final, get_args, get_type_hints

import msgspec
from pydantic import ValidationError

from gateway import errors
from gateway.adapter import Adapter, Operation, Response, Token, found, installed
from gateway.config.mistakes import dotted
from gateway.config.wording import did_you_mean, wrongs
from gateway.deadline import Deadline
from gateway.errors import Mistake, ProviderError
from gateway.memory import Memory
from gateway.model import filters
from gateway.model.activity import Receipt
from gateway.provider.account import Provider
from gateway.provider.settings import ProviderSettings
from gateway.state.sqlite import SqliteStore
from gateway.telemetry.notes import Notes
from gateway.testing.cases import Case, Failure, Reply
from gateway.testing.comparing import differences, plain, shown
from gateway.transport import Outgoing

PATIENCE: Final = 60.0
"""Seconds of the fake clock that a case has."""
OPERATIONS: Final[tuple[str, ...]] = ("login", *get_args(Operation))
"""What a case may `call`."""


class Wire:
    """A transport that expects a case's exchanges and says what was different."""

    def __init__(self, case: Case) -> None:
        self.left = list(case.exchanges)
        self._case = case

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        """The answer that the case holds for this request. Raises AssertionError where it holds none."""
        assert seconds > 0  # noqa: S101  # this module is for tests
        for index, exchange in enumerate(self.left):
            different = exchange.request.compare(outgoing)
            if not different:
                return self.left.pop(index).response.respond()
            if not self._case.in_any_order:
                raise AssertionError(self._unlike(different))
        count = len(self._case.exchanges)
        body = (outgoing.body or b"").decode("utf-8", "replace")
        what = f"unexpected request: {outgoing.method} {outgoing.url} {shown(body) if body else ''}".rstrip()
        raise AssertionError(f"{self._case}: {what}, beside the {count} that the case has")

    def _unlike(self, different: Sequence[str]) -> str:
        every = self._case.exchanges
        which = f"request {len(every) - len(self.left) + 1} of {len(every)}"
        return "\n  ".join([f"{self._case}: {which} is not as the case has it", *different])

    async def open(self, url: str) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""


class LenientWire(Wire):
    """Answers each request as the case does for the same method and URL, as often as it is sent."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self._answered: dict[tuple[str, str], Reply] = {}

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        key = (outgoing.method, outgoing.url)
        for index, exchange in enumerate(self.left):
            if (exchange.request.method, exchange.request.url) == key:
                self._answered[key] = self.left.pop(index).response
                break
        if key not in self._answered:
            raise errors.NotConnected("not in the case")
        return self._answered[key].respond()


class _AsGiven(random.Random):
    """Leaves hosts in the order in which they are given, and is the same in every run."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        pass


class Played(msgspec.Struct, frozen=True):
    """How a case ended."""

    result: Any
    error: ProviderError | None
    wire: Wire
    ids: dict[str, dict[str, str]]


@cache
def _adapter_called(name: str) -> type[Adapter]:
    points = installed()
    if name not in points:
        names = ", ".join(sorted(points))
        raise LookupError(
            f"no adapter `{name}` is installed; there are {names}. A package's adapters are its entry points in "
            "the group `gateway.adapters`, as they were when it was installed: install it again after a change"
        )
    return found(points[name])


async def play(case: Case, *, strict: bool = True) -> Played:
    """Play a case through the real provider code. `strict=False`: requests are not compared."""
    store = await SqliteStore.open(":memory:")
    try:
        return await play_in(case, store, case.adapter, strict=strict)
    finally:
        await store.close()


async def play_in(case: Case, store: SqliteStore, name: str, *, strict: bool) -> Played:
    """In a store that others may share. `name`: the provider's; what one has in it is nothing to another."""
    adapter = _adapter(case)
    settings = ProviderSettings.model_validate(
        {"properties": case.properties, "pseudonymize": case.pseudonymize, "timeout": "5s"}
    )
    for entity, pairs in case.ids.items():
        await store.bind(name, entity, pairs)  # type: ignore[arg-type]  # a case's word is checked by use
    wire = Wire(case) if strict else LenientWire(case)
    notes = Notes()
    provider = _provider(case, name, adapter, settings, store, wire, notes)
    result, error = None, None
    try:
        result = await _call(case, provider)
    except ProviderError as failure:
        error = failure
    notes.read()  # by nobody; unread they would hold each error and the answers on its way, past all collecting
    return Played(result, error, wire, await _ids(case, name, store))


def _adapter(case: Case) -> Adapter:
    """With the case's options. Raises ValueError for what is wrong with them."""
    adapter = _adapter_called(case.adapter)
    try:
        return adapter(**case.options)
    except ValidationError as error:
        wrong = [f"options.{dotted(one.path)} {one.message}" for one in wrongs(error, adapter, case.options)]
        raise ValueError("\n  ".join([f"{case}: the adapter refuses its options", *wrong])) from None


def _provider(
    case: Case,
    name: str,
    adapter: Adapter,
    settings: ProviderSettings,
    store: SqliteStore,
    wire: Wire,
    notes: Notes,
) -> Provider:
    now = 0.0

    def clock() -> float:
        return now

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    provider = Provider(
        name,
        adapter,
        settings,
        store,
        key=b"a key for cases",
        memory=Memory(store, clock),
        transport=wire,
        clock=clock,
        rng=_AsGiven(1),
        sleep=sleep,
        notes=notes,
    )
    if case.token is not None and provider.token is not None:
        provider.token.preset(Token(case.token))
    return provider


async def _call(case: Case, provider: Provider) -> Any:
    if case.call == "login":
        return await provider.login()
    deadline = Deadline.within(provider.clock, PATIENCE).before(1)  # others come after: it waits for no throttle
    return await provider.call(case.call, *decode_arguments(case), deadline=deadline)  # type: ignore[arg-type]  # checked there


def decode_arguments(case: Case) -> list[Any]:
    """A case's arguments as the operation takes them. Raises ValueError where call or arguments do not fit."""
    if case.call not in OPERATIONS:
        raise ValueError(f"{case}: `{case.call}` cannot be called; {did_you_mean(case.call, OPERATIONS)}")
    hints = _hints(case.call)
    if hints.keys() != case.arguments.keys():
        wanted = ", ".join(f"`{name}`" for name in hints) or "none"
        raise ValueError(f"{case}: the arguments of {case.call} are {wanted}, not {', '.join(case.arguments)}")
    return [_argument(case, name, hint) for name, hint in hints.items()]


@cache
def _hints(operation: str) -> Mapping[str, Any]:
    hints = get_type_hints(getattr(Adapter, operation))
    del hints["return"]
    return hints


def _argument(case: Case, name: str, hint: Any) -> Any:
    try:
        return msgspec.convert(_with_trees(case.arguments[name]), hint)
    except ValueError as error:
        raise ValueError(f"{case}: arguments.{name}: {error}") from None


def _with_trees(value: Any) -> Any:
    """The same JSON with every filter (API.md's form) in the tagged form that msgspec decodes."""
    if isinstance(value, list):
        return [_with_trees(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {key: _tree(one) if key == "filter" and one else _with_trees(one) for key, one in value.items()}


def _tree(value: Any) -> Any:
    mistakes: list[Mistake] = []
    tree = filters.parse(value, "/filter", mistakes)
    if tree is None:
        raise ValueError("; ".join(f"{one.pointer}: {one.message}" for one in mistakes))
    return msgspec.to_builtins(tree)


async def _ids(case: Case, name: str, store: SqliteStore) -> dict[str, dict[str, str]]:
    after: dict[str, dict[str, str]] = {}
    for entity, pairs in (case.ids_after or {}).items():
        after[entity] = await store.lookup(name, entity, pairs)  # type: ignore[arg-type]  # as above
    return after


async def check(case: Case) -> None:
    """Play a case and compare everything. Raises AssertionError with what is different, ValueError with what is
    wrong in the case itself."""
    played = await play(case)
    problems = [f"never sent: {e.request.method} {e.request.url}" for e in played.wire.left]
    problems += _compare_outcome(case, played)
    if case.ids_after is not None:
        problems += differences(case.ids_after, played.ids, "ids_after")
    assert not problems, "\n  ".join([f"{case}:", *problems])  # noqa: S101  # for tests


def _compare_outcome(case: Case, played: Played) -> Iterator[str]:
    error = played.error
    if case.error is not None:
        yield from _compare_error(case.error, played)
        receipt = error.receipt if error else None
    elif error is not None:
        yield f"ended in {_told(error)}"
        return
    else:
        receipt = played.result if isinstance(played.result, Receipt) else None
        if receipt is None:
            yield from _compare_result(case, plain(played.result))
    done, refused = (receipt.done, receipt.refused) if receipt else ((), {})
    yield from differences(list(case.done), list(done), "done")
    yield from differences(case.refused, refused, "refused")


def _compare_error(expected: Failure, played: Played) -> Iterator[str]:
    error = played.error
    if error is None:
        yield f"expected the error {expected.name}, got the result {shown(plain(played.result))}"
        return
    for field in ("name", "detail", "vendor_message"):
        want = getattr(expected, field)
        if want is not None and want != getattr(error, field):
            yield f"error {field}: expected {want!r}, got {getattr(error, field)!r}: it ended in {_told(error)}"


def _compare_result(case: Case, result: Any) -> Iterator[str]:
    if case.result is not msgspec.UNSET:
        yield from differences(case.result, result, "result")
    elif result is not None:
        yield f"the case says neither `result` nor `error`; the result is {shown(result)}"


def _told(error: ProviderError) -> str:
    """An error with all that its author can use: the vendor's words, and what surprised the adapter."""
    told = f"the error {error.name}: {error.detail}"
    if error.vendor_message:
        told += f'; the vendor says "{error.vendor_message}"'
    return f"{told}; the cause is {error.__cause__!r}" if error.__cause__ else told

"""The player of adapter cases: a vendor's dialogue as data, played through the real provider code.

For authors of adapters, here and elsewhere (the format: `tests/cases/FORMAT.md`):

    from gateway.testing import Case, check

    @pytest.mark.parametrize("case", Case.all(Path("cases")), ids=str)
    async def test_case(case): await check(case)

`spoiled` makes the same case with one bad answer in place of a good one: `check_spoiled` plays it and holds that
it ends in a ProviderError or an empty answer, and that no secret is in what is said of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, get_type_hints

import msgspec

from gateway import errors
from gateway.adapter import Adapter, Response, Token, installed
from gateway.deadline import Deadline
from gateway.errors import Mistake, ProviderError
from gateway.memory import Memory
from gateway.model import filters
from gateway.model.activity import Receipt
from gateway.model.query import Recommendations
from gateway.provider import Provider, ProviderSettings
from gateway.state.sqlite import SqliteStore
from gateway.transport import Outgoing

FREE_HEADERS: Final = frozenset({"user-agent", "accept-encoding", "content-length", "host", "traceparent"})
PATIENCE: Final = 60.0
"""Seconds of the fake clock that a case has."""


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request as it must stand on the wire."""

    method: str
    url: str
    headers: dict[str, str] = {}
    json: Any = msgspec.UNSET
    body: str | None = None

    def compare(self, got: Outgoing) -> list[str]:
        """What differs, in words."""
        headers = {name.lower(): value for name, value in got.headers if name.lower() not in FREE_HEADERS}
        wanted: list[tuple[str, object, object]] = [
            ("method", self.method, got.method),
            ("url", self.url, got.url),
            ("headers", self.headers, headers),
        ]
        if self.json is not msgspec.UNSET:
            wanted.append(("json", self.json, msgspec.json.decode(got.body or b"null")))
        else:
            wanted.append(("body", self.body or "", (got.body or b"").decode()))
        return [f"{what}: expected {want!r}, got {have!r}" for what, want, have in wanted if want != have]


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the vendor answers, or how it fails to."""

    status: int = 200
    headers: dict[str, str] = {}
    json: Any = msgspec.UNSET
    body: str | None = None
    fails: str | None = None
    """`timed_out`, `not_connected` or `disconnected`."""

    def respond(self) -> Response:
        """The response; raises the ProviderError of a failure."""
        if self.fails:
            raise {e.__name__: e for e in (errors.TimedOut, errors.NotConnected, errors.Disconnected)}[
                self.fails.title().replace("_", "")
            ](self.fails)
        body = (self.body or "").encode() if self.json is msgspec.UNSET else msgspec.json.encode(self.json)
        return Response(self.status, {name.lower(): value for name, value in self.headers.items()}, body)


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request and its answer."""

    request: Expected
    response: Reply


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ProviderError in which a case must end."""

    name: str
    detail: str | None = None
    vendor_message: str | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One behaviour of one adapter."""

    about: str
    adapter: str
    call: str
    options: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    pseudonymize: bool = False
    token: str | None = None
    ids: dict[str, dict[str, str]] = {}
    arguments: dict[str, Any] = {}
    exchanges: tuple[Exchange, ...] = ()
    result: Any = msgspec.UNSET
    error: Failure | None = None
    done: tuple[str, ...] = ()
    refused: dict[str, str] = {}
    ids_after: dict[str, dict[str, str]] | None = None
    in_any_order: bool = False
    file: str = ""

    @classmethod
    def read(cls, path: Path) -> Case:
        """The case in a file. Raises ValueError naming the file."""
        try:
            case = msgspec.json.decode(path.read_bytes(), type=cls)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return msgspec.structs.replace(case, file=f"{path.parent.name}/{path.stem}")

    @classmethod
    def all(cls, folder: Path) -> list[Case]:
        """Every case below a folder, in order of their names."""
        return [cls.read(path) for path in sorted(folder.rglob("*.json"))]

    def __str__(self) -> str:
        return self.file

    @property
    def secrets(self) -> list[str]:
        """The options that nobody may read again."""
        return [v for v in self.options.values() if isinstance(v, str) and v.startswith("SECRET-")]


class Wire:
    """A transport that expects a case's exchanges and says what was different."""

    def __init__(self, exchanges: Sequence[Exchange], in_any_order: bool) -> None:
        self.left = list(exchanges)
        self.differences: list[str] = []
        self._in_any_order = in_any_order

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        """The answer that the case holds for this request."""
        assert seconds > 0  # noqa: S101  # this module is for tests
        for index, exchange in enumerate(self.left):
            differences = exchange.request.compare(outgoing)
            if not differences:
                return self.left.pop(index).response.respond()
            if not self._in_any_order:
                self.differences += differences
                break
        else:
            self.differences.append(f"unexpected request: {outgoing.method} {outgoing.url} {outgoing.body!r}")
        raise AssertionError("; ".join(self.differences))

    async def open(self, url: str) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""


class LenientWire(Wire):
    """Answers each request as the case does for the same method and URL, as often as it is sent."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        super().__init__(exchanges, True)
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
    adapters = installed()
    if name not in adapters:
        raise LookupError(f"no adapter {name!r} is installed; there are {', '.join(sorted(adapters))}")
    adapter: type[Adapter] = adapters[name].load()
    return adapter


async def play(case: Case, *, strict: bool = True) -> Played:
    """Play a case through the real provider code. `strict=False`: requests are not compared."""
    store = await SqliteStore.open(":memory:")
    try:
        return await _play(case, store, case.adapter, strict=strict)
    finally:
        await store.close()


async def _play(case: Case, store: SqliteStore, name: str, *, strict: bool) -> Played:
    """`name`: the provider's; what one has in the store is nothing to another."""
    adapter = _adapter_called(case.adapter)(**case.options)
    settings = ProviderSettings.model_validate(
        {"properties": case.properties, "pseudonymize": case.pseudonymize, "timeout": "5s"}
    )
    for entity, pairs in case.ids.items():
        await store.bind(name, entity, pairs)  # type: ignore[arg-type]  # a case's word is checked by use
    wire = Wire(case.exchanges, case.in_any_order) if strict else LenientWire(case.exchanges)
    provider = _provider(case, name, adapter, settings, store, wire)
    result, error = None, None
    try:
        result = await _call(case, provider)
    except ProviderError as failure:
        error = failure
    return Played(result, error, wire, await _ids(case, name, store))


def _provider(
    case: Case, name: str, adapter: Adapter, settings: ProviderSettings, store: SqliteStore, wire: Wire
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
    )
    if case.token is not None and provider.token is not None:
        provider.token.preset(Token(case.token))
    return provider


async def _call(case: Case, provider: Provider) -> Any:
    if case.call == "login":
        return await provider.login()
    deadline = Deadline.within(provider.clock, PATIENCE).before(1)  # others come after: it waits for no throttle
    arguments = decode_arguments(type(provider.adapter), case.call, case.arguments)
    return await provider.call(case.call, *arguments, deadline=deadline)  # type: ignore[arg-type]  # checked there


def decode_arguments(adapter: type[Adapter], operation: str, arguments: Mapping[str, Any]) -> list[Any]:
    """A case's arguments as the operation takes them."""
    hints = get_type_hints(getattr(Adapter, operation))
    hints.pop("return")
    return [
        msgspec.convert(_with_trees(arguments[name]), hint) for name, hint in hints.items() if name in arguments
    ]


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
        raise ValueError(f"a filter of a case: {mistakes}")
    return msgspec.to_builtins(tree)


def plain(value: Any) -> Any:
    """A result as JSON without defaults, filters in API.md's form: what a case's `result` is compared with."""
    if isinstance(value, filters.Compare | filters.Ids | filters.All | filters.AnyOf | filters.Not):
        return filters.to_json(value)
    if isinstance(value, msgspec.Struct):
        fields = {f.encode_name: (getattr(value, f.name), f) for f in msgspec.structs.fields(value)}
        return {name: plain(one) for name, (one, f) in fields.items() if one != _default(f)}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return msgspec.to_builtins(value)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


async def _ids(case: Case, name: str, store: SqliteStore) -> dict[str, dict[str, str]]:
    after: dict[str, dict[str, str]] = {}
    for entity, pairs in (case.ids_after or {}).items():
        after[entity] = await store.lookup(name, entity, pairs)  # type: ignore[arg-type]  # as above
    return after


async def check(case: Case) -> None:
    """Play a case and compare everything. Raises AssertionError with what is different."""
    played = await play(case)
    assert not played.wire.differences, f"{case}: {played.wire.differences}"  # noqa: S101  # for tests
    unsent = [f"{e.request.method} {e.request.url}" for e in played.wire.left]
    problems = [f"never sent: {unsent}"] if unsent else []
    problems += _compare_outcome(case, played)
    if case.ids_after is not None and played.ids != case.ids_after:
        problems.append(f"ids: expected {case.ids_after}, got {played.ids}")
    assert not problems, f"{case}: " + "; ".join(problems)  # noqa: S101  # for tests


def _compare_outcome(case: Case, played: Played) -> Iterator[str]:
    error = played.error
    if case.error is not None:
        got = Failure(error.name, error.detail, error.vendor_message) if error else None
        if got is None:
            yield f"expected the error {case.error.name}, got {plain(played.result)!r}"
            return
        for field in ("name", "detail", "vendor_message"):
            want = getattr(case.error, field)
            if want is not None and want != getattr(got, field):
                yield f"error {field}: expected {want!r}, got {getattr(got, field)!r}"
        receipt = error.receipt if error else None
    elif error is not None:
        yield f"ended in {error.name}: {error.detail} ({error.vendor_message})"
        return
    else:
        receipt = played.result if isinstance(played.result, Receipt) else None
        if receipt is None and case.result is not msgspec.UNSET and plain(played.result) != case.result:
            yield f"result: expected {case.result!r}, got {plain(played.result)!r}"
    done, refused = (receipt.done, receipt.refused) if receipt else ((), {})
    if done != case.done or refused != case.refused:
        yield f"receipt: expected {case.done} {case.refused}, got {done} {refused}"


# --- bad answers ------------------------------------------------------------------------------------------------

HTML: Final = "<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
BAD_STATUSES: Final = (301, 400, 401, 402, 403, 404, 405, 408, 409, 413, 418, 422, 425, 429, 500, 502, 503, 504)


def bad_replies(good: Reply) -> Iterator[tuple[str, Reply]]:
    """What can come in place of a good answer: every status in use, and bodies of every wrong sort."""
    for status in BAD_STATUSES:
        yield f"{status} json", Reply(status, {}, {"message": "no"})
        yield f"{status} html", Reply(status, {"content-type": "text/html"}, body=HTML)
    yield "429 retry-after", Reply(429, {"retry-after": "7"}, {"message": "slow down"})
    yield "200 empty", Reply(200, body="")
    yield "200 html", Reply(200, body=HTML)
    yield "200 10 MB", Reply(200, body="x" * 10_000_000)
    for name, value in (("null", None), ("list", []), ("object", {}), ("text", "text"), ("number", 42)):
        yield f"200 {name}", Reply(200, {}, value)
    yield "200 deep", Reply(200, body="[" * 100_000)
    for failure in ("timed_out", "not_connected", "disconnected"):
        yield failure, Reply(fails=failure)
    if good.json is not msgspec.UNSET:
        encoded = msgspec.json.encode(good.json).decode()
        yield "200 truncated", Reply(200, body=encoded[: len(encoded) // 2])
        for name, wrong in (("numbers", 7), ("texts", "no"), ("nulls", None), ("lists", []), ("objects", {})):
            yield f"200 leaves are {name}", Reply(200, {}, _with_leaves(good.json, wrong))


def _with_leaves(value: Any, wrong: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_leaves(one, wrong) for key, one in value.items()}
    return [_with_leaves(one, wrong) for one in value] if isinstance(value, list) else wrong


def spoiled(case: Case) -> Iterator[tuple[str, Case]]:
    """The case with one bad answer in place of each of its answers in turn."""
    for index, exchange in enumerate(case.exchanges):
        for name, reply in bad_replies(exchange.response):
            exchanges = list(case.exchanges)
            exchanges[index] = Exchange(exchange.request, reply)
            yield f"exchange {index}: {name}", msgspec.structs.replace(case, exchanges=tuple(exchanges))


QUESTIONS: Final = frozenset({"recommend", "search"})


async def check_spoiled(case: Case) -> int:
    """Play a case against the matrix of bad answers; how many were played. Raises AssertionError."""
    store = await SqliteStore.open(":memory:")
    try:
        count = 0
        for name, bad in spoiled(case):
            count += 1
            _check_bad(case, name, await _play(bad, store, f"{case.adapter} {count}", strict=False))
        return count
    finally:
        await store.close()


def _check_bad(case: Case, name: str, played: Played) -> None:
    said = _everything_said(played)
    for secret in case.secrets:
        assert secret not in said, f"{case}, {name}: a secret is in {said!r}"  # noqa: S101  # for tests
    if played.error is None and case.call in QUESTIONS:
        other_way = len(case.exchanges) > 1 and plain(played.result) == case.result
        leaves = " leaves are " in name
        assert other_way or leaves or _is_empty(played.result), (  # noqa: S101  # for tests
            f"{case}, {name}: answered {plain(played.result)!r}"
        )


def _everything_said(played: Played) -> str:
    error: BaseException | None = played.error
    said = [repr(plain(played.result)) if played.result is not None else ""]
    while error is not None:
        said += [str(error), repr(error), str(getattr(error, "vendor_message", ""))]
        error = error.__cause__
    return "\n".join(said)


def _is_empty(result: Any) -> bool:
    return isinstance(result, Recommendations) and not result.items and not result.facets

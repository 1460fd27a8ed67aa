"""The state of things for people, without a browser: what is counted, what is said of it, what `/ui/state` tells.

The page itself is tried in `test_ui_chromium.py`.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from gateway.answering.delivery import Call
from gateway.errors import Failed, NoAnswer, PassedOver, ProviderError
from gateway.policies.cache import CachedAnswer
from gateway.policies.failover import Attempt
from gateway.server.documents.examples import ANSWERS
from gateway.server.endpoints.ui_words import FaultState, UiState
from gateway.server.front import HTML
from gateway.server.ui.letters import SHOWN
from gateway.server.ui.page import HERE, PAGE, POLICY
from gateway.server.ui.verdict import findings
from gateway.server.workers.siblings import AskRecent
from gateway.state.store import StoreError
from gateway.telemetry.lately import BUCKETS, NOW, WIDTH, Lately
from gateway.telemetry.notes import Called, Note, Round, Served, Shadowed
from gateway.telemetry.recent import MOST, Recent, together
from gateway.telemetry.sorts import Sorts
from gateway.telemetry.trace import Trace
from tests.clock import FakeClock
from tests.crew import WORKERS, crew
from tests.doors import doors
from tests.issuer import AUDIENCE, ISSUER, SECRET, claims, signed
from tests.serving import until
from tests.ui import GONE, Scene, bury, scene

# --- what is counted --------------------------------------------------------------------------------------------


def asked_for(placement: str = "home", arm: str | None = "control", *, cached: bool = True) -> Any:
    caching = object() if cached else None
    return SimpleNamespace(
        placement=SimpleNamespace(name=placement, caching=caching, phase=None),
        arm=SimpleNamespace(name=arm),
        kind="for_you",
    )


def answered(provider: str | None, *, fallback: bool = False, ms: float = 10, **more: Any) -> Served:
    answer = CachedAnswer(b"{}", "e", provider, fallback)
    call = Call(
        "recommend", {}, asked=more.pop("asked", asked_for()), answer=answer, cache_status="gateway; fwd=miss"
    )
    for name in ("explain", "pinned", "cache_status"):
        if name in more:
            setattr(call, name, more[name])
    return Served("POST", "/v1/recommendations", 200, 1.0, 1.0 + ms / 1000, Trace(), call)


def refused(slug: str, status: int, *, route: str = "/v1/recommendations", trace: Trace | None = None) -> Served:
    call = Call("recommend", {}, asked=asked_for())
    return Served("POST", route, status, 1.0, 1.2, trace or Trace(), call, slug)


def round_(provider: str | None, *errors: tuple[str, ProviderError], trace: Trace | None = None) -> Round:
    attempts = tuple(Attempt(name, error, 0.03) for name, error in errors)
    return Round("home", "for_you", "control", 10, attempts, provider, (), 0.1, trace=trace)


def told(clock: FakeClock, *notes: Note, lately: Lately | None = None) -> Recent:
    lately = lately or Lately(Sorts(), clock, lambda: 5000.0 + clock.now)
    lately.read(notes)
    return lately.told()


def test_who_answered_and_how() -> None:
    hit = answered("a", ms=1, cache_status="gateway; hit; ttl=3")
    notes = (answered("a"), hit, answered("b", fallback=True, ms=100), answered(None, fallback=True))
    off = answered("a", asked=asked_for("cart", None, cached=False))
    recent = told(FakeClock(), *notes, off)
    flow = recent.now["home"]["control"]
    assert flow.answered == {"a": 2, "b": 1, "": 1} and flow.stood_in == {"b": 1}
    assert flow.cache == {"miss": 3, "hit": 1} and flow.requests == 4
    assert flow.ms(50) == pytest.approx(10, rel=0.07) and flow.ms(95) == pytest.approx(100, rel=0.07)
    assert recent.now["cart"][""].cache == {"off": 1}
    assert recent.pace["home"][-1] == [4, 2] and len(recent.pace["home"]) == BUCKETS


def test_what_ops_ask_for_is_no_traffic() -> None:
    recent = told(FakeClock(), answered("a", explain=True), answered("a", pinned="a"))
    assert recent.now == {}


def test_parts_of_a_batch_count_each() -> None:
    whole = answered("a")
    assert whole.call is not None
    broken = Call("recommend", {}, asked=asked_for())
    whole.call.parts = (msgspec.structs.replace(whole.call), msgspec.structs.replace(whole.call), broken)
    flow = told(FakeClock(), whole).now["home"]["control"]
    assert (flow.answered, flow.failed) == ({"a": 2}, 1)


def test_what_callers_are_to_blame_for_is_no_failure() -> None:
    notes = [refused("unavailable", 503), refused("unsupported", 501), refused("rejected", 422)]
    notes.append(msgspec.structs.replace(notes[0], status=499, problem=None))
    assert told(FakeClock(), *notes).now["home"]["control"].failed == 1


def test_who_did_not_answer_and_why() -> None:
    trace = Trace()
    failed, closed = Failed("answered 503", status=503), PassedOver("breaker is open")
    recent = told(
        FakeClock(),
        Called("a", "x", "recommend", 0.1, error=failed),
        Called("a", "x", "recommend", 0.1, error=closed),
        Called("b", "x", "recommend", 0.1, result=()),
        round_("b", ("a", failed), trace=trace),
        round_("b", ("a", closed), trace=trace),
    )
    assert recent.now["home"]["control"].missed == {"a": {"failed": 1, "passed_over": 1}}
    assert recent.calls == {"a": [1, 1], "b": [1, 1]}  # what was passed over was not called
    fault = recent.faults["a"]["failed"]
    assert (fault.now, fault.lately, fault.detail, fault.trace_id) == (1, 1, "answered 503", trace.trace_id)


def test_a_problem_tells_who_did_not_answer() -> None:
    trace = Trace()
    failed = Failed("answered 503")
    recent = told(FakeClock(), round_(None, ("a", failed), trace=trace), refused("unavailable", 503, trace=trace))
    [problem] = recent.problems
    assert (problem.slug, problem.status, problem.placement, problem.times) == ("unavailable", 503, "home", 1)
    assert problem.trace_id == trace.trace_id and problem.at == 6000.0
    assert problem.attempts == [{"provider": "a", "error": "failed", "detail": "answered 503", "ms": 30.0}]


def test_problems_of_one_sort_are_one_and_all_are_bounded() -> None:
    clock = FakeClock()
    lately = Lately(Sorts(), clock, lambda: clock.now)
    lately.read([refused("unavailable", 503), refused("rejected", 422)])
    clock.passes(5)
    [again, other] = told(clock, refused("unavailable", 503), lately=lately).problems
    assert (again.slug, again.times, again.first_at, again.at) == ("unavailable", 2, 1000.0, 1005.0)
    assert other.slug == "rejected"
    lately.read([refused("not-found", 404, route=f"/{n}") for n in range(3 * MOST)])
    assert len(lately.told().problems) == MOST
    lately.read([round_(None, ("a", Failed()), trace=Trace()) for _ in range(3 * MOST)])
    assert len(lately._unanswered) == MOST


def test_a_minute_and_five_minutes_pass() -> None:
    clock = FakeClock()
    lately = Lately(Sorts(), clock, clock)
    failed = Called("a", "x", "recommend", 0.1, error=Failed("f"))
    lately.read([answered("a"), failed, Shadowed("home", "b", "answered", 0.1, 0.5)])
    clock.passes((NOW - 1) * WIDTH)
    assert lately.told().now["home"]["control"].requests == 1
    clock.passes(WIDTH)
    recent = lately.told()
    assert recent.now == {} and recent.lately["home"]["control"].requests == 1
    assert recent.calls == {"a": [0, 1]} and (
        recent.faults["a"]["failed"].now,
        recent.faults["a"]["failed"].lately,
    ) == (0, 1)
    assert recent.shadows["home"]["b"].overlap == 0.5
    clock.passes((BUCKETS - NOW - 1) * WIDTH)
    assert lately.told().pace["home"][0] == [1, 0]
    clock.passes(WIDTH)
    assert lately.told() == Recent()
    for _ in range(3 * BUCKETS):
        clock.passes(WIDTH)
        lately.read([answered("a")])
    assert len(lately._buckets) == BUCKETS


def test_what_happened_is_told_of_its_own_minute_though_nobody_asked_then() -> None:
    clock = FakeClock()
    lately = Lately(Sorts(), clock, clock)
    lately.read([answered("a"), answered("a")])
    clock.passes(WIDTH * NOW)
    recent = told(clock, answered("b"), lately=lately)
    assert recent.now["home"]["control"].answered == {"b": 1}
    assert recent.lately["home"]["control"].answered == {"a": 2, "b": 1}


def test_several_processes_are_told_as_one() -> None:
    clock = FakeClock()
    trace = Trace()
    first: list[Note] = [
        answered("a", ms=3), answered("b", fallback=True), refused("unavailable", 503, trace=trace),
        Called("a", "x", "recommend", 0.1, error=NoAnswer("none")),
        round_("b", ("a", NoAnswer("none")), trace=trace),
        Shadowed("home", "b", "answered", 0.1, 0.25),
    ]  # fmt: skip
    second: list[Note] = [
        answered("a", ms=30, asked=asked_for("cart")), answered("a"), refused("unavailable", 503, trace=trace),
        Called("c", "x", "recommend", 0.1), Shadowed("home", "b", "timed_out", 0.1),
    ]  # fmt: skip
    apart = [told(clock, *first), told(clock, *second)]
    over_the_wire = [msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Recent) for one in apart]
    assert together(over_the_wire) == together([told(clock, *first, *second)])
    assert together(over_the_wire) == told(clock, *first, *second)
    assert together([]) == Recent()


# --- what is said of it -----------------------------------------------------------------------------------------

WELL: UiState = msgspec.convert(ANSWERS["ui_state"], UiState)
"""The example of the documents, mended below."""


def state(**more: Any) -> UiState:
    """All is well, but for what is given."""
    provider = {
        **WELL.providers[0],
        "breaker": {"reads": "closed", "writes": "closed"},
        "faults": [],
        "minute": 100,
    }
    provider |= {"queued_events": 0, "oldest_queued_s": None} | more.pop("provider", {})
    arm = WELL.placements[0].arms[0]
    traffic = {"requests": 100, "answered": {"vendor-a": 100}, "stood_in": {}, "failed": 0, "missed": {}}
    traffic |= more.pop("traffic", {})
    arm = msgspec.structs.replace(arm, minute=msgspec.structs.replace(arm.minute, **traffic))
    placement = msgspec.structs.replace(WELL.placements[0], arms=(arm,))
    return msgspec.structs.replace(WELL, providers=(provider,), placements=(placement,), **more)


def said(**more: Any) -> list[tuple[str, str]]:
    return [(one.level, one.says) for one in findings(state(**more))]


def test_all_is_well() -> None:
    assert said() == []


def fault(error: str, minute: int) -> FaultState:
    return FaultState(error, minute, minute, WELL.at, "answered 403", None)


BY_B = {"answered": {"vendor-b": 93, "vendor-a": 7}, "stood_in": {"vendor-b": 93}}
MISSED = {"missed": {"vendor-a": {"passed_over": 90, "failed": 3}}}


@pytest.mark.parametrize(
    ("more", "level", "says"),
    [
        ({"ready": False}, "bad", "This gateway is not ready"),
        ({"workers": {"configured": 2, "answering": 1}}, "warn", "1 of 2 worker processes say nothing"),
        ({"config": {"status": "rejected", "errors": ("g.yaml:3: no", "b")}}, "warn",
         "The changed configuration is not taken: g.yaml:3: no (and 1 more)"),
        ({"dead_letters": None}, "bad", "The state store does not answer"),
        ({"traffic": {"failed": 4, **MISSED}}, "bad",
         "home: 4 % of the requests fail (4 in the last minute): vendor-a passed over"),
        ({"traffic": {"answered": {"": 50, "vendor-a": 50}}}, "warn", "home: 50 % of the answers are empty"),
        ({"traffic": {**BY_B, **MISSED}}, "warn",
         "home: 93 % of the answers come from stand-ins: vendor-a passed over"),
        ({"traffic": {**BY_B, "missed": {"vendor-a": {"no_answer": 93}}}}, "note", "home: 93 % of the answers"),
        ({"provider": {"breaker": {"reads": "open", "writes": "closed"}}, "traffic": {**BY_B, **MISSED}}, "warn",
         "vendor-a: breaker open, home is answered by vendor-b (fallback 93 %)"),
        ({"provider": {"breaker": {"reads": "half_open", "writes": "closed"}}}, "warn",
         "vendor-a: breaker half open"),
        ({"provider": {"throttled_until": "2026-11-22T10:16:00Z"}}, "warn", "vendor-a: throttled"),
        ({"provider": {"mode": "forced_open", "breaker": {"reads": "open", "writes": "open"}}}, "note",
         "vendor-a is taken out by the configuration"),
        ({"provider": {"faults": [fault("misconfigured", 3)]}}, "warn",
         "vendor-a refuses us (misconfigured, 3 times in the last minute): answered 403"),
        ({"provider": {"faults": [fault("timed_out", 30), fault("no_answer", 60)]}}, "warn",
         "vendor-a: 30 % of the calls fail (timed out 30)"),
        ({"provider": {"queued_events": 3, "oldest_queued_s": 200.0}}, "warn",
         "vendor-a: 3 events and records waiting, the oldest for 3 min"),
        ({"provider": {"queued_events": 1, "breaker": {"reads": "closed", "writes": "open"}}}, "warn",
         "vendor-a: breaker of its writes open, 1 event or record waiting"),
        ({"provider": {"dead_letters": 2}}, "note", "vendor-a has refused 2 events and records for good"),
    ],
)  # fmt: skip
def test_what_is_not_well_is_said(more: dict[str, Any], level: str, says: str) -> None:
    more = {
        name: msgspec.convert(value, type(getattr(WELL, name))) if name in ("config", "workers") else value
        for name, value in more.items()
    }
    [(found, words)] = said(**more)
    assert found == level and words.startswith(says)


@pytest.mark.parametrize(
    "more",
    [
        {"provider": {"faults": [fault("timed_out", 9)]}},
        {"provider": {"faults": [fault("timed_out", 3)], "minute": 4}},
        {"provider": {"faults": [fault("misconfigured", 0)]}},
        {"provider": {"queued_events": 3, "oldest_queued_s": 20.0}},
        {"traffic": {"answered": {"vendor-a": 80, "vendor-b": 20}, "stood_in": {"vendor-b": 20}}},
        {"traffic": {"requests": 0, "answered": {}}},
    ],
)
def test_what_is_little_is_not(more: dict[str, Any]) -> None:
    assert said(**more) == []


def test_the_worst_comes_first() -> None:
    more = {"provider": {"dead_letters": 2, "throttled_until": "x"}, "dead_letters": None}
    assert [level for level, _ in said(**more)] == ["bad", "warn", "note"]


def test_arms_that_were_dealt_wrongly() -> None:
    assert WELL.experiments
    ratio = msgspec.convert({"p": 1e-9, "mismatch": True}, type(WELL.experiments[0].sample_ratio or 0))
    wrong = msgspec.structs.replace(WELL.experiments[0], sample_ratio=ratio)
    assert said(experiments=(wrong,))[0][1].startswith("home-2026: people are not dealt as the weights say")


# --- the document -----------------------------------------------------------------------------------------------


def test_the_page_is_one_document_and_its_policy_names_its_parts() -> None:
    text = PAGE.decode()
    for name in ("style", "script"):
        [part] = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        hashed = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{hashed}'" in POLICY
    assert "unsafe" not in POLICY and "http" not in POLICY
    for directive in ("default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert directive in POLICY.split("; ")
    assert dict(HTML)["Content-Security-Policy"] != POLICY


def test_it_names_no_other_host_and_makes_no_markup_of_text() -> None:
    text = PAGE.decode()
    addresses = set(re.findall(r"https?://[^\s\"'`>)]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert "url(" not in text.replace("url(#hatch)", "") and "@import" not in text
    code = "".join(file.read_text() for file in sorted(HERE.glob("*.js")))
    sinks = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
    )
    for word in (*sinks, "setHTML", "localStorage", ".style"):
        assert word not in code, word
    assert not re.findall(r"\son\w+=|\sstyle=", (HERE / "page.html").read_text())


# --- what is told -----------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("ui")) as one:
        yield one


on_sockets = pytest.mark.asyncio(loop_scope="module")


def named(state: dict[str, Any], of: str, name: str) -> Any:
    return next(one for one in state[of] if one["name"] == name)


@on_sockets
async def test_a_world_that_is_well(one: Scene) -> None:
    await one.traffic(120)
    state = await one.state()
    assert state["findings"] == [] and state["ready"] and state["workers"] == {"configured": 1, "answering": 1}
    default = named(state, "placements", "default")
    [arm] = default["arms"]
    assert (arm["name"], arm["weight"], arm["providers"]) == (None, None, ["recomendo", "xayn", "local"])
    assert arm["minute"]["answered"] == {"recomendo": arm["minute"]["requests"]} and arm["minute"]["missed"] == {}
    assert arm["minute"]["duration_ms"]["p95"] >= arm["minute"]["duration_ms"]["p50"] > 0
    home = named(state, "placements", "home")
    assert {arm["name"]: arm["weight"] for arm in home["arms"]} == {"control": 50.0, "challenger": 50.0}
    assert home["cached"] and home["experiment"] == "home-demo"
    await until(lambda: shadows(one))
    assert (await one.state())["placements"][0]["shadow"] is None
    [experiment] = state["experiments"]
    asked = sum(arm["minute"]["requests"] for arm in home["arms"])
    assert sum(arm["exposures"] for arm in experiment["arms"].values()) == asked > 0
    for provider in state["providers"]:
        assert {
            "breaker",
            "latency_ms",
            "error_rate",
            "queued_events",
            "mode",
            "minute",
            "faults",
        } <= provider.keys()


async def shadows(one: Scene) -> bool:
    shadow = named(await one.state(), "placements", "default")["shadow"]
    return (
        shadow["provider"] == "discerner" and shadow["share"] == 1.0 and bool(shadow["outcomes"].get("answered"))
    )


@on_sockets
async def test_it_is_what_the_providers_are_said_to_be(one: Scene) -> None:
    listed = (await one.shop.request("GET", "/v1/providers")).json
    state = await one.state()
    for mine, its in zip(state["providers"], listed["providers"], strict=True):
        assert its.keys() <= mine.keys()
        for member in ("name", "adapter", "capabilities", "breaker", "dead_letters", "quota"):
            assert mine[member] == its[member]


@on_sockets
async def test_a_vendor_breaks_and_heals(one: Scene) -> None:
    one.shop.runtime.pipeline.cache.drop()
    async with one.shop.broken("recomendo", status=503):
        for _ in range(12):
            assert (await one.shop.ask("default", user={"id": "u1"})).provider == "xayn"
        state = await one.state()
        [flow] = named(state, "placements", "default")["arms"]
        assert flow["minute"]["stood_in"] == {"xayn": 12} and set(flow["minute"]["missed"]) == {"recomendo"}
        assert set(flow["minute"]["missed"]["recomendo"]) <= {"failed", "passed_over"}
        fault = named(state, "providers", "recomendo")["faults"][0]
        assert fault["detail"] and re.fullmatch("[0-9a-f]{32}", fault["trace_id"])
        assert any(
            found["says"].startswith("recomendo: breaker ")
            and "default is answered by xayn (fallback" in found["says"]
            for found in state["findings"]
        )
    await until(lambda: closes(one))
    assert (await one.state())["findings"] != []  # of the last minute
    one.shop.runtime.lately.clock = lambda: time.monotonic() + NOW * WIDTH
    assert [found for found in (await one.state())["findings"] if found["about"] != "provider:recomendo"] == []


async def closes(one: Scene) -> bool:
    await one.shop.ask("default", user={"id": "u1"})
    breaker = named(await one.state(), "providers", "recomendo")["breaker"]
    return bool(breaker["reads"] == "closed")


@on_sockets
async def test_what_nobody_can_answer_is_a_problem(one: Scene) -> None:
    async with one.shop.broken("discerner", status=503):
        (await one.shop.ask("discerner", user={"id": "u1"})).problem("unavailable", 503)
    state = await one.state()
    problem = state["problems"][0]
    assert (problem["slug"], problem["status"], problem["placement"]) == ("unavailable", 503, "discerner")
    assert problem["attempts"][0]["provider"] == "discerner" and problem["route"] == "/v1/recommendations"
    assert any(found["about"] == "placement:discerner" and found["level"] == "bad" for found in state["findings"])


@on_sockets
async def test_dead_letters_are_told_and_queued_again(one: Scene) -> None:
    view = {"type": "view", "user": {"id": "u1"}, "items": ["d0"]}
    async with one.shop.broken("algolia", status=400, path="/1/events"):
        events = [{"id": f"dead-{n}", **view} for n in range(3)]
        assert (await one.shop.request("POST", "/v1/events", json={"events": events})).status == 202
        await until(lambda: dead(one, 3))
    state = await one.state()
    assert {letter["ref"] for letter in state["dead_letters"]} == {"dead-0", "dead-1", "dead-2"}
    assert {(letter["provider"], letter["kind"]) for letter in state["dead_letters"]} == {("algolia", "event")}
    assert any("algolia has refused 3 events" in found["says"] for found in state["findings"])
    for body, queued in (
        ({"provider": "algolia", "ref": "dead-1"}, 1),
        ({"provider": "xayn"}, 0),
        ({"provider": "algolia"}, 2),
    ):
        async with one.shop.session.post(f"{one.admin}/ui/retry", json=body) as answer:
            assert (answer.status, await answer.json()) == (200, {"queued": queued})
    await until(lambda: dead(one, 0))
    async with one.shop.session.post(f"{one.admin}/ui/retry", json={"provider": "nobody"}) as answer:
        assert answer.status == 404
    async with one.shop.session.post(f"{one.admin}/ui/retry", json={"ref": "dead-1", "x": 1}) as answer:
        assert answer.status == 422


@on_sockets
async def test_dead_letters_can_be_looked_through_to_the_last(one: Scene) -> None:
    """However many there are, a page is no longer than another; what comes meanwhile moves none of them."""
    refs = [f"lost-{n:03}" for n in range(2 * SHOWN + 20)]
    store = one.shop.runtime.store
    await bury(store, refs)
    state = await one.state()
    pages, older = [state["dead_letters"]], state["older_letters"]
    await bury(store, ["late"])
    while older is not None and len(pages) < 9:
        async with one.shop.session.get(f"{one.admin}/ui/dead-letters?before={older}") as answer:
            assert answer.status == 200
            said = await answer.json()
        pages.append(said["dead_letters"])
        older = said["older"]
    assert [len(page) for page in pages] == [SHOWN, SHOWN, 20]
    assert [letter["ref"] for page in pages for letter in page] == [*reversed(refs)]
    async with one.shop.session.get(f"{one.admin}/ui/dead-letters") as answer:
        assert (await answer.json())["dead_letters"][0]["ref"] == "late"
    for wrong in ("before=0", f"before={2**63}", "before=x", "page=2"):
        async with one.shop.session.get(f"{one.admin}/ui/dead-letters?{wrong}") as answer:
            assert answer.status == 422
    await store.retry(GONE, None)
    assert (await one.state())["older_letters"] is None


async def dead(one: Scene, count: int) -> bool:
    letters = (await one.state())["dead_letters"]
    return len(letters) == count


@on_sockets
async def test_the_page_is_not_on_the_public_listener(one: Scene) -> None:
    for path in ("/ui", "/ui/state", "/ui/dead-letters"):
        (await one.shop.request("GET", path)).problem("not-found", 404)


async def test_who_may_look(tmp_path: Path) -> None:
    jwt = {"issuer": ISSUER, "audience": AUDIENCE, "secret": SECRET, "algorithms": ["HS256"], "user_claim": "sub"}
    keys = {name: {"key": name, "scopes": [name]} for name in ("ops", "catalog")}
    async with doors(tmp_path, {"auth": {"api_keys": keys, "jwt": jwt}}) as gateway:
        assert (await gateway.request("GET", "/ui", admin=True)).status == 200
        for headers, status in (
            ({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "Bearer catalog"}, 403),
            ({"Authorization": "Bearer ops"}, 200),
            ({"Authorization": f"Bearer {signed(claims(time.time(), sub='ann', scope='ops'))}"}, 403),
        ):  # fmt: skip
            for path in ("/ui/state", "/ui/dead-letters"):
                reply = await gateway.request("GET", path, admin=True, headers=headers)
                assert reply.status == status, reply.text
            retry = {"provider": "local"}
            reply = await gateway.request("POST", "/ui/retry", admin=True, headers=headers, json=retry)
            assert reply.status == status, reply.text


async def test_a_store_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> Any:
        raise StoreError("the disk is full")

    async with doors(tmp_path, {}) as gateway:
        for asked in ("queues", "tallies", "dead_letters"):
            monkeypatch.setattr(gateway.runtime.store, asked, away)
        state = (await gateway.request("GET", "/ui/state", admin=True)).json
        assert (state["experiments"], state["dead_letters"]) == (None, None)
        (await gateway.request("GET", "/ui/dead-letters", admin=True)).problem("unavailable", 503)
        assert state["findings"][0]["about"] == "store" and state["providers"][0]["queued_events"] is None


async def test_workers_are_told_as_one(tmp_path: Path) -> None:
    configuration = {
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "workers": WORKERS},
        "state": {"url": f"sqlite:{tmp_path}/state.db"},
        "providers": {"local": {"adapter": "local"}},
        "placements": {"default": {"providers": ["local"]}},
    }
    async with crew(tmp_path, configuration) as gateway:
        await until(gateway.complete)
        for _ in range(3):
            await gateway.everywhere("/v1/recommendations?placement=default")
        each = await gateway.each(AskRecent(), Recent)
        asked = [
            sum(flow.requests for arms in told.now.values() for flow in arms.values()) for told in each.values()
        ]
        assert len(asked) == WORKERS and all(asked) and sum(asked) == 36
        state = (await gateway.get("/ui/state", admin=True)).json
        assert state["workers"] == {"configured": WORKERS, "answering": WORKERS}
        assert state["placements"][0]["arms"][0]["minute"]["requests"] == 36

"""What is sent to collectors: the SDK's bytes, without the SDK; and when it is sent again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from gateway.telemetry import sending
from gateway.telemetry.console import sdk_span
from gateway.telemetry.otlp import Encoder
from gateway.telemetry.sending import Collector
from gateway.telemetry.span import Event, Shape, Span
from tests.collector import collector

TEXTS: Final = st.text(max_size=300)
VALUES: Final = st.dictionaries(
    st.text(min_size=1, max_size=20), TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1), max_size=8
)
MOMENTS: Final = st.integers(1, 2**63)
SHAPES: Final = st.builds(
    Shape, st.text(min_size=1, max_size=200), st.sampled_from(["server", "client"]), VALUES, st.booleans()
)
IDS: Final = st.integers(1, 2**64 - 1).map("{:016x}".format)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    parent = draw(st.none() | IDS)
    events = draw(st.lists(st.builds(Event, st.text(min_size=1), VALUES, MOMENTS), max_size=3).map(tuple))
    trace, remote = draw(IDS) + draw(IDS), parent is not None and draw(st.booleans())
    return Span(draw(SHAPES), trace, draw(IDS), parent, remote, draw(MOMENTS), draw(MOMENTS), events)


@given(st.lists(spans(), min_size=1, max_size=5), st.dictionaries(st.text(min_size=1), TEXTS, min_size=1))
def test_what_is_written_is_what_the_sdk_would_write(made: list[Span], resource: dict[str, Any]) -> None:
    """To the byte; shapes that were written before included."""
    scope = InstrumentationScope("made-by", "1.2")
    theirs = encode_spans([sdk_span(one, Resource(resource), scope) for one in made * 2])
    assert Encoder(resource, "made-by", "1.2").request(made * 2) == theirs.SerializePartialToString()


SPAN: Final = Span(Shape("x", "server", {}, False), "1" * 32, "2" * 16, None, False, 1, 2)


def nothing(_spans: Sequence[Span]) -> bytes:
    return b""


class Answers:
    """Instead of a connection: what comes of one attempt after the other, and when they were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *outcomes: int | str | Exception) -> None:
        self._outcomes = list(outcomes)
        self.pauses: list[float] = []
        monkeypatch.setattr(Collector, "_post", self._post)
        self.sender = Collector("http://nowhere", nothing, "x", {})
        monkeypatch.setattr(self.sender, "_ending", self)

    def _post(self, *_: Any) -> tuple[int, str]:
        match self._outcomes.pop(0):
            case str() as after:
                return 503, after
            case int() as status:
                return status, ""
            case error:
                raise error

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return False

    @property
    def left(self) -> int:
        return len(self._outcomes)


def test_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(monkeypatch, 0, 503, "2", 200)  # a stale connection, then one that is overloaded
    assert answers.sender.export([SPAN])
    at_once, first, asked_for = answers.pauses
    assert at_once == 0 and 1.6 <= first <= 2.4 and asked_for == 2


@pytest.mark.parametrize("status", [302, 400, 401, 404, 413, 500])
def test_what_will_not_pass_is_not(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    answers = Answers(monkeypatch, status, 200)
    assert not answers.sender.export([SPAN])
    assert answers.left == 1


def test_nobody_waits_longer_than_the_time_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(monkeypatch, "60", 200)
    assert not answers.sender.export([SPAN])
    assert answers.left == 1 and answers.pauses == []
    assert sum(sending.PAUSE * 2**n for n in range(3)) > sending.TIMEOUT


def test_the_end_is_not_waited_for() -> None:
    sender = Collector("http://127.0.0.1:9", nothing, "x", {})
    sender.shutdown()
    began = time.monotonic()
    assert not sender.export([SPAN]) and time.monotonic() - began < 0.9 * sending.TIMEOUT


def said(**values: str) -> dict[str, str]:
    return {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in values.items()}


def test_headers_that_the_environment_says() -> None:
    with collector() as seen:
        environment = said(HEADERS="x-tenant=shop,x-b=c", TRACES_HEADERS="x-tenant=traces")
        assert Collector(seen.url, nothing, "gateway/1", environment).export([SPAN])
        assert Collector(seen.url, nothing, "gateway/1", said(HEADERS="x-b=c%20d")).export([SPAN])
    first, second = seen.heads
    assert (first["x-tenant"], first["user-agent"]) == ("traces", "gateway/1") and "x-b" not in first
    assert second["x-b"] == "c d" and first["content-type"] == "application/x-protobuf"


def test_certificates_that_the_environment_says() -> None:
    files = said(CERTIFICATE="ca.pem", CLIENT_CERTIFICATE="c.pem", CLIENT_KEY="k.pem")
    session = Collector("https://x", nothing, "x", files)._session
    assert (session.verify, session.cert) == ("ca.pem", ("c.pem", "k.pem"))
    session = Collector("https://x", nothing, "x", said(TRACES_CLIENT_CERTIFICATE="both.pem"))._session
    assert (session.verify, session.cert) == (True, "both.pem")


def test_what_is_no_answer_at_all_is_for_the_export_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(monkeypatch, requests.exceptions.InvalidURL("x"))
    with pytest.raises(requests.exceptions.InvalidURL):
        answers.sender.export([SPAN])

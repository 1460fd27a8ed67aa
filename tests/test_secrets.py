"""A planted secret of every kind is found in nothing that leaves the gateway, whatever goes wrong.

Before it stand vendors of the worst sort: whatever they are asked, they answer with everything that they were
sent, credentials and all, in clear text, percent-encoded and in base64.
"""

from __future__ import annotations

import asyncio
import base64
import html
import io
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jwt
import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from gateway import logs
from gateway.cli import main
from gateway.config.model import Logs
from gateway.server.endpoints import ENDPOINTS
from gateway.telemetry.writing import Writer
from tests.collector import Collector, collector, until
from tests.doors import ASK, Doors, doors
from tests.issuer import AUDIENCE, ISSUER, claims
from tests.test_doors import path_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS: Final = (
    "ops-key", "beacon-key", "jwt-secret", "signing-key", "recomendo-secret", "algolia-key",
    "algolia-admin-key", "personalization-key", "discerner-password", "xayn-token", "xayn-back-office",
    "from-a-file", "discerner-token", "collector-password",
)  # fmt: skip
PLANTED: Final = {kind: f"{kind}~pl4nted/{number:02}+with=odd.signs" for number, kind in enumerate(KINDS)}
SESSION: Final = jwt.encode({"iat": 1, "exp": 10**10, "jti": "recomendo-session-pl4nted"}, "k" * 32)
"""The token that Recomendo gives."""
SECRETS: Final = (*PLANTED.values(), SESSION)
PERSON: Final = "h1dden-person"
"""Whose id is in answers, and in no log and no span."""


@dataclass
class Echo:
    """A vendor that says everything."""

    status: int = 400
    kind: str = "application/json"
    log_in: bool = True
    url: str = ""
    seen: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.seen.append(f"{request.headers} {body}")
        if self.log_in and request.path.endswith("/v1/auth"):
            return web.json_response({"success": True, "messageCode": "IN", "payload": {"token": SESSION}})
        if self.log_in and request.path.endswith("/token"):
            return web.json_response({"token": PLANTED["discerner-token"]})
        told = " ".join((*request.headers.values(), body))
        said = f"{told} {quote(told, safe='')} {html.escape(told)} {base64.b64encode(told.encode()).decode()}"
        text = json.dumps({"message": said, "error": said, "detail": said, "kind": said, "success": False})
        if self.kind != "application/json":
            text = said
        elsewhere = {"Location": "/" + quote(told)}
        return web.Response(status=self.status, text=text, content_type=self.kind, headers=elsewhere)


def configuration(url: str, directory: Path, traces: str = "http://127.0.0.1:4318") -> dict[str, Any]:
    file = directory / "secret"
    file.write_text(PLANTED["from-a-file"])
    algolia = {"application_id": "APP", "api_key": PLANTED["algolia-key"]}
    options: dict[str, dict[str, Any]] = {
        "recomendo": {
            "client_id": "client", "client_secret": PLANTED["recomendo-secret"],
            **{f"{of}_url": url for of in ("auth", "events", "client", "predictions")},
        },
        "algolia-recommend": {
            **algolia, "admin_api_key": PLANTED["algolia-admin-key"], "index": "i", "insights_url": url,
            "hosts": {"read": [url], "write": [url]}, "feed_index": True,
        },
        "algolia-personalization": {**algolia, "api_key": PLANTED["personalization-key"], "url": url},
        "discerner": {"username": "shop", "password": PLANTED["discerner-password"], "url": url},
        "xayn": {"url": url, "token": PLANTED["xayn-token"], "back_office_token": PLANTED["xayn-back-office"]},
    }  # fmt: skip
    providers = {name: {"adapter": name, "options": its} for name, its in options.items()}
    from_file = {"adapter": "xayn", "options": {"url": url, "token": f"${{file:{file}}}"}}
    asked = ("recomendo", "algolia-recommend", "discerner", "xayn", "filed")
    return {
        "server": {"deadline": "3s", "signing_keys": [PLANTED["signing-key"]]},
        "auth": {
            "api_keys": {
                "ops": {"key": PLANTED["ops-key"], "scopes": ["recommend", "events", "catalog", "ops"]},
                "beacon": {"key": PLANTED["beacon-key"], "scopes": ["events"], "publishable": True},
            },
            "jwt": {
                "issuer": ISSUER, "audience": AUDIENCE, "secret": PLANTED["jwt-secret"], "algorithms": ["HS256"],
            },
        },
        "defaults": {"timeout": "2s", "attempts": 1, "breaker": {"mode": "observe"}},
        "providers": {**providers, "filed": from_file},
        "placements": {
            "default": {"providers": list(asked)}, "search": {"kind": "search", "providers": ["xayn", "filed"]},
            **{name: {"providers": [name]} for name in asked},
        },
        "events": {"providers": list(asked)},
        "catalog": {"providers": list(asked)},
        "telemetry": {
            "logs": {"level": "debug"},
            "traces": {"exporter": "otlp", "endpoint": _with_password(traces), "share": "100%"},
        },
    }  # fmt: skip


def _with_password(url: str) -> str:
    return url.replace("://", f"://gateway:{quote(PLANTED['collector-password'], safe='')}@")


@dataclass
class Scene:
    """A gateway, the vendors before it, the collector behind it, and all that left it."""

    gateway: Doors
    echo: Echo
    collector: Collector
    said: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, **more: Any) -> None:
        headers = {"X-Api-Key": PLANTED["ops-key"], **more.pop("headers", {})}
        if self.echo.status == 429:
            headers.setdefault("Request-Timeout", "0.1")  # who is throttled waits, if the time is there
            for provider in self.gateway.runtime.pipeline.plan.providers.values():
                provider.gates.throttle.until = float("-inf")
        reply = await self.gateway.request(method, path, headers=headers, **more)
        self.said.append(f"{method} {path}: {reply.status} {dict(reply.headers)} {reply.text}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    echo, app = Echo(), web.Application()
    app.router.add_route("*", "/{path:.*}", echo.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    echo.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    directory = tmp_path_factory.mktemp("secrets")
    log = directory / "log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    logs.set_up(Logs(level="debug"), Writer(descriptor))
    try:
        with collector() as spans:
            async with doors(directory, configuration(echo.url, directory, spans.url)) as gateway:
                yield Scene(gateway, echo, spans)
            logs.flush()
            assert_told_nothing(log.read_text(), '"route"')
            assert_told_nothing(b"\n".join(spans.bodies).decode("utf-8", "replace"), "http.route")
            assert {span.kind for span in spans.spans} == {"SERVER", "CLIENT"}
    finally:
        logs.end()
        os.close(descriptor)
        await runner.cleanup()


def assert_told_nothing(text: str, something: str) -> None:
    """No secret and nobody's id; but there was something, or this would mean nothing."""
    assert something in text
    assert_clean(text)
    for spelled in (PERSON, PERSON.encode().hex(), base64.b64encode(PERSON.encode()).decode()[:12]):
        assert spelled not in text, text[max(0, text.index(spelled) - 300) :][:600]


def assert_clean(text: str) -> None:
    """No secret, in no spelling."""
    for secret in SECRETS:
        spellings = (secret, quote(secret, safe=""), quote(secret), html.escape(secret), json.dumps(secret)[1:-1])
        for spelled in spellings:
            assert spelled not in text, f"{secret} in {text}"
        for before in range(3):
            coded = base64.b64encode(bytes(before) + secret.encode()).decode()[4:-6]
            assert coded not in text, f"{secret} in {text} in base64"
    assert "pl4nted" not in text


BODIES: Final[dict[str, Any]] = {
    "recommend": {"placement": "default", "user": {"id": PERSON}},
    "search": {"query": "x"},
    "recommend_batch": {"requests": [{"placement": "xayn", "user": {"id": PERSON}}]},
    "accept_events": {"events": [{"type": "purchase", "user": {"id": PERSON}, "items": ["i"]}]},
    "put_items": {"items": [{"id": "i", "properties": {"title": "t"}}]},
}


OF_A_PERSON: Final = (
    ("GET", f"/v1/users/{PERSON}"), ("GET", f"/v1/users/{PERSON}/profile"), ("DELETE", f"/v1/users/{PERSON}"),
    ("GET", f"/v1/users/{PERSON}/erasure"), ("GET", f"/v1/no/such/{PERSON}"), ("SEARCH", f"/v1/users/{PERSON}"),
)  # fmt: skip


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_vendors_that_repeat_what_they_were_sent(scene: Scene, status: int, kind: str) -> None:
    scene.echo.status, scene.echo.kind, scene.echo.log_in = status, kind, status != 401
    begun = len(scene.said)
    for placement in scene.gateway.runtime.pipeline.plan.placements:
        for headers in ({}, {"Gateway-Explain": "1"}):
            await scene.ask("POST", ASK, json={"placement": placement, "user": {"id": PERSON}}, headers=headers)
    for endpoint in ENDPOINTS:
        properties = {"properties": {"title": "t"}}
        body = BODIES.get(endpoint.name, properties if endpoint.takes else None)
        await scene.ask(endpoint.method, path_of(endpoint), json=body, admin=endpoint.admin)
    for method, path in OF_A_PERSON:
        for name in scene.gateway.runtime.pipeline.plan.providers:
            await scene.ask(method, f"{path}?provider={name}" if method == "GET" else path)
    for path in ("/v1/users", "/v1/items", "/v1/events", "/v1/training", "/v1/personalization/strategy"):
        for name in scene.gateway.runtime.pipeline.plan.providers:
            await scene.ask("GET", f"{path}?provider={name}")
    await asyncio.sleep(0.05)  # what is delivered fails, and is told by the next
    await scene.ask("GET", "/v1/providers")
    await scene.ask("GET", "/metrics", admin=True)
    for page in ("/ui", "/ui/state"):
        await scene.ask("GET", page, admin=True)
        assert ": 200 " in scene.said[-1]
    assert '"faults":[{"error":' in scene.said[-1] and '"attempts":[{"provider":' in scene.said[-1]
    assert_clean("\n".join(scene.said[begun:]))


async def test_the_vendors_were_really_told(scene: Scene) -> None:
    """Or nothing of this would mean anything."""
    sent = " ".join(scene.echo.seen)
    ours = ("ops", "beacon", "jwt", "signing", "collector")
    of_vendors = [kind for kind in KINDS if kind.split("-")[0] not in ours]
    basic = base64.b64encode(f"client:{PLANTED['recomendo-secret']}".encode()).decode()
    for kind in of_vendors:
        secret = basic if kind == "recomendo-secret" else PLANTED[kind]
        assert secret in sent or quote(secret, safe="") in sent, kind
    assert SESSION in sent and PERSON in sent
    scene.gateway.runtime.notes.read()
    await asyncio.to_thread(until, lambda: scene.collector.heads)
    given = base64.b64decode(scene.collector.heads[-1]["authorization"].removeprefix("Basic ")).decode()
    assert given == f"gateway:{PLANTED['collector-password']}"


async def test_callers_who_send_credentials_wrongly(scene: Scene) -> None:
    begun = len(scene.said)
    token = jwt.encode({**claims(time.time(), iss="other"), "jti": "pl4nted"}, PLANTED["jwt-secret"] * 2)
    for headers in (
        {"Authorization": f"Basic {PLANTED['ops-key']}", "X-Api-Key": PLANTED["ops-key"] + "x"},
        {"X-Api-Key": "", "Authorization": f"Bearer {token}"},
        {"Host": PLANTED["ops-key"]},
        {"Gateway-Provider": "nobody", "Request-Timeout": "x"},
    ):
        await scene.ask("POST", ASK, json={}, headers=headers)
    await scene.ask("POST", f"/v1/events?key={quote(PLANTED['beacon-key'])}", json={"events": 1})
    in_url = f"/v1/events?key={quote(PLANTED['ops-key'], safe='')}"
    await scene.ask("POST", in_url, json={}, headers={"X-Api-Key": "x"})
    assert_clean("\n".join(said.partition(": ")[2] for said in scene.said[begun:]))


async def test_a_fault_of_ours(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack trace has no place in an answer, nor what stood in the variables one in the log."""

    def broken(*_: Any) -> Any:
        held_in_a_variable = PLANTED["ops-key"]
        raise RuntimeError(f"of {len(held_in_a_variable)} letters")

    begun = len(scene.said)
    monkeypatch.setattr(scene.gateway.runtime.pipeline, "at_once", broken)
    await scene.ask("POST", ASK, json={})
    assert "500" in scene.said[-1] and "letters" not in scene.said[-1]
    assert_clean("\n".join(scene.said[begun:]))


@pytest.mark.parametrize("mistake", [None, "unknown", "wrong", "duplicate", "not yaml", "number"])
async def test_check_prints_none(scene: Scene, tmp_path: Path, mistake: str | None) -> None:
    written = configuration(scene.echo.url, tmp_path)
    if mistake == "unknown":
        written["auth"]["jwt"]["secrett"] = written["auth"]["jwt"].pop("secret")
    elif mistake == "wrong":
        written["auth"]["api_keys"]["ops"]["key"] = [PLANTED["ops-key"]]
        written["providers"]["xayn"]["options"]["token"] = {"a": PLANTED["xayn-token"]}
        written["providers"]["discerner"]["options"]["url"] = f"https://u:{PLANTED['discerner-password']}@h"
    elif mistake == "number":
        written["server"]["deadline"] = PLANTED["signing-key"]
        written["auth"]["jwt"]["algorithms"] = ["RS256"]
    text = yaml.safe_dump(written)
    if mistake == "duplicate":
        text += f"\nrevision: a\nrevision: {PLANTED['ops-key']}\n"
    elif mistake == "not yaml":
        text += f"\nauth: {{key: {PLANTED['ops-key']}"
    file = tmp_path / "g.yaml"
    file.write_text(text)
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = await asyncio.to_thread(main, ["check", "--config", str(file)])
    assert code == (0 if mistake is None else 2), out.getvalue()
    assert_clean(out.getvalue())

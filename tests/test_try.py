"""`gateway try`: what it prints of a dialogue, what it never prints, where it points, how it ends."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from gateway.cli import main
from gateway.masking import MASK, Mask
from gateway.sandbox.credentials import (
    DISCERNER_PASSWORD,
    OPTIONS,
    RECOMENDO_CLIENT_ID,
    RECOMENDO_CLIENT_SECRET,
    XAYN_BACK_OFFICE_TOKEN,
    XAYN_TOKEN,
)
from gateway.sandbox.frame import Vendor, serving
from gateway.state.sqlite import SqliteStore

NASTY = 's3cret/+ü"&='
"""A secret that looks different percent-encoded, in JSON and in base64."""


class Tried:
    """How one call of the command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def answer(self) -> Any:
        """The normalized answer that was printed."""
        return json.loads(self.out.partition("= the answer\n")[2])


Try = Callable[..., Any]


@pytest.fixture
def attempt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Try:
    """`await attempt(providers, name, request, more="")`: run the command on a file with these providers."""

    async def tried(
        providers: Mapping[str, Mapping[str, Any]],
        name: str,
        request: object,
        more: Mapping[str, Any] | None = None,
    ) -> Tried:
        config, file = tmp_path / "gateway.yaml", tmp_path / "request.json"
        placements = {
            "default": {"providers": [*providers]},
            "search": {"kind": "search", "providers": [*providers]},
        }
        document = {
            "server": {"deadline": "3s"},
            "state": {"url": f"sqlite:{tmp_path}/state.db"},
            "defaults": {"timeout": "2s", "attempts": 1},
            "providers": providers,
            "placements": placements,
            **(more or {}),
        }
        config.write_text(json.dumps(document, indent=1))
        file.write_text(request if isinstance(request, str) else json.dumps(request))
        # the emulated vendors live in this loop; the command has one of its own
        code = await asyncio.to_thread(main, ["try", "--config", str(config), name, str(file)])
        return Tried(code, *capsys.readouterr())

    return tried


@asynccontextmanager
async def one(name: str) -> AsyncIterator[Vendor]:
    async with serving([name]) as (vendor,):
        yield vendor


def xayn(url: str, **options: Any) -> dict[str, Any]:
    return {"xayn": {"adapter": "xayn", "options": {"url": url, "token": XAYN_TOKEN} | options}}


def recomendo(url: str, **options: Any) -> dict[str, Any]:
    urls = dict.fromkeys(("auth_url", "events_url", "client_url", "predictions_url"), url)
    return {"recomendo": {"adapter": "recomendo", "options": urls | OPTIONS["recomendo"] | options}}


def discerner(url: str, **options: Any) -> dict[str, Any]:
    return {"discerner": {"adapter": "discerner", "options": OPTIONS["discerner"] | {"url": url} | options}}


def line_of(tmp_path: Path, text: str) -> int:
    lines = (tmp_path / "gateway.yaml").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


async def fill(vendor: Vendor) -> None:
    documents = [{"id": f"d{n}", "snippet": f"a film of war number {n}"} for n in range(5)]
    headers = {"authorizationToken": XAYN_BACK_OFFICE_TOKEN}
    async with (
        aiohttp.ClientSession(vendor.url, headers=headers) as session,
        session.post("/documents", json={"documents": documents}) as answer,
    ):
        assert answer.status < 300, await answer.text()


async def break_(vendor: Vendor, fault: Mapping[str, Any]) -> None:
    async with aiohttp.ClientSession(vendor.url) as session, session.put("/_faults", json=fault) as answer:
        assert answer.status < 300, await answer.text()


# --- what is printed ---------------------------------------------------------------------------------------------


async def test_the_dialogue_and_the_normalized_answer(attempt: Try) -> None:
    async with one("xayn") as vendor:
        await fill(vendor)
        tried = await attempt(xayn(vendor.url), "xayn", {"query": "war", "count": 2})
    assert tried.code == 0, tried.out + tried.err
    assert f"1 ▸ POST {vendor.url}/semantic_search\n    authorizationToken: {MASK}\n" in tried.out
    assert '        "query": "war"\n' in tried.out and '      "count": 2,\n' in tried.out
    assert re.search(r"^1 ◂ 200   \([\d.]+ ms, \d+ bytes\)\n    content-type: application/json", tried.out, re.M)
    assert '"snippet_id": {' in tried.out  # the vendor's own words
    assert [item["rank"] for item in tried.answer["items"]] == [1, 2]
    assert tried.answer["kind"] == "search" and tried.answer["source"]["provider"] == "xayn"
    assert tried.err == ""


async def test_a_placement_of_searches_makes_it_a_search(attempt: Try) -> None:
    tried = await attempt(xayn("http://127.0.0.1:9"), "xayn", {"placement": "search"})
    assert tried.code == 2
    assert "must have exactly one of `query` and `item`" in tried.err


@pytest.mark.parametrize("name", ["recomendo", "discerner"])
async def test_a_login_is_shown_without_what_it_is_about(attempt: Try, name: str) -> None:
    async with one(name) as vendor:
        providers = {"recomendo": recomendo, "discerner": discerner}[name](vendor.url)
        tried = await attempt(providers, name, {"user": {"id": "nobody"}})
    assert tried.code == 1
    assert "(login)" in tried.out and f'"token": "{MASK}"' in tried.out
    assert "the provider works, and has nothing" in tried.out
    pair = base64.b64encode(f"{RECOMENDO_CLIENT_ID}:{RECOMENDO_CLIENT_SECRET}".encode()).decode()
    for secret in (RECOMENDO_CLIENT_SECRET, DISCERNER_PASSWORD, pair, "eyJ"):  # a JWT begins so
        assert secret not in tried.out + tried.err
    if name == "recomendo":
        assert f"authorization: Basic {MASK}\n" in tried.out and f"authorization: Bearer {MASK}\n" in tried.out
    else:
        assert f"    username=demo-shop\n    password={MASK}\n" in tried.out


async def test_colours_on_a_terminal_only(attempt: Try, monkeypatch: pytest.MonkeyPatch) -> None:
    async with one("xayn") as vendor:
        await fill(vendor)
        plain = await attempt(xayn(vendor.url), "xayn", {"query": "war", "count": 1})
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        coloured = await attempt(xayn(vendor.url), "xayn", {"query": "war", "count": 1})
    assert "\x1b" not in plain.out
    assert "\x1b[1;36m1 ▸ POST" in coloured.out
    bare = re.sub(r"\x1b\[[\d;]*m", "", coloured.out)
    assert bare.partition("1 ◂")[0] == plain.out.partition("1 ◂")[0]


async def test_local_says_nothing_over_http(attempt: Try) -> None:
    tried = await attempt({"local": {"adapter": "local"}}, "local", {"user": {"id": "u"}})
    assert tried.code == 1
    assert "nothing was said over HTTP" in tried.out and "= no answer: nothing was learned" in tried.out


# --- what is never printed ---------------------------------------------------------------------------------------


async def echo(request: web.Request) -> web.Response:
    """A vendor that says whatever it heard, in every spelling, and tries to steer the terminal."""
    token = request.headers["authorizationToken"].encode("latin-1", "replace").decode("utf-8", "replace")
    said = {
        "documents": [{"id": "d", "score": 1.0, "properties": {"echo": NASTY, quote(NASTY, safe=""): [NASTY]}}],
        "coded": base64.b64encode(NASTY.encode()).decode(),
        "heard": token,
        "sub_token": "short",
        "steer": "\x9b2J\u202e",
    }
    headers = {"X-Echo": quote(NASTY), "Set-Cookie": "session=abcdef"}
    return web.json_response(said, headers=headers, status=int(request.match_info["status"]))


@pytest.mark.parametrize("status", [200, 400, 403, 503])
async def test_an_echo_of_secrets_is_masked(
    attempt: Try, aiohttp_server: Callable[[web.Application], Any], status: int
) -> None:
    app = web.Application()
    app.router.add_post("/{status}/semantic_search", echo)
    server = await aiohttp_server(app)
    ascii_secret = NASTY.replace("ü", "u")
    tried = await attempt(
        xayn(f"http://127.0.0.1:{server.port}/{status}", token=ascii_secret, back_office_token=NASTY),
        "xayn",
        {"query": "war", "include": ["properties"]},
    )
    assert tried.code == (0 if status == 200 else 1)
    said = tried.out + tried.err
    for secret in (NASTY, ascii_secret):
        for spelling in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote(secret)):
            assert spelling not in said
        assert base64.b64encode(secret.encode()).decode().rstrip("=") not in said
    assert f'"heard": "{MASK}"' in said and "abcdef" not in said and '"short"' not in said
    assert not {"\x9b", "\u202e"} & {*said} and "\\x9b2J" in said


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Bearer abc", f"Bearer {MASK}"),
        ("X-Api-Key", "abc", MASK),
        ("authorizationToken", "abc", MASK),
        ("Set-Cookie", "a=b", MASK),
        ("X-Application-Id", "abc", "abc"),
        ("Content-Type", "text/s3", f"text/{MASK}"),
    ],
)
def test_headers_are_masked_by_name_or_by_value(name: str, value: str, shown: str) -> None:
    assert Mask(["s3"]).header(name, value) == shown


def test_urls_and_forms_are_masked_by_name_or_by_value() -> None:
    mask = Mask(["s3/x"])
    assert (
        mask.url("http://h/s3%2Fx/y?accessKey=k&q=s3%2Fx&limit=3")
        == f"http://h/{MASK}/y?accessKey={MASK}&q={MASK}&limit=3"
    )
    assert mask.url("http://h/plain") == "http://h/plain"
    assert mask.form("client_secret=k&a=s3%2Fx&b=c+d") == [("client_secret", MASK), ("a", MASK), ("b", "c d")]


def test_values_are_masked_by_name_by_value_and_after_a_login_by_length() -> None:
    mask = Mask(["4711"])
    said = {"accessToken": "x", "n": 4711, "m": 47, "list": ["4711", {"password": 1}], "usesToken": True}
    assert mask.value(said) == {
        "accessToken": MASK, "n": MASK, "m": 47, "list": [MASK, {"password": MASK}], "usesToken": True
    }  # fmt: skip
    assert mask.value({"data": "x" * 16, "state": "ok"}, login=True) == {"data": MASK, "state": "ok"}


# --- where it points ---------------------------------------------------------------------------------------------


async def test_refused_credentials_name_their_options_with_file_and_line(attempt: Try, tmp_path: Path) -> None:
    async with one("xayn") as vendor:
        tried = await attempt(xayn(vendor.url, token="WRONG-token"), "xayn", {"query": "war"})
    assert tried.code == 1
    place = f"{tmp_path}/gateway.yaml:{line_of(tmp_path, 'WRONG-token')}"
    assert f"look at {place}: providers.xayn.options.token: is not valid there" in tried.out
    assert tried.out.count("look at") == 1 and "WRONG-token" not in tried.out


async def test_a_refused_login_names_id_and_secret(attempt: Try) -> None:
    async with one("recomendo") as vendor:
        tried = await attempt(recomendo(vendor.url, client_secret="WRONG"), "recomendo", {"user": {"id": "u"}})
    assert tried.code == 1
    assert re.findall(r"options\.(\w+): is what was sent, and is refused", tried.out) == [
        "client_id",
        "client_secret",
    ]
    assert "WRONG" not in tried.out and "/v1/queries" not in tried.out


async def test_a_value_from_the_environment_is_said_to_be(attempt: Try, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRY_TOKEN", "WRONG-token")
    async with one("xayn") as vendor:
        tried = await attempt(xayn(vendor.url, token="${TRY_TOKEN}"), "xayn", {"query": "war"})
    assert "(its value is from the environment or a file)" in tried.out and "WRONG-token" not in tried.out


async def test_a_name_that_is_not_there_is_pointed_at(attempt: Try) -> None:
    async with one("algolia-recommend") as vendor:
        hosts = {"read": [vendor.url], "write": [vendor.url]}
        options = OPTIONS["algolia-recommend"] | {"index": "nowhere", "hosts": hosts, "insights_url": vendor.url}
        providers = {"algolia": {"adapter": "algolia-recommend", "options": options}}
        tried = await attempt(providers, "algolia", {"items": ["a"]})
    assert tried.code == 1
    assert "providers.algolia.options.index: is what it was asked for" in tried.out
    assert "providers.algolia.options.hosts.read[0]: is where it was asked" in tried.out


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 503}, "the fault is the vendor's"),
        ({"status": 200, "body": "html"}, "is where it came from"),
        ({"close": True}, "options.url: is who broke the connection"),
        ({"delay": "5s"}, "providers.xayn.timeout: is the time of one attempt"),
        ({"status": 429}, "wants to be left alone"),
        ({"status": 400}, "the vendor refuses what the request says"),
        ({"status": 402}, "wants to be paid"),
    ],
)
async def test_a_failure_is_said_in_plain_words(attempt: Try, fault: dict[str, Any], said: str) -> None:
    async with one("xayn") as vendor:
        await break_(vendor, fault | {"path": "/semantic_search"})
        providers = xayn(vendor.url)
        providers["xayn"]["timeout"] = "200ms"
        tried = await attempt(providers, "xayn", {"query": "war"})
    assert tried.code == 1, tried.out
    assert said in tried.out, tried.out
    assert "1 ▸ POST" in tried.out and "1 ◂ " in tried.out


async def test_where_nobody_listens(attempt: Try) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        tried = await attempt(xayn(f"http://127.0.0.1:{taken.getsockname()[1]}"), "xayn", {"query": "war"})
    assert tried.code == 1
    assert "= no answer (not connected): cannot connect" in tried.out
    assert "providers.xayn.options.url: is where nothing can be reached" in tried.out


async def test_what_a_provider_cannot_serve(attempt: Try) -> None:
    tried = await attempt(xayn("http://127.0.0.1:9"), "xayn", {"kind": "bought_together", "items": ["a"]})
    assert tried.code == 1
    assert "cannot serve bought_together; its adapter serves for_you, similar_items, search" in tried.out


# --- what it asks ------------------------------------------------------------------------------------------------


async def test_a_breaker_forced_open_does_not_keep_it_from_asking(attempt: Try) -> None:
    async with one("xayn") as vendor:
        await fill(vendor)
        providers = xayn(vendor.url)
        providers["xayn"]["breaker"] = {"mode": "forced_open"}
        tried = await attempt(providers, "xayn", {"query": "war"})
    assert tried.code == 0


async def test_the_gateways_own_state_is_read_where_there_is_one(attempt: Try, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    async with one("discerner") as vendor:
        unknown = await attempt(discerner(vendor.url), "discerner", {"user": {"id": "ann"}})
        assert not file.exists()
        store = await SqliteStore.open(str(file))
        await store.bind("discerner", "user", {"ann": "4711"})
        await store.close()
        known = await attempt(discerner(vendor.url), "discerner", {"user": {"id": "ann"}})
    assert "4711" not in unknown.out and "2 ▸" not in unknown.out
    assert re.search(r"^2 ▸ GET \S*4711", known.out, re.M), known.out


# --- how it is used wrongly --------------------------------------------------------------------------------------


async def test_every_mistake_of_a_request_with_its_pointer(attempt: Try) -> None:
    request = {"user": {"id": "a\u0007"}, "items": ["a", ""], "count": 101, "placment": "home"}
    tried = await attempt(xayn("http://127.0.0.1:9"), "xayn", request)
    assert tried.code == 2 and tried.out == ""
    assert re.findall(r"request\.json: (\S+): ", tried.err) == ["/items/1", "/count", "/placment"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("{", "the body is not JSON"),
        ("[" * 100_000, "the body is not JSON"),
        ("[]", "must be an object"),
        ({"placement": "nowhere"}, "there is no placement `nowhere`"),
        ({"user": {"id": "u"}, "options": {"xayn": {"x": 1}}}, "/options/xayn/x: cannot be passed on"),
    ],
)
async def test_a_request_that_is_none(attempt: Try, request_: object, said: str) -> None:
    tried = await attempt(xayn("http://127.0.0.1:9"), "xayn", request_)
    assert (tried.code, tried.out) == (2, "")
    assert said in tried.err


async def test_usage(attempt: Try, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tried = await attempt(xayn("http://127.0.0.1:9"), "xain", {})
    assert (tried.code, tried.err) == (2, "gateway: there is no provider `xain`: did you mean xayn?\n")
    config = str(tmp_path / "gateway.yaml")
    assert main(["try", "--config", config, "xayn", str(tmp_path / "none.json")]) == 2
    assert "none.json cannot be read: No such file" in capsys.readouterr().err
    broken = await attempt(xayn("ftp://x"), "xayn", {})
    assert broken.code == 2 and "providers.xayn.options.url" in broken.err

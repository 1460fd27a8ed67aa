"""What goes out: TLS is verified, redirects are not followed, credentials go to configured hosts alone, and an
answer is bounded however it is packed."""

from __future__ import annotations

import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from gateway.adapter import Adapter, installed
from gateway.errors import Malformed, NotConnected
from gateway.transport import AiohttpTransport, LeanTransport, Outgoing, Transport
from tests.doors import doors

SECRET = "planted-9b1c"


class Make(Protocol):
    """Makes a transport; `tls`: what it trusts."""

    def __call__(self, *, max_answer: int = 1 << 20, tls: ssl.SSLContext | None = None) -> Transport: ...


@pytest.fixture(params=["lean", "aiohttp"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(*, max_answer: int = 1 << 20, tls: ssl.SSLContext | None = None) -> Transport:
        if request.param == "lean":
            return LeanTransport(connect_timeout=20, max_answer=max_answer, max_connections=4, tls=tls)
        if tls is not None:
            monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", tls)
        return AiohttpTransport(connect_timeout=20, max_answer=max_answer, max_connections=4)

    return make


def asking(url: str) -> Outgoing:
    return Outgoing("GET", url, (("authorization", SECRET),), None)


class Site:
    """An HTTP server that remembers what it was sent."""

    def __init__(self, answer: Callable[[web.Request], web.Response]) -> None:
        self._answer = answer
        self.url = ""
        self.seen: list[web.Request] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        return self._answer(request)


@asynccontextmanager
async def site(
    answer: Callable[[web.Request], web.Response], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Site]:
    here, app = Site(answer), web.Application()
    app.router.add_route("*", "/{path:.*}", here.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    here.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield here
    finally:
        await runner.cleanup()


def nothing(_request: web.Request) -> web.Response:
    return web.json_response({})


# --- TLS ---------------------------------------------------------------------------------------------------


def certificate(directory: Path, address: str = "127.0.0.1", days: int = 1) -> ssl.SSLContext:
    """One that nobody signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    begins = datetime.now(UTC) - timedelta(days=2)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=2 + days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + made.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.mark.parametrize(
    ("address", "days", "trusted", "connects"),
    [
        ("127.0.0.1", 1, True, True), ("127.0.0.1", 1, False, False), ("127.0.0.2", 1, True, False),
        ("127.0.0.1", -1, True, False),
    ],
    ids=["good", "self-signed", "of another host", "expired"],
)  # fmt: skip
async def test_tls_is_verified(
    tmp_path: Path, transport: Make, address: str, days: int, trusted: bool, connects: bool
) -> None:
    tls = certificate(tmp_path, address, days)
    verifying = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem") if trusted else None)
    out = transport(tls=verifying)
    try:
        async with site(nothing, tls) as vendor:
            if connects:
                assert (await out.exchange(asking(vendor.url), 20)).status == 200
                return
            with pytest.raises(NotConnected):
                await out.exchange(asking(vendor.url), 20)
            with pytest.raises(NotConnected):
                await out.open(vendor.url)
            assert vendor.seen == []
    finally:
        await out.close()


# --- where credentials go ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(tmp_path: Path, status: int) -> None:
    async with site(nothing) as thief:

        def away(_request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": thief.url + "/steal"})

        async with site(away) as vendor:
            providers = {"xayn": {"adapter": "xayn", "options": {"url": vendor.url, "token": SECRET}}}
            placements = {"default": {"providers": ["xayn"]}}
            more: dict[str, Any] = {"providers": providers, "placements": placements}
            async with doors(tmp_path, more) as gateway:
                reply = await gateway.ask(user={"id": "u"})
                assert reply.status == 503, reply.text
            assert vendor.seen and vendor.seen[0].headers["authorizationToken"] == SECRET
        assert thief.seen == []


async def test_neither_proxies_nor_passwords_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: Make
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"default login a password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with site(nothing) as proxy, site(nothing) as vendor:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        out = transport()
        await out.exchange(Outgoing("GET", vendor.url, (), None), 20)
        await out.close()
        assert proxy.seen == []
        assert "authorization" not in vendor.seen[0].headers


async def test_cookies_are_not_kept(transport: Make) -> None:
    def cookie(_request: web.Request) -> web.Response:
        return web.Response(headers={"Set-Cookie": "a=b; Path=/"})

    async with site(cookie) as vendor:
        out = transport()
        for _ in range(2):
            await out.exchange(asking(vendor.url), 20)
        await out.close()
        assert [request.headers.get("cookie") for request in vendor.seen] == [None, None]


# --- plain http --------------------------------------------------------------------------------------------

PLAIN = "http://vendor.example"
OPTIONS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "recomendo": (
        {"client_id": "a", "client_secret": "b"},
        [{f"{of}_url": PLAIN} for of in ("auth", "events", "client", "predictions")],
    ),
    "algolia-recommend": (
        {"application_id": "A", "api_key": "b", "index": "i"},
        [
            {"hosts": {"read": [PLAIN]}},
            {"hosts": {"write": ["https://x.example", PLAIN]}},
            {"insights_url": PLAIN},
        ],
    ),
    "algolia-personalization": ({"application_id": "A", "api_key": "b", "region": "us"}, [{"url": PLAIN}]),
    "discerner": ({"username": "a", "password": "b", "url": "https://x.example"}, [{"url": PLAIN}]),
    "xayn": ({"url": "https://x.example", "token": "b"}, [{"url": PLAIN}, {"back_office_url": PLAIN}]),
}


@pytest.mark.parametrize("name", [name for name in installed() if name != "local"])
def test_no_adapter_sends_credentials_in_clear_text(name: str) -> None:
    """A new adapter must be added here: its URLs are held to the same."""
    adapter: type[Adapter] = installed()[name].load()
    options, wrong = OPTIONS[name]
    adapter.model_validate(options)
    for one in wrong:
        with pytest.raises(ValidationError, match="plain http to another machine"):
            adapter.model_validate(options | one)
        adapter.model_validate(options | one | {"insecure": True})
        local = {name: _here(value) for name, value in one.items()}
        adapter.model_validate(options | local)


def _here(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _here(one) for name, one in value.items()}
    return (
        [_here(one) for one in value]
        if isinstance(value, list)
        else value.replace("vendor.example", "127.0.0.1:1")
    )


# --- how much comes back -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coding", "pack"), [("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_an_answer_is_bounded_after_decompression(
    coding: str, pack: Callable[[bytes], bytes], transport: Make
) -> None:
    def bomb(_request: web.Request) -> web.Response:
        headers = {} if coding == "identity" else {"Content-Encoding": coding}
        return web.Response(body=pack(b" " * 50_000_000), headers=headers)

    async with site(bomb) as vendor:
        out = transport(max_answer=1 << 20)
        with pytest.raises(Malformed, match="longer than"):
            await out.exchange(asking(vendor.url), 10)
        await out.close()


async def test_an_answer_of_just_the_bound(transport: Make) -> None:
    async with site(lambda _: web.Response(body=b" " * 1024)) as vendor:
        out = transport(max_answer=1024)
        assert len((await out.exchange(asking(vendor.url), 20)).body) == 1024
        await out.close()
        out = transport(max_answer=1023)
        with pytest.raises(Malformed):
            await out.exchange(asking(vendor.url), 20)
        await out.close()

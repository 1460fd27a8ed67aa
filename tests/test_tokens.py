"""Tokens: good ones speak for their caller until they expire; every other is refused, and says nothing of why in
a way that would help to forge one."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.jwks import FIRST_RETRY, PAUSE, Jwks, read
from gateway.access.tokens import MOST, SKEW, Tokens
from gateway.adapter import Response
from gateway.config.access import Jwt
from gateway.errors import NotConnected, Unauthorized
from gateway.transport import Outgoing
from tests.clock import FakeClock
from tests.issuer import AUDIENCE, ISSUER, SECRET, claims, forged, jwk, key, pem, signed

HS = {"secret": SECRET, "algorithms": ["HS256"]}
NOW = 1_800_000_000.0


def tokens(wall: FakeClock | None = None, **settings: Any) -> Tokens:
    how = settings if {"secret", "public_key", "jwks_url"} & settings.keys() else {**HS, **settings}
    read = Jwt.model_validate({"issuer": ISSUER, "audience": AUDIENCE, **how})
    return Tokens(read, wall or FakeClock(NOW))


def refused(verifier: Tokens, token: str) -> str:
    with pytest.raises(Unauthorized) as caught:
        verifier.verify(token)
    assert caught.value.headers["WWW-Authenticate"].startswith('Bearer realm="gateway", error="invalid_token"')
    assert token not in caught.value.detail
    return caught.value.detail


@pytest.mark.parametrize(
    "algorithm",
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"],
)
def test_a_public_key(algorithm: str) -> None:
    verifier = tokens(public_key=pem(algorithm), algorithms=[algorithm])
    assert verifier.verify(signed(claims(NOW), algorithm)).scopes == {"recommend"}
    other = signed(claims(NOW), algorithm, number=1)
    assert "not signed by the issuer" in refused(verifier, other)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_shared_secret(algorithm: str) -> None:
    verifier = tokens(secret=SECRET, algorithms=[algorithm])
    caller = verifier.verify(signed(claims(NOW), algorithm))
    assert (caller.name, caller.placements, caller.user, caller.limit) == ("jwt", None, None, None)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"exp": NOW - SKEW}, "expired"), ({"exp": None}, "no `exp`"), ({"exp": "soon"}, "no moment"),
        ({"exp": True}, "no moment"), ({"exp": float("inf")}, "no moment"), ({"exp": float("nan")}, "no moment"),
        ({"exp": 10**400}, "no moment"), ({"exp": -1}, "no moment"), ({"exp": [NOW + 9]}, "no moment"),
        ({"nbf": NOW + SKEW + 1}, "not yet valid"), ({"nbf": "now"}, "no moment"),
        ({"iss": "https://evil.example"}, "another issuer"), ({"iss": None}, "no `iss`"),
        ({"iss": [ISSUER]}, "another issuer"), ({"aud": None}, "no `aud`"),
        ({"aud": "others"}, "another audience"),
        ({"aud": []}, "no `aud`"), ({"aud": ["others"]}, "another audience"),
    ],
    ids=str,
)  # fmt: skip
def test_claims_that_are_not_good(said: dict[str, Any], why: str) -> None:
    found = refused(tokens(), signed(claims(NOW, **said)))
    assert why in found or "is not valid" in found


@pytest.mark.parametrize("said", [{"nbf": NOW + SKEW}, {"aud": ["others", AUDIENCE]}, {"exp": NOW - SKEW + 1}])
def test_claims_that_are_just_good(said: dict[str, Any]) -> None:
    assert tokens().verify(signed(claims(NOW, **said))).scopes == {"recommend"}


def test_no_algorithm_and_another_one() -> None:
    said = claims(NOW)
    for name in ("none", "None", "NONE", "HS384", "RS256", "", None, ["HS256"], {"a": 1}, 5):
        header = {"typ": "JWT"} if name is None else {"typ": "JWT", "alg": name}
        refused(tokens(), forged(header, said))
    refused(tokens(), signed(said, "HS384"))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_the_public_key_taken_for_a_secret(algorithm: str) -> None:
    """The classic forgery (RFC 8725 §2.1): HMAC with what everybody knows."""
    header = {"alg": "HS256", "typ": "JWT"}
    bare = forged(header, claims(NOW)).removesuffix(".")
    signature = hmac.digest(pem(algorithm).encode(), bare.encode(), hashlib.sha256)
    token = forged(header, claims(NOW), signature)
    refused(tokens(public_key=pem(algorithm), algorithms=[algorithm]), token)


def test_extensions_that_must_be_understood() -> None:
    refused(tokens(), signed(claims(NOW), headers={"crit": ["exotic"], "exotic": 1}))


@given(st.data())
def test_a_token_that_was_changed_anywhere(data: st.DataObject) -> None:
    good = signed(claims(NOW, sub="ann"))
    place = data.draw(st.integers(0, len(good) - 1))
    letter = data.draw(st.sampled_from("ABCabc019-_.=~ü"))
    if good[place] != letter:
        with pytest.raises(Unauthorized):
            tokens().verify(good[:place] + letter + good[place + 1 :])


@given(st.text(max_size=60))
def test_what_is_no_token(text: str) -> None:
    for one in (text, f"{text}.{text}.{text}"):
        with pytest.raises(Unauthorized):
            tokens().verify(one)


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "b64", "crit", "jku", "jwk", "x5u"]), st.from_type(object)
    )
)
def test_headers_of_any_kind(header: dict[str, Any]) -> None:
    try:
        token = forged(header, claims(NOW), b"x")
    except (TypeError, ValueError):
        return
    with pytest.raises(Unauthorized):
        tokens().verify(token)


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("recommend events", {"recommend", "events"}), (["ops", "catalog"], {"ops", "catalog"}),
        ("recommend  admin", {"recommend"}), (None, set()), (7, set()), ({"ops": 1}, set()), (["ops", 7], {"ops"}),
        ("", set()), ("OPS", set()),
    ],
)  # fmt: skip
def test_scopes(scope: Any, scopes: set[str]) -> None:
    assert tokens().verify(signed(claims(NOW, scope=scope))).scopes == scopes


def test_the_claim_of_scopes_has_the_name_that_was_configured() -> None:
    verifier = tokens(scope_claim="permissions")
    assert verifier.verify(signed(claims(NOW, permissions=["ops"]))).scopes == {"ops"}


@pytest.mark.parametrize(("sub", "user"), [("ann", "ann"), ("ü/ b", "ü/ b"), (42, "42")])
def test_the_user_that_a_token_speaks_for(sub: Any, user: str) -> None:
    token = signed(claims(NOW, uid=sub))
    assert tokens(user_claim="uid").verify(token).user == user
    assert tokens().verify(token).user is None


@pytest.mark.parametrize("sub", [None, "", "x" * 257, "a\nb", True, ["ann"], {"a": 1}, 1.5, "\ud800"])
def test_a_token_that_names_no_user(sub: Any) -> None:
    refused(tokens(user_claim="uid"), signed(claims(NOW, uid=sub)))
    refused(tokens(user_claim="sub"), signed(claims(NOW, sub=sub)))


# --- remembered --------------------------------------------------------------------------------------------


def test_a_token_is_verified_once_and_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, verified, decode = FakeClock(NOW), list[str](), jwt.decode

    def counted(token: str, *given: Any, **more: Any) -> Any:
        verified.append(token)
        return decode(token, *given, **more)

    monkeypatch.setattr(jwt, "decode", counted)
    verifier, token = tokens(wall), signed(claims(NOW))
    for _ in range(3):
        verifier.verify(token)
    assert len(verified) == 1
    wall.passes(60 + SKEW - 0.001)
    verifier.verify(token)
    wall.passes(0.001)
    assert "expired" in refused(verifier, token)
    assert "expired" in refused(verifier, token)


def test_what_is_remembered_is_bounded() -> None:
    verifier = tokens()
    for number in range(MOST + 5):
        verifier.verify(signed(claims(NOW, jti=str(number))))
    assert len(verifier._remembered) == MOST


# --- the issuer's keys -------------------------------------------------------------------------------------


class Site:
    """A transport to an issuer, whose answers are set from outside."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.asked = 0
        self.answer: Callable[[], Response] = lambda: published(*keys)

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        assert (outgoing.method, outgoing.url) == ("GET", "https://id.example/jwks.json")
        self.asked += 1
        return self.answer()

    async def open(self, url: str) -> None: ...

    async def close(self) -> None: ...


class Sleeps:
    """Time in which nothing passes until it is let."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, asyncio.Future[None]]] = []

    async def __call__(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((seconds, future))
        await future

    async def passes(self) -> float:
        """End the shortest of them."""
        await settle()
        alive = [one for one in self.waiting if not one[1].done()]
        seconds, future = min(alive, key=lambda one: one[0])
        future.set_result(None)
        await settle()
        return seconds


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def published(*keys: dict[str, Any]) -> Response:
    return Response(200, {}, json.dumps({"keys": list(keys)}).encode())


def down() -> Response:
    raise NotConnected("refused")


@asynccontextmanager
async def opened(site: Site, *algorithms: str) -> AsyncIterator[tuple[Tokens, Sleeps]]:
    sleeps = Sleeps()
    url = "https://id.example/jwks.json"
    verifier = tokens(jwks_url=url, algorithms=list(algorithms))
    jwks = Jwks(url, algorithms, verifier.forget, transport=site, sleep=sleeps)
    verifier.jwks = jwks
    await jwks.open()
    try:
        yield verifier, sleeps
    finally:
        await jwks.close()


def by(key_id: Any, algorithm: str = "RS256", number: int = 0, **said: Any) -> str:
    return signed(claims(NOW, **said), algorithm, number=number, headers={"kid": key_id})


async def test_published_keys() -> None:
    site = Site(jwk("RS256", "r"), jwk("ES256", "e"), jwk("EdDSA", "d"), jwk("ES384", "not taken"))
    async with opened(site, "RS256", "PS256", "ES256", "EdDSA") as (verifier, _):
        for key_id, algorithm in (("r", "RS256"), ("e", "ES256"), ("d", "EdDSA")):
            assert verifier.verify(by(key_id, algorithm)).scopes == {"recommend"}
        refused(verifier, by("not taken", "ES384"))
        refused(verifier, by("e", "RS256"))
        refused(verifier, by("r", "RS256", number=1))
        assert "kid" in refused(verifier, signed(claims(NOW), "RS256"))


async def test_a_new_key_is_looked_for_once_in_a_while_however_many_ask() -> None:
    site = Site(jwk("RS256", "a"))
    async with opened(site, "RS256") as (verifier, sleeps):
        for number in range(50):
            with pytest.raises(Unauthorized) as caught:
                verifier.verify(by(f"unknown {number}"))
            assert caught.value.headers["Retry-After"] == "1"
            await settle()
        assert site.asked == 1
        site.answer = lambda: published(jwk("RS256", "a"), jwk("RS256", "b", 1))
        assert await sleeps.passes() == PAUSE
        assert site.asked == 2
        assert verifier.verify(by("b", number=1)).scopes == {"recommend"}


async def test_a_key_that_is_withdrawn_takes_its_tokens_with_it() -> None:
    site = Site(jwk("RS256", "a"), jwk("RS256", "b", 1))
    async with opened(site, "RS256") as (verifier, sleeps):
        stolen, good = by("a"), by("b", number=1)
        verifier.verify(stolen)
        verifier.verify(good)
        site.answer = lambda: published(jwk("RS256", "b", 1))
        refused(verifier, by("c"))
        await sleeps.passes()
        assert site.asked == 2
        refused(verifier, stolen)
        verifier.verify(good)


async def test_an_outage_is_survived_with_the_keys_last_known() -> None:
    site = Site(jwk("RS256", "a"))
    async with opened(site, "RS256") as (verifier, sleeps):
        for answer in (
            down,
            lambda: Response(503, {}, b""),
            lambda: Response(302, {"location": "https://evil.example"}, b""),
            lambda: Response(200, {}, b"<html>"),
            lambda: Response(200, {}, b'{"keys": 5}'),
            lambda: Response(200, {}, b"[]"),
            published,
            lambda: published({"kty": "oct", "k": "c2VjcmV0", "kid": "a"}),
        ):
            site.answer, asked = answer, site.asked
            refused(verifier, by("unknown"))
            await sleeps.passes()
            assert site.asked == asked + 1
            verifier.verify(by("a", jti=str(asked)))
        site.answer = lambda: published(jwk("RS256", "n", 1))
        await sleeps.passes()
        verifier.verify(by("n", number=1))


async def test_an_issuer_that_is_down_at_the_start_is_asked_again_soon() -> None:
    site = Site()
    site.answer = down
    async with opened(site, "RS256") as (verifier, sleeps):
        refused(verifier, by("a"))
        pauses = [await sleeps.passes() for _ in range(3)]
        assert pauses == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
        site.answer = lambda: published(jwk("RS256", "a"))
        await sleeps.passes()
        verifier.verify(by("a"))


def test_what_of_a_set_is_no_key_for_us_is_passed_over() -> None:
    small = jwt.PyJWS().get_algorithm_by_name("RS256").to_jwk(
        rsa.generate_private_key(65537, 1024).public_key(), as_dict=True  # noqa: S505  # that is what is refused
    )  # fmt: skip
    good = jwk("RS256", "good")
    odd: list[Any] = [
        "text", None, {}, {**good, "kid": None}, {**good, "kid": 5, "n": "!"},
        {**good, "kid": "enc", "use": "enc"},
        {**good, "kid": "alg", "alg": "ES256"}, {**good, "kid": "broken", "n": "!!"}, {**small, "kid": "small"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric"}, {**good, "kid": "odd", "kty": ["RSA"]},
        {**jwk("ES256", "curve"), "crv": "P-384"},
    ]  # fmt: skip
    table = read(json.dumps({"keys": [*odd, good]}).encode(), frozenset({"RS256", "ES256", "HS256"}))
    assert table.keys() == {("good", "RS256")}


def test_a_private_key_that_is_published_by_mistake_verifies_and_no_more() -> None:
    algorithm = jwt.PyJWS().get_algorithm_by_name("RS256")
    private = {**algorithm.to_jwk(key("RS256"), as_dict=True), "kid": "a"}
    [found] = read(json.dumps({"keys": [private]}).encode(), frozenset({"RS256"})).values()
    assert not isinstance(found.key, rsa.RSAPrivateKey)

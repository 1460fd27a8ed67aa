"""An identity provider for tests: keys, tokens, and the set of its public keys."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER, AUDIENCE = "https://id.example", "gateway"
SECRET = "a secret that is shared with the issuer, long enough for every hash of them all"

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
MAKE: Mapping[str, Callable[[], Private]] = {
    "RS": lambda: rsa.generate_private_key(65537, 2048),
    "PS": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def key(algorithm: str, number: int = 0) -> Private:
    """The n-th private key for an algorithm; always the same."""
    return _key(algorithm if algorithm in MAKE else algorithm[:2], number)


@cache
def _key(name: str, _number: int) -> Private:
    return MAKE[name]()


def pem(algorithm: str) -> str:
    """The public key."""
    public = key(algorithm).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(algorithm: str, key_id: str, number: int = 0, **more: Any) -> dict[str, Any]:
    """The public key as RFC 7517 writes it."""
    made = jwt.PyJWS().get_algorithm_by_name(algorithm).to_jwk(key(algorithm, number).public_key(), as_dict=True)
    return {**made, "kid": key_id, **more}


def claims(now: float, **more: Any) -> dict[str, Any]:
    """What a good token says; None leaves a claim out."""
    said = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 60, "scope": "recommend", **more}
    return {name: value for name, value in said.items() if value is not None}


def signed(
    said: Mapping[str, Any], algorithm: str = "HS256", *, number: int = 0, headers: dict[str, Any] | None = None
) -> str:
    """A token. PyJWT itself would not sign claims of every kind."""
    with_ = SECRET if algorithm.startswith("HS") else key(algorithm, number)
    return jwt.PyJWS().encode(json.dumps(said).encode(), with_, algorithm, headers=headers)


def forged(header: Mapping[str, Any], said: Mapping[str, Any], signature: bytes = b"") -> str:
    """A token of these parts, whatever they are."""
    parts = (json.dumps(header).encode(), json.dumps(said).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)

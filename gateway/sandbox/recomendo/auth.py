"""Who may call: HTTP Basic buys a JWT, and the JWT is verified on every call (`recomendo-api.txt`, Get Token)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import jwt
from aiohttp import web

LIFE: Final = 3600  # seconds between a token's iat and exp
VERSION: Final = "0001"
ALGORITHM: Final = "HS256"
CLAIMS: Final = ("clientId", "jwtVersion", "iat", "exp")


class Tokens:
    """Issues and verifies tokens. The key follows from the secret, so that a token outlives a restart."""

    def __init__(self, client_id: str, client_secret: str, clock: Callable[[], float]) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._key = hashlib.sha256(f"{client_id}:{client_secret}".encode()).digest()
        self._clock = clock

    def issue(self, request: web.Request) -> str | None:
        """A token for a request with the right `Authorization: Basic`, else None."""
        if basic(request) != (self._client_id, self._client_secret):
            return None
        now = int(self._clock())
        claims = {"clientId": self._client_id, "jwtVersion": VERSION, "iat": now, "exp": now + LIFE}
        return jwt.encode(claims, self._key, ALGORITHM)

    def accepts(self, request: web.Request) -> bool:
        """Whether the request bears a token of ours that has not expired."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        try:
            # PyJWT reads the system's clock; ours is an argument, so the expiry is checked below.
            claims = jwt.decode(
                token.strip(),
                self._key,
                [ALGORITHM],
                options={"verify_exp": False, "verify_iat": False, "require": list(CLAIMS)},
            )
        except jwt.InvalidTokenError:
            return False
        return bool(claims["clientId"] == self._client_id and self._clock() < claims["exp"])

    def opens(self, access_key: str) -> bool:
        """Whether PredictionIO's own `accessKey` is right: here it is the client id."""
        return hmac.compare_digest(access_key.encode(), self._client_id.encode())


def basic(request: web.Request) -> tuple[str, str] | None:
    """User and password of `Authorization: Basic`, None where there is none or it cannot be read."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None

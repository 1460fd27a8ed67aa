"""Tokens of an identity provider (RFC 7519): to a caller with the scopes that the token says.

    token ▸ remembered? ┬ yes ▸ not yet expired ▸ caller
                        └ no  ▸ algorithm ▸ key ▸ signature, iss, aud, exp, nbf ▸ scopes, user ▸ remembered

What is remembered is bounded, ends with the token, and is forgotten when the issuer withdraws a key. A token
without `exp` is refused, and so is one without `kid` where the issuer publishes its keys: which of them was meant
would be a guess.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.types import Options

from gateway.access.challenge import INVALID, bad
from gateway.access.jwks import Jwks
from gateway.answering.asked import Caller
from gateway.config.access import SCOPES, Jwt
from gateway.deadline import Clock
from gateway.errors import Unauthorized
from gateway.model.ids import id_complaint

NAME: Final = "jwt"
"""What such callers are called in logs and metrics: there are too many to tell them apart there."""
MOST: Final = 10_000
"""Tokens that are remembered."""
SKEW: Final = 5.0
"""Seconds by which the issuer's clock and ours may differ."""
END_OF_TIME: Final = 1e12
"""Seconds; what lies beyond is no moment."""
CHECKS: Final[Options] = {
    "require": ["exp", "iss", "aud"],
    "verify_exp": False, "verify_nbf": False, "verify_iat": False,
}  # fmt: skip
"""What PyJWT checks beside the signature, iss and aud. Times are checked here, against a clock that tests set."""


class _Remembered(msgspec.Struct, frozen=True):
    caller: Caller
    expires: float


class Tokens:
    """Verifies tokens by one configuration."""

    def __init__(self, settings: Jwt, wall: Clock) -> None:
        self.settings = settings
        self._wall = wall
        self._remembered: dict[bytes, _Remembered] = {}
        self._key = _key_of(settings)
        self.jwks: Jwks | None = None
        """The issuer's keys, where it publishes them."""
        if settings.jwks_url is not None:
            self.jwks = Jwks(settings.jwks_url, settings.algorithms, self.forget)

    def verify(self, token: str) -> Caller:
        """Who it speaks for. Raises Unauthorized; with Retry-After where the issuer's key is being looked for."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._remembered.get(digest)
        if known is None:
            known = self._read(token)
            if len(self._remembered) >= MOST:
                del self._remembered[next(iter(self._remembered))]  # the one that was verified first
            self._remembered[digest] = known
        if self._wall() >= known.expires:
            self._remembered.pop(digest, None)
            raise bad("the token has expired")
        return known.caller

    def forget(self) -> None:
        """Verify every token anew."""
        self._remembered.clear()

    def _read(self, token: str) -> _Remembered:
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                self._verifier(header),
                algorithms=list(self.settings.algorithms),
                audience=self.settings.audience,
                issuer=self.settings.issuer,
                options=CHECKS,
            )
        except jwt.InvalidIssuerError:
            raise bad("the token is from another issuer") from None
        except jwt.InvalidAudienceError:
            raise bad("the token is for another audience") from None
        except jwt.MissingRequiredClaimError as error:
            raise bad(f"the token has no `{error.claim}`") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise bad("the token is not valid, or not signed by the issuer") from None
        expires, begins = _moment(claims, "exp"), _moment(claims, "nbf")
        if begins - SKEW > self._wall():
            raise bad("the token is not yet valid")
        return _Remembered(self._caller(claims), expires + SKEW)

    def _verifier(self, header: dict[str, Any]) -> Any:
        """The key that this header asks for, if it may. What a token says of itself decides nothing else."""
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in self.settings.algorithms:
            raise bad("the token is signed by an algorithm that is not taken here")
        if self.jwks is None:
            return self._key
        if not isinstance(key_id, str):
            raise bad("the token does not say by which key (`kid`) it is signed")
        key = self.jwks.find(key_id, algorithm)
        if key is None:
            detail = "the token is signed by a key of the issuer's that is not known here, or not yet"
            raise Unauthorized(detail, headers={**INVALID, "Retry-After": "1"})
        return key

    def _caller(self, claims: dict[str, Any]) -> Caller:
        said = claims.get(self.settings.scope_claim)
        words = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
        scopes = SCOPES.intersection(word for word in words if isinstance(word, str))
        user = None if self.settings.user_claim is None else _user(claims, self.settings.user_claim)
        return Caller(NAME, scopes, user=user, passing=True)


def _key_of(settings: Jwt) -> Any:
    """The one key that the configuration names; None where the issuer publishes its keys."""
    if settings.secret is not None:
        return settings.secret.get_secret_value()
    return None if settings.public_key is None else load_pem_public_key(settings.public_key.encode())


def _moment(claims: dict[str, Any], name: str) -> float:
    """A NumericDate; an absent `nbf` is long ago."""
    said = claims.get(name, 0)
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < END_OF_TIME:
        raise bad(f"the token's `{name}` is no moment")
    return float(said)


def _user(claims: dict[str, Any], name: str) -> str:
    said = claims.get(name)
    if isinstance(said, int) and not isinstance(said, bool):
        said = str(said)
    try:
        good = isinstance(said, str) and id_complaint(said) is None
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        good = False
    if not good:
        raise bad(f"the token's `{name}` names no user")
    return str(said)

"""Who may come in, and by which door: the sections `server` and `auth`."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Final, Literal, get_args

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from gateway.config.words import SHA256, Listen, Name, Origin, Url
from gateway.policies.settings import Settings
from gateway.units import Duration, Rate, Size
from gateway.urls import is_plain

Scope = Literal["recommend", "events", "catalog", "ops"]
SCOPES: Final[frozenset[str]] = frozenset(get_args(Scope))
Secret = Annotated[SecretStr, Field(min_length=1)]
"""Text that cannot be printed."""


class Cors(Settings):
    """Browsers of other origins."""

    origins: tuple[Origin, ...]
    """The origins that may call from a browser, as browsers send them: https://shop.example. `*`: any, where there
    is `auth`."""
    max_age: Duration = Field("10m", validate_default=True)
    """How long a browser may keep the answer to its preflight."""


class Server(Settings):
    """The listeners and what every request is held to."""

    listen: Listen = Field("127.0.0.1:8080", validate_default=True)
    """HOST:PORT of the API. A change needs a restart."""
    admin_listen: Listen = Field("127.0.0.1:9090", validate_default=True)
    """HOST:PORT of /livez, /readyz and /metrics; never public. A change needs a restart."""
    workers: int = Field(1, ge=1, le=256)
    """Processes that share the port; rates and byte limits are divided among them. A change needs a restart."""
    max_body: Size = Field("1MiB", validate_default=True)
    """The largest request body; a larger one is 413."""
    deadline: Duration = Field("800ms", validate_default=True)
    """The whole request, retries and failover included."""
    drain: Duration = Field("20s", validate_default=True)
    """After SIGTERM: unready at once, so long to finish what runs, then stop."""
    cors: Cors | None = None
    """Absent: no other origin's pages may call."""
    signing_keys: tuple[Secret, ...] = ()
    """Sign recommendation ids: the first signs, all verify; 32 bytes or more each. Absent: one is made and kept
    in the state store."""

    @field_validator("deadline", mode="after")
    @classmethod
    def _some_time(cls, deadline: float) -> float:
        if deadline < 0.05:
            raise ValueError("must be 50ms or more: no attempt gets less")
        return deadline


class ApiKey(Settings):
    """One caller. Give the key as its SHA-256, or (with a warning) the key itself."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["sha256"]}, {"required": ["key"]}]})

    sha256: str | None = Field(None, pattern=SHA256)
    """The key's SHA-256 in hex: `printf %s "$KEY" | sha256sum`."""
    key: Secret | None = None
    """The key itself; better give its sha256."""
    scopes: tuple[Scope, ...] = Field(min_length=1)
    """What it may do: recommend, events, catalog, ops."""
    rate: Rate | None = Field(None, gt=0)
    """At most so many requests, over all processes; a batch counts as its requests. Absent: no limit."""
    placements: tuple[Name, ...] | None = None
    """The placements that it may ask for; absent: all."""
    allow_options: bool = False
    """May it send `options`, which go to the vendors, without the scope ops?"""
    publishable: bool = False
    """May it stand in a web page? Then its scope must be events alone, and `?key=` is taken too."""
    origins: tuple[Origin, ...] | None = None
    """Where a browser's requests with it may come from; absent: anywhere. A publishable key that has some is not
    taken without an Origin."""

    @property
    def digest(self) -> bytes:
        """The key's SHA-256, however it was given."""
        if self.sha256 is not None:
            return bytes.fromhex(self.sha256)
        assert self.key is not None  # noqa: S101  # one of them is given
        return sha256(self.key.get_secret_value().encode("utf-8", "surrogateescape")).digest()

    @model_validator(mode="after")
    def _one_way(self) -> ApiKey:
        if (self.sha256 is None) == (self.key is None):
            raise ValueError("must have either `sha256` or `key`")
        if self.publishable and self.scopes != ("events",):
            raise ValueError("is publishable, so its scopes must be [events] alone: everybody can read the key")
        return self


Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "HS256", "HS384", "HS512",
]  # fmt: skip


RSA_BITS: Final = 2048
"""A shorter key must not be used (RFC 7518 §3.3)."""


class Jwt(Settings):
    """Tokens of an identity provider. Exactly one of `jwks_url`, `public_key` and `secret` verifies them."""

    issuer: str = Field(min_length=1)
    """The `iss` that a token must have."""
    audience: str = Field(min_length=1)
    """The `aud` that a token must have."""
    jwks_url: Url | None = None
    """Where the issuer publishes its keys (RFC 7517): https, for whoever is on the way could make tokens. Fetched
    every 5 minutes, and when a token names an unknown key; the last ones stay in force through an outage."""
    public_key: str | None = None
    """The issuer's public key, PEM."""
    secret: Secret | None = None
    """The key that is shared with the issuer, for HS256, HS384 and HS512."""
    algorithms: tuple[Algorithm, ...] = Field(min_length=1)
    """The signatures that are taken."""
    scope_claim: str = "scope"
    """The claim that holds the scopes: text with spaces between them, or a list."""
    user_claim: str | None = None
    """The claim that names the one user a token speaks for, who is filled in where a request names none. Absent:
    a token may speak for every user."""

    @model_validator(mode="after")
    def _one_verifier(self) -> Jwt:
        if sum(one is not None for one in (self.jwks_url, self.public_key, self.secret)) != 1:
            raise ValueError("must have exactly one of `jwks_url`, `public_key` and `secret`")
        symmetric = [one.startswith("HS") for one in self.algorithms]
        # A public key taken for an HMAC key is the classic forgery (RFC 8725 §2.1).
        if (self.secret is not None and not all(symmetric)) or (self.secret is None and any(symmetric)):
            raise ValueError("`algorithms` must be HS256, HS384 or HS512 with a `secret`, and others without one")
        return self

    @model_validator(mode="after")
    def _good_verifier(self) -> Jwt:
        if self.jwks_url is not None and is_plain(self.jwks_url):
            raise ValueError("`jwks_url` must be https: whoever is on the way could make tokens")
        if self.secret is not None:
            # RFC 7518 §3.2: a key of the hash's size or more.
            least = max(int(one.removeprefix("HS")) // 8 for one in self.algorithms)
            if len(self.secret.get_secret_value().encode()) < least:
                raise ValueError(f"`secret` must have {least} bytes or more")
        if self.public_key is not None:
            _check_public_key(self.public_key, self.algorithms)
        return self


def _check_public_key(pem: str, algorithms: tuple[str, ...]) -> None:
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        raise ValueError("`public_key` must be a public key in PEM (-----BEGIN PUBLIC KEY-----)") from None
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS:
        raise ValueError(f"`public_key` must have {RSA_BITS} bits or more")
    for algorithm in algorithms:
        try:
            jwt.PyJWS().get_algorithm_by_name(algorithm).prepare_key(key)
        except (jwt.PyJWTError, TypeError, ValueError):
            raise ValueError(f"`public_key` is no key for {algorithm}") from None


class Auth(Settings):
    """Callers and their rights. Absent: every caller may do everything, and only this machine may call."""

    api_keys: dict[Name, ApiKey] = Field({})
    """By name; the name shows in logs and metrics."""
    jwt: Jwt | None = None
    """Tokens beside keys."""

    @model_validator(mode="after")
    def _somebody(self) -> Auth:
        if not self.api_keys and self.jwt is None:
            raise ValueError("must have `api_keys` or `jwt`: nobody could call")
        return self

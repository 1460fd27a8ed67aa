"""Where the server is, by the URL of the configuration.

    valkey:// redis://       user:password@host:port/db          valkeys:// rediss://   the same over TLS
    valkey+unix:///run/valkey.sock?db=0          a socket of this machine
    …+sentinel://h1,h2:26379/service/db     the primary that the sentinels name
    …+cluster://h1,h2:6379                  the node that holds our slot: all of our keys share one hash tag

Of the query `prefix` (default `gateway`), `waitaof=1` or `waitaof=1,1`, `wait=1`, `sentinel_username` and
`sentinel_password` are ours; the rest is redis-py's (`ssl_ca_certs`, `ssl_cert_reqs` …). No error here holds the
URL.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import Connection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ConnectionError as NotConnected

from gateway.state.kept import StoreError

SCHEME: Final = re.compile(r"(?:valkey|redis)(s?)(?:\+(sentinel|cluster|unix))?")
PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
PORTS: Final = {None: 6379, "cluster": 6379, "sentinel": 26379}
CONNECT: Final = 1.0
"""Seconds for TCP and TLS."""


class Host(NamedTuple):
    """One server's address."""

    name: str
    port: int


class Place:
    """What a URL says. Raises StoreError for one that says nothing sensible."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        scheme = SCHEME.fullmatch(parts.scheme)
        if scheme is None:
            raise StoreError(f"the state store's URL begins with {parts.scheme}://, which is not known")
        self.kind: str | None = scheme[2]
        ours, others = _query(parts.query)
        self.prefix = "{" + ours.get("prefix", "gateway") + "}:"
        if not PREFIX.fullmatch(ours.get("prefix", "gateway")):
            raise StoreError("the state store's ?prefix= must be 1..64 letters, digits, or any of _ . : -")
        self.wait_aof = _counts(ours.get("waitaof", "0"))
        self.wait = _counts(ours.get("wait", "0"))[0]
        user, _, hosts = parts.netloc.rpartition("@")
        self.hosts = _hosts(hosts, PORTS.get(self.kind, 6379)) if self.kind != "unix" else []
        self.service, db = _path(self.kind, parts.path)
        self._sentinel = {name: others.pop(name) for name in SENTINELS if name in others}
        base = "unix://" if self.kind == "unix" else f"redis{scheme[1]}://"
        at = f"{user}@" if user else ""
        path = parts.path if self.kind == "unix" else f"localhost/{db}"
        try:
            settings: dict[str, Any] = dict(parse_url(f"{base}{at}{path}?{urlencode(others)}"))
        except ValueError as error:
            raise StoreError(f"the state store's URL cannot be read: {error}") from None
        default = UnixDomainSocketConnection if self.kind == "unix" else Connection
        self._class: Any = settings.pop("connection_class", default)
        self._settings = settings

    @property
    def shown(self) -> str:
        """It, without any secret."""
        return ",".join(f"{host.name}:{host.port}" for host in self.hosts) or str(self._settings.get("path"))

    async def connection(self) -> Connection:
        """A connection, not yet connected, to the server that takes writes. Raises what redis-py raises."""
        if self.kind == "unix":
            return self._made(**self._settings)
        host = await self._located()
        return self._made(**{**self._settings, "host": host.name, "port": host.port})

    def _made(self, **settings: Any) -> Connection:
        # No socket_timeout: who asks has a deadline of its own. With one, redis-py sends through asyncio.wait_for,
        # which before Python 3.12 may swallow that deadline, or a cancellation, where it has just sent.
        own = {"socket_timeout": None, "socket_connect_timeout": CONNECT, "retry": Retry(NoBackoff(), 0)}
        made: Connection = self._class(**{**settings, **own, "protocol": 2, "decode_responses": False})
        return made

    # --- which of several
    async def _located(self) -> Host:
        if self.kind is None:
            return self.hosts[0]
        why: Exception = NotConnected("no host is given")
        for host in self.hosts:
            try:
                return await (self._primary(host) if self.kind == "sentinel" else self._holder(host))
            except (OSError, NotConnected, TimeoutError) as error:
                why = error
        raise NotConnected(f"none of {self.shown} can say where it is: {why}")

    async def _primary(self, sentinel: Host) -> Host:
        """Who a sentinel says is the primary (https://valkey.io/topics/sentinel/)."""
        own = {name.removeprefix("sentinel_"): value for name, value in self._sentinel.items()}
        said = await self._asked(sentinel, own, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        if not said:
            raise NotConnected(f"the sentinel does not know {self.service}")
        return Host(said[0].decode(), int(said[1]))

    async def _holder(self, node: Host) -> Host:
        """The node that holds our slot (https://valkey.io/commands/cluster-slots/)."""
        slot = key_slot(self.prefix.encode())
        for first, last, primary, *_ in await self._asked(node, self._settings, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return Host(primary[0].decode() or node.name, primary[1])
        raise NotConnected(f"nobody holds slot {slot}")

    async def _asked(self, host: Host, settings: dict[str, Any], *command: str) -> Any:
        others = {"username", "password", "db"}
        kept = {name: value for name, value in self._settings.items() if name not in others}
        own = {name: value for name, value in settings.items() if name != "db"}
        connection = self._made(**{**kept, **own, "host": host.name, "port": host.port})
        try:
            await connection.send_command(*command)
            return await connection.read_response(timeout=CONNECT)
        finally:
            await connection.disconnect(nowait=True)


OURS: Final = frozenset({"prefix", "waitaof", "wait"})
SENTINELS: Final = ("sentinel_username", "sentinel_password")


def _query(query: str) -> tuple[dict[str, str], dict[str, str]]:
    said = dict(parse_qsl(query, keep_blank_values=True))
    return (
        {name: value for name, value in said.items() if name in OURS},
        {name: value for name, value in said.items() if name not in OURS},
    )


def _counts(said: str) -> tuple[int, int]:
    """`1` or `1,2`: of the server itself, and of its replicas."""
    try:
        own, _, replicas = said.partition(",")
        return int(own), int(replicas or 0)
    except ValueError:
        raise StoreError("the state store's ?waitaof= and ?wait= are whole numbers, as in waitaof=1,1") from None


def _hosts(netloc: str, port: int) -> list[Host]:
    hosts = []
    for one in netloc.split(","):
        parts = urlsplit(f"//{one}")
        try:
            hosts.append(Host(unquote(parts.hostname or "localhost"), parts.port or port))
        except ValueError:
            raise StoreError("the state store's URL has a port that is none") from None
    return hosts


def _path(kind: str | None, path: str) -> tuple[str, str]:
    """The service's name, for sentinels, and the number of the database."""
    steps = [unquote(step) for step in path.split("/") if step]
    if kind == "sentinel":
        return (steps[0] if steps else "mymaster"), (steps[1] if len(steps) > 1 else "0")
    return "", (steps[0] if steps and kind is None else "0")

"""Where the demo is: its ports, its directory `.demo/` below the current one, and the configuration in that.

The configuration is `config/demo.yaml` with other addresses. It is changed as text, so that its comments stay:
people are invited to edit it. Where the demo listens beyond this machine, callers need a key, which
is made anew each time.
"""

from __future__ import annotations

import errno
import fcntl
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, TextIO

import msgspec

from gateway.config.words import Address
from gateway.demo.mishap import Mishap
from gateway.sandbox.frame import NAMES

DIRECTORY: Final = Path(".demo")
CONFIGURATION: Final = DIRECTORY / "gateway.yaml"
STATE: Final = DIRECTORY / "state.db"
GATEWAY_LOG: Final = DIRECTORY / "gateway.log"
SANDBOX_LOG: Final = DIRECTORY / "sandbox.log"

HOST: Final = "127.0.0.1"
EVERY: Final = {"0.0.0.0": HOST, "::": "::1"}  # noqa: S104  # compared, and bound where it was asked for
"""Hosts that stand for all of a machine's addresses, and where it reaches itself then."""
WRITTEN_API, WRITTEN_ADMIN, WRITTEN_VENDORS = 8080, 9090, 9100
"""The ports in `config/demo.yaml`; each vendor's is the last plus its number."""


class Ports(msgspec.Struct, frozen=True):
    """Where everything listens, and what a caller must have."""

    api: int
    admin: int
    vendors: int
    """The vendors listen on the ports after it."""
    host: str = HOST
    key: str | None = None
    """Of every scope; None: nobody needs one, as only this machine can call."""

    @classmethod
    def beyond(cls, api: int, admin: int, vendors: int, host: str) -> Ports:
        """On any host, with a new key where that is not this machine alone. Raises Mishap."""
        try:
            loopback = Address.read(str(Address(host, 0))).loopback
        except ValueError:
            raise Mishap(f"{host!r} is no host to listen on") from None
        return cls(api, admin, vendors, host, None if loopback else secrets.token_urlsafe(24))

    @property
    def reached(self) -> str:
        """The host by which this machine reaches the gateway."""
        return EVERY.get(self.host, self.host)

    @property
    def vendors_host(self) -> str:
        """Where the vendors listen: on loopback, or everywhere; adapters refuse plain http beyond."""
        return self.host if self.host in EVERY else HOST

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://{Address(self.reached, self.api)}"

    @property
    def admin_url(self) -> str:
        """Of the admin listener."""
        return f"http://{Address(self.reached, self.admin)}"

    @property
    def headers(self) -> dict[str, str]:
        """What the demo's own requests carry."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    def vendor(self, name: str) -> int:
        """The port of an emulated vendor."""
        return self.vendors + NAMES.index(name) + 1

    def vendor_at(self, name: str) -> Address:
        """Where this machine reaches an emulated vendor."""
        return Address(EVERY.get(self.vendors_host, HOST), self.vendor(name))

    def check(self) -> None:
        """Raises Mishap where one of them cannot be listened on, naming it and the variable that changes it."""
        wanted = [("PORT", self.host, self.api), ("ADMIN_PORT", self.host, self.admin)]
        wanted += [("SANDBOX_PORT", self.vendors_host, self.vendor(name)) for name in NAMES]
        seen: dict[int, str] = {}
        for variable, host, port in wanted:
            if not 0 < port < 65536:
                raise Mishap(f"there is no port {port}: {_advice(variable)}")
            if port in seen:
                raise Mishap(f"port {port} is wanted twice, by {seen[port]} and {variable}: {_advice(variable)}")
            seen[port] = variable
            if why := _objection(host, port):
                raise Mishap(f"port {port} {why}: {_advice(variable)}")


def _advice(variable: str) -> str:
    option = f"--{variable.lower().replace('_', '-')}"
    vendors = f", and the {len(NAMES)} ports after it are used" if variable == "SANDBOX_PORT" else ""
    return f"{variable} changes it (`make demo {variable}=…` or `gateway demo {option} …`{vendors})"


def _objection(host: str, port: int) -> str | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((host, port))
            probe.listen()
        except PermissionError:
            return "may not be used"
        except OSError as error:
            return "is taken" if error.errno == errno.EADDRINUSE else f"cannot be listened on at {host}"
    return None


@contextmanager
def directory() -> Iterator[None]:
    """Make `.demo/` this demo's own, without the state of an earlier one. Raises Mishap."""
    with _locked():
        yield


def _locked() -> TextIO:
    """The lock is held until the file is closed, however the process ends."""
    try:
        DIRECTORY.mkdir(exist_ok=True)
        lock = (DIRECTORY / "lock").open("w")
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        for ending in ("", "-wal", "-shm"):
            STATE.with_name(STATE.name + ending).unlink(missing_ok=True)
    except BlockingIOError:
        raise Mishap(f"another demo runs in {DIRECTORY.absolute()}: start this one in another directory") from None
    except OSError as error:
        raise Mishap(f"cannot use {DIRECTORY.absolute()}: {error.strerror or error}") from error
    return lock


def template() -> str:
    """`config/demo.yaml`: package data where the package was installed from a wheel, else the repository's."""
    inside = Path(__file__).with_name("demo.yaml")
    beside = Path(__file__).parents[2] / "config" / "demo.yaml"
    return (inside if inside.exists() else beside).read_text()


def configuration(written: str, ports: Ports, state: Path) -> str:
    """The template with these ports, this key and this state file, otherwise to the letter."""
    listeners = {WRITTEN_API: Address(ports.host, ports.api), WRITTEN_ADMIN: Address(ports.host, ports.admin)}
    vendors = {WRITTEN_VENDORS + n: ports.vendor_at(name) for n, name in enumerate(NAMES, 1)}
    moved: Mapping[int, Address] = {**listeners, **vendors}

    def address(found: re.Match[str]) -> str:
        return str(moved.get(int(found[1]), found[0]))

    text = re.sub(rf"\b{re.escape(HOST)}:(\d+)\b", address, written)
    text = re.sub(r"(?m)^(\s*url: )sqlite:\S+", lambda found: f"{found[1]}sqlite:./{state}", text)
    return text if ports.key is None else re.sub(r"(?m)^state:$", f"{_auth(ports.key)}\n\nstate:", text, count=1)


def _auth(key: str) -> str:
    return f"""auth:
  api_keys:
    demo:                             # the key itself was printed when the demo began
      sha256: {sha256(key.encode()).hexdigest()}
      scopes: [recommend, events, catalog, ops]"""

"""Where the demo is: its ports, its directory `.demo/` below the current one, and the configuration in that.

The configuration is `config/demo.yaml` with other addresses. It is changed as text, so that its comments stay:
people are invited to edit it.
"""

from __future__ import annotations

import fcntl
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import msgspec

from gateway.demo.mishap import Mishap
from gateway.sandbox.frame import NAMES

DIRECTORY: Final = Path(".demo")
CONFIGURATION: Final = DIRECTORY / "gateway.yaml"
STATE: Final = DIRECTORY / "state.db"
GATEWAY_LOG: Final = DIRECTORY / "gateway.log"
SANDBOX_LOG: Final = DIRECTORY / "sandbox.log"

HOST: Final = "127.0.0.1"
WRITTEN_API, WRITTEN_ADMIN, WRITTEN_VENDORS = 8080, 9090, 9100
"""The ports in `config/demo.yaml`; each vendor's is the last plus its number."""


class Ports(msgspec.Struct, frozen=True):
    """Where everything listens, on loopback."""

    api: int
    admin: int
    vendors: int
    """The vendors listen on the ports after it."""

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://{HOST}:{self.api}"

    @property
    def admin_url(self) -> str:
        """Of the admin listener."""
        return f"http://{HOST}:{self.admin}"

    def vendor(self, name: str) -> int:
        """Of an emulated vendor."""
        return self.vendors + NAMES.index(name) + 1

    def check(self) -> None:
        """Raises Mishap where one of them cannot be listened on, naming it and the variable that changes it."""
        wanted = [("PORT", self.api), ("ADMIN_PORT", self.admin)]
        wanted += [("SANDBOX_PORT", self.vendor(name)) for name in NAMES]
        seen: dict[int, str] = {}
        for variable, port in wanted:
            if not 0 < port < 65536:
                raise Mishap(f"there is no port {port}: {_advice(variable)}")
            if port in seen:
                raise Mishap(f"port {port} is wanted twice, by {seen[port]} and {variable}: {_advice(variable)}")
            seen[port] = variable
            if why := _objection(port):
                raise Mishap(f"port {port} {why}: {_advice(variable)}")


def _advice(variable: str) -> str:
    option = f"--{variable.lower().replace('_', '-')}"
    vendors = f", and the {len(NAMES)} ports after it are used" if variable == "SANDBOX_PORT" else ""
    return f"{variable} changes it (`make demo {variable}=…` or `gateway demo {option} …`{vendors})"


def _objection(port: int) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((HOST, port))
            probe.listen()
        except PermissionError:
            return "may not be used"
        except OSError:
            return "is taken"
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
    """The template with these ports and this state file, otherwise to the letter."""
    moved: Mapping[int, int] = {
        WRITTEN_API: ports.api,
        WRITTEN_ADMIN: ports.admin,
        **{WRITTEN_VENDORS + n: ports.vendors + n for n in range(1, len(NAMES) + 1)},
    }

    def address(found: re.Match[str]) -> str:
        port = int(found[1])
        return f"{HOST}:{moved.get(port, port)}"

    text = re.sub(rf"\b{re.escape(HOST)}:(\d+)\b", address, written)
    return re.sub(r"(?m)^(\s*url: )sqlite:\S+", lambda found: f"{found[1]}sqlite:./{state}", text)

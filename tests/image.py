"""The Dockerfile without Docker: read, carried out step by step, and run. For Linux and root alone.

    instructions ▸ stages ▸ each in a root of its own: an overlay above this machine's, whose Python stands in for
    the base image's ▸ what a stage wrote ▸ run read-only, as process 1, in namespaces of its own, as its USER

What it cannot show: the base image itself, layers, and what Docker makes of HEALTHCHECK's times.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parent.parent
PATIENCE: Final = 60.0
"""Seconds after which something that should have happened on a busy machine has not."""
INTERPRETER: Final = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
BASE: Final = {"PATH": f"{INTERPRETER.parent}:/usr/bin:/bin:/usr/sbin:/sbin"}
"""The environment of the base image, whose interpreter comes first."""


class Instruction(msgspec.Struct, frozen=True):
    """One of them; `said` is what follows the word."""

    word: str
    said: str

    @property
    def exec_form(self) -> list[str]:
        """The command of ENTRYPOINT or CMD. Raises ValueError for the shell form."""
        command: list[str] = json.loads(self.said)
        return command


def stages(text: str) -> list[list[Instruction]]:
    """The instructions after each FROM, that one included; comments and continued lines are taken care of."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
    found: list[list[Instruction]] = []
    for line in joined:
        word, _, said = line.partition(" ")
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append(Instruction(word, said.strip()))
    return found


def last(stage: Sequence[Instruction], word: str) -> Instruction:
    """The one that counts."""
    return [one for one in stage if one.word == word][-1]


def environment(stage: Sequence[Instruction]) -> dict[str, str]:
    """What ENV says, above the base image's."""
    environ = dict(BASE)
    for one in stage:
        if one.word == "ENV":
            for pair in shlex.split(one.said):
                name, _, value = pair.partition("=")
                environ[name] = re.sub(r"\$(\w+)", lambda found: environ[found[1]], value)
    return environ


def can_build() -> bool:
    """Root, overlays and namespaces are needed."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "-mpfn", "true"], check=False, capture_output=True).returncode == 0


class Image:
    """The stages as they were carried out, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.stages = stages((ROOT / "Dockerfile").read_text())

    def written(self, number: int) -> Path:
        """What a stage wrote, as it would stand in its root."""
        return self._directory / str(number) / "written"

    def build(self) -> None:
        """Carry out all of it. Raises AssertionError with what a step printed."""
        for number, stage in enumerate(self.stages):
            names = ("written", "work", "root")
            written, work, root = (self._directory / str(number) / name for name in names)
            for one in (written, work, root):
                one.mkdir(parents=True)
            script = [
                "set -eu",
                f"mount -t overlay overlay -o lowerdir=/,upperdir={written},workdir={work} {root}",
                *_base(root),
                *self._steps(stage, root),
            ]
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", "\n".join(script)], check=False, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr

    def _steps(self, stage: Sequence[Instruction], root: Path) -> Iterator[str]:
        at, environ = "/", {**_package_index(), **environment(stage)}
        variables = shlex.join(f"{name}={value}" for name, value in environ.items())
        for one in stage:
            match one.word:
                case "WORKDIR":
                    at = one.said
                    yield f"mkdir -p {root}{at}"
                case "COPY":
                    yield from self._copied(one.said.split(), root, at)
                case "RUN":
                    yield f"chroot {root} env -i -C {at} {variables} sh -euc {shlex.quote(one.said)}"

    def _copied(self, said: list[str], root: Path, at: str) -> Iterator[str]:
        origin = ROOT
        if said[0].startswith("--from="):
            (number,) = [n for n, stage in enumerate(self.stages) if stage[0].said.endswith(f" AS {said[0][7:]}")]
            origin = self.written(number)
            del said[0]
        *sources, target = said
        for source in sources:
            found = origin / source.strip("/")
            into = os.path.join(f"{root}{at}", target) if not target.startswith("/") else f"{root}{target}"  # noqa: PTH118  # keeps the closing slash
            if found.is_dir():
                yield f"mkdir -p {into} && cp -a {found}/. {into}"
            else:
                yield f"mkdir -p {into if into.endswith('/') else os.path.dirname(into)} && cp {found} {into}"  # noqa: PTH120

    @contextmanager
    def running(
        self, volume: Path, command: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> Iterator[Container]:
        """`docker run --read-only`: with CMD, or a command in its place. The volume stands for VOLUME."""
        stage = self.stages[-1]
        user = last(stage, "USER").said
        volume.mkdir(exist_ok=True)
        os.chown(volume, *(int(one) for one in user.split(":")))
        home = last(stage, "WORKDIR").said
        written = self.written(len(self.stages) - 1)
        root = written.with_name("root")
        variables = shlex.join(f"{k}={v}" for k, v in {**environment(stage), **(environ or {})}.items())
        command = [*last(stage, "ENTRYPOINT").exec_form, *(command or last(stage, "CMD").exec_form)]
        dropped = ["setpriv", "--no-new-privs", "--inh-caps=-all", *command]
        script = [
            "set -eu",
            f"mount -t overlay overlay -o ro,lowerdir=/,upperdir={written},workdir={written.parent}/work {root}",
            *_mounted(root),
            f"mount --bind {volume} {root}{home}",
            f"{sys.executable} -c {shlex.quote(LOOPBACK_UP)}",
            f"exec chroot --userspec={user} --groups= {root} env -i -C {home} {variables} {shlex.join(dropped)}",
        ]
        spaces = ["--mount", "--pid", "--net", "--fork", "--kill-child"]
        container = Container(["unshare", *spaces, "sh", "-c", "\n".join(script)], volume)
        try:
            yield container
        finally:
            container.kill()


LOOPBACK_UP: Final = """
import fcntl, socket, struct
with socket.socket() as one:
    fcntl.ioctl(one, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP, IFF_RUNNING
"""


def _base(root: Path) -> Iterator[str]:
    """This machine's interpreter where the base image has its own."""
    python = INTERPRETER.with_name("python")
    yield f"[ -e {root}{python} ] || ln -s {INTERPRETER} {root}{python}"
    for above in INTERPRETER.parents:  # a home directory may be closed to others; this opens the overlay's alone
        yield f"chmod o+x {root}{above}"
    yield from _mounted(root)


def _mounted(root: Path) -> Iterator[str]:
    yield f"mount -t proc proc {root}/proc"
    yield f"mount --bind /dev {root}/dev"
    yield f"mount -t tmpfs tmpfs {root}/tmp"  # noqa: S108  # the container's


def _package_index() -> dict[str, str]:
    """How this machine's pip finds packages."""
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


class Container:
    """What runs, seen from outside."""

    def __init__(self, command: Sequence[str], volume: Path) -> None:
        self._out = volume.with_name(volume.name + ".out")
        with self._out.open("wb") as out:
            self._outer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        """All that it printed."""
        return self._out.read_text()

    @property
    def pid(self) -> int:
        """Of its process 1, as this machine counts."""
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        return int(children[0])

    def wait_for(self, text: str) -> None:
        """Until it has printed that. Raises AssertionError with what it did print."""
        until = time.monotonic() + PATIENCE
        while text not in self.said:
            assert self._outer.poll() is None and time.monotonic() < until, self.said
            time.sleep(0.05)

    def inside(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """`docker exec`, as root: run to its end in the container's namespaces."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--net", "--root", "--wd"]
        path = f"PATH=/opt/gateway/bin:{BASE['PATH']}"
        return subprocess.run([*enter, "env", path, *command], check=False, capture_output=True, text=True)

    def ask(self, port: int, path: str, key: str | None = None, body: object = None) -> tuple[int, str]:
        """An exchange with what listens there: status and body."""
        done = self.inside(["python", "-c", ASK, str(port), path, key or "", json.dumps(body) if body else ""])
        assert done.returncode == 0, done.stderr
        status, _, text = done.stdout.partition("\n")
        return int(status), text

    def signal(self, number: int) -> None:
        """To process 1, which the kernel spares signals that it does not handle."""
        os.kill(self.pid, number)

    def ended(self) -> int:
        """Its exit code. Raises TimeoutExpired."""
        return self._outer.wait(PATIENCE)

    def kill(self) -> None:
        """Leave nothing behind."""
        if self._outer.poll() is None:
            try:
                self.signal(signal.SIGKILL)
            except (OSError, IndexError):
                self._outer.kill()
            self._outer.wait(PATIENCE)


ASK: Final = """
import sys, http.client
port, path, key, body = sys.argv[1:]
headers = {"Content-Type": "application/json"} | ({"Authorization": "Bearer " + key} if key else {})
one = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
one.request("POST" if body else "GET", path, body or None, headers)
answer = one.getresponse()
print(answer.status)
print(answer.read().decode())
"""

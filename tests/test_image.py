"""The image: what the Dockerfile says, and what comes of it when it is carried out (`tests.image`)."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import pins
from tests.image import ROOT, Container, Image, can_build, environment, last, stages

STAGES = stages((ROOT / "Dockerfile").read_text())
KEY = "a-key-for-the-image"
KNOWN = {"GATEWAY_KEY_SHA256": sha256(KEY.encode()).hexdigest()}
PINNED = dict(re.findall(r"^(\S+)==(\S+)", pins.FILE.read_text(), re.MULTILINE))


# --- what it says -----------------------------------------------------------------------------------------------


@pytest.mark.more("hadolint")
def test_the_linter_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_runs_as_a_number_that_is_not_root_and_gets_signals_itself() -> None:
    final = STAGES[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last(final, "USER").said)
    assert last(final, "ENTRYPOINT").exec_form == ["gateway"]
    assert last(final, "CMD").exec_form[0] == "serve"
    assert last(final, "EXPOSE").said.split() == ["8080", "9090"]
    assert "PYTHONDONTWRITEBYTECODE" in environment(final)


def test_each_stage_has_the_same_base_and_it_has_the_python_of_the_pins() -> None:
    assert {stage[0].said.removesuffix(" AS build") for stage in STAGES} == {"python:${PYTHON}-slim"}
    assert f"\nARG PYTHON={pins.PYTHON}\n" in (ROOT / "Dockerfile").read_text()


def test_the_build_is_sent_what_it_copies_and_nothing_else() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [one.said.split()[:-1] for stage in STAGES for one in stage if one.word == "COPY"]
    from_here = {name.split("/")[0] for names in copied if not names[0].startswith("--from") for name in names}
    assert sent == from_here
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_every_dependency_is_pinned_within_its_range_and_has_hashes() -> None:
    for asked in map(Requirement, pins.dependencies()):
        assert asked.specifier.contains(PINNED[canonicalize_name(asked.name)]), f"{asked}: python -m tests.pins"
    blocks = re.split(r"\n(?=\S)", pins.FILE.read_text())
    assert all("--hash=sha256:" in block for block in blocks if not block.startswith("#"))
    assert len(PINNED) > len(pins.dependencies())


# --- what comes of it -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Built once; 200 MB, so it goes at the end."""
    if not can_build():
        pytest.skip("needs root, overlays and namespaces")
    directory = tmp_path_factory.mktemp("image")
    image = Image(directory)
    image.build()
    yield image
    shutil.rmtree(directory)


BUILT = [pytest.mark.more("root, and a package index"), pytest.mark.timeout(600)]


class TestBuilt:
    pytestmark = BUILT

    def test_what_it_installs_is_what_is_pinned_and_no_tests(self, image: Image) -> None:
        site = next((image.written(1) / "opt/gateway/lib").glob("python3*/site-packages"))
        installed = {}
        for one in site.glob("*.dist-info"):
            name, version = one.name.removesuffix(".dist-info").split("-")
            installed[canonicalize_name(name)] = version
        assert installed.pop(canonicalize_name(pins.OURS))
        assert installed == PINNED
        assert not (site / "tests").exists() and (site / "gateway/demo/demo.yaml").exists()
        assert any((site / "gateway").glob("__pycache__/*.pyc"))  # nothing could be written later

    def test_it_serves_as_it_stands_needs_a_key_and_ends_well(self, image: Image, tmp_path: Path) -> None:
        with image.running(tmp_path / "volume", environ=KNOWN) as container:
            container.wait_for('"listening"')
            status = dict(re.findall(r"^(\w+):\t(.*)$", Path(f"/proc/{container.pid}/status").read_text(), re.M))
            assert status["NSpid"].split()[-1] == "1"
            assert {*status["Uid"].split()} == {*status["Gid"].split()} == {"65532"}
            assert int(status["CapEff"], 16) == 0

            assert healthy(image, container) == 0
            body = {"user": {"id": "u1"}}
            assert container.ask(8080, "/v1/recommendations", body=body)[0] == 401
            told = {"events": [{"id": "e1", "type": "view", "user": {"id": "u1"}, "items": ["i1"]}]}
            assert container.ask(8080, "/v1/events", KEY, told)[0] == 202
            code, answer = container.ask(8080, "/v1/recommendations", KEY, body)
            assert code == 200 and json.loads(answer)["recommendation_id"]

            container.signal(signal.SIGHUP)
            assert container.ask(9090, "/livez")[0] == 200
            container.signal(signal.SIGTERM)
            assert container.ended() == 0
        with image.running(tmp_path / "volume", environ=KNOWN) as container:  # the volume is what lasts
            container.wait_for('"listening"')
            code, log = container.ask(8080, "/v1/events?user=u1", KEY)
            assert code == 200 and json.loads(log)["events"][0]["id"] == "e1"

    def test_its_root_cannot_be_written(self, image: Image, tmp_path: Path) -> None:
        with image.running(tmp_path / "volume", environ=KNOWN) as container:
            container.wait_for('"listening"')
            for place in ("/opt/gateway/x", "/etc/gateway/x", "/x"):
                assert "Read-only file system" in container.inside(["touch", place]).stderr
            assert container.inside(["touch", "/tmp/x", "/var/lib/gateway/x"]).returncode == 0  # noqa: S108  # its own

    def test_without_a_key_it_says_what_it_lacks(self, image: Image, tmp_path: Path) -> None:
        with image.running(tmp_path / "volume") as container:
            assert container.ended() == 2
            assert "GATEWAY_KEY_SHA256" in container.said and "/etc/gateway/gateway.yaml:" in container.said

    def test_it_is_not_healthy_before_it_is_ready(self, image: Image, tmp_path: Path) -> None:
        with image.running(tmp_path / "volume", ["sandbox", "recomendo"]) as container:
            container.wait_for("ready")
            assert healthy(image, container) != 0

    def test_the_same_image_is_the_demo_with_a_key(self, image: Image, tmp_path: Path) -> None:
        few = {"GATEWAY_DEMO_PEOPLE": "12", "GATEWAY_DEMO_DATA": "generated"}
        with image.running(tmp_path / "volume", ["demo"], few) as container:
            container.wait_for("Ctrl-C ends")
            exported = re.search(r"export GATEWAY_KEY=(\S+)", container.said)
            assert exported
            body = {"placement": "home", "user": {"id": "u1"}}
            assert container.ask(8080, "/v1/recommendations", body=body)[0] == 401
            assert container.ask(8080, "/v1/recommendations", exported[1], body)[0] == 200
            assert healthy(image, container) == 0
            container.signal(signal.SIGTERM)
            assert container.ended() == 0

    def test_the_same_image_is_the_sandboxes(self, image: Image, tmp_path: Path) -> None:
        with image.running(tmp_path / "volume", ["sandbox"]) as container:
            container.wait_for("ready")
            listening = Path(f"/proc/{container.pid}/net/tcp").read_text()
            for port in range(9101, 9106):
                assert f"00000000:{port:04X} 00000000:0000 0A" in listening
            container.signal(signal.SIGTERM)
            assert container.ended() == 0


def healthy(image: Image, container: Container) -> int:
    """The exit code of HEALTHCHECK's command."""
    command = last(image.stages[-1], "HEALTHCHECK").said.partition("CMD ")[2]
    return container.inside(json.loads(command)).returncode

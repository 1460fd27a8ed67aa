"""The guide for authors of adapters, followed to the letter by a newcomer who has nothing else.

docs/adapters.md ─▸ its files in an empty directory ─▸ pip ─▸ its cases, its mistakes, its lines in a shell
                 └▸ are the same as in tests/thirdparty/popcorn
"""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest

from gateway.adapter import Unusable, found
from gateway.testing import Case, check, playing
from tests.serving import until
from tests.test_architecture import imported, within
from tests.wheels import build, has_backend, install, wheel_of

ROOT: Final = Path(__file__).parent.parent
GUIDE: Final = (ROOT / "docs" / "adapters.md").read_text()
VERSIONS: Final = (ROOT / "docs" / "versioning.md").read_text()
PACKAGE: Final = ROOT / "tests" / "thirdparty" / "popcorn"
FILES: Final = dict(re.findall(r"^\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
"""What the guide shows under a file's name."""
SHELL: Final = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
ADAPTER: Final = "gateway_adapter_popcorn.py"
PUBLIC: Final = ("gateway.adapter", "gateway.errors", "gateway.model", "gateway.testing", "gateway.urls")
"""What somebody else's adapter may import (docs/versioning.md)."""


class Newcomer:
    """Somebody with the guide, a directory and a shell."""

    def __init__(self, directory: Path, target: Path) -> None:
        self.directory = directory
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environ = {**os.environ, "PATH": path, "PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(
        self, line: str, directory: Path | None = None, environ: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, str]:
        """Exit code and all that was printed."""
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=directory or self.directory,
            env={**self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=110,
            check=False,
        )
        return done.returncode, done.stdout

    @asynccontextmanager
    async def running(self, line: str, pattern: str) -> AsyncIterator[str]:
        """What a long command printed of a pattern; it ends with the block."""
        child = await asyncio.create_subprocess_shell(
            f"exec {line}", cwd=self.directory, env=self.environ, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert child.stdout is not None
            async with asyncio.timeout(60):
                while not (found := re.search(pattern, (await child.stdout.readline()).decode())):
                    assert child.returncode is None and not child.stdout.at_eof(), line
            yield found[1]
        finally:
            if child.returncode is None:
                child.terminate()
            await child.communicate()


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    directory, target = tmp_path_factory.mktemp("newcomer"), tmp_path_factory.mktemp("environment") / "site"
    for name, text in FILES.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    install(directory, target)
    return Newcomer(directory, target)


# --- one text -----------------------------------------------------------------------------------------------


def test_the_guide_shows_the_package_whole_and_as_it_is() -> None:
    kept = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {str(path.relative_to(PACKAGE)): path.read_text() for path in kept} == FILES


def test_the_package_uses_what_is_public_and_nothing_else() -> None:
    sources = {name: text for name, text in FILES.items() if name.endswith(".py")}
    used = {module for text in sources.values() for module in imported(text, "") if within(module, "gateway")}
    assert {module for module in used if not any(within(module, one) for one in PUBLIC)} == set()
    assert {one for one in PUBLIC if any(within(module, one) for module in used)} == set(PUBLIC)
    for text in (GUIDE, VERSIONS):
        assert all(f"`{module}`" in text for module in PUBLIC)


def test_what_is_public_says_so_and_has_docstrings() -> None:
    """Of what is public every class and function is documented, as there is no other place to look."""
    for module in PUBLIC:
        path = ROOT / Path(*module.split("."))
        sources = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        for source in sources:
            for node in ast.parse(source.read_text()).body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                    assert ast.get_docstring(node), f"{source.name}: {node.name}"


@pytest.mark.skipif(not has_backend(PACKAGE), reason="needs the build backend that the package names")
def test_a_wheel_by_hand_is_as_its_backend_makes_it(tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    wheels = build(PACKAGE, tmp_path / "built"), wheel_of(PACKAGE, tmp_path)
    assert wheels[0].name == wheels[1].name
    built, made = (zipfile.ZipFile(wheel) for wheel in wheels)
    assert set(built.namelist()) == set(made.namelist())
    for name in (ADAPTER, *(name for name in made.namelist() if name.endswith("entry_points.txt"))):
        assert built.read(name).strip() == made.read(name).strip()


# --- the newcomer's way -------------------------------------------------------------------------------------


def test_its_cases_pass(newcomer: Newcomer) -> None:
    code, said = newcomer.run("pytest -q -p no:cacheprovider")
    assert code == 0, said
    (promised,) = re.findall(r"`(\d+ passed)`", GUIDE)
    assert promised in said


def test_the_capabilities_show_it(newcomer: Newcomer) -> None:
    code, said = newcomer.run("python -m gateway.capabilities")
    header, for_you = said.splitlines()[0], said.splitlines()[2]
    column = [name.strip() for name in header.split("|")].index("popcorn")
    assert code == 0 and for_you.split("|")[column].strip() == "native"


WRONG: Final = {
    "a parameter spelled otherwise": ('("limit", str(count))', '("count", str(count))'),
    "an answer read otherwise": ('one["match"]', 'one["score"]'),
    "the vendor's ids handed out": ("Item(owners[number], match)", "Item(number, match)"),
    "nothing done": ("            yield Done((change.id,))\n", ""),
    "yield in place of yield from": ('yield from _asked(f"/users', 'yield _asked(f"/users'),
    "a method forgotten": ("def takes(", "def accepts("),
}
"""What is written in place of what; the guide's section 6 says what is then said, in this order."""


def said_of_mistakes() -> list[str]:
    """The texts that the guide promises."""
    section = GUIDE.partition("## 6.")[2].partition("## 7.")[0]
    return re.findall(r"^```text\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """`edited(source)`: this is the adapter now, in this process."""
    module, _, _ = ADAPTER.partition(".")
    point = EntryPoint("popcorn", f"{module}:Popcorn", "gateway.adapters")

    def edit(source: str) -> None:
        (tmp_path / ADAPTER).write_text(source)

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(playing, "_adapter_called", lambda _name: found(point))
    yield edit
    sys.modules.pop(module, None)


@pytest.mark.parametrize(("wrong", "promised"), list(zip(WRONG, said_of_mistakes(), strict=True)))
async def test_what_is_said_of_a_mistake(
    newcomer: Newcomer, edited: Callable[[str], None], wrong: str, promised: str
) -> None:
    before, after = WRONG[wrong]
    assert before in FILES[ADAPTER]
    edited(FILES[ADAPTER].replace(before, after))
    told = [await said_of(case) for case in Case.all(newcomer.directory / "tests" / "cases")]
    assert any(promised.strip() in one for one in told), told


async def said_of(case: Case) -> str:
    """What the player says of a case that fails; nothing where it passes."""
    try:
        await check(case)
    except (AssertionError, TypeError, Unusable) as error:
        return re.sub("\n *", "\n  ", str(error))
    return ""


def test_an_adapter_for_a_newer_gateway_is_refused_and_harms_no_other(newcomer: Newcomer, tmp_path: Path) -> None:
    newer = FILES[ADAPTER].replace("requires_protocol: ClassVar[int] = 1", "requires_protocol: ClassVar[int] = 2")
    (tmp_path / ADAPTER).write_text(newer)
    environ = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{newcomer.environ['PYTHONPATH']}"}
    environ |= {"POPCORN_URL": "https://popcorn.example", "POPCORN_KEY": "kernel"}
    code, said = newcomer.run("gateway check --config gateway.yaml", environ=environ)
    assert code == 2 and said.splitlines()[0] in VERSIONS.splitlines()
    local = {"providers": {"local": {"adapter": "local"}}, "placements": {"default": {"providers": ["local"]}}}
    (tmp_path / "local.yaml").write_text(json.dumps(local))
    code, said = newcomer.run(f"gateway check --config {tmp_path}/local.yaml", environ=environ)
    assert code == 0, said
    code, said = newcomer.run("python -c 'import gateway.server.run'", environ=environ)
    assert code == 0, said


def test_a_mistake_in_its_options_is_named(newcomer: Newcomer, tmp_path: Path) -> None:
    wrong = FILES["gateway.yaml"].replace("key:", "kay:").replace("${POPCORN_URL}", "http://popcorn.example")
    (tmp_path / "gateway.yaml").write_text(wrong)
    code, said = newcomer.run("gateway check --config gateway.yaml", tmp_path, {"POPCORN_KEY": "kernel"})
    assert code == 2
    assert "providers.popcorn.options.kay: is not a known key; did you mean key?" in said
    assert "kernel" not in said


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")
async def test_its_lines_in_a_shell(newcomer: Newcomer) -> None:
    """In their order, but for ports; the three blocks that say how to install and play have tests of their own."""
    installing, vendor_line, gateway_lines, asking, trying = SHELL
    assert "pip install --editable .\npytest\n" in installing and "venv" in installing
    export, check, serve = gateway_lines.splitlines()
    tell, ask = asking.splitlines()
    assert trying.splitlines()[0] == export
    async with newcomer.running(f"{vendor_line.strip()} 0", r"listens on http://127.0.0.1:(\d+)/v1") as port:
        variables = dict(re.findall(r"(\w+)=(\S+)", export.replace(":9300/", f":{port}/")))
        assert set(variables) == {"POPCORN_URL", "POPCORN_KEY"}
        newcomer.environ |= variables
        code, said = newcomer.run(check)
        assert (code, said.strip()) == (0, "gateway.yaml: ok: 2 providers, 1 placement, 0 warnings")
        free = "--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0"
        async with newcomer.running(f"{serve} {free}", r'"listen": "127.0.0.1:(\d+)"') as own:
            tell, ask = (line.replace("localhost:8080", f"127.0.0.1:{own}") for line in (tell, ask))
            code, said = await asyncio.to_thread(newcomer.run, tell)
            assert code == 0 and len(json.loads(said)["accepted"]) == 2, said

            async def recommended() -> bool:
                answer = json.loads((await asyncio.to_thread(newcomer.run, ask))[1])
                return bool(answer["source"]["provider"] == "popcorn" and agrees(answer))

            await until(recommended)
        code, said = newcomer.run(trying.splitlines()[1])
    assert code == 0 and agrees(json.loads(said.partition("= the answer\n")[2])), said
    assert "1 ▸ GET http://127.0.0.1" in said and "kernel" not in said


def agrees(answer: dict[str, Any]) -> bool:
    """Is it what the guide shows of it?"""
    (shown,) = re.findall(r"^And you.*?^```json\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    wanted = json.loads(shown)
    source = wanted.pop("source")
    return {**answer["source"], **source} == answer["source"] and {**answer, **wanted} == answer

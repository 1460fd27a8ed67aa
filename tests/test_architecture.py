"""What may know what (DESIGN.md §1): read from the source, so that it holds for code not yet written."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gateway"
VENDORS = ("recomendo", "algolia", "discerner", "xayn")
VENDORS_LIVE_IN = ("adapters", "sandbox", "demo")
PARTS_OF_POLICIES = ("gateway.policies.settings", "gateway.policies.window", "gateway.policies.drops")
"""What policies are built from; no policies themselves."""
MAY_START_SANDBOXES = ("cli.py", "demo", "sandbox")


def modules(under: str = "") -> list[Path]:
    return sorted((PACKAGE / under).rglob("*.py"))


def imported(source: str, package: str) -> Iterator[str]:
    """Every module that a source imports, dotted and absolute; `from a import b` may mean `a.b`, so both."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            whole = ".".join(part for part in (base, node.module) if part)
            yield whole
            yield from (f"{whole}.{name.name}" for name in node.names)


def imports_of(path: Path) -> set[str]:
    return set(imported(path.read_text(), ".".join(path.relative_to(ROOT).parent.parts)))


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def vendor_of(adapter: str) -> str:
    """The vendor of a module or package of `gateway.adapters`; one vendor may have several adapters."""
    return adapter.removesuffix(".py").removeprefix("_").split("_")[0]


def test_imports_are_found_however_they_are_written() -> None:
    source = "import a.b\nfrom c import d\nfrom . import e\nfrom ..f import g\ndef h():\n    from i.j import k"
    assert set(imported(source, "x.y")) == {
        "a.b", "c", "c.d", "x.y", "x.y.e", "x.f", "x.f.g", "i.j", "i.j.k"
    }  # fmt: skip


@pytest.mark.parametrize("path", modules("policies"), ids=lambda path: path.stem)
def test_a_policy_knows_no_other_no_adapter_and_no_http(path: Path) -> None:
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for module in imports_of(path):
        assert not within(module, "aiohttp")
        assert not within(module, "gateway.adapters") and not within(module, "gateway.adapter")
        if within(module, "gateway.policies") and module != "gateway.policies":
            allowed = (own, *PARTS_OF_POLICIES)
            assert any(within(module, part) for part in allowed), f"{path.name} imports {module}"


@pytest.mark.parametrize("path", modules("policies"), ids=lambda path: path.stem)
def test_a_policy_is_given_its_time_and_its_dice(path: Path) -> None:
    modules = {module.split(".")[0] for module in imports_of(path)}
    assert not modules & {"time", "secrets", "uuid"}
    assert {module for module in imports_of(path) if within(module, "random")} <= {"random", "random.Random"}
    called = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [func for func in called if isinstance(func, ast.Name) and func.id == "Random"]


@pytest.mark.parametrize("path", modules("adapters"), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_an_adapter_knows_no_policy_no_other_vendor_and_no_http(path: Path) -> None:
    vendor = vendor_of(path.relative_to(PACKAGE / "adapters").parts[0])
    for module in imports_of(path):
        assert not within(module, "aiohttp")
        assert not within(module, "gateway.policies")
        assert not within(module, "gateway.sandbox")
        if module.startswith("gateway.adapters."):
            assert vendor_of(module.split(".")[2]) == vendor, f"{path.name} imports {module}"


def test_every_adapter_is_one_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["gateway.adapters"]
    assert {name.split("-")[0] for name in points} == {*VENDORS, "local"}
    assert all(target.split(":")[0].startswith("gateway.adapters.") for target in points.values())


def files_without_vendors() -> list[Path]:
    texts = (path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".json", ".yaml", ".html", ".typed"))
    return sorted(path for path in texts if path.relative_to(PACKAGE).parts[0] not in VENDORS_LIVE_IN)


@pytest.mark.parametrize("path", files_without_vendors(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_vendors_name_stands_in_the_core(path: Path) -> None:
    """Not in a comment either: what is explained by one vendor belongs into that vendor's adapter."""
    lines = path.read_text().splitlines()
    vendors = re.compile("|".join(VENDORS), re.IGNORECASE)
    assert [f"{path.name}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if vendors.search(line)] == []


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if path.relative_to(PACKAGE).parts[0] not in MAY_START_SANDBOXES],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_the_core_does_not_know_the_sandboxes(path: Path) -> None:
    assert not [module for module in imports_of(path) if within(module, "gateway.sandbox")]

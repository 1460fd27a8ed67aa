"""The chart: rendered by Helm itself, and the parts of it that are made from others.

python -m tests.chart       writes them anew: the gateway's schema in helm/values.schema.json (the rest of that
                            file is kept by hand), and the table of the values in docs/deployment.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.config import json_schema

ROOT: Final = Path(__file__).parent.parent
CHART: Final = ROOT / "helm"
VALUES: Final = CHART / "values.yaml"
SCHEMA: Final = CHART / "values.schema.json"
GUIDE: Final = ROOT / "docs" / "deployment.md"
BEGIN, END = "<!-- values -->\n", "<!-- /values -->"

Manifest = dict[str, Any]


# --- what is made from others -----------------------------------------------------------------------------------


def schema(kept: Mapping[str, Any]) -> dict[str, Any]:
    """`values.schema.json` with the gateway's schema of today: `config` is a map that satisfies it, or text."""
    gateway = json_schema()
    definitions = gateway.pop("$defs")
    del gateway["$schema"]
    gateway["allOf"] = [{"required": ["auth"], "properties": {"auth": {"type": "object"}}}]  # a pod is no loopback
    config = {"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"$ref": "#/$defs/gateway"}}
    made = {**kept, "$defs": {"gateway": gateway, **definitions}}
    made["properties"] = {**kept["properties"], "config": config}
    return made


def schema_text(made: Mapping[str, Any]) -> str:
    """As it is kept."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def documented() -> Iterator[tuple[str, Any, str]]:
    """Path, default and meaning of each value that `# --` says something of; what is inside of it is its own."""
    text = VALUES.read_text()
    yield from _documented(yaml.compose(text), text.splitlines(), "", yaml.safe_load(text))


def _documented(
    node: Any, lines: list[str], above: str, values: Mapping[str, Any]
) -> Iterator[tuple[str, Any, str]]:
    for key, inner in node.value:
        path, value = f"{above}{key.value}", values[key.value]
        meaning = _comment(lines, key.start_mark.line)
        if meaning is not None:
            yield path, value, meaning
        elif isinstance(inner, yaml.MappingNode) and inner.value:
            yield from _documented(inner, lines, f"{path}.", value)
        else:
            raise AssertionError(f"nothing is said of {path} in {VALUES}")


def _comment(lines: list[str], line: int) -> str | None:
    said: list[str] = []
    while line and (found := re.match(r"\s*# (.*)", lines[line - 1])):
        said.insert(0, found[1])
        line -= 1
        if said[0].startswith("-- "):
            return " ".join(said).removeprefix("-- ")
    return None


def table() -> str:
    """The values as a table."""
    rows = ["| value | default | what it is |", "|---|---|---|"]
    for path, default, meaning in documented():
        shown = "see the file" if len(json.dumps(default)) > 60 else f"`{json.dumps(default)}`"
        rows.append(f"| `{path}` | {shown} | {meaning} |")
    return "\n".join(rows) + "\n"


def guide(kept: str) -> str:
    """`docs/deployment.md` with the table of today."""
    before, _, rest = kept.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


# --- rendering --------------------------------------------------------------------------------------------------


def rendered(values: Mapping[str, Any] | None = None, **options: Any) -> list[Manifest]:
    """Every object of the chart. Raises helm_python.HelmError for values that are refused."""
    return [one for one in _documents(values, **options) if one is not None]


def _documents(values: Mapping[str, Any] | None, **options: Any) -> Iterator[Manifest | None]:
    import helm_python  # noqa: PLC0415  # 240 MB: of the group `more`

    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(dict(values or {}))
        files = chart.render(dict(values or {}), **{"name": "shop", "namespace": "web", **options})
    for name, text in files.items():
        if not name.endswith("NOTES.txt"):
            yield from yaml.safe_load_all(text)


def of(manifests: list[Manifest], kind: str, ending: str = "") -> Manifest:
    """The one of that kind whose name ends so."""
    found = [one for one in manifests if one["kind"] == kind and one["metadata"]["name"].endswith(ending)]
    assert len(found) == 1, [(one["kind"], one["metadata"]["name"]) for one in manifests]
    return found[0]


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(schema(json.loads(SCHEMA.read_text()))))
    if GUIDE.exists():
        GUIDE.write_text(guide(GUIDE.read_text()))

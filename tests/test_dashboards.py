"""The dashboard and the alerts ask for metrics that there are, in ways that make sense of them.

What is declared is what a real scrape shows: tests/test_metrics.py holds that. Here every expression is parsed and
each selector in it compared with the declared family: its name, kind, labels and the words that labels may say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import promql_parser as promql
import pytest
import yaml

from gateway.errors import PROBLEMS, ProviderError
from gateway.server.endpoints import ENDPOINTS
from gateway.telemetry.families import FAMILIES, PROCESS, Family

ROOT: Final = Path(__file__).parent.parent
DASHBOARD: Final = json.loads((ROOT / "helm" / "dashboards" / "gateway.json").read_text())
ALERTS: Final = yaml.safe_load((ROOT / "helm" / "alerts" / "gateway.yaml").read_text())
RULES: Final = [rule for group in ALERTS["groups"] for rule in group["rules"]]
RUNBOOK: Final = (ROOT / "docs" / "operations.md").read_text()

OF_PROMETHEUS: Final = {"instance", "job", "namespace", "pod"}
"""Labels that a scrape adds."""
OF_PROCESS: Final = {
    **{name: Family(name, "gauge", (), "") for name in PROCESS},
    **{
        f"{name}_total": Family(name, "counter", ("generation",) if "_gc_" in name else (), "")
        for name in PROCESS
        if "_gc_" in name or name == "process_cpu_seconds"
    },
}
SERIES: Final = {series: family for family in FAMILIES for series in family.series} | OF_PROCESS
GROWTH: Final = {"rate", "irate", "increase", "resets"}
CHANGE: Final = {"delta", "deriv", "changes"}
VARIABLES: Final = {
    "$__rate_interval": "5m",
    "$placement": "home",
    "$provider": "recomendo",
}


class Asked(NamedTuple):
    """One selector in an expression."""

    family: Family
    series: str
    matchers: tuple[tuple[str, str, str], ...]
    """Label, operator, value."""
    inside: tuple[Any, ...]
    """The nodes around it, the outermost first."""

    @property
    def functions(self) -> set[str]:
        return {node.func.name for node in self.inside if isinstance(node, promql.Call)}

    @property
    def sums(self) -> list[set[str]]:
        """The labels that each aggregation around it leaves, the outermost first; none for one without `by`."""
        aggregations = (node for node in self.inside if isinstance(node, promql.AggregateExpr))
        return [{*node.modifier.labels} for node in aggregations if node.modifier is not None]

    @property
    def labels(self) -> set[str]:
        bucket = {"le"} if self.series.endswith("_bucket") else set()
        made = {
            node.args[1].val
            for node in self.inside
            if isinstance(node, promql.Call) and node.func.name == "label_replace"
        }
        return {*self.family.labels} | OF_PROMETHEUS | bucket | made


def nodes(node: Any, around: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every node of an expression with those around it."""
    yield node, around
    inner = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "vector_selector")]
    inner += getattr(node, "args", None) or []
    for one in inner:
        if one is not None:
            yield from nodes(one, (*around, node))


def asked(expression: str) -> list[Asked]:
    found = []
    for node, around in nodes(promql.parse(filled(expression))):
        if isinstance(node, promql.VectorSelector):
            assert node.name in SERIES, f"there is no {node.name}"
            matchers = tuple((one.name, str(one.op), one.value) for one in node.matchers.matchers)
            found.append(Asked(SERIES[node.name], node.name, matchers, around))
    assert found, "it asks for nothing"
    return found


def filled(expression: str) -> str:
    """With values for Grafana's variables."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression.replace('"$1"', ""), expression
    return expression


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


TARGETS: Final = [(panel, target) for panel in panels() for target in panel["targets"]]
EXPRESSIONS: Final = {
    **{f"{panel['title']} {target['refId']}": target["expr"] for panel, target in TARGETS},
    **{rule["alert"]: rule["expr"] for rule in RULES},
    **{one["name"]: one["expr"] for one in DASHBOARD["annotations"]["list"]},
}


def test_they_were_found() -> None:
    assert len(EXPRESSIONS) == len(TARGETS) + len(RULES) + 1 >= 80


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_an_expression_asks_for_what_there_is(expression: str) -> None:
    for one in asked(expression):
        for label, _, _ in one.matchers:
            assert label in one.labels, f"{one.series} has no label {label}"
        for node in one.inside:
            if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
                assert str(node.modifier.type).endswith("By")
                missing = {*node.modifier.labels} - one.labels
                assert not missing, f"{one.series} has no label {missing}"


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_counters_are_seen_as_rates_and_gauges_as_they_are(expression: str) -> None:
    for one in asked(expression):
        functions = one.functions
        if one.family.kind == "gauge":
            assert not functions & GROWTH, f"{one.series} does not grow"
        else:
            assert functions & GROWTH, f"{one.series} has no meaning but by how it grows"
        if functions & CHANGE:
            assert one.family.kind == "gauge"


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_quantiles_are_of_buckets_and_buckets_are_for_quantiles(expression: str) -> None:
    for one in asked(expression):
        quantile = "histogram_quantile" in one.functions
        assert quantile == one.series.endswith("_bucket")
        if quantile:
            (left,) = one.sums
            assert "le" in left


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_labels_are_compared_with_words_that_they_may_say(expression: str) -> None:
    for one in asked(expression):
        for label, operator, value in one.matchers:
            if value in ("home", "recomendo", ""):
                continue
            regex = operator.rsplit(".", 1)[-1] in ("Re", "NotRe")
            for word in value.split("|") if regex and "(" not in value else [value]:
                assert says(one.family, label, word, regex=regex), f"{label} of {one.series} is never {word}"


def says(family: Family, label: str, word: str, *, regex: bool) -> bool:
    """May this label be that?"""
    if label == "http_response_status_code":
        return bool(re.fullmatch(r"[1-5](\d\d|\.\.)", word))
    if label == "http_route":
        paths = {endpoint.path for endpoint in ENDPOINTS}
        return any(re.fullmatch(word, path) for path in paths) if regex else word in paths
    if label == "http_request_method":
        return any(endpoint.method == word for endpoint in ENDPOINTS)
    if label in ("outcome", "reason") and word in {*errors(ProviderError)}:
        return True
    return f"`{word}`" in family.what


def errors(kind: type[ProviderError]) -> Iterator[str]:
    """The catalogue's words: an adapter's own sorts are counted as the one that they are of."""
    yield kind().name
    for below in kind.__subclasses__():
        if below.__module__ == ProviderError.__module__:
            yield from errors(below)


def test_a_wrong_expression_would_be_found() -> None:
    """The tests above can fail."""
    with pytest.raises(AssertionError, match="there is no"):
        asked("rate(gateway_answer_total[5m])")
    with pytest.raises(AssertionError, match="has no label"):
        test_an_expression_asks_for_what_there_is("sum by (providers) (gateway_breaker_state)")
    with pytest.raises(AssertionError, match="has no label"):
        test_an_expression_asks_for_what_there_is('gateway_breaker_state{operation="reads"}')
    with pytest.raises(AssertionError, match="does not grow"):
        test_counters_are_seen_as_rates_and_gauges_as_they_are("rate(gateway_queue_depth[5m])")
    with pytest.raises(AssertionError, match="how it grows"):
        test_counters_are_seen_as_rates_and_gauges_as_they_are("gateway_retries_total > 0")
    with pytest.raises(AssertionError, match="is never"):
        test_labels_are_compared_with_words_that_they_may_say('rate(gateway_answers_total{source="stand-in"}[5m])')


# --- the dashboard ----------------------------------------------------------------------------------------------


def test_the_rows_stand_in_order() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    wanted = ["Is it well?", "Traffic", "Vendors", "Cache", "Events", "Experiments", "Telemetry itself"]
    assert rows == wanted
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_no_panel_lies_over_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    if panel["type"] in ("stat", "timeseries"):
        assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=lambda of: of.get("title") or of.get("refId"))
def test_a_unit_fits_what_it_is_for(panel: dict[str, Any], target: dict[str, Any]) -> None:
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if unit == "s":
        assert all("_seconds" in one.series for one in asked(target["expr"]))
    if unit == "bytes":
        assert all("_bytes" in one.series for one in asked(target["expr"]))
    if unit == "percentunit":
        assert "/" in target["expr"] or "cpu_seconds" in target["expr"]


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=lambda of: of.get("title") or of.get("refId"))
def test_a_legend_names_labels_that_are_left(panel: dict[str, Any], target: dict[str, Any]) -> None:
    shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    for one in asked(target["expr"]):
        assert shown <= (one.sums[0] | {"flaw"} if one.sums else one.labels), target["expr"]


def test_variables_ask_for_labels_that_there_are() -> None:
    names = set()
    for variable in DASHBOARD["templating"]["list"]:
        names.add(variable["name"])
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert found and found[2] in SERIES[found[1]].labels
            assert variable["allValue"] == ".*"
    assert names == {"datasource", "placement", "provider"}


# --- the alerts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_means_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Gateway[A-Z]\w+", rule["alert"])
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert annotations["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
    assert not annotations["summary"].endswith(".") and annotations["description"].endswith(".")
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_names_labels_that_are_left(rule: dict[str, Any]) -> None:
    shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]))
    first = asked(rule["expr"])[0]
    assert shown <= (first.sums[0] if first.sums else first.labels)


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    pages = re.findall(r"^### (Gateway\w+)$", RUNBOOK, re.MULTILINE)
    assert pages and sorted(pages) == sorted(rule["alert"] for rule in RULES)
    for page in re.split(r"^### ", RUNBOOK, flags=re.MULTILINE)[1:]:
        words = [page.index(f"**{word}**") for word in ("Means", "Look", "Do")]
        assert words == sorted(words), page[:40]


def test_the_runbook_names_metrics_panels_and_problems_that_there_are() -> None:
    titles = {panel["title"] for panel in DASHBOARD["panels"]}
    for title in re.findall(r'"([A-Z][^"]+)"', RUNBOOK):
        assert any(known.startswith(title) for known in titles), title
    for name in re.findall(r"\bgateway_\w+", RUNBOOK):
        assert name in SERIES, name
    slugs = {problem.slug for problem in PROBLEMS}
    assert {"unavailable", "deadline-exceeded", "internal"} <= slugs
    for slug in ("unavailable", "deadline-exceeded", "internal"):
        assert f"`{slug}`" in RUNBOOK

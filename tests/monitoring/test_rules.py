"""Rules and their own tests, run by Prometheus's tools; each alert says what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.prometheus import PROMETHEUS, needs_prometheus
from tests.monitoring.rules import alerts, panel_queries, rule_queries

RUNBOOK = Path(__file__).parents[2] / "docs" / "how-to" / "operate.md"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))


def promtool(*arguments: str | Path) -> None:
    """Run it; what it complains of fails the test."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_the_configuration_is_one() -> None:
    """And the rules that it names are."""
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


@needs_prometheus
@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(file: Path) -> None:
    """And only then."""
    promtool("test", "rules", file)


@needs_prometheus
def test_every_query_is_promql(tmp_path: Path) -> None:
    """Queries of panels and annotations, too: as rules, Prometheus itself parses them."""
    made = [{"record": f"query:{number}", "expr": expr} for number, (_, expr) in enumerate([*rule_queries(), *panel_queries()])]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": made}]}))

    promtool("check", "rules", file)


def evaluated() -> list[tuple[str, list[dict[str, Any]]]]:
    """Returns the query of each step of the rules' tests, and its expected result."""
    files = [yaml.safe_load(path.read_text()) for path in TESTS]
    steps = [step for file in files for case in file["tests"] for step in case["promql_expr_test"]]
    return [(step["expr"], step.get("exp_samples", [])) for step in steps]


@pytest.mark.parametrize("name", alerts())
def test_each_alert_is_tested_both_ways(name: str) -> None:
    """It fires in one case; in another it is evaluated and does not fire, or is pending."""
    firing = [f'alertname="{name}",alertstate="firing"' in str(expected) for expr, expected in evaluated() if "ALERTS" in expr]

    assert any(firing)
    assert not all(firing)


@pytest.mark.parametrize("name", alerts())
def test_each_alert_says_what_to_do(name: str) -> None:
    """Severity, summary, and the link to the runbook, which has the alert with the same severity."""
    rule = alerts()[name]
    severity = rule["labels"]["severity"]

    assert severity in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/how-to/operate.md#{name.lower()}"
    part = re.search(rf"^### {name}\n\n(.*?)(?=\n#|\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
    assert part is not None, f"docs/how-to/operate.md has no heading for {name}"
    assert f"**{severity}**" in part[1]
    assert "**Do**" in part[1]


def test_the_runbook_knows_no_other_alert() -> None:
    """An alert that is renamed must be renamed in the runbook, too."""
    section = RUNBOOK.read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]

    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == list(alerts_in_order(section))


def alerts_in_order(section: str) -> list[str]:
    """All alerts, in the order of the table at the head of the section."""
    listed = re.findall(r"^\| \[(\w+)\]", section, re.MULTILINE)
    assert sorted(listed) == sorted(alerts())
    return listed

"""The product's rules and the dashboard's queries, read from their files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tests.monitoring.prometheus import MONITORING, PROMETHEUS

DASHBOARD = MONITORING / "grafana" / "dashboards" / "tape.json"


class Query(NamedTuple):
    """A query, and where it stands."""

    where: str
    expr: str


def rules() -> list[dict[str, Any]]:
    """Returns all rules, as they are written."""
    files = [yaml.safe_load(path.read_text()) for path in sorted((PROMETHEUS / "rules").glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Returns name → alert."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def rule_queries() -> Iterator[Query]:
    """Yields the queries of rules, and those within their annotations with labels filled in."""
    for rule in rules():
        name = rule.get("alert") or rule["record"]
        yield Query(name, rule["expr"])
        for text in rule.get("annotations", {}).values():
            for inner in re.findall(r'query \(printf "(.*?)" \$', text):
                yield Query(f"{name}, annotation", inner.replace("%q", '"x"'))


def panels() -> list[dict[str, Any]]:
    """The dashboard's, but rows."""
    found: list[dict[str, Any]] = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
    return found


def panel_queries() -> Iterator[Query]:
    """Yields the queries of panels as Grafana would send them for the demo, with its variables filled in."""
    for panel in panels():
        for target in panel["targets"]:
            expr = target["expr"].replace("$tape", "demo").replace("$instrument", ".*").replace("$__rate_interval", "1m")
            yield Query(f"{panel['title']} {target['refId']}", expr)

"""The services expose every metric that rules and panels use."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.monitoring.demo import demo, fetch
from tests.monitoring.promql import names
from tests.monitoring.rules import panel_queries, rule_queries, rules

OF_THE_TARGET = {"job", "instance", "service", "tape"}
"""Labels that the scrape configuration gives."""
OF_PROMETHEUS = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity"}}


async def exposed(directory: Path) -> dict[str, set[str]]:
    """Name of a sample → its labels, over all services of the demo."""
    found: dict[str, set[str]] = {}
    async with demo(directory) as targets:
        for target in targets.values():
            text = await asyncio.to_thread(fetch, f"http://{target}/metrics")
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.slow
async def test_every_name_and_label_is_exposed(tmp_path: Path) -> None:
    """The services of the demo expose them while they run; a counter of an alert exists before its first event."""
    known = await exposed(tmp_path) | OF_PROMETHEUS
    for rule in rules():
        if "record" in rule:
            known[rule["record"]] = names(rule["expr"]).lists
    wrong = []
    for where, expr in [*rule_queries(), *panel_queries()]:
        metrics, lists = names(expr)
        if not metrics:
            wrong.append(f"{where}: no metric")
        wrong += [f"{where}: there is no {metric}" for metric in metrics if metric not in known]
        labels = {metric: known.get(metric, set()) | OF_THE_TARGET for metric in metrics}
        wrong += [f"{where}: {metric} has no label {label}" for metric in metrics for label in metrics[metric] - labels[metric]]
        wrong += [f"{where}: nothing has a label {label}" for label in lists - set[str]().union(*labels.values())]
    assert wrong == []

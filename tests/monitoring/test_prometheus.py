"""A real Prometheus looks at the demo with the product's rules, and at each panel's queries."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.monitoring.demo import demo
from tests.monitoring.prometheus import EVERY_S, Prometheus, needs_prometheus, prometheus
from tests.monitoring.rules import Query, panel_queries, rules
from tests.waiting import wait_until

RIGHTLY_EMPTY = {
    "Alerts A": "a healthy demo has no alert",
    "Server memory B": "the embedded server has no limit",
    "tape:bus_memory_used:ratio": "the embedded server has no limit",
}
"""Queries without an answer in a healthy demo, and why."""

LOOK_S = 45.0
"""How long the demo is watched, once everything has data, for alerts that should not be."""


MOMENT_S = 15.0
"""How long an alert may be pending meanwhile: on a busy machine a quote is late for a moment, and its leg does not count."""


async def empty(running: Prometheus, queries: list[Query]) -> list[str]:
    """Returns the queries that find no data."""
    return [query.where for query in queries if not await running.query(query.expr)]


@needs_prometheus
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_panel_is_empty_and_no_alert_fires(tmp_path: Path) -> None:
    """In a healthy demo; the panels that should be empty are empty."""
    recorded = [Query(rule["record"], rule["record"]) for rule in rules() if "record" in rule]
    queries = [*panel_queries(), *recorded]
    filled = [query for query in queries if query.where not in RIGHTLY_EMPTY]
    assert len(filled) > 20

    async with demo(tmp_path) as targets, prometheus(tmp_path, targets) as running:
        missing: list[str] = []

        async def all_have_data() -> bool:
            missing[:] = await empty(running, filled)
            return not missing

        try:
            await wait_until(all_have_data, what="each query has data", timeout_s=240)
        except AssertionError:
            pytest.fail(f"no data: {missing}")
        until = time.monotonic() + LOOK_S
        await wait_until(lambda: time.monotonic() > until, what="the demo was watched", timeout_s=2 * LOOK_S)
        firing = await running.query(f'count_over_time(ALERTS{{alertstate="firing"}}[{LOOK_S:.0f}s])')
        assert [series["metric"] for series in firing] == [], "fires in a healthy demo"
        pending = await running.query(f"count_over_time(ALERTS[{LOOK_S:.0f}s]) > {MOMENT_S / EVERY_S}")
        assert pending == [], "would fire if the demo ran on"
        unanswered = set(await empty(running, queries))
        assert unanswered | {"Alerts A"} == set(RIGHTLY_EMPTY)  # at this moment an alert may be pending, for less than MOMENT_S

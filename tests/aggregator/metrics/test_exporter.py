"""The metrics of the aggregator."""

from __future__ import annotations

from decimal import Decimal

from prometheus_client import REGISTRY

from crosstape_aggregator.metrics.exporter import Exporter
from crosstape_schemas import FeedState
from tests.aggregator.builders import T0, S, book, engine, quote, status, trade


def value(name: str, **labels: str) -> float:
    """The present value of a metric; 0 where it has none."""
    return REGISTRY.get_sample_value(f"crosstape_aggregator_{name}", labels) or 0.0


def test_counters_go_up_by_what_was_added() -> None:
    """The counters are correct, however often they are updated."""
    one = engine()
    exporter = Exporter(one)
    before = [
        value("events_total", kind="trade"),
        value("published_total"),
        value("conflated_total"),
        value("late_trades_total", venue="m"),
    ]
    one.apply([trade("m", "1", "1", T0 - 5 * S, received_ts=T0)], T0)
    one.apply([trade("m", "1", "1", T0)], T0)
    one.due(T0)
    exporter.export(0)
    exporter.export(0)
    one.apply([trade("m", "1", "1", T0)], T0)
    exporter.export(0)
    exporter.close()
    after = [value("events_total", kind="trade"), value("published_total"), value("conflated_total"), value("late_trades_total", venue="m")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [3, 1, 1, 1]


def test_legs_are_counted_by_state_and_reason() -> None:
    """The number goes back to 0 when no leg is left."""
    one = engine()
    exporter = Exporter(one)
    for name in ("A-USDT", "B-USDT"):
        one.apply([quote("m", "1", "2", instrument=name)], T0)
    one.apply([status("m", FeedState.DOWN, T0, instrument="A-USDT")], T0)
    one.due(T0)
    exporter.export(3)
    assert [value("legs", venue="m", state=state) for state in ("live", "down")] == [1, 1]
    assert value("excluded_legs", venue="m", reason="state") == 1
    assert (exporter.counting, value("instruments"), value("catching_up")) == (1, 2, 3)

    one.apply([status("m", FeedState.LIVE, T0, instrument="A-USDT")], T0 + 2 * S)
    one.due(T0 + 2 * S)
    exporter.export(0)
    assert value("legs", venue="m", state="down") == 0
    assert value("excluded_legs", venue="m", reason="settling") == 1
    exporter.close()
    assert [value("legs", venue="m", state="live"), value("instruments")] == [0, 0]


def test_engines_of_one_process_add_up() -> None:
    """One instance holds several shards. When it releases one, the values of this shard are removed."""
    engines = [engine(), engine()]
    exporters = [Exporter(one) for one in engines]
    for count, (one, exporter) in enumerate(zip(engines, exporters, strict=True), 1):
        one.apply([quote("m", "1", "2", instrument=f"{name}-USDT") for name in "ABC"[:count]], T0)
        one.due(T0)
        exporter.export(count)
    assert [value("instruments"), value("catching_up"), value("legs", venue="m", state="live")] == [3, 3, 3]
    exporters[0].close()
    assert [value("instruments"), value("catching_up"), value("legs", venue="m", state="live")] == [2, 2, 2]
    exporters[1].close()


def test_books_and_edges_are_counted() -> None:
    """The gauge of open edges goes back to 0 with the engine."""
    one = engine(depth_levels=5, taker_fees_bps={"m": Decimal(0), "n": Decimal(0)}, windows=())
    exporter = Exporter(one)
    before = [value("depth_events_total"), value("edge_events_total", change="open")]
    one.apply([quote("m", "1", "2"), quote("n", "3", "4"), book("m", [("1", "1")], [("2", "1")])], T0)
    one.due(T0)
    assert len(one.due_outputs(T0, 9)) == 2
    exporter.export(0)
    assert [value("depth_events_total") - before[0], value("edge_events_total", change="open") - before[1]] == [1, 1]
    assert value("open_edges") == 1
    exporter.close()
    assert value("open_edges") == 0

"""The metrics of composites."""

from __future__ import annotations

from prometheus_client import REGISTRY

from crosstape_aggregator.metrics.composites import EXPORT_S, CompositeMetrics
from crosstape_aggregator.metrics.per_instrument import CODES
from crosstape_schemas import Exclusion
from tests.aggregator.composites.builders import NAME, USD, USDT, Driven, cbbo, leg, rate, sign


def value(name: str, part: str) -> float | None:
    """The present value of a metric; None where it has none."""
    return REGISTRY.get_sample_value(f"crosstape_aggregator_composite_{name}", {"composite": NAME, "part": part})


def test_the_rate_and_the_reason_of_each_part() -> None:
    """They are updated once a second, and gone when the shard is served elsewhere."""
    driven = Driven(USD, USDT)
    metrics = CompositeMetrics([driven.composite])
    driven.apply(sign(), cbbo(USD, leg("kraken", "1", "2")), cbbo(USDT, leg("kraken", "1", "2")))
    metrics.export(0.0)
    assert [value("part_excluded", part) for part in (USD, USDT)] == [0, CODES[Exclusion.RATE]]
    assert value("rate", USDT) is None

    driven.apply(rate("0.5", "0.5"))
    metrics.export(EXPORT_S / 2)
    assert value("rate", USDT) is None
    metrics.export(EXPORT_S)
    assert (value("rate", USDT), value("rate", USD), value("part_excluded", USDT)) == (0.5, None, CODES[Exclusion.DEPEG])

    metrics.close()
    assert [value("rate", USDT), value("part_excluded", USD)] == [None, None]

"""REST on a cluster of three masters."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import pytest

from crosstape_schemas import Bar, FeedState, Gap, GapCause, Keys, Quote, Status, Trade
from tests.bus.tape import fast, publishing
from tests.cluster import cluster
from tests.gateway.rest.served import serving

pytestmark = pytest.mark.slow


async def test_all_of_a_cluster_is_answered(engine: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rows of every partition, of every kind of answer; no call touches keys of two masters."""
    names, one = [f"COIN{number}-USDT" for number in range(12)], Decimal(1)
    quotes = [Quote("kraken", name, None, 1, one, None, None, None) for name in names]
    trades = [Trade("kraken", name, None, 1, one, one, None, "1") for name in names]
    bars = [Bar("kraken", name, None, 1, "1m", 0, 60_000_000_000, one, one, one, one, one, one, 1, None, closed=True) for name in names]
    gaps = [Gap("kraken", name, None, 1, "trade", 1, 1, None, GapCause.BUS) for name in (*names, "*")]
    sign = Status("kraken", "*", None, 1, "*", FeedState.LIVE)
    async with cluster(engine, partial(tmp_path_factory.mktemp, "node")) as three:
        bus = fast(three.url, partitions=6)
        async with publishing(bus, keys=Keys(partitions=6), producer="connector.kraken") as publisher:
            publisher.publish_all([*quotes, *trades, *bars, *gaps, sign])
            assert await publisher.drain(20)
        async with serving(bus) as gateway:
            assert len(await gateway.rows("/api/last", "events", topics="quote:*,trade:*,venue:*")) == 25
            assert len(await gateway.rows("/api/quotes", "quotes", venue="kraken")) == 12
            assert len(await gateway.rows("/api/gaps", "gaps")) == 13
            assert [row["venues"] for row in await gateway.rows("/api/instruments", "instruments")] == [["kraken"]] * 12
            (venue,) = await gateway.rows("/api/venues", "venues")
            assert venue["alive"] is True
            for name in names:
                assert len(await gateway.rows("/api/trades", "trades", instrument=name)) == 1
                assert len(await gateway.rows("/api/bars", "bars", instrument=name, venue="kraken")) == 1

"""A tape that is spread over a cluster of three masters is read as one on a single server."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from crosstape import Start
from crosstape_schemas import Keys
from tests.bus.tape import fast, publishing, trade, whole
from tests.cluster import cluster
from tests.tape.reading import taken, taping

PARTITIONS = 6
NAMES = [f"C{number}-USDT" for number in range(12)]


@pytest.mark.slow
async def test_every_way_to_read_over_three_masters(engine: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each event once, whichever master has it."""
    async with cluster(engine, partial(tmp_path_factory.mktemp, "node")) as three:
        bus = fast(three.url, partitions=PARTITIONS)
        async with publishing(bus, keys=Keys(partitions=PARTITIONS)) as publisher, taping(three.url, partitions=PARTITIONS) as tape:
            publisher.publish_all(trade(number, name) for number in range(1, 51) for name in NAMES)
            assert await publisher.drain(20)
            assert await tape.instruments() == sorted(NAMES)
            expected = {(name, seq) for name in NAMES for seq in whole(50)}
            for chosen in ("*",), NAMES:
                events = await taken(tape.trades(*chosen, start=Start.BEGINNING), len(expected))
                assert {(event.instrument, event.seq) for event in events} == expected
            histories = await asyncio.gather(*(tape.history("trade", name) for name in NAMES))
            assert {(event.instrument, event.seq) for found in histories for event in found} == expected
            for name in NAMES:
                assert {venue: event.seq for venue, event in (await tape.last("trade", name)).items()} == {"binance": 50}

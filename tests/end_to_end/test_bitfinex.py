"""Bitfinex and a real connector: what no other venue has together, spot and perpetuals on connections with room for a few channels."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from crosstape.settings import VenueSettings
from crosstape_connector import service as connector
from crosstape_schemas import FeedState, Status
from crosstape_simulator.service import simulator
from crosstape_simulator.spec import SimulatorSpec
from tests.end_to_end.running import newest, running, settings, tape
from tests.end_to_end.test_recordings import rest_url
from tests.waiting import wait_until

SPOT: Final = ("BTC-USDT", "ETH-USD")
PERPETUALS: Final = ("BTC-USDT-PERP", "ETH-USDT-PERP")
ALL: Final = ("trade", "quote", "book", "ticker", "candle:1m")
FIGURES: Final = ("mark", "funding", "open_interest")


@pytest.mark.slow
async def test_channels_without_room_move_to_another_connection(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The venue takes fewer than it was planned with: nothing is rejected, and every feed comes to life, on three connections."""
    async with simulator(SimulatorSpec(venues=("bitfinex",), rate=200.0, options={"bitfinex": {"channels": 8}})) as made:
        own = VenueSettings(
            instruments=(*SPOT, *PERPETUALS), candles=("1m",), ws_url=made.ws_url["bitfinex"], rest_url=rest_url(made, "bitfinex")
        )
        wanted = [
            *((kind, name) for name in (*SPOT, *PERPETUALS) for kind in ALL),
            *((kind, name) for name in PERPETUALS for kind in FIGURES),
        ]

        async def lives() -> bool:
            return all([await newest(client, kind, name) is not None for kind, name in [*wanted, ("liquidation", PERPETUALS[0])]])

        async with running(connector.run(settings(valkey, tmp_path, {"bitfinex": own}), "bitfinex")):
            await wait_until(lives, what="every feed has brought data", timeout_s=90)
            feed = made.servers["bitfinex"].endpoints[0].feed
            connections = len(feed.connections)
            held = [topic for one in feed.connections for topic in one.topics]

    assert len(held) == len(set(held)) == 4 * len(SPOT) + 5 * len(PERPETUALS) + 1
    assert connections == 3
    for kind, name in wanted:
        said = [event for event in await tape(client, "status", name) if isinstance(event, Status) and event.kind == kind]
        assert FeedState.LIVE in [event.state for event in said], (kind, name)


@pytest.mark.slow
async def test_spot_has_no_figures_of_a_perpetual(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The venue would not answer such a subscription: none is sent, and the connection stays."""
    async with simulator(SimulatorSpec(venues=("bitfinex",), rate=200.0)) as made:
        own = VenueSettings(instruments=SPOT, ws_url=made.ws_url["bitfinex"], rest_url=rest_url(made, "bitfinex"), ack_timeout_s=1.0)
        async with running(connector.run(settings(valkey, tmp_path, {"bitfinex": own}), "bitfinex")):
            await wait_until(lambda: newest(client, "book", SPOT[0]), what="a book", timeout_s=60)
            await wait_until(lambda: newest(client, "ticker", SPOT[1]), what="a ticker", timeout_s=60)
            (connection,) = made.servers["bitfinex"].endpoints[0].feed.connections
            assert {topic[0] for topic in connection.topics} == {"trades", "book", "ticker"}
        for kind in (*FIGURES, "liquidation"):
            assert await newest(client, kind, SPOT[0]) is None

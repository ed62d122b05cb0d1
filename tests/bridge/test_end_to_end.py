"""A connector by ccxt as a service: from a simulated venue to the tape, through a lost connection."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape.settings import VenueSettings
from crosstape_connector.service import run
from crosstape_schemas import Book, Candle, FeedState, Gap, GapCause, Quote, Ticker, Trade
from crosstape_simulator.service import simulator
from crosstape_simulator.spec import SimulatorSpec
from tests.end_to_end.running import newest, running, settings, tape
from tests.waiting import wait_until

pytest.importorskip("ccxt", reason="needs the extra ccxt: `make test-ccxt` has an environment of its own")

NAME = "BTC-USD"
VENUE = "ccxt.kraken"


async def ids(client: Redis) -> list[int]:
    """The ids of the trades on the tape, in their order there."""
    return [int(event.trade_id) for event in await tape(client, "trade", NAME) if isinstance(event, Trade)]


async def test_all_kinds_reach_the_tape_and_what_is_missing_is_a_gap(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Kraken's ids count by one, which the bridge does not know: trades are missing only where the gap says so, and none is there twice."""
    async with simulator(SimulatorSpec(venues=("kraken",), rate=60.0)) as venue:
        host = venue.servers["kraken"].base
        own = VenueSettings(
            instruments=(NAME,),
            kinds=("trade", "quote", "book", "ticker"),
            candles=("1m",),
            ws_url=f"ws://{host}",
            rest_url=f"http://{host}",
            backoff_min_s=0.05,
            backoff_max_s=0.2,
        )
        async with running(run(settings(valkey, tmp_path, {VENUE: own}), VENUE)):
            for kind, cls in (("quote", Quote), ("book", Book), ("ticker", Ticker), ("candle:1m", Candle)):
                await wait_until(lambda kind=kind: newest(client, kind, NAME), what=f"a {kind}", timeout_s=60)  # type: ignore[misc]
                event = await newest(client, kind, NAME)
                assert isinstance(event, cls)
                assert event.venue == VENUE
            await wait_until(lambda: _has(client, 10), what="ten trades", timeout_s=60)

            venue.drop_connections("kraken", 1001)
            before = len(await ids(client))
            loss = max(await ids(client))
            await wait_until(lambda: _has(client, before + 10), what="ten more trades", timeout_s=60)

            found = await ids(client)
            first, last = [one for one in found if one <= loss], [one for one in found if one > loss]
            assert first == list(range(first[0], loss + 1))
            assert last == list(range(last[0], last[-1] + 1))
            gaps = [event for event in await tape(client, "gap", NAME) if isinstance(event, Gap) and event.kind == "trade"]
            assert [(gap.cause, gap.missed) for gap in gaps] == [(GapCause.DISCONNECT, None)]
            quote = await newest(client, "quote", NAME)
            assert isinstance(quote, Quote)
            assert quote.state is FeedState.LIVE


async def _has(client: Redis, count: int) -> bool:
    return len(await ids(client)) >= count

"""A venue that is away for a while, and a real connector: missed trades are fetched or polled, and equal those of the market."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape_schemas import FeedState, Gap, Quote, Status, Trade
from crosstape_simulator.faults import parse
from tests.end_to_end.running import tape
from tests.end_to_end.test_faults import Venue, connected
from tests.end_to_end.venues import NUMBERED
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def made(venue: Venue, instrument: str) -> int:
    """The id of the market's newest trade."""
    return int(venue.truth.trades(venue.name, instrument, 0, 10**6)["trades"][-1]["id"])


async def missing(client: Redis, instrument: str) -> list[int]:
    """Returns the counts of the gaps in trades, less the repaired ones."""
    gaps = [gap for gap in await tape(client, "gap", instrument) if isinstance(gap, Gap) and gap.kind == "trade"]
    assert all(gap.missed is not None for gap in gaps)
    return [-(gap.missed or 0) if gap.repaired else gap.missed or 0 for gap in gaps]


async def whole(venue: Venue, instrument: str) -> bool:
    """Whether each trade of the market is on the tape once, as it was, from the first on, and no gap says otherwise."""
    events = [event for event in await tape(venue.client, "trade", instrument) if isinstance(event, Trade)]
    ids = sorted(int(event.trade_id) for event in events)
    true = {trade["id"]: trade for trade in venue.truth.trades(venue.name, instrument, ids[0] - 1, 10**6)["trades"]}
    assert len(ids) == len(set(ids)), "a trade is on the tape twice"
    for event in events:
        there = true[int(event.trade_id)]
        assert (event.price, event.size, event.taker) == (Decimal(there["price"]), Decimal(there["size"]), there["taker"])
    return ids == sorted(true) and sum(await missing(venue.client, instrument)) == 0


async def settles(venue: Venue) -> None:
    """Make the market almost stop, and wait until all its trades are on the tape."""
    venue.made.faults.add(parse.from_text("burst factor=0.001"))
    for instrument in (venue.btc, venue.eth):
        await wait_until(lambda one=instrument: whole(venue, one), what=f"all trades of {instrument}", timeout_s=90)  # type: ignore[misc]


@pytest.mark.parametrize("name", NUMBERED)
async def test_what_an_outage_cost_is_all_there_afterwards(name: str, client: Redis, valkey: str, tmp_path: Path) -> None:
    """The outage is longer than the trades that the venue repeats on subscribing: gaps are reported, then repaired."""
    async with connected(name, client, valkey, tmp_path, fallback_s=0.0) as venue:
        await venue.begins()
        fault = venue.set("cut for=600")
        await venue.until("trade", FeedState.DOWN)
        seen = {instrument: made(venue, instrument) for instrument in (venue.btc, venue.eth)}
        await wait_until(lambda: all(made(venue, one) > number + 80 for one, number in seen.items()), what="many trades", timeout_s=60)
        venue.made.faults.remove(fault.id)
        for instrument in (venue.btc, venue.eth):
            await venue.until("trade", FeedState.LIVE, instrument)
        await settles(venue)
        for instrument in (venue.btc, venue.eth):
            assert min(await missing(client, instrument), default=0) < 0, "a gap was repaired"


@pytest.mark.parametrize("name", NUMBERED)
async def test_trades_and_quotes_are_polled_while_the_venue_takes_no_connection(
    name: str, client: Redis, valkey: str, tmp_path: Path
) -> None:
    """The feeds say so, and no quote passes for live meanwhile; afterwards nothing is missing or doubled."""
    async with connected(name, client, valkey, tmp_path, fallback_s=0.5) as venue:
        await venue.begins()
        fault = venue.set("cut for=600")
        for kind in ("trade", "quote"):
            await venue.until(kind, FeedState.RECOVERING)
        (status,) = [event for event in (await tape(client, "status", venue.btc))[-1:] if isinstance(event, Status)]
        assert status.reason.startswith("polled over REST")
        before = len(await tape(client, "trade", venue.btc))

        async def polled() -> list[Quote]:
            quotes = [event for event in await tape(client, "quote", venue.btc) if isinstance(event, Quote)]
            return [quote for quote in quotes if quote.received_ts >= status.received_ts]

        async def comes() -> bool:
            return len(await tape(client, "trade", venue.btc)) > before + 5 and bool(await polled())

        await wait_until(comes, what="trades and quotes, polled", timeout_s=60)
        quotes = await polled()
        assert {quote.state for quote in quotes} == {FeedState.RECOVERING}
        venue.made.faults.remove(fault.id)
        for instrument in (venue.btc, venue.eth):
            for kind in ("trade", "quote", "book"):
                await venue.until(kind, FeedState.LIVE, instrument)
        await settles(venue)

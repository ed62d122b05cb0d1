"""Venues that skip trade ids, and venues whose clocks are wrong: what a real connector makes of them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape_schemas import VENUE_WIDE, Event, FeedState, Gap, Keys, Status, Trade, decode
from tests.end_to_end.running import tape
from tests.end_to_end.test_faults import Venue, connected
from tests.end_to_end.venues import ALL, NUMBERED
from tests.rare import rare_but
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def gaps(venue: Venue, *, repaired: bool) -> list[Gap]:
    """Returns the gaps in trades."""
    events = await tape(venue.client, "gap", venue.btc)
    return [event for event in events if isinstance(event, Gap) and event.kind == "trade" and event.repaired is repaired]


@pytest.mark.parametrize(("name", "ids"), rare_but(product(NUMBERED, (3, 1_500)), ("binance", 3), ("coinbase", 1_500), ("kraken", 3)))
async def test_ids_that_never_existed_leave_nothing_missing(name: str, ids: int, client: Redis, valkey: str, tmp_path: Path) -> None:
    """Fewer ids than one page of REST, and more. The gap is closed with its own times; all its ids never existed."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()
        venue.set(f"skip-ids instrument={venue.btc} ids={ids}")

        async def closed() -> bool:
            return len(await gaps(venue, repaired=True)) == 1

        await wait_until(closed, what="the gap is closed", timeout_s=60)
        (gap,), (repaired,) = await gaps(venue, repaired=False), await gaps(venue, repaired=True)
        assert gap.missed == repaired.missed == repaired.nonexistent == ids
        assert (gap.from_ts, gap.to_ts, gap.cause) == (repaired.from_ts, repaired.to_ts, repaired.cause)
        await venue.settles()


@pytest.mark.parametrize("name", NUMBERED)
async def test_some_were_lost_and_some_never_existed(name: str, client: Redis, valkey: str, tmp_path: Path) -> None:
    """Both in one gap: the connection is lost meanwhile. What exists is fetched."""
    async with connected(name, client, valkey, tmp_path, fallback_s=0.0) as venue:
        await venue.begins()
        fault = venue.set("cut for=600")
        await venue.until("trade", FeedState.DOWN)
        at = newest_id(venue)
        await wait_until(lambda: newest_id(venue) > at + 80, what="many trades", timeout_s=60)
        venue.set(f"skip-ids instrument={venue.btc} ids=7")
        at = newest_id(venue)
        await wait_until(lambda: newest_id(venue) > at + 80, what="many more, more than any venue repeats", timeout_s=60)
        venue.made.faults.remove(fault.id)

        async def nothing_is_missing() -> bool:
            told, back = await gaps(venue, repaired=False), await gaps(venue, repaired=True)
            return bool(back) and sum(gap.missed or 0 for gap in told) == sum(gap.missed or 0 for gap in back)

        await wait_until(nothing_is_missing, what="nothing is missing", timeout_s=90)
        assert sum(gap.nonexistent for gap in await gaps(venue, repaired=True)) == 7
        trades = [event for event in await tape(client, "trade", venue.btc) if isinstance(event, Trade)]
        assert len({trade.trade_id for trade in trades}) == len(trades)


def newest_id(venue: Venue) -> int:
    """Returns the newest trade id of the market."""
    return int(venue.truth.trades(venue.name, venue.btc, 0, 10**6)["trades"][-1]["id"])


async def offsets(client: Redis, name: str) -> list[float]:
    """Seconds, as the venue's signs of life say them, one after the other."""
    entries: Any = await client.xrange(Keys().venue(name))
    events: list[Event] = [decode(fields[b"d"]) for _, fields in entries]
    said = [event.clock_offset_ns for event in events if isinstance(event, Status) and event.instrument == VENUE_WIDE]
    return [offset_ns / 1e9 for offset_ns in said if offset_ns is not None]


@pytest.mark.parametrize(
    ("name", "by"),
    rare_but(product(ALL, (-90.0, 30.0, 7_200.0)), ("binance", -90.0), ("coinbase", 30.0), ("kraken", 7_200.0), ("kucoin", -90.0)),
)
async def test_a_venues_clock_is_measured_and_shows_soon_when_it_is_set(
    name: str, by: float, client: Redis, valkey: str, tmp_path: Path
) -> None:
    """Ours is ahead where the venue's is behind. In both directions, there and back."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()

        async def says(offset_s: float) -> bool:
            found = await offsets(client, name)
            return bool(found) and abs(found[-1] - offset_s) < 1.0

        await wait_until(lambda: says(0.0), what="the clocks agree", timeout_s=30)
        fault = venue.set(f"skew by={by:g}")
        await wait_until(lambda: says(-by), what="the venue's clock is off", timeout_s=15)
        venue.made.faults.remove(fault.id)
        await wait_until(lambda: says(0.0), what="it is right again", timeout_s=15)

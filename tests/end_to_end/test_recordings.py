"""A recording that is played through simulator, connector and server over real sockets gives the same events as `normalize`."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import partial
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape.settings import AggregatorSettings, VenueSettings
from crosstape_aggregator import service as aggregator
from crosstape_connector import service as connector
from crosstape_connector.capture.reader import opened
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.venues.registry import find
from crosstape_schemas import Book, Cbbo, Delta, Event, FeedState, Quote
from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.spec import SimulatorSpec
from tests.connector.venues.golden import as_read
from tests.end_to_end.books import begun, changes, rebuilt
from tests.end_to_end.running import newest, running, settings, tape
from tests.waiting import wait_until

CORPUS = os.environ.get("CROSSTAPE_CORPUS", "")
STALE_S = 600.0
"""A recording ends in silence, and on a busy machine it is a while until all is looked at: no feed may be stale then."""
BINANCE = ("trade", "quote", "book", "delta")

RECORDINGS = [
    # Not `trade` where the recording has aggTrade (we subscribe trade), nor the book where it has Exchange's (ours is Advanced Trade's).
    pytest.param("binance", "binance_spot_btcusdt_20240808.jsonl.zst", BINANCE, 10, id="binance, ten minutes", marks=pytest.mark.slow),
    pytest.param("binance", "cryptofeed_binance.jsonl.zst", ("quote", "book", "delta"), 10, id="binance, four pairs"),
    pytest.param("coinbase", "cryptofeed_coinbase.jsonl.zst", ("trade",), 10, id="coinbase, matches"),
    pytest.param(
        "coinbase", "tickvault_coinbase_advanced_btcusd_20260824.jsonl.zst", ("quote", "book", "delta"), 10, id="coinbase, level2"
    ),
    pytest.param("kraken", "kraken_v2_btcusd_d10_20260801.jsonl.zst", ("book", "delta"), 10, id="kraken, four resyncs"),
    pytest.param("kraken", "kraken_v2_btcusd_d25_20260802.jsonl.zst", ("book", "delta"), 25, id="kraken, depth 25"),
]


def normalized(venue: str, path: Path, kinds: tuple[str, ...], depth: int) -> dict[tuple[str, str], list[Event]]:
    """(kind, instrument) → events as a reader gets them, of these kinds."""
    found: dict[tuple[str, str], list[Event]] = defaultdict(list)
    with opened(path) as lines:
        for event in normalize(find(venue), lines, delta=True, book_depth=depth):
            kind = type(event).__struct_config__.tag
            if kind in kinds:
                found[str(kind), event.instrument].append(as_read(event))
    return found


def with_products(path: Path, to: Path) -> Path:
    """A recording of Coinbase's Advanced feed has not the answer that our connector asks for its instruments: one is put in."""
    product = {"id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "base_increment": "0.00000001", "quote_increment": "0.01"}
    body = msgspec.json.encode([product | {"status": "online"}]).decode()
    line = {"t": None, "c": 0, "d": "rest", "u": "https://api.exchange.coinbase.com/products", "f": body, "made": True}
    with opened(path) as lines:
        header, *rest = lines
        to.write_bytes(b"\n".join((header.strip(), msgspec.json.encode(line), *(one.strip() for one in rest))) + b"\n")
    return to


def rest_url(venues: Simulator, venue: str) -> dict[str, str]:
    """Returns the addresses that the connector knows; the simulator may serve more."""
    served = venues.rest_url[venue]
    return {name: served if isinstance(served, str) else served[name] for name in find(venue).rest_urls}


def facts(events: list[Event]) -> list[Event]:
    """Without what differs from run to run: when we received it, our own numbering, and that the session ended at last."""
    live = [event for event in events if not isinstance(event, Quote) or event.state is FeedState.LIVE]
    return [msgspec.structs.replace(event, received_ts=0, epoch=0, seq=0) for event in live]


@pytest.mark.parametrize(("venue", "name", "kinds", "depth"), RECORDINGS)
@pytest.mark.skipif(not CORPUS, reason="needs recordings of real venues: a folder of them in CROSSTAPE_CORPUS")
async def test_the_tape_of_a_recording_is_what_normalize_makes_of_it(  # noqa: PLR0917
    venue: str, name: str, kinds: tuple[str, ...], depth: int, valkey: str, client: Redis, tmp_path: Path
) -> None:
    """Trades, quotes and tickers are the same events; books the same changes to the same levels."""
    path = Path(CORPUS) / name
    if "advanced" in name:
        path = with_products(path, tmp_path / "with_products.jsonl")
    expected = normalized(venue, path, kinds, depth)
    instruments = tuple(sorted({instrument for _, instrument in expected}))
    async with simulator(SimulatorSpec(venues=(), recordings=(str(path),), speed=0)) as venues:
        own = VenueSettings(
            instruments=instruments,
            kinds=kinds,  # type: ignore[arg-type]  # names of kinds, which mypy sees as any strings
            book_depth=depth,
            stale_s=STALE_S,
            ws_url=venues.ws_url[venue],
            rest_url=rest_url(venues, venue),
        )
        whole = settings(valkey, tmp_path, {venue: own}, AggregatorSettings(min_interval_s=0))
        async with running(connector.run(whole, venue), aggregator.run(whole)):
            await wait_until(venues.finished, what="the recording is played", timeout_s=100)
            for (kind, instrument), events in expected.items():
                if kind not in ("book", "delta"):
                    await wait_until(partial(_has, client, kind, instrument, len(events)), what=f"{len(events)} of {kind} {instrument}")
            for (kind, instrument), events in expected.items():
                if kind == "delta":
                    await wait_until(partial(_at, client, instrument, events[-1]), what=f"the last delta of {instrument}")
                if kind == "quote":
                    last = events[-1]
                    assert isinstance(last, Quote)
                    await wait_until(partial(_consolidated, client, instrument, last), what=f"the last quote of {instrument}")
        for (kind, instrument), events in expected.items():
            found = await tape(client, kind, instrument)
            if kind == "delta":
                bounds = begun(events), begun(found)
                after = None if None in bounds else max(bound for bound in bounds if bound is not None)
                assert changes(found, after) == changes(events, after)
                assert rebuilt(found) == rebuilt(events)
            elif kind == "book":
                assert all(isinstance(event, Book) and len(event.bids) <= depth for event in found)
            else:
                kept = facts(found)  # the newest, where the stream was trimmed
                assert kept == facts(events)[-len(kept) :]
                assert len(kept) == len(events) or len(found) >= getattr(whole.bus.max_len, kind)


async def _has(client: Redis, kind: str, instrument: str, count: int) -> bool:
    event = await newest(client, kind, instrument)
    return event is not None and event.seq >= count  # a trimmed stream counts on


async def _at(client: Redis, instrument: str, last: Event) -> bool:
    event = await newest(client, "delta", instrument)
    assert isinstance(last, Delta)
    return isinstance(event, Delta) and (event.venue_ts, event.bids, event.asks) == (last.venue_ts, last.bids, last.asks)


async def _consolidated(client: Redis, instrument: str, last: Quote) -> bool:
    quote = await newest(client, "cbbo", instrument)
    return isinstance(quote, Cbbo) and prices(quote) == prices(last)


def prices(quote: Quote | Cbbo) -> tuple[object, ...]:
    """Returns price and size of both sides."""
    return quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size

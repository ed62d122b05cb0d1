"""A venue that fails, and a real connector: the tape reports the failure, and afterwards equals the true market again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape.settings import VenueSettings
from crosstape_connector import service as connector
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Book, Event, FeedState, Gap, GapCause, Status, Trade
from crosstape_simulator.faults import parse
from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.truth import Truth
from tests.chaos.units import WITHOUT_IDS, unit_ns
from tests.end_to_end.running import newest, running, settings, tape
from tests.end_to_end.test_recordings import rest_url
from tests.end_to_end.venues import ALL, pair
from tests.rare import rare_but
from tests.waiting import wait_until

KINDS = ("trade", "quote", "book", "delta", "status")
BROKEN = (
    ("binance", "drop", GapCause.SEQUENCE),
    ("binance", "swap", GapCause.SEQUENCE),
    ("binance", "reset instrument=BTC-USDT", GapCause.SEQUENCE),
    ("coinbase", "reset", GapCause.SEQUENCE),
    ("coinbase", "drop", GapCause.SEQUENCE),
    ("kraken", "drop", GapCause.CHECKSUM),
    ("kraken", "checksum", GapCause.CHECKSUM),
    ("kraken", "checksum what=level", GapCause.CHECKSUM),
    ("bitfinex", "drop", GapCause.SEQUENCE),
    ("bitfinex", "checksum", GapCause.CHECKSUM),
)
"""(venue, fault of a book, cause of the gap)."""


class Venue:
    """One simulated venue, and the events of its connector on the tape."""

    def __init__(self, name: str, made: Simulator, client: Redis) -> None:
        assert made.market is not None
        self.name = name
        self.made = made
        self.client = client
        self.truth = Truth(made.market)
        self.btc, self.eth = (one.instrument for one in pair(name))

    def set(self, text: str) -> ActiveFault:
        """Set a fault."""
        return self.made.faults.add(parse.from_text(f"{text} venue={self.name}"))

    async def states(self, kind: str, instrument: str = "") -> list[FeedState]:
        """Returns all states that were published of one feed, in order."""
        told = await tape(self.client, "status", instrument or self.btc)
        return [event.state for event in told if isinstance(event, Status) and event.kind in (kind, "*")]

    async def until(self, kind: str, state: FeedState, instrument: str = "") -> None:
        """Wait for a feed to be in this state."""

        async def there() -> bool:
            return (await self.states(kind, instrument))[-1:] == [state]

        await wait_until(there, what=f"{kind} of {instrument} is {state}", timeout_s=60)

    async def begins(self) -> None:
        """Wait for books and for trades."""
        for instrument in (self.btc, self.eth):
            await self.until("book", FeedState.LIVE, instrument)
            await wait_until(lambda one=instrument: newest(self.client, "trade", one), what="a trade")  # type: ignore[misc]

    async def missed(self, cause: GapCause, instrument: str = "") -> list[Event]:
        """Gaps of the book with this cause."""
        gaps = await tape(self.client, "gap", instrument or self.btc)
        return [gap for gap in gaps if isinstance(gap, Gap) and (gap.kind, gap.cause) == ("book", cause)]

    async def has_true_book(self, instrument: str) -> bool:
        """Whether the newest book on the tape is the market's."""
        book = await newest(self.client, "book", instrument)
        true = self.truth.book(self.name, instrument, 10, None, 1)
        if not isinstance(book, Book) or book.state is not FeedState.LIVE:
            return False
        return plain(book.bids) == plain(true["bids"])[: book.depth]

    async def is_true(self, instrument: str) -> bool:
        """Whether it is, and each trade is on the tape once, those that came live in order. Trades that were fetched may be behind them."""
        if not await self.has_true_book(instrument):
            return False
        trades = [trade for trade in await tape(self.client, "trade", instrument) if isinstance(trade, Trade)]
        if self.name in WITHOUT_IDS:
            return self._are_true(instrument, trades)
        live = [int(trade.trade_id) for trade in trades if not trade.backfilled]
        ids = sorted(int(trade.trade_id) for trade in trades)
        true = [trade["id"] for trade in self.truth.trades(self.name, instrument, ids[0] - 1, 10**6)["trades"]]
        return ids == true and live == sorted(live)

    def _are_true(self, instrument: str, trades: list[Trade]) -> bool:
        """Whether these are the market's newest trades, by their contents: their ids are of our own making."""
        unit = unit_ns(self.name)
        true = [
            (row["ts"] // unit, Decimal(row["price"]), Decimal(row["size"]), row["taker"])
            for row in self.truth.trades(self.name, instrument, 0, 10**6)["trades"]
        ]
        return true[-len(trades) :] == [((one.venue_ts or 0) // unit, one.price, one.size, one.taker) for one in trades]

    async def settles(self) -> None:
        """The market all but stops, with its clock running; then the tape must be the truth."""
        self.made.faults.add(parse.from_text("burst factor=0.001"))
        for instrument in (self.btc, self.eth):
            await wait_until(lambda one=instrument: self.is_true(one), what=f"{instrument} is as it truly is", timeout_s=60)  # type: ignore[misc]


def plain(levels: Sequence[Sequence[object]]) -> list[tuple[Decimal, Decimal]]:
    """Returns the best ten levels as numbers, however they are written."""
    return [(Decimal(str(price)), Decimal(str(size))) for price, size in levels][:10]


@asynccontextmanager
async def connected(
    name: str, client: Redis, valkey: str, tmp_path: Path, *faults: str, rotate_s: float = 0.0, fallback_s: float = 5.0
) -> AsyncIterator[Venue]:
    """A venue with faults from the start, and its connector, which is quick to suspect silence."""
    spec = SimulatorSpec(venues=(name,), rate=200.0, faults=tuple(parse.from_text(text) for text in faults))
    async with simulator(spec) as made:
        own = VenueSettings(
            instruments=tuple(one.instrument for one in pair(name)),
            kinds=KINDS,  # type: ignore[arg-type]  # names of kinds, which mypy sees as any strings
            ws_url=made.ws_url[name],
            rest_url=rest_url(made, name),
            stale_s=5.0,
            stale_min_s=3.0,
            backoff_min_s=0.1,
            backoff_max_s=0.5,
            rotate_s=rotate_s,
            fallback_s=fallback_s,
        )
        async with running(connector.run(settings(valkey, tmp_path, {name: own}), name)):
            yield Venue(name, made, client)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fault", "cause"),
    rare_but(
        BROKEN,
        ("binance", "drop", GapCause.SEQUENCE),
        ("coinbase", "reset", GapCause.SEQUENCE),
        ("kraken", "checksum what=level", GapCause.CHECKSUM),
    ),
)
async def test_a_broken_book_is_told_and_mended(  # noqa: PLR0917
    name: str, fault: str, cause: GapCause, client: Redis, valkey: str, tmp_path: Path
) -> None:
    """Recovering, a gap with its cause, live again. Only if the venue numbers a connection, its other book shares the harm of a gap."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()

        # More than once: an update that the next one overwrites can be lost without harm, and then nobody notices.
        one = venue.set(fault if fault.startswith("reset") else f"{fault} instrument={venue.btc} probability=0.2 count=0")
        await wait_until(lambda: venue.missed(cause), what="a gap is told", timeout_s=60)
        venue.made.faults.remove(one.id)

        assert FeedState.RECOVERING in await venue.states("book")
        await venue.until("book", FeedState.LIVE)
        await venue.settles()
        if cause is GapCause.CHECKSUM or not any(endpoint.numbered for endpoint in VENUES[name].endpoints):
            assert await venue.missed(cause, venue.eth) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", rare_but(zip(ALL, strict=True), ("binance",), ("kucoin",)))
async def test_a_subscription_that_is_acknowledged_and_silent_is_found_out(name: str, client: Redis, valkey: str, tmp_path: Path) -> None:
    """Stale, while the other is live; never live, but for a book whose snapshot comes by REST. It comes to life when the venue mends."""
    async with connected(name, client, valkey, tmp_path, f"silent instrument={pair(name)[0].instrument} kind=book") as venue:
        await venue.until("book", FeedState.LIVE, venue.eth)
        await venue.until("delta", FeedState.STALE)
        assert (FeedState.LIVE in await venue.states("delta")) is (VENUES[name].book.snapshot == "rest")

        venue.made.faults.remove(1)

        await venue.until("delta", FeedState.LIVE)
        await venue.settles()


@pytest.mark.slow
@pytest.mark.parametrize("name", rare_but(zip(ALL, strict=True), ("kraken",), ("kucoin",)))
async def test_a_stalled_instrument_is_stale_and_comes_back_whole(name: str, client: Redis, valkey: str, tmp_path: Path) -> None:
    """The other is live throughout; nothing is missing afterwards."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()
        await wait_until(lambda: _count(venue), what="its pace is known", timeout_s=60)

        one = venue.set(f"stall instrument={venue.btc} kind=book")  # not trade: trades are lost while a feed is subscribed again
        await venue.until("book", FeedState.STALE)
        assert FeedState.STALE not in await venue.states("book", venue.eth)
        venue.made.faults.remove(one.id)

        await venue.until("book", FeedState.LIVE)
        await venue.settles()


@pytest.mark.slow
@pytest.mark.parametrize("name", rare_but(zip(ALL, strict=True), ("binance",), ("kucoin",)))
async def test_a_venue_that_says_nothing_but_that_it_lives_is_connected_anew(name: str, client: Redis, valkey: str, tmp_path: Path) -> None:
    """Heartbeats and pongs continue, all data stop: the feed is stale, subscribing again does not help, a new connection does."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()
        await wait_until(lambda: _count(venue), what="its pace is known", timeout_s=60)
        before = made(venue)

        one = venue.set("stall")
        await venue.until("book", FeedState.STALE)
        await wait_until(lambda: made(venue) > before, what="another connection", timeout_s=120)
        venue.made.faults.remove(one.id)
        for instrument in (
            venue.btc,
            venue.eth,
        ):  # a stream that REST has refuted must speak first: not in a market that rests
            await venue.until("book", FeedState.LIVE, instrument)

        venue.made.faults.add(parse.from_text("burst factor=0.001"))
        for instrument in (venue.btc, venue.eth):
            await wait_until(lambda one=instrument: venue.has_true_book(one), what=f"{instrument} is as it is", timeout_s=60)  # type: ignore[misc]


def made(venue: Venue) -> int:
    """Connections so far."""
    return venue.made.counters(venue.name).connects


async def _count(venue: Venue) -> bool:
    """Enough of the feed for a watchdog to know its pace."""
    return len(await tape(venue.client, "delta", venue.btc)) > 40

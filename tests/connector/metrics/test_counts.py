"""The counters of trades, for every way that a trade can come: compared with the tape itself."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape_connector import backoff
from crosstape_connector.failover.trade_buffer import StandbyTradeBuffer, continue_tape
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.rest import backfill_schedule, polling_rules
from crosstape_connector.venues.messages import TradeSnapshot
from crosstape_schemas import Event, Gap, Side, Trade
from tests.connector.fake_venue import ID, fake, instrument, serving
from tests.connector.rest.test_backfill import outage, trades
from tests.connector.rig import QUICK, Rig, rigged
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses."""
    monkeypatch.setattr(polling_rules, "POLL_S", 0.02)
    monkeypatch.setattr(backoff, "PAUSE_S", 0.01)
    monkeypatch.setattr(backfill_schedule, "STREAM_SETTLE_S", 0.05)


def backfilled(rig: Rig) -> list[int]:
    """Return the ids of the backfilled trades on the tape."""
    return [int(trade.trade_id) for trade in rig.of(Trade) if trade.backfilled]


async def test_polled_late_and_fetched_trades_are_all_counted() -> None:
    """The counter is the number of backfilled trades on the tape, from any source."""
    settings = msgspec.structs.replace(QUICK, fallback_s=0.2)
    async with serving() as server, rigged(server, fake(past=True), settings, ["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = [1, 2, 3]
        await outage(server, rig, last=3, first=4)
        await server.peer.send(*trades(6, 5))
        await wait_until(lambda: backfilled(rig) == [5], what="a late trade")
        assert rig.counters.backfilled == 1

        server.past["AAAUSD"] = list(range(1, 30))
        server.closed = True
        server.peer.cut()
        await wait_until(lambda: len(backfilled(rig)) == 24, what="polled trades")
        assert rig.counters.backfilled == 24

        server.past["AAAUSD"] = list(range(1, 41))
        server.closed = False
        await wait_until(lambda: not server.peers[-1].socket.closed and server.peer.requests, what="connected again")
        await server.peer.send(*trades(40))
        await wait_until(lambda: len(rig.of(Trade)) == 40, what="fetched trades")
        assert rig.counters.backfilled == len(backfilled(rig)) > 24


async def test_a_gap_that_another_page_or_the_stream_filled_is_counted_as_filled() -> None:
    """The tape has as many repaired gaps as the counter shows."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(1, 9))
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        await server.peer.send(*trades(1, 3, 5, 7, 8))
        await wait_until(lambda: sum(gap.repaired for gap in rig.of(Gap)) == 3, what="all three repaired")
        await wait_until(lambda: not rig.backfill.queued, what="nothing left to do")
        assert rig.counters.backfills["whole"] == 3
        assert rig.counters.backfilled == 3


def trade(number: int, *, late: bool = False) -> Trade:
    """A trade of `AAA-USD`."""
    return Trade(ID, "AAA-USD", number, number, Decimal(1), Decimal(1), Side.BUY, str(number), late)


def test_a_replay_on_subscribing_is_counted_as_far_as_it_is_published() -> None:
    """Known trades are duplicates; the others are backfilled."""
    tape: list[Event] = []
    counters = Counters()
    feeds = FeedHandler(fake(), {"AAA-USD": instrument("AAAUSD")}, ("trade",), book_depth=10, book_interval_ns=0)
    sink = Sink(counters)
    sink.pass_to(tape.extend)
    sink.publish(feeds.apply(trade(1)))
    sink.publish(feeds.apply(TradeSnapshot("AAA-USD", 5, tuple(trade(number, late=True) for number in (1, 2, 3)))))
    assert (counters.backfilled, feeds.duplicate_trades()) == (2, 1)


def test_a_standby_replica_counts_what_it_publishes_when_it_takes_over() -> None:
    """Trades that it only kept, and the other replica published, are never counted."""
    tape: list[Event] = []
    counters = Counters()
    feeds = FeedHandler(fake(), {"AAA-USD": instrument("AAAUSD")}, ("trade",), book_depth=10, book_interval_ns=0)
    buffer = StandbyTradeBuffer("contiguous")
    sink = Sink(counters)
    sink.hold_in(buffer.add_all)
    for number, late in ((1, False), (2, True), (3, False), (4, True)):
        sink.publish([trade(number, late=late)])
    feeds.seed([trade(4)])
    assert counters.backfilled == 0

    sink.pass_to(tape.extend)
    sink.publish(continue_tape(feeds, buffer, [trade(2)], 9))
    assert ([event.trade_id for event in tape if isinstance(event, Trade)], counters.backfilled) == (["3", "4"], 1)


def test_duplicates_are_not_forgotten_with_an_instrument() -> None:
    """A counter never goes down: Prometheus would see a restart."""
    feeds = FeedHandler(fake(), {"AAA-USD": instrument("AAAUSD")}, ("trade",), book_depth=10, book_interval_ns=0)
    for number in (1, 1, 1):
        feeds.apply(trade(number))
    feeds.remove_instrument("AAA-USD", 9)
    assert feeds.duplicate_trades() == 2

"""Coinbase, Exchange: the outputs of its frames."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.errors import FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.coinbase import exchange
from crosstape_connector.venues.messages import Ack, BookSnapshot, BookUpdate, ConnectionBreak, Heartbeat, LastTrade, Odd, Rejected
from crosstape_connector.venues.spec import Request
from crosstape_schemas import FeedState, GapCause, Side, Status, Ticker, Trade
from tests.connector.venues.coinbase.connection import NEW_YEAR, from_exchange
from tests.connector.venues.golden import frames_of, symbols_of

EXCHANGE = frames_of("coinbase", "exchange")


def test_a_match_has_the_makers_side() -> None:
    """The resting order sold: the taker bought. The last one before the subscription is marked as not seen live."""
    last, match = from_exchange(EXCHANGE["last_match"], EXCHANGE["match"])

    assert last == Trade(
        "coinbase", "BTC-USD", NEW_YEAR + 112_041_000, 7, Decimal("91000.02"), Decimal("0.00031874"), Side.BUY, "600", backfilled=True
    )
    assert isinstance(match, Trade)
    assert (match.taker, str(match.size), match.venue_ts, match.backfilled) == (Side.SELL, "1.50", NEW_YEAR + 1_500_000_000, False)


def test_a_heartbeat_names_the_newest_trade() -> None:
    """Proof that none was missed, or that some were."""
    assert from_exchange(EXCHANGE["heartbeat"]) == [Heartbeat(), LastTrade("BTC-USD", NEW_YEAR + 2_000_001_000, 7, 601)]


def test_an_exchange_ticker_is_the_day_and_no_quote() -> None:
    """Its bid and ask are those of the last trade."""
    assert from_exchange(EXCHANGE["ticker"]) == [
        Ticker(
            "coinbase", "BTC-USD", NEW_YEAR + 1_500_000_000, 7, Decimal("91000.01"), Decimal(91500), Decimal("92000.10"), Decimal(90000),
            Decimal("1234.50"),
        )
    ]  # fmt: skip


def test_an_exchange_book_is_read_by_side() -> None:
    """`buy` is the bids; the time of the year 1 is replaced by that of the frame before."""
    snapshot, update, odd, timeless = from_exchange(EXCHANGE["snapshot"], EXCHANGE["l2update"], EXCHANGE["l2update_no_time"])

    assert isinstance(snapshot, BookSnapshot)
    assert update == BookUpdate(
        "BTC-USD", NEW_YEAR + 600_000_000, 7, [(Decimal("91000.01"), Decimal(0))], [(Decimal("91000.02"), Decimal("2.5"))]
    )
    assert odd == Odd("time")
    assert isinstance(timeless, BookUpdate)
    assert timeless.venue_ts == NEW_YEAR + 600_000_000


def test_a_snapshot_with_an_impossible_size_is_good_but_for_that_level() -> None:
    """`0.-10000` was seen in production."""
    odd, snapshot = from_exchange(EXCHANGE["snapshot_odd"])

    assert odd == Odd("size")
    assert snapshot == BookSnapshot("ETH-USD", None, 7, [(Decimal(3000), Decimal(1))], [(Decimal("3000.1"), Decimal(1))])


@pytest.mark.parametrize("row", [b'["3000.00","0.-10000"]', b'["3000.01","x"]', b'["","1"]', b'["dear","1"]'])
def test_a_snapshot_whose_best_level_cannot_be_read_is_none(row: bytes) -> None:
    """The second best would be called the best."""
    frame = EXCHANGE["snapshot_odd"].replace(b'["3000.00","1"]', row + b',["2999.00","1"]')

    outputs = from_exchange(frame)

    assert outputs == [
        Odd("size"),
        Odd("size"),
        ConnectionBreak(7, None, GapCause.UNKNOWN, ("ETH-USD",), "a change of the book cannot be read"),
    ]


def test_exchange_replies_and_statuses() -> None:
    """Acknowledgements may call a channel by another name than it was asked for by."""
    assert from_exchange(EXCHANGE["subscriptions"], EXCHANGE["error"], EXCHANGE["status"]) == [
        Ack(channel="matches", symbols=("BTC-USD",)),
        Ack(channel="level2_batch", symbols=("BTC-USD",)),
        Rejected("Failed to subscribe: ZZZ-USD is not a valid product"),
        Status("coinbase", "BTC-USD", None, 7, "*", FeedState.LIVE),
        Status("coinbase", "ETH-USD", None, 7, "*", FeedState.DOWN, "delisted"),
    ]


def test_the_channel_of_single_orders_is_known() -> None:
    """And nothing for the tape."""
    assert from_exchange(EXCHANGE["open"], EXCHANGE["done"]) == []


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b'"buy"', b'"up"'),
        (b'"2.5"', b'"0.-10000"'),
        (b'"2.5"', b'"-1"'),
        (b'"2.5"', b'"NaN"'),
        (b'"2.5"', b"null"),
        (b'"91000.02"', b'"91,000.02"'),
        (b'"91000.02"', b'"0"'),
        (b'"91000.02"', b'""'),
        (b'["buy","91000.010","0.0"]', b'["buy","91000.010"]'),
        (b'["buy","91000.010","0.0"]', b"{}"),
    ],
)
def test_an_exchange_change_that_cannot_be_read_spoils_its_book(good: bytes, bad: bytes) -> None:
    """At once, and no other book: nothing else would show the missing change. No part of the frame is applied."""
    assert good in EXCHANGE["l2update"]

    odd, broken = from_exchange(EXCHANGE["snapshot"], EXCHANGE["l2update"].replace(good, bad))[1:]

    assert isinstance(odd, Odd)
    assert broken == ConnectionBreak(7, None, GapCause.UNKNOWN, ("BTC-USD",), "a change of the book cannot be read")


def test_an_exchange_change_of_no_known_book_spoils_all_of_the_connection() -> None:
    """It may be of any of them. Any other bad frame spoils none."""
    torn = EXCHANGE["l2update"][:-20]
    other = EXCHANGE["match"].replace(b'"1.50"', b'"-1"')

    outputs = from_exchange(EXCHANGE["snapshot"], other, EXCHANGE["heartbeat"], torn, EXCHANGE["heartbeat"])

    assert [type(output) for output in outputs[1:]] == [Heartbeat, LastTrade, ConnectionBreak, Heartbeat, LastTrade]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b'{"type":"soothsayer"}', UnknownFrame),
        (EXCHANGE["match"].replace(b"BTC-USD", b"XRP-USD"), UnknownSymbol),
        (EXCHANGE["match"].replace(b'"trade_id":601', b'"trade_id":"x"'), msgspec.ValidationError),
        (EXCHANGE["match"].replace(b'"91000.01"', b'"Infinity"'), FrameError),
        (b"{}", msgspec.ValidationError),
    ],
)
def test_what_cannot_be_used_says_why(frame: bytes, error: type[Exception]) -> None:
    """The type of the error gives the kind by which it is counted."""
    with pytest.raises(error):
        exchange.Parser(symbols_of("coinbase"))(frame, 7)


def test_matches_are_asked_for_with_the_heartbeats_that_prove_them() -> None:
    """Any other channel by itself."""
    matches = Request("matches", ("BTC-USD", "ETH-USD"), 5, 10)
    ticker = Request("ticker", ("BTC-USD",), 5, 10)

    assert msgspec.json.decode(exchange.request("subscribe", matches)) == {
        "type": "subscribe",
        "product_ids": ["BTC-USD", "ETH-USD"],
        "channels": ["matches", "heartbeat"],
    }
    assert msgspec.json.decode(exchange.request("unsubscribe", ticker)) == {
        "type": "unsubscribe",
        "product_ids": ["BTC-USD"],
        "channels": ["ticker"],
    }

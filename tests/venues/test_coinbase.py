"""Coinbase spot: what the frames of its two feeds become."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venue import (
    Ack,
    BookSnapshot,
    BookUpdate,
    ConnectionBreak,
    Heartbeat,
    LastTrade,
    Odd,
    Output,
    Parser,
    Rejected,
    Request,
    TradeSnapshot,
)
from crosstape_connector.venues import coinbase
from crosstape_schemas import FeedState, Instrument, Side, Status, Ticker, Trade
from tests.venues.golden import ADVANCED, COINBASE_MARKET, EXCHANGE, INSTRUMENTS, SYMBOLS

NEW_YEAR = 1_767_225_600_000_000_000


def advanced(*frames: bytes, symbols: dict[str, str] | None = None) -> list[Output]:
    """All that one Advanced Trade connection finds in these, received at 7."""
    return feed(coinbase.AdvancedParser(symbols or SYMBOLS["coinbase"]), *frames)


def exchange(*frames: bytes, symbols: dict[str, str] | None = None) -> list[Output]:
    """All that one Exchange connection finds in these, received at 7."""
    return feed(coinbase.ExchangeParser(symbols or SYMBOLS["coinbase"]), *frames)


def feed(parser: Parser, *frames: bytes) -> list[Output]:
    """In order; a frame that cannot be used is skipped, as in a session."""
    outputs: list[Output] = []
    for frame in frames:
        try:
            outputs += parser(frame, 7)
        except FRAME_ERRORS:
            continue
    return outputs


def numbered(frame: bytes, number: int) -> bytes:
    """The frame with another `sequence_num`."""
    head, _, tail = frame.partition(b'"sequence_num":')
    return head + b'"sequence_num":%d,' % number + tail.partition(b",")[2]


# ---- Advanced Trade


def test_a_book_snapshot_may_have_the_senders_time_only() -> None:
    """1970 in its levels means that the engine's is not known."""
    (snapshot,) = advanced(ADVANCED["l2_snapshot"])

    assert snapshot == BookSnapshot(
        "BTC-USD",
        NEW_YEAR + 100_000_009,
        7,
        [(Decimal("91000.01"), Decimal("0.5")), (Decimal(91000), Decimal("1.25"))],
        [(Decimal("91000.02"), Decimal(2))],
    )


def test_an_update_has_the_engines_time() -> None:
    """The newest of its levels'; an empty one has the sender's."""
    _, update, empty = advanced(ADVANCED["l2_snapshot"], ADVANCED["l2_update"], ADVANCED["l2_empty"])

    assert update == BookUpdate(
        "BTC-USD", NEW_YEAR + 150_002_000, 7, [(Decimal("91000.01"), Decimal(0))], [(Decimal("91000.03"), Decimal("0.75"))]
    )
    assert empty == BookUpdate("BTC-USD", NEW_YEAR + 300_000_000, 7, [], [])


def test_impossible_values_are_left_out_and_counted() -> None:
    """The rest of the frame is good."""
    outputs = advanced(ADVANCED["l2_odd"])

    assert outputs[:2] == [Odd("size"), Odd("time")]
    assert outputs[2] == BookUpdate("BTC-USD", NEW_YEAR + 300_000_000, 7, [], [(Decimal("91000.05"), Decimal(1))])


def test_a_batch_of_trades_is_put_in_order() -> None:
    """Newest first on the wire; `side` is the maker's, so the taker is the other."""
    first, second = advanced(ADVANCED["trades_update"])

    assert first == Trade("coinbase", "BTC-USD", NEW_YEAR + 1_800_000_000, 7, Decimal("91000.02"), Decimal("0.4"), Side.SELL, "503")
    assert isinstance(second, Trade)
    assert (second.trade_id, second.taker) == ("504", Side.BUY)


def test_replayed_trades_come_as_one_snapshot() -> None:
    """Oldest first, all marked as not seen live."""
    (snapshot,) = advanced(ADVANCED["trades_snapshot"])

    assert isinstance(snapshot, TradeSnapshot)
    assert [(trade.trade_id, trade.backfilled) for trade in snapshot.trades] == [("501", True), ("502", True)]


def test_a_ticker_has_no_quote() -> None:
    """The quote is the top of the book; empty figures are null."""
    full, bare = advanced(ADVANCED["ticker"], ADVANCED["ticker_batch"])

    assert full == Ticker(
        "coinbase",
        "BTC-USD",
        NEW_YEAR + 3_000_000_000,
        7,
        Decimal("91000.02"),
        None,
        Decimal("92000.10"),
        Decimal(90000),
        Decimal("1234.5"),
    )
    assert bare == Ticker("coinbase", "ETH-USD", NEW_YEAR + 3_000_000_000, 7, None, None, None, None, Decimal(0))


def test_the_acknowledgement_names_what_is_subscribed() -> None:
    """`heartbeats` has no products, and was not asked for by topic."""
    assert advanced(ADVANCED["subscriptions"]) == [Ack(channel="level2", symbols=("BTC-USD",))]


def test_a_product_that_is_not_online_is_down() -> None:
    """Products that were not asked for are left out."""
    assert advanced(ADVANCED["status"]) == [
        Status("coinbase", "BTC-USD", None, 7, "*", FeedState.LIVE),
        Status("coinbase", "ETH-USD", None, 7, "*", FeedState.DOWN, "maintenance"),
    ]


def test_other_advanced_channels_are_known() -> None:
    """A heartbeat is a sign of life, an error a refusal, the rest nothing for the tape."""
    assert advanced(ADVANCED["candles"], ADVANCED["user"], ADVANCED["futures_balance_summary"]) == []
    assert advanced(ADVANCED["heartbeats"], ADVANCED["error"]) == [Heartbeat(), Rejected("authentication failure")]


def test_all_frames_of_a_connection_share_one_sequence() -> None:
    """The golden frames are numbered through, whatever their channel: no break."""
    assert not [output for output in advanced(*ADVANCED.values()) if isinstance(output, ConnectionBreak)]


def test_a_hole_in_the_sequence_is_told_with_the_books_it_spoils() -> None:
    """Before the frame that showed it, which may be of any channel."""
    outputs = advanced(ADVANCED["l2_snapshot"], numbered(ADVANCED["heartbeats"], 3))

    assert outputs[1:] == [ConnectionBreak(7, 2, instruments=("BTC-USD",)), Heartbeat()]


def test_a_sequence_that_falls_back_is_a_break_too() -> None:
    """How much is missing cannot be told."""
    outputs = advanced(ADVANCED["heartbeats"], numbered(ADVANCED["heartbeats"], 2))

    assert outputs[1:] == [ConnectionBreak(7, None), Heartbeat()]


def test_a_book_frame_that_cannot_be_read_is_a_hole() -> None:
    """Its changes are lost as if it had not come; the next good frame says so."""
    torn = ADVANCED["l2_update"].replace(b'"side":"bid"', b'"side":"up"')

    outputs = advanced(ADVANCED["l2_snapshot"], torn, ADVANCED["l2_empty"])

    assert outputs[1] == ConnectionBreak(7, 1, instruments=("BTC-USD",))
    assert isinstance(outputs[2], BookUpdate)


def test_a_break_found_in_a_bad_frame_is_not_forgotten() -> None:
    """An unknown channel counts in the sequence, and tells of no book."""
    unknown = b'{"channel":"soothsayer","timestamp":"x","sequence_num":5,"events":[]}'

    outputs = advanced(ADVANCED["l2_snapshot"], unknown, numbered(ADVANCED["heartbeats"], 6))

    assert outputs[1:] == [ConnectionBreak(7, 4, instruments=("BTC-USD",)), Heartbeat()]


# ---- Exchange


def test_a_match_has_the_makers_side() -> None:
    """The resting order sold: the taker bought. The last one before the subscription is marked as not seen live."""
    last, match = exchange(EXCHANGE["last_match"], EXCHANGE["match"])

    assert last == Trade(
        "coinbase", "BTC-USD", NEW_YEAR + 112_041_000, 7, Decimal("91000.02"), Decimal("0.00031874"), Side.BUY, "600", backfilled=True
    )
    assert isinstance(match, Trade)
    assert (match.taker, str(match.size), match.venue_ts, match.backfilled) == (Side.SELL, "1.50", NEW_YEAR + 1_500_000_000, False)


def test_a_heartbeat_names_the_newest_trade() -> None:
    """Proof that none was missed, or that some were."""
    assert exchange(EXCHANGE["heartbeat"]) == [Heartbeat(), LastTrade("BTC-USD", NEW_YEAR + 2_000_001_000, 7, 601)]


def test_an_exchange_ticker_is_the_day_and_no_quote() -> None:
    """Its bid and ask are those of the last trade."""
    assert exchange(EXCHANGE["ticker"]) == [
        Ticker(
            "coinbase", "BTC-USD", NEW_YEAR + 1_500_000_000, 7, Decimal("91000.01"), Decimal(91500), Decimal("92000.10"), Decimal(90000),
            Decimal("1234.50"),
        )
    ]  # fmt: skip


def test_an_exchange_book_is_read_by_side() -> None:
    """`buy` is the bids; the time of the year 1 is replaced by that of the frame before."""
    snapshot, update, odd, timeless = exchange(EXCHANGE["snapshot"], EXCHANGE["l2update"], EXCHANGE["l2update_no_time"])

    assert isinstance(snapshot, BookSnapshot)
    assert update == BookUpdate(
        "BTC-USD", NEW_YEAR + 600_000_000, 7, [(Decimal("91000.01"), Decimal(0))], [(Decimal("91000.02"), Decimal("2.5"))]
    )
    assert odd == Odd("time")
    assert isinstance(timeless, BookUpdate)
    assert timeless.venue_ts == NEW_YEAR + 600_000_000


def test_a_snapshot_with_an_impossible_size_is_good_but_for_that_level() -> None:
    """`0.-10000` was seen in production."""
    odd, snapshot = exchange(EXCHANGE["snapshot_odd"])

    assert odd == Odd("size")
    assert snapshot == BookSnapshot("ETH-USD", None, 7, [(Decimal(3000), Decimal(1))], [(Decimal("3000.1"), Decimal(1))])


def test_exchange_replies_and_statuses() -> None:
    """Acknowledgements may call a channel by another name than it was asked for by."""
    assert exchange(EXCHANGE["subscriptions"], EXCHANGE["error"], EXCHANGE["status"]) == [
        Ack(channel="matches", symbols=("BTC-USD",)),
        Ack(channel="level2_batch", symbols=("BTC-USD",)),
        Rejected("Failed to subscribe: ZZZ-USD is not a valid product"),
        Status("coinbase", "BTC-USD", None, 7, "*", FeedState.LIVE),
        Status("coinbase", "ETH-USD", None, 7, "*", FeedState.DOWN, "delisted"),
    ]


def test_the_channel_of_single_orders_is_known() -> None:
    """And nothing for the tape."""
    assert exchange(EXCHANGE["open"], EXCHANGE["done"]) == []


def test_an_exchange_change_that_cannot_be_read_spoils_the_books() -> None:
    """Nothing else would show that it is missing. Any other bad frame does not."""
    torn = EXCHANGE["l2update"].replace(b'"buy"', b'"up"')
    other = EXCHANGE["match"].replace(b'"1.50"', b'"-1"')

    outputs = exchange(EXCHANGE["snapshot"], other, EXCHANGE["heartbeat"], torn, EXCHANGE["heartbeat"])

    assert [type(output) for output in outputs[1:]] == [Heartbeat, LastTrade, ConnectionBreak, Heartbeat, LastTrade]


# ---- both


def test_a_usdc_product_answered_with_the_name_of_its_usd_one_is_not_lost() -> None:
    """Unless that is asked for itself: then the frames are its own, once."""
    only = {"BTC-USDC": "BTC-USDC"}
    both = {"BTC-USDC": "BTC-USDC", "BTC-USD": "BTC-USD"}

    (match,) = exchange(EXCHANGE["match"], symbols=only)
    (snapshot,) = advanced(ADVANCED["l2_snapshot"], symbols=only)
    (own,) = exchange(EXCHANGE["match"], symbols=both)

    assert isinstance(match, Trade)
    assert isinstance(snapshot, BookSnapshot)
    assert isinstance(own, Trade)
    assert (match.instrument, snapshot.instrument, own.instrument) == ("BTC-USDC", "BTC-USDC", "BTC-USD")
    assert advanced(ADVANCED["subscriptions"], symbols=only) == [Ack(channel="level2", symbols=("BTC-USDC",))]


def test_a_product_with_a_book_of_its_own_has_no_second_name() -> None:
    """`USDT-USDC` is no view of `USDT-USD`."""
    frame = EXCHANGE["match"].replace(b"BTC-USD", b"USDT-USD")

    with pytest.raises(UnknownSymbol):
        coinbase.ExchangeParser({"USDT-USDC": "USDT-USDC"})(frame, 7)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b'{"channel":"soothsayer","timestamp":"","sequence_num":0,"events":[]}', UnknownFrame),
        (b'{"type":"soothsayer"}', UnknownFrame),
        (ADVANCED["l2_snapshot"].replace(b"BTC-USD", b"XRP-USD"), UnknownSymbol),
        (ADVANCED["ticker"].replace(b"BTC-USD", b"XRP-USD"), UnknownSymbol),
        (ADVANCED["l2_update"].replace(b'"update"', b'"soothsaying"'), UnknownFrame),
        (ADVANCED["trades_update"].replace(b'"update"', b'"soothsaying"'), UnknownFrame),
        (ADVANCED["trades_update"].replace(b'"504"', b'"5x4"'), FrameError),
        (ADVANCED["trades_update"].replace(b'"0.3"', b'"0"'), FrameError),
        (ADVANCED["ticker"].replace(b"2026-01-01T00:00:03Z", b"yesterday"), FrameError),
        (ADVANCED["l2_update"].replace(b"new_quantity", b"newness"), msgspec.ValidationError),
        (b"[", msgspec.MsgspecError),
    ],
)
def test_what_cannot_be_used_of_advanced_says_why(frame: bytes, error: type[Exception]) -> None:
    """By the error's type it is counted."""
    with pytest.raises(error):
        coinbase.AdvancedParser(SYMBOLS["coinbase"])(frame, 7)


def test_one_strange_product_does_not_cost_the_others() -> None:
    """A frame may hold several."""
    frame = msgspec.json.decode(ADVANCED["l2_snapshot"])
    frame["events"].insert(0, {**frame["events"][0], "product_id": "XRP-USD"})

    (snapshot,) = advanced(msgspec.json.encode(frame))

    assert isinstance(snapshot, BookSnapshot)


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
def test_what_cannot_be_used_of_exchange_says_why(frame: bytes, error: type[Exception]) -> None:
    """By the error's type it is counted."""
    with pytest.raises(error):
        coinbase.ExchangeParser(SYMBOLS["coinbase"])(frame, 7)


def test_requests_are_one_channel_a_message() -> None:
    """Matches come with the heartbeats that prove them."""
    request = Request("matches", ("BTC-USD", "ETH-USD"), 5, 10)

    assert msgspec.json.decode(coinbase.subscribe_exchange(request)) == {
        "type": "subscribe",
        "product_ids": ["BTC-USD", "ETH-USD"],
        "channels": ["matches", "heartbeat"],
    }
    assert msgspec.json.decode(coinbase.unsubscribe_exchange(Request("ticker", ("BTC-USD",), 5, 10))) == {
        "type": "unsubscribe",
        "product_ids": ["BTC-USD"],
        "channels": ["ticker"],
    }
    assert msgspec.json.decode(coinbase.subscribe_advanced(Request("level2", ("BTC-USD",), 5, 10))) == {
        "type": "subscribe",
        "product_ids": ["BTC-USD"],
        "channel": "level2",
    }
    assert msgspec.json.decode(coinbase.unsubscribe_advanced(request))["type"] == "unsubscribe"


def test_instruments_come_in_two_dialects() -> None:
    """A list of Exchange, an object of Advanced Trade; what cannot be traded now is not active."""
    bitcoin = Instrument("BTC-USD", "coinbase", "BTC-USD", "BTC", "USD", Decimal("0.01"), Decimal("1E-8"))

    assert coinbase.parse_instruments(INSTRUMENTS["coinbase"]) == [
        bitcoin,
        Instrument("ETH-USD", "coinbase", "ETH-USD", "ETH", "USD", Decimal("0.01"), Decimal("1E-8"), active=False),
    ]
    assert coinbase.parse_instruments(COINBASE_MARKET) == [bitcoin]


def test_an_error_in_a_rest_answer_is_found() -> None:
    """An answer without one has none."""
    assert coinbase.rest_error(b'{"message":"NotFound"}') == "NotFound"
    assert coinbase.rest_error(b"[]") is None

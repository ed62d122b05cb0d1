"""Coinbase, Advanced Trade: the outputs of its frames."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.errors import FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.coinbase import advanced
from crosstape_connector.venues.messages import Ack, BookSnapshot, BookUpdate, ConnectionBreak, Heartbeat, Odd, Rejected, TradeSnapshot
from crosstape_connector.venues.spec import Request
from crosstape_schemas import FeedState, GapCause, Side, Status, Ticker, Trade
from tests.connector.venues.coinbase.connection import NEW_YEAR, from_advanced, numbered
from tests.connector.venues.golden import frames_of, symbols_of

ADVANCED = frames_of("coinbase", "advanced")


def test_a_book_snapshot_may_have_the_senders_time_only() -> None:
    """1970 in its levels means that the engine's is not known."""
    (snapshot,) = from_advanced(ADVANCED["l2_snapshot"])

    assert snapshot == BookSnapshot(
        "BTC-USD",
        NEW_YEAR + 100_000_009,
        7,
        [(Decimal("91000.01"), Decimal("0.5")), (Decimal(91000), Decimal("1.25"))],
        [(Decimal("91000.02"), Decimal(2))],
    )


def test_an_update_has_the_engines_time() -> None:
    """The newest of its levels'; an empty one has the sender's."""
    _, update, empty = from_advanced(ADVANCED["l2_snapshot"], ADVANCED["l2_update"], ADVANCED["l2_empty"])

    assert update == BookUpdate(
        "BTC-USD", NEW_YEAR + 150_002_000, 7, [(Decimal("91000.01"), Decimal(0))], [(Decimal("91000.03"), Decimal("0.75"))]
    )
    assert empty == BookUpdate("BTC-USD", NEW_YEAR + 300_000_000, 7, [], [])


UNREAD = ConnectionBreak(7, None, GapCause.UNKNOWN, ("BTC-USD",), "a change of the book cannot be read")


def test_a_change_with_an_impossible_value_spoils_its_book() -> None:
    """A change that was not applied is missing, whatever else the frame holds."""
    outputs = from_advanced(ADVANCED["l2_odd"])

    assert outputs == [Odd("size"), Odd("time"), UNREAD]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b'"side":"bid"', b'"side":"up"'),
        (b'"0.75"', b'"0.-75"'),
        (b'"0.75"', b"[]"),
        (b'"91000.03"', b'"x"'),
        (b'"price_level":"91000.03"', b'"price":"91000.03"'),
    ],
)
def test_a_change_that_cannot_be_read_spoils_its_book_and_no_other(good: bytes, bad: bytes) -> None:
    """Its neighbours in the frame, and all other books of the connection, are as good as before."""
    event = ADVANCED["l2_update"].partition(b'"events":[')[2].removesuffix(b"]}")
    neighbour = event.replace(b"BTC-USD", b"ETH-USD")
    frame = ADVANCED["l2_update"].replace(event, event.replace(good, bad) + b"," + neighbour)

    outputs = from_advanced(ADVANCED["l2_snapshot"], frame, ADVANCED["l2_empty"])

    assert [output for output in outputs if isinstance(output, ConnectionBreak)] == [UNREAD]
    assert [output.instrument for output in outputs if isinstance(output, BookUpdate)] == ["ETH-USD", "BTC-USD"]


def test_a_batch_of_trades_is_put_in_order() -> None:
    """Newest first on the wire; `side` is the maker's, so the taker is the other."""
    first, second = from_advanced(ADVANCED["trades_update"])

    assert first == Trade("coinbase", "BTC-USD", NEW_YEAR + 1_800_000_000, 7, Decimal("91000.02"), Decimal("0.4"), Side.SELL, "503")
    assert isinstance(second, Trade)
    assert (second.trade_id, second.taker) == ("504", Side.BUY)


def test_replayed_trades_come_as_one_snapshot() -> None:
    """Oldest first, all marked as not seen live."""
    (snapshot,) = from_advanced(ADVANCED["trades_snapshot"])

    assert isinstance(snapshot, TradeSnapshot)
    assert [(trade.trade_id, trade.backfilled) for trade in snapshot.trades] == [("501", True), ("502", True)]


def test_a_ticker_has_no_quote() -> None:
    """The quote is the top of the book; empty figures are null."""
    full, bare = from_advanced(ADVANCED["ticker"], ADVANCED["ticker_batch"])

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
    assert from_advanced(ADVANCED["subscriptions"]) == [Ack(channel="level2", symbols=("BTC-USD",))]


def test_a_product_that_is_not_online_is_down() -> None:
    """Products that were not asked for are left out."""
    assert from_advanced(ADVANCED["status"]) == [
        Status("coinbase", "BTC-USD", None, 7, "*", FeedState.LIVE),
        Status("coinbase", "ETH-USD", None, 7, "*", FeedState.DOWN, "maintenance"),
    ]


def test_other_advanced_channels_are_known() -> None:
    """A heartbeat is a sign of life, an error a refusal, the rest nothing for the tape."""
    assert from_advanced(ADVANCED["user"], ADVANCED["futures_balance_summary"]) == []
    assert from_advanced(ADVANCED["heartbeats"], ADVANCED["error"]) == [Heartbeat(), Rejected("authentication failure")]


def test_all_frames_of_a_connection_share_one_sequence() -> None:
    """The golden frames are numbered through, whatever their channel: no break."""
    outputs = from_advanced(*ADVANCED.values())
    assert not [output for output in outputs if isinstance(output, ConnectionBreak) and output != UNREAD]


def test_a_hole_in_the_sequence_is_told_with_the_books_it_spoils() -> None:
    """The break comes before the outputs of the frame that showed it, which may be of any channel."""
    outputs = from_advanced(ADVANCED["l2_snapshot"], numbered(ADVANCED["heartbeats"], 3))

    assert outputs[1:] == [ConnectionBreak(7, 2, instruments=("BTC-USD",)), Heartbeat()]


def test_a_sequence_that_falls_back_is_a_break_too() -> None:
    """The number of missing frames is unknown."""
    outputs = from_advanced(ADVANCED["heartbeats"], numbered(ADVANCED["heartbeats"], 2))

    assert outputs[1:] == [ConnectionBreak(7, None), Heartbeat()]


@pytest.mark.parametrize("name", ["l2_snapshot", "l2_update"])
def test_a_book_of_the_past_is_not_taken_for_the_present(name: str) -> None:
    """An overtaken snapshot would make a live book that is wrong."""
    outputs = from_advanced(ADVANCED["l2_snapshot"], numbered(ADVANCED["heartbeats"], 9), numbered(ADVANCED[name], 4))

    assert outputs[3:] == [ConnectionBreak(7, None, instruments=("BTC-USD",))]


def test_a_book_frame_that_cannot_be_read_is_a_hole() -> None:
    """Its changes are lost, as if the frame had not come; the next good frame reports the break."""
    torn = ADVANCED["l2_update"].replace(b'"product_id":"BTC-USD"', b'"product_id":7')

    outputs = from_advanced(ADVANCED["l2_snapshot"], torn, ADVANCED["l2_empty"])

    assert outputs[1] == ConnectionBreak(7, 1, instruments=("BTC-USD",))
    assert isinstance(outputs[2], BookUpdate)


def test_a_break_found_in_a_bad_frame_is_not_forgotten() -> None:
    """A frame of an unknown channel counts in the sequence, but cannot report the break itself."""
    unknown = b'{"channel":"soothsayer","timestamp":"x","sequence_num":5,"events":[]}'

    outputs = from_advanced(ADVANCED["l2_snapshot"], unknown, numbered(ADVANCED["heartbeats"], 6))

    assert outputs[1:] == [ConnectionBreak(7, 4, instruments=("BTC-USD",)), Heartbeat()]


def test_one_strange_product_does_not_cost_the_others() -> None:
    """A frame may hold several."""
    frame = msgspec.json.decode(ADVANCED["l2_snapshot"])
    frame["events"].insert(0, {**frame["events"][0], "product_id": "XRP-USD"})

    (snapshot,) = from_advanced(msgspec.json.encode(frame))

    assert isinstance(snapshot, BookSnapshot)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b'{"channel":"soothsayer","timestamp":"","sequence_num":0,"events":[]}', UnknownFrame),
        (b'{"type":"soothsayer"}', UnknownFrame),
        (ADVANCED["l2_snapshot"].replace(b"BTC-USD", b"XRP-USD"), UnknownSymbol),
        (ADVANCED["ticker"].replace(b"BTC-USD", b"XRP-USD"), UnknownSymbol),
        (ADVANCED["l2_update"].replace(b'"update"', b'"soothsaying"'), UnknownFrame),
        (ADVANCED["trades_update"].replace(b'"update"', b'"soothsaying"'), UnknownFrame),
        (ADVANCED["trades_update"].replace(b'"50', b'"5x'), FrameError),
        (ADVANCED["trades_update"].replace(b'"0.', b'"-0.'), FrameError),
        (ADVANCED["l2_update"].replace(b"product_id", b"product"), msgspec.ValidationError),
        (b"[", msgspec.MsgspecError),
    ],
)
def test_what_cannot_be_used_says_why(frame: bytes, error: type[Exception]) -> None:
    """The type of the error gives the kind by which it is counted."""
    with pytest.raises(error):
        advanced.Parser(symbols_of("coinbase"))(frame, 7)


def test_a_request_is_one_channel_a_message() -> None:
    """With its products."""
    request = Request("level2", ("BTC-USD",), 5, 10)

    assert msgspec.json.decode(advanced.request("subscribe", request)) == {
        "type": "subscribe",
        "product_ids": ["BTC-USD"],
        "channel": "level2",
    }
    assert msgspec.json.decode(advanced.request("unsubscribe", request))["type"] == "unsubscribe"

"""Bitfinex, WebSocket v2: what the data of each channel become."""

from __future__ import annotations

import re
import zlib
from decimal import Decimal
from typing import Any, Final

import pytest

from crosstape_connector.errors import FRAME_ERRORS, UnknownFrame
from crosstape_connector.venues.bitfinex import VENUE, stream
from crosstape_connector.venues.bitfinex.checksum import checksum
from crosstape_connector.venues.messages import (
    BookSnapshot,
    BookUpdate,
    CandleSnapshot,
    ConnectionBreak,
    Odd,
    Output,
    TradeSnapshot,
    Unreadable,
)
from crosstape_schemas import Candle, FeedState, Funding, Gap, GapCause, Level, Liquidation, Mark, OpenInterest, Side, Status, Ticker, Trade
from tests.connector.venues.golden import frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("bitfinex")
D: Final = Decimal


def parse(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = stream.Parser(symbols_of("bitfinex"))
    return [output for frame in frames for output in parser(frame, 7)]


def data_of(*frames: bytes) -> list[Output]:
    """The same without acknowledgements."""
    return [output for output in parse(*frames) if type(output).__name__ != "Ack"]


def tape(*frames: bytes) -> list[Any]:
    """The events of one connection's frames."""
    found = feeds(VENUE)
    return [event for output in parse(*frames) for event in found.apply(output)]


def unnumbered(name: str) -> bytes:
    """A golden frame without its number and time, as a connection without flags gets it."""
    return re.sub(rb",\d+,\d{13}\]$", b"]", FRAMES[name])


def signed_crc(text: str) -> int:
    """Of the text, as the documents describe it."""
    return int.from_bytes(zlib.crc32(text.encode()).to_bytes(4, "big"), "big", signed=True)


def levels(*rows: str) -> list[Level]:
    """`price:size` of each."""
    return [(D(row.split(":")[0]), D(row.split(":")[1])) for row in rows]


@pytest.mark.parametrize(
    ("bids", "asks", "expected"),
    [
        (levels("6000:1", "5900:2"), levels("6100:3", "6200:4"), 1756193398),
        (levels("0.1:1", "0.09:5", "0.089:1"), levels("0.15:1", "0.2:3", "0.3:4"), -1625836611),
        ([], [], 0),
    ],
)
def test_the_checksum_is_that_of_the_documents(bids: list[Level], asks: list[Level], expected: int) -> None:
    """A bid and an ask in turn, asks negative, the sum signed."""
    assert checksum(bids, asks) == expected


@pytest.mark.parametrize(
    ("bids", "asks", "text"),
    [
        (("0.0000011:2661.94", "7e-7:100", "1e-8:64"), ("0.00000111:4847.13",), "0.0000011:2661.94:0.00000111:-4847.13:7e-7:100:1e-8:64"),
        (("1.1:1e-8",), ("1.2:2.5e-7", "1.3:1"), "1.1:1e-8:1.2:-2.5e-7:1.3:-1"),
        ((), ("2:1", "3:0.000001"), "2:-1:3:-0.000001"),
        (("100000:43.358118629999986",), (), "100000:43.358118629999986"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_the_venue_writes_them(bids: tuple[str, ...], asks: tuple[str, ...], text: str) -> None:
    """With an exponent below 0.000001 only. A side that has run out is skipped."""
    assert checksum(levels(*bids), levels(*asks)) == signed_crc(text)


def test_a_checksum_is_of_the_best_twenty_five() -> None:
    """Deeper levels do not count."""
    bids, asks = [(D(100 - n), D(1)) for n in range(40)], [(D(101 + n), D(2)) for n in range(40)]

    assert checksum(bids, asks) == checksum(bids[:25], asks[:25])
    assert checksum(bids, asks) != checksum(bids[:24], asks)
    assert VENUE.book.checksum_levels == 25


def test_a_checksum_proves_the_book_after_each_change() -> None:
    """Snapshot, a level, several levels at once; then the sum of the result. A wrong sum is a break, and the topic is subscribed again."""
    frames = [FRAMES["ack_book"], *map(unnumbered, ("book_snapshot", "book_level", "book_bulk", "book_checksum"))]
    good, bad = feeds(VENUE), feeds(VENUE)
    for output in parse(*frames):
        good.apply(output)
    wrong = frames[-1].replace(b"1483073636", b"1483073637")
    events = [event for output in parse(*frames[:-1], wrong) for event in bad.apply(output)]

    assert wrong != frames[-1]
    assert (good.book_checks()["BTC-USD"].checksums_ok, good.book_checks()["BTC-USD"].checksums_bad) == (1, 0)
    assert bad.book_checks()["BTC-USD"].checksums_bad == 1
    assert {event.cause for event in events if isinstance(event, Gap)} == {GapCause.CHECKSUM}
    assert [event.state for event in events if isinstance(event, Status) and event.kind == "book"] == [FeedState.LIVE, FeedState.RECOVERING]


def test_a_book_of_tiny_prices_has_the_venues_checksum() -> None:
    """Their exponents are the venue's own text."""
    found = feeds(VENUE)
    for output in parse(FRAMES["ack_small"], unnumbered("small_snapshot"), unnumbered("small_checksum")):
        found.apply(output)

    assert found.book_checks()["XRP-BTC"].checksums_ok == 1


def test_the_first_list_of_a_book_is_its_snapshot() -> None:
    """A list with one level, too; a single level is a change; later lists are changes; an empty list is an empty book."""
    outputs = data_of(FRAMES["ack_book"], b"[102,[[91000,1,0.5]]]", b"[102,[91001,1,-2]]", b"[102,[[91000,0,1]]]", b"[102,[]]")
    empty = data_of(FRAMES["ack_book"], b"[102,[]]", b"[102,[[91000,1,0.5]]]")

    assert outputs == [
        BookSnapshot("BTC-USD", None, 7, [(D(91000), D("0.5"))], []),
        BookUpdate("BTC-USD", None, 7, [], [(D(91001), D(2))]),
        BookUpdate("BTC-USD", None, 7, [(D(91000), D(0))], []),
    ]
    assert empty == [BookSnapshot("BTC-USD", None, 7, [], []), BookUpdate("BTC-USD", None, 7, [(D(91000), D("0.5"))], [])]


def test_a_change_before_the_snapshot_does_not_become_it() -> None:
    """It is a change that nothing proves yet."""
    outputs = data_of(FRAMES["ack_book"], b"[102,[91001,1,-2]]")

    assert outputs == [BookUpdate("BTC-USD", None, 7, [], [(D(91001), D(2))])]


@pytest.mark.parametrize(
    "bad",
    [
        b"[102,[91000,-1,2]]", b"[102,[91000,1,0]]", b"[102,[91000,0,0]]", b"[102,[91000,1]]", b"[102,[91000,1.5,2]]", b'[102,["x",1,2]]',
        b"[102,[[91000,1,1],[null,1,1]]]", b'[102,["9_1",1,2]]', b"[102,[91000,1,1." + b"1" * 400 + b"]]", b"[102,[91000,1,\xff]]",
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_read_makes_the_book_suspect(bad: bytes) -> None:
    """From then on the book lacks it. The others of the connection do not."""
    outputs = data_of(FRAMES["ack_book"], unnumbered("book_snapshot"), bad)

    assert [type(output) for output in outputs] == [BookSnapshot, Odd, ConnectionBreak]
    assert isinstance(outputs[-1], ConnectionBreak)
    assert outputs[-1].instruments == ("BTC-USD",)


def test_a_trade_is_published_once() -> None:
    """As `te`; its `tu` is known. One of which only the `tu` was seen is published, and one of the snapshot is not."""
    names = ("ack_trades", "trades_snapshot", "trade_bought", "trade_sold", "trade_again", "trade_only_updated")
    outputs = data_of(*(unnumbered(name) if name != "ack_trades" else FRAMES[name] for name in names), unnumbered("trade_only_updated"))
    again = data_of(FRAMES["ack_trades"], unnumbered("trades_snapshot"), b'[101,"tu",[4000002,1767225599900,0.02,91000.2]]')

    assert [output.trade_id for output in outputs if isinstance(output, Trade)] == ["4000005", "4000009", "4000012"]
    assert [output.taker for output in outputs if isinstance(output, Trade)] == [Side.BUY, Side.SELL, Side.BUY]
    assert [type(output) for output in again] == [TradeSnapshot]


def test_a_trade_whose_first_message_cannot_be_read_is_found_in_its_second() -> None:
    """The id of the first is not noted."""
    parser = stream.Parser(symbols_of("bitfinex"))
    parser(FRAMES["ack_trades"], 7)
    with pytest.raises(FRAME_ERRORS):
        parser(unnumbered("trade_bought").replace(b"91000.25503", b"null"), 7)

    assert parser(unnumbered("trade_again"), 7) == parse(FRAMES["ack_trades"], unnumbered("trade_bought"))[1:]


def test_past_trades_come_oldest_first_and_fill_a_gap() -> None:
    """The venue sends the newest first. A row that cannot be read is counted, its neighbours are used."""
    (good,) = data_of(FRAMES["ack_trades"], unnumbered("trades_snapshot"))
    odd, bad = data_of(FRAMES["ack_trades"], unnumbered("trades_snapshot").replace(b"91000.2]", b'"x"]'))

    assert isinstance(good, TradeSnapshot)
    assert [(trade.trade_id, trade.taker, trade.backfilled) for trade in good.trades] == [
        ("4000001", Side.SELL, True),
        ("4000002", Side.BUY, True),
    ]
    assert isinstance(odd, Odd)
    assert isinstance(bad, TradeSnapshot)
    assert (bad.trades, bad.left_out) == (good.trades[:1], 1)


def test_a_ticker_has_ten_figures_or_more() -> None:
    """A null at its end came in 2026. Its best prices are not used: their sizes are sums."""
    long, short = (data_of(FRAMES["ack_ticker"], unnumbered(name)) for name in ("ticker", "ticker_short"))
    odd, unreadable = data_of(FRAMES["ack_ticker"], b"[105,[91000,1,91001,1,0,0,91000.5,544,92898]]")

    assert [type(output) for output in (*long, *short)] == [Ticker, Ticker]
    assert isinstance(odd, Odd)
    assert unreadable == Unreadable("ticker", "BTC-USD", 7)


def test_candles_come_oldest_first() -> None:
    """The close stands before the high; an interval without trades has no row; a candle before the running one may change."""
    (past,) = data_of(FRAMES["ack_candles"], unnumbered("candles"))
    (before,) = data_of(FRAMES["ack_candles"], unnumbered("candle_before"))

    assert isinstance(past, CandleSnapshot)
    assert [one.open_ts // 10**9 - 1_767_225_600 for one in past.candles] == [-180, -60, 0]
    newest = past.candles[-1]
    assert (newest.open, newest.close, newest.high, newest.low) == (D(91000), D(91001), D("91001.5"), D(90999))
    assert isinstance(before, Candle)
    assert (before.open_ts, before.close_ts) == (1_767_225_540 * 10**9, 1_767_225_600 * 10**9)
    assert not before.closed


def test_candles_whose_columns_contradict_each_other_are_not_used() -> None:
    """A high that is below the close may be another column."""
    outputs = data_of(FRAMES["ack_candles"], b"[106,[1767225600000,91000,91001.5,91001,90999,1]]")
    rows = data_of(FRAMES["ack_candles"], b"[106,[[1767225600000,91000,91001.5,91001,90999,1],[1767225540000,1,1,1,1,1]]]")

    assert isinstance(outputs[0], Odd)
    assert outputs[1:] == [Unreadable("candle:1m", "BTC-USD", 7)]
    (snapshot,) = rows
    assert isinstance(snapshot, CandleSnapshot)
    assert (len(snapshot.candles), len(snapshot.odd)) == (1, 1)


def test_weeks_from_thursday_are_left_out() -> None:
    """A recording may have them; they are no week of ours."""
    ack = FRAMES["ack_candles"].replace(b"trade:1m", b"trade:7D")

    assert data_of(ack, unnumbered("candle")) == []
    assert "7D" not in VENUE.candles.timeframes.values() if VENUE.candles is not None else False


def test_a_status_may_be_short() -> None:
    """Older servers sent twelve elements: what is not there is null, or no event."""
    long, short = (data_of(FRAMES["ack_status"], unnumbered(name)) for name in ("status", "status_short"))

    assert long == [
        Mark("bitfinex", "BTC-USDT-PERP", 1_767_225_600 * 10**9, 7, D("91007.3172"), D("91005.5")),
        Funding("bitfinex", "BTC-USDT-PERP", 1_767_225_600 * 10**9, 7, D("-1.4e-7"), 28_800, 1_767_254_400 * 10**9),
        OpenInterest("bitfinex", "BTC-USDT-PERP", 1_767_225_600 * 10**9, 7, D("8851.89352831")),
    ]
    assert [type(output) for output in short] == [Mark, Funding]
    (odd, *unreadable) = data_of(FRAMES["ack_status"], unnumbered("status").replace(b"91005.5", b'"NaN"'))
    assert isinstance(odd, Odd)
    assert unreadable == [Unreadable(kind, "BTC-USDT-PERP", 7) for kind in ("mark", "funding", "open_interest")]


def test_a_liquidation_is_published_once() -> None:
    """When it is triggered, with the size of the position. A negative amount was a short position: its order buys."""
    names = ("liquidation_trigger", "liquidation_executed", "liquidations")
    outputs = data_of(FRAMES["ack_liquidations"], *map(unnumbered, names))

    assert outputs == [
        Liquidation("bitfinex", "BTC-USDT-PERP", 1_767_225_600_489 * 10**6, 7, Side.SELL, D(90281), D("0.12173")),
        Liquidation("bitfinex", "BTC-USD", 1_767_225_600_828_200_200, 7, Side.BUY, D("91112.27"), D("2.62932")),
    ]


def test_a_liquidation_whose_trigger_was_not_sent_is_published_by_its_execution() -> None:
    """Nothing documents that each position has a row for its trigger."""
    (executed,) = data_of(FRAMES["ack_liquidations"], unnumbered("liquidation_executed"))

    assert executed == Liquidation("bitfinex", "BTC-USDT-PERP", 1_767_225_600_589 * 10**6, 7, Side.SELL, D(90281), D("0.12173"))


def test_what_a_channel_does_not_have_is_unknown() -> None:
    """A word that no document names, a checksum of trades, a trade of a book."""
    for frame in (b'[101,"xx",[1]]', b'[101,"cs",1]', b'[102,"te",[1,1,1,1]]'):
        parser = stream.Parser(symbols_of("bitfinex"))
        parser(FRAMES["ack_trades"], 7)
        parser(FRAMES["ack_book"], 7)
        with pytest.raises(UnknownFrame):
            parser(frame, 7)


def test_the_lending_market_single_orders_and_aggregated_books_are_left_out() -> None:
    """They are known."""
    aggregated = FRAMES["ack_book"].replace(b'"P0"', b'"P1"')

    assert data_of(FRAMES["ack_funding"], unnumbered("funding_trade")) == []
    assert data_of(FRAMES["ack_orders"], unnumbered("order")) == []
    assert data_of(aggregated, unnumbered("book_snapshot"), unnumbered("book_checksum")) == []

"""Binance spot: the outputs of its frames."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.errors import FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.binance import VENUE, connection, rest, stream
from crosstape_connector.venues.messages import Ack, BookSnapshot, BookUpdate, Heartbeat, Odd, Output, Rejected, Rotate, unread
from crosstape_connector.venues.spec import Request, Verdict
from crosstape_schemas import Instrument, Quote, Side, Ticker, Trade
from tests.connector.venues.golden import answers_of, as_read, frames_of, instrument, symbols_of

BINANCE = frames_of("binance")


def parse(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7, as a reader of the tape gets it."""
    parser = stream.Parser(symbols_of("binance"))
    return [as_read(output) for frame in frames for output in parser(frame, 7)]


def test_a_trade_is_the_takers_with_every_digit() -> None:
    """`m` true means that the buyer was the maker: the taker sold."""
    sold, bought = parse(BINANCE["trade"], BINANCE["trade_taker_buys"])

    assert sold == Trade("binance", "BTC-USDT", 1_767_225_600_123_000_000, 7, Decimal("91000.1"), Decimal("0.0015"), Side.SELL, "4000001")
    assert isinstance(sold, Trade)
    assert (str(sold.price), str(sold.size)) == ("91000.10000000", "0.00150000")
    assert isinstance(bought, Trade)
    assert bought.taker is Side.BUY


def test_microseconds_are_told_by_their_size() -> None:
    """A URL with `timeUnit=MICROSECOND` changes only the numbers."""
    (trade,) = parse(BINANCE["trade_us"])

    assert isinstance(trade, Trade)
    assert trade.venue_ts == 1_767_225_600_123_456_000


def test_a_best_bid_and_ask_have_no_time() -> None:
    """The venue gives none on this stream, so ours is null."""
    assert parse(BINANCE["book_ticker"]) == [
        Quote("binance", "BTC-USDT", None, 7, Decimal("91000.1"), Decimal("3.1"), Decimal("91000.2"), Decimal("0.5"))
    ]


def test_an_empty_side_is_null() -> None:
    """The venue writes zeros where there is no order."""
    assert parse(BINANCE["book_ticker_one_side"]) == [Quote("binance", "ETH-USDT", None, 7, None, None, Decimal("3000.5"), Decimal("1.0"))]


def test_depth_keeps_the_numbers_that_link_it() -> None:
    """First and last update id, both sides in the venue's order; the slow stream is read alike."""
    fast, slow = parse(BINANCE["depth"], BINANCE["depth_1000ms"])

    assert fast == BookUpdate(
        "BTC-USDT",
        1_767_225_600_200_000_000,
        7,
        [(Decimal("91000.1"), Decimal("3.2")), (Decimal(90999), Decimal(0))],
        [(Decimal("91000.3"), Decimal(1))],
        101,
        103,
    )
    assert isinstance(slow, BookUpdate)
    assert (slow.instrument, slow.first, slow.last) == ("ETH-USDT", 7, 7)


@pytest.mark.parametrize("bad", [b'"x"', b"null", b"{}", b"true", b'"0.-1"', b'""'])
def test_a_change_that_cannot_be_read_spoils_its_book(bad: bytes) -> None:
    """At once: the numbers of the next frame would show it, but that may be long in coming."""
    frame = re.sub(rb'(\["[0-9.]+",)"[0-9.]+"', rb"\g<1>" + bad, BINANCE["depth"], count=1)
    assert frame != BINANCE["depth"]

    odd, suspect = parse(frame)
    assert isinstance(odd, Odd)
    assert odd.kind == "book"
    assert odd.reason.startswith("BTC-USDT: ")
    assert suspect == unread("BTC-USDT", 7)


def test_the_day_is_told_as_the_venue_counts_it() -> None:
    """Last, open, high, low, both volumes and the change."""
    (ticker,) = parse(BINANCE["ticker"])

    assert ticker == Ticker(
        "binance", "BTC-USDT", 1_767_225_601_000_000_000, 7, Decimal("91000.20"), Decimal("91500.30"), Decimal("92000.00"),
        Decimal("90500.00"), Decimal("12345.678"), Decimal("1123456789.12"), Decimal("-500.10"),
    )  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [("trade", "aggTrade"), ("aggTrade", "trade")])
def test_no_trade_counts_twice(first: str, second: str) -> None:
    """`trade` and `aggTrade` report the same executions: per symbol, the stream that comes first is used and the other ignored."""
    frames = {
        "trade": b'{"stream":"ethusdt@trade","data":{"e":"trade","E":1,"s":"ETHUSDT","t":10,"p":"1","q":"1","T":1,"m":true}}',
        "aggTrade": BINANCE["agg_trade"],
    }

    outputs = parse(frames[first], frames[second], frames[second], frames[first])

    assert [output.trade_id for output in outputs if isinstance(output, Trade)] == [{"trade": "10", "aggTrade": "900"}[first]] * 2


def test_an_aggregate_trade_has_the_number_of_the_aggregate() -> None:
    """`a` counts by one; `f` … `l` are the trades in it."""
    (trade,) = parse(BINANCE["agg_trade"])

    assert trade == Trade("binance", "ETH-USDT", 1_767_225_600_129_000_000, 7, Decimal("3000.01"), Decimal("2.5"), Side.BUY, "900")


def test_frames_without_a_wrapper_are_read_too() -> None:
    """Those of `/ws/<stream>` tell by their type or their fields what they are."""
    kinds = [type(output) for output in parse(*(BINANCE[name] for name in ("raw_trade", "raw_book_ticker", "raw_depth", "raw_depth")))]

    assert kinds == [Trade, Quote, BookUpdate, BookUpdate]


@pytest.mark.parametrize(
    "name",
    [
        "kline_3d",
        "kline_zone",
        "mini_ticker",
        "mini_tickers",
        "avg_price",
        "reference_price",
        "block_trade",
        "partial_depth",
        "window_ticker",
        "raw_kline_3d",
        "raw_partial_depth",
    ],
)
def test_known_streams_without_anything_for_the_tape_are_silent(name: str) -> None:
    """They are documented, so they are no surprise."""
    assert parse(BINANCE[name]) == []


def test_an_announced_shutdown_asks_for_the_next_connection() -> None:
    """In either wrapping."""
    assert [type(output) for output in parse(BINANCE["shutdown"], BINANCE["raw_shutdown"])] == [Rotate, Rotate]


def test_replies_are_told_apart() -> None:
    """Null accepts; any other result answers a question of ours; errors come in two shapes."""
    assert parse(*(BINANCE[name] for name in ("ack", "pong", "list", "error", "flat_error"))) == [
        Ack(1),
        Heartbeat(),
        Heartbeat(),
        Rejected("Too many subscriptions", 19),
        Rejected("Invalid JSON: expected value at line 1 column 1"),
    ]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b'{"stream":"btcusdt@soothsayer","data":{}}', UnknownFrame),
        (b'{"e":"soothsayer","s":"BTCUSDT"}', UnknownFrame),
        (b'{"hello":"world"}', UnknownFrame),
        (b'{"stream":"xrpusdt@trade","data":{}}', UnknownSymbol),
        (b'{"u":1,"s":"XRPUSDT","b":"1","B":"1","a":"1","A":"1"}', UnknownSymbol),
        (b'{"stream":"btcusdt@trade","data":{"t":1,"p":"NaN","q":"1","T":1,"m":true}}', FrameError),
        (b'{"stream":"btcusdt@aggTrade","data":{"a":1,"p":"1","q":"-1","T":1,"m":true}}', FrameError),
        (BINANCE["ticker"].replace(b'"12345.67800000"', b'"sNaN"'), FrameError),
        (b'{"stream":"btcusdt@trade","data":{"t":1,"p":"1","q":"1","T":99999999999999999,"m":true}}', msgspec.ValidationError),
        (b'{"stream":"btcusdt@trade"', msgspec.DecodeError),
    ],
)
def test_what_cannot_be_used_says_why(frame: bytes, error: type[Exception]) -> None:
    """The type of the error gives the kind by which it is counted."""
    with pytest.raises(error):
        parse(frame)


def test_requests_name_streams_in_lower_case() -> None:
    """One message for all symbols of a channel."""
    request = Request("depth@100ms", ("BTCUSDT", "ETHUSDT"), 5, 10)

    assert msgspec.json.decode(connection.request("subscribe", request)) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@depth@100ms", "ethusdt@depth@100ms"],
        "id": 5,
    }
    assert msgspec.json.decode(connection.request("unsubscribe", request))["method"] == "UNSUBSCRIBE"
    assert msgspec.json.decode(connection.ping(9)) == {"method": "GET_PROPERTY", "params": ["combined"], "id": 9}


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [(101, 103, Verdict.APPLY), (99, 101, Verdict.APPLY), (90, 100, Verdict.SKIP), (102, 103, Verdict.BREAK), (None, None, Verdict.BREAK)],
)
def test_an_update_must_begin_where_the_book_ends(first: int | None, last: int | None, verdict: Verdict) -> None:
    """Or before it, and end after it; the same for a snapshot's number as for that of the update before."""
    assert stream.chain(BookUpdate("BTC-USDT", None, 7, (), (), first, last), 100) is verdict


def test_a_snapshot_is_asked_for_by_rest_and_read() -> None:
    """Its URL is known again in a capture; a full side says that there is more."""
    assert rest.depth_path("币安USDT", 100) == "/api/v3/depth?symbol=%E5%B8%81%E5%AE%89USDT&limit=100"
    assert rest.depth_symbol("https://x" + rest.depth_path("币安USDT", 100)) == "币安USDT"
    assert rest.depth_symbol("https://api.binance.com/api/v3/depth") is None
    assert rest.depth_symbol("https://api.binance.com/api/v3/trades?symbol=BTCUSDT") is None

    snapshot = rest.parse_depth(answers_of("binance")["snapshot"], instrument("BTC-USDT"), 7)

    assert isinstance(snapshot, BookSnapshot)
    assert (snapshot.sequence, len(snapshot.bids), len(snapshot.asks), snapshot.limit) == (102, 2, 1, None)
    for levels in (100, 500, 1_000, 5_000):
        full = {"lastUpdateId": 1, "bids": [["1", "1"]] * levels, "asks": []}
        assert rest.parse_depth(msgspec.json.encode(full), instrument("BTC-USDT"), 7).limit == levels


def test_snapshots_take_half_of_what_the_venue_allows() -> None:
    """6,000 a minute and address, each counted as the venue does: two processes may overlap, and instruments cost something too."""
    assert VENUE.snapshots is not None
    (limit,) = VENUE.rest_limits
    assert VENUE.snapshots.levels == {100: 5, 500: 25, 1_000: 50}
    assert {levels: limit.weight(VENUE.snapshots.path("BTCUSDT", levels)) for levels in rest.DEPTHS} == VENUE.snapshots.levels
    assert VENUE.snapshots.per_minute <= 6_000 / 2


def test_instruments_are_what_may_be_traded_spot() -> None:
    """A halted one is listed, and not active."""
    assert VENUE.instruments.parse(answers_of("binance")["instruments"]) == [
        Instrument("BTC-USDT", "binance", "BTCUSDT", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001")),
        Instrument("ETH-USDT", "binance", "ETHUSDT", "ETH", "USDT", active=False),
    ]


def test_an_error_in_a_rest_answer_is_found() -> None:
    """An answer without one has none."""
    assert rest.rest_error(b'{"code":-1121,"msg":"Invalid symbol."}') == "-1121 Invalid symbol."
    assert rest.rest_error(answers_of("binance")["snapshot"]) is None


def test_requests_together_leave_a_quarter_of_the_weight() -> None:
    """Snapshots count what they weigh, trades weigh 25, quotes of several symbols 4."""
    assert VENUE.snapshots is not None
    assert VENUE.trades is not None
    assert VENUE.quotes is not None

    assert VENUE.snapshots.per_minute + VENUE.trades.per_minute * 25 + VENUE.quotes.per_minute * 4 <= 6_000 * 3 / 4


def quotes(body: bytes) -> list[Quote | Odd]:
    """The quotes of an answer that was received at 7."""
    assert VENUE.quotes is not None
    return list(VENUE.quotes.parse(body, symbols_of("binance"), 7))


def test_several_quotes_come_in_one_answer_and_zeros_are_an_empty_side() -> None:
    """One request for all symbols."""
    assert quotes(answers_of("binance")["quotes"])[1] == Quote("binance", "ETH-USDT", None, 7, None, None, Decimal("3000.5"), Decimal(1))


def test_a_quote_of_what_was_not_asked_for_is_refused() -> None:
    """It would be another market's."""
    with pytest.raises(UnknownSymbol, match="XRPUSDT"):
        quotes(answers_of("binance")["quotes"].replace(b"ETHUSDT", b"XRPUSDT").replace(b"BTCUSDT", b"XRPUSDT"))


@pytest.mark.parametrize(
    ("old", "new"), [(b"ETHUSDT", b"XRPUSDT"), (b'"3000.50000000"', b'"1_000"'), (b'"askQty":"1.00000000"', b'"askQty":5')]
)
def test_a_quote_that_cannot_be_used_takes_no_other_with_it(old: bytes, new: bytes) -> None:
    """It is reported apart, with the reason."""
    bitcoin, odd = quotes(answers_of("binance")["quotes"].replace(old, new))

    assert isinstance(bitcoin, Quote)
    assert bitcoin.instrument == "BTC-USDT"
    assert isinstance(odd, Odd)
    assert odd.kind == "row"
    assert odd.reason.startswith("quotes: ")


def test_symbols_that_are_not_listed_are_refused_with_all_that_were_asked_for() -> None:
    """By an error of the venue's, or a bare 400."""
    source = VENUE.trading
    assert source is not None
    assert source.unknown("https://x/y: -1121 Invalid symbol.")
    assert source.unknown("https://x/y: HTTP 400")
    assert not source.unknown("https://x/y: HTTP 418")
    assert source.path(["BTCUSDT"]) == "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%5D&showPermissionSets=false"

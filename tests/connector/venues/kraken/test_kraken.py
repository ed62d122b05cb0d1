"""Kraken spot, WebSocket v2: the outputs of its frames."""

from __future__ import annotations

import re
import zlib
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.errors import FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.kraken import VENUE, requests, rest, stream
from crosstape_connector.venues.kraken.checksum import checksum
from crosstape_connector.venues.kraken.names import rest_name
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    Heartbeat,
    Odd,
    Output,
    Rejected,
    TradeSnapshot,
    Unreadable,
    unread,
)
from crosstape_connector.venues.spec import Request
from crosstape_schemas import FeedState, Instrument, Quote, Side, Status, Ticker, Trade, asset
from tests.connector.venues.golden import answers_of, frames_of, instrument, symbols_of

KRAKEN = frames_of("kraken")


def parse(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = stream.Parser(symbols_of("kraken"))
    return [output for frame in frames for output in parser(frame, 7)]


def test_a_frame_may_hold_several_trades() -> None:
    """`side` is the taker's; no digit of a JSON number is lost, nor one of the time's."""
    first, second = parse(KRAKEN["trade"])

    assert first == Trade("kraken", "BTC-USD", 1_767_225_601_798_009_000, 7, Decimal("91000.1"), Decimal("0.01044926"), Side.BUY, "702")
    assert isinstance(first, Trade)
    assert isinstance(second, Trade)
    assert (str(first.price), second.taker, f"{second.size:f}") == ("91000.10", Side.SELL, "0.00000100")


def test_replayed_trades_come_as_one_snapshot() -> None:
    """All marked as not seen live."""
    (snapshot,) = parse(KRAKEN["trade_snapshot"])

    assert isinstance(snapshot, TradeSnapshot)
    assert [(trade.trade_id, trade.backfilled) for trade in snapshot.trades] == [("700", True), ("701", True)]


def test_a_ticker_holds_a_quote_and_the_day() -> None:
    """The venue does not say what the day opened at, nor its volume in quote units."""
    assert parse(KRAKEN["ticker"]) == [
        Quote(
            "kraken", "BTC-USD", 1_767_225_602_000_003_000, 7, Decimal("91000.0"), Decimal("12.31628629"),
            Decimal("91000.1"), Decimal("0.31232"),
        ),
        Ticker(
            "kraken", "BTC-USD", 1_767_225_602_000_003_000, 7, Decimal("91000.1"), None, Decimal("92000.0"), Decimal("90000.3"),
            Decimal("4182.59447976"), None, Decimal("-213.8"),
        ),
    ]  # fmt: skip


def test_a_side_without_size_is_empty_and_a_time_may_be_missing() -> None:
    """Older tickers have no timestamp."""
    quote, _ = parse(KRAKEN["ticker_plain"])

    assert quote == Quote("kraken", "DOGE-USD", None, 7, Decimal("0.12345"), Decimal("740.0"), None, None)


def test_a_market_without_quotes_is_counted_and_left_out() -> None:
    """Zeros and the year 1970 are no quote; the one before it is over."""
    assert parse(KRAKEN["ticker_empty"]) == [Odd("quote"), Unreadable("quote", "DOGE-USD", 7)]


def test_a_book_keeps_the_digits_that_its_checksum_is_of() -> None:
    """Snapshot and update alike; the depth is what the acknowledgement said, if it came before."""
    snapshot, update = parse(KRAKEN["book_snapshot"], KRAKEN["book"])
    _, acknowledged = parse(KRAKEN["ack"], KRAKEN["book_snapshot"])

    assert isinstance(snapshot, BookSnapshot)
    assert isinstance(update, BookUpdate)
    assert isinstance(acknowledged, BookSnapshot)
    assert [(str(price), f"{size:f}") for price, size in snapshot.asks] == [("91000.1", "2.00000000"), ("91000.5", "0.00000100")]
    assert (update.bids[0], update.checksum, update.venue_ts) == ((Decimal("91000.0"), Decimal(0)), 0, 1_767_225_600_500_000_000)
    assert (snapshot.depth, acknowledged.depth) == (None, 10)


def test_a_book_without_its_checksum_is_counted_and_used() -> None:
    """It is unproven until a frame that carries one."""
    for name in ("book_snapshot", "book"):
        frame = re.sub(rb',"checksum":\d+', b"", KRAKEN[name])
        assert frame != KRAKEN[name]
        odd, book = parse(frame)
        assert odd == Odd("checksum", "book of BTC/USD")
        assert isinstance(book, BookSnapshot | BookUpdate)
        assert book.checksum is None


@pytest.mark.parametrize("bad", [b'"x"', b"null", b"{}", b"[]", b'""'])
def test_a_change_that_cannot_be_read_spoils_its_book_and_no_other(bad: bytes) -> None:
    """At once: the checksum of a later frame would show it later."""
    frame = re.sub(rb'"qty":[0-9.]+', b'"qty":' + bad, KRAKEN["book"], count=1)
    row = KRAKEN["book"].partition(b'"data":[')[2].removesuffix(b"]}")
    both = frame[:-2] + b"," + row.replace(b"BTC/USD", b"DOGE/USD") + b"]}"

    (odd, broken), (same, again, other) = parse(frame), parse(both)
    assert isinstance(odd, Odd)
    assert odd.kind == "book"
    assert odd.reason.startswith("book: ")
    assert broken == unread("BTC-USD", 7)
    assert (same, again) == (odd, broken)
    assert isinstance(other, BookUpdate)
    assert other.instrument == "DOGE-USD"


DOCS_ASKS = (
    "45285.2/0.00100000 45286.4/1.54571953 45286.6/1.54571109 45289.6/1.54560911 45290.2/0.15890660 "
    "45291.8/1.54553491 45294.7/0.04454749 45296.1/0.35380000 45297.5/0.09945542 45299.5/0.18772827"
)
DOCS_BIDS = (
    "45283.5/0.10000000 45283.4/1.54582015 45282.1/0.10000000 45281.0/0.10000000 45280.3/1.54592586 "
    "45279.0/0.07990000 45277.6/0.03310103 45277.5/0.30000000 45277.3/1.54602737 45276.6/0.15445238"
)


def levels(text: str) -> list[tuple[Decimal, Decimal]]:
    """`price/size price/size`."""
    return [(Decimal(price), Decimal(size)) for price, size in (pair.split("/") for pair in text.split())]


def test_the_checksum_is_that_of_the_documents() -> None:
    """https://docs.kraken.com/api/docs/guides/spot-ws-book-v2; what lies below the best ten does not matter."""
    bids, asks = levels(DOCS_BIDS), levels(DOCS_ASKS)

    assert checksum(bids, asks) == 3_310_070_434
    assert checksum([*bids, (Decimal(1), Decimal(1))], [*asks, (Decimal(99999), Decimal(1))]) == 3_310_070_434


def test_the_checksum_of_tiny_numbers_is_of_their_plain_digits() -> None:
    """A thin book has fewer than ten levels; `0.00000010` is `10`, never `1E-7`."""
    bids = levels("0.00000010/1740.00000000")

    assert checksum(bids, []) == zlib.crc32(b"10" + b"174000000000")


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [("status", FeedState.LIVE, ""), ("maintenance", FeedState.DOWN, "maintenance"), ("post_only", FeedState.STALE, "post_only")],
)
def test_the_engines_state_is_the_venues(name: str, state: FeedState, reason: str) -> None:
    """Its connection's number may be larger than 64 bits; where orders are only taken to rest, quotes cannot be traded on."""
    assert parse(KRAKEN[name]) == [Status("kraken", "*", None, 7, "*", state, reason)]


def test_replies_are_told_apart() -> None:
    """One acknowledgement a symbol; an error may name the symbol, or nothing."""
    names = ("ack", "unsubscribed", "already", "refused", "refused_depth", "complaint", "bare_error", "pong")

    assert parse(*(KRAKEN[name] for name in names)) == [
        Ack(11, "book", ("BTC/USD",)),
        Ack(12, "book", ("BTC/USD",), unsubscribed=True),
        Ack(14, None, ("BTC/USD",)),
        Rejected("Currency pair not supported XXX/YYY", 13, None, ("XXX/YYY",)),
        Rejected("Subscription depth not supported"),
        Rejected("Exceeded msg rate"),
        Rejected("Malformed request"),
        Heartbeat(),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "count"), [("heartbeat", 1), ("instrument", 0), ("level3", 0)])
def test_other_channels_are_known(name: str, count: int) -> None:
    """A heartbeat is a sign of life, the rest is nothing for the tape."""
    assert parse(KRAKEN[name]) == [Heartbeat()] * count


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b'{"channel":"soothsayer","data":[]}', UnknownFrame),
        (b'{"method":"soothsay","success":true}', UnknownFrame),
        (b"{}", UnknownFrame),
        (KRAKEN["trade"].replace(b"update", b"soothsaying"), UnknownFrame),
        (KRAKEN["book"].replace(b"update", b"soothsaying"), UnknownFrame),
        (KRAKEN["trade"].replace(b"BTC/USD", b"XRP/USD"), UnknownSymbol),
        (KRAKEN["trade"].replace(b'"price":91000', b'"price":-1'), FrameError),
        (KRAKEN["trade"].replace(b"2026-01-01T", b"2026-13-01T"), FrameError),
        (b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD"}]}', msgspec.ValidationError),
        (b'{"channel":"heartbeat"', msgspec.DecodeError),
    ],
)
def test_what_cannot_be_used_says_why(frame: bytes, error: type[Exception]) -> None:
    """The type of the error gives the kind by which it is counted."""
    with pytest.raises(error):
        parse(frame)


def test_requests_ask_for_snapshots_and_repeat_the_depth() -> None:
    """Best bid and ask come with the ticker if it is asked to speak at each change of them."""
    book, ticker = Request("book", ("BTC/USD",), 5, 25), Request("ticker", ("BTC/USD", "DOGE/USD"), 6, 25)

    assert msgspec.json.decode(requests.request("subscribe", book)) == {
        "method": "subscribe",
        "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 25, "snapshot": True},
        "req_id": 5,
    }
    assert msgspec.json.decode(requests.request("unsubscribe", book))["params"] == {"channel": "book", "symbol": ["BTC/USD"], "depth": 25}
    assert msgspec.json.decode(requests.request("subscribe", ticker))["params"]["event_trigger"] == "bbo"
    assert msgspec.json.decode(requests.ping(7)) == {"method": "ping", "req_id": 7}


def test_instruments_have_our_names() -> None:
    """XBT is BTC, XDG is DOGE; dark pools and pairs without a name of their own are left out."""
    assert rest.parse_instruments(answers_of("kraken")["instruments"]) == [
        Instrument("BTC-USD", "kraken", "BTC/USD", "BTC", "USD", Decimal("0.1"), Decimal("1E-8")),
        Instrument("DOGE-USD", "kraken", "DOGE/USD", "DOGE", "USD", Decimal("1E-7"), Decimal("1E-8"), active=False),
    ]


def test_errors_come_with_a_good_status() -> None:
    """They are found, and never taken for an empty list."""
    assert rest.rest_error(b'{"error":["EAPI:Rate limit exceeded"]}') == "EAPI:Rate limit exceeded"
    assert rest.rest_error(answers_of("kraken")["instruments"]) is None
    assert rest.rest_error(b"<html>") is None
    with pytest.raises(FrameError, match="Busy"):
        rest.parse_instruments(b'{"error":["EService:Busy"]}')


@given(st.sampled_from(["BTC", "DOGE", "ETH", "XTZ", "ZEC", "USD", "USDT", "X", "1INCH"]), st.sampled_from(["USD", "BTC", "EUR", "DOGE"]))
def test_old_names_are_those_that_the_list_was_read_with(base: str, quote: str) -> None:
    """The list names `XBT/USD`; what was made of that for the WebSocket is undone for REST."""
    name = rest_name(f"{base}/{quote}")
    theirs = [part for part in (base, quote, "XBT", "XDG") if asset(part) != part or part not in ("BTC", "DOGE")]

    assert name in {left + right for left in theirs for right in theirs if (asset(left), asset(right)) == (base, quote)}


def quotes(body: bytes) -> list[Quote | Odd]:
    """The quote of an answer that was received at 7."""
    assert VENUE.quotes is not None
    return list(VENUE.quotes.parse(body, {"BTC/USD": instrument("BTC-USD")}, 7))


def test_a_size_below_what_rest_shows_is_no_quote() -> None:
    """A null side would say that there is none, and the price is there."""
    assert quotes(answers_of("kraken")["quotes"].replace(b'"3.100"', b'"0.000"')) == []


def test_a_quote_of_more_than_the_one_pair_is_refused() -> None:
    """It would be another market's."""
    with pytest.raises(FrameError, match="not one pair"):
        quotes(b'{"error":[],"result":{"XXBTZUSD":{"bids":[],"asks":[]},"XETHZUSD":{"bids":[],"asks":[]}}}')
    with pytest.raises(FrameError, match="EQuery:Unknown asset pair"):
        quotes(b'{"error":["EQuery:Unknown asset pair"]}')

"""Kraken Futures: books, trades, figures, contracts; and a recording."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.kraken_futures import VENUE, stream
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
from crosstape_connector.venues.spec import Request, Verdict
from crosstape_schemas import Book, FeedState, Funding, Gap, Liquidation, Mark, OpenInterest, Quote, Side, Status, Trade
from crosstape_schemas import Ticker as TickerEvent
from tests.connector.venues.golden import frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("kraken_futures")
NOW: Final = 1_767_225_600 * 10**9
MS: Final = 10**6
D: Final = Decimal


def parse(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = stream.Parser(symbols_of("kraken_futures"))
    return [output for frame in frames for output in parser(frame, 7)]


def tape(*frames: bytes) -> list[Any]:
    """The events of one connection's frames."""
    found = feeds(VENUE)
    return [event for output in parse(*frames) for event in found.apply(output)]


def test_contracts_are_base_units() -> None:
    """A linear contract is one; an inverse one is a dollar's worth at the price beside it."""
    linear, inverse, change = parse(FRAMES["book_snapshot"], FRAMES["book_inverse"], FRAMES["book_inverse_ask"])
    trade, of_inverse, other = (one for one in parse(FRAMES["trade"], FRAMES["trade_inverse"], FRAMES["trade_other"]))

    assert isinstance(linear, BookSnapshot)
    assert isinstance(inverse, BookSnapshot)
    assert linear.bids == [(D(91000), D("3.1")), (D(90999), D("0.0001"))]
    assert inverse.bids == [(D(91000), D("0.1"))]
    assert change == BookUpdate("BTC-USD-PERP", NOW + 502 * MS, 7, (), ((D(92000), D("0.05")),), 270_511_411, 270_511_411)
    assert trade == Trade("kraken_futures", "BTC-USD-LINEAR-PERP", NOW + 123 * MS, 7, D("91000.1"), D("0.0015"), Side.SELL, "4000001")
    assert isinstance(of_inverse, Trade)
    assert (of_inverse.instrument, of_inverse.size, of_inverse.taker) == ("BTC-USD-PERP", D("0.1"), Side.BUY)
    assert isinstance(other, Trade)
    assert (other.instrument, other.size) == ("BTC-USD-20261225", D("0.5"))


def test_levels_without_a_quantity_are_none_in_a_snapshot_and_removed_in_a_change() -> None:
    """One that is below zero is such a level, too: the numbers prove that nothing is missing, so that no new snapshot is needed."""
    book, gone = parse(FRAMES["book_snapshot"], FRAMES["book_bid"])

    assert isinstance(book, BookSnapshot)
    assert [price for price, _ in book.bids] == [D(91000), D(90999)]
    assert isinstance(gone, BookUpdate)
    assert gone.bids == ((D(91000), D(0)),)
    assert parse(FRAMES["book_bid"].replace(b'"qty":0.0', b'"qty":-3.0')) == [gone]
    assert parse(FRAMES["book_snapshot"].replace(b'"qty":0}', b'"qty":-3.0}')) == [book]


def test_a_book_is_the_snapshot_and_the_levels_after_it() -> None:
    """One a frame; the quote is its top."""
    events = tape(FRAMES["book_snapshot"], FRAMES["book_bid"], FRAMES["book_ask"])

    last = [event for event in events if isinstance(event, Book)][-1]
    assert (last.bids, last.asks, last.sequence) == (((D(90999), D("0.0001")),), ((D("91000.5"), D("0.75")),), 326_072_251)
    quote = [event for event in events if isinstance(event, Quote)][-1]
    assert (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size) == (D(90999), D("0.0001"), D("91000.5"), D("0.75"))


@pytest.mark.parametrize(
    ("first", "verdict"), [(11, Verdict.APPLY), (12, Verdict.BREAK), (10, Verdict.SKIP), (3, Verdict.SKIP), (None, Verdict.BREAK)]
)
def test_the_next_level_of_a_product_follows_the_number_ten(first: int | None, verdict: Verdict) -> None:
    """Numbers are those of one product, without a hole."""
    assert stream.follows(BookUpdate("X", None, 7, [], [], first, first), 10) is verdict


def test_a_lost_level_breaks_the_book_until_a_snapshot_comes() -> None:
    """It comes with the next subscription."""
    events = tape(FRAMES["book_snapshot"], FRAMES["book_ask"], FRAMES["book_snapshot"].replace(b"326072249", b"326072251"))

    states = [event.state for event in events if isinstance(event, Status) and event.kind == "book"]
    assert states == [FeedState.LIVE, FeedState.RECOVERING, FeedState.LIVE]


@pytest.mark.parametrize("bad", [b'"x"', b"null", b'"NaN"', b'"9_1"', b"[]", b"1e400", '"١"'.encode()])
@pytest.mark.parametrize(("name", "value"), [("book_ask", b"91000.5"), ("book_ask", b"0.75"), ("book_snapshot", b"3.1")])
def test_a_level_that_cannot_be_read_breaks_only_its_book(name: str, value: bytes, bad: bytes) -> None:
    """The book lacks it from then on."""
    found = parse(FRAMES[name].replace(value, bad))

    assert [type(one) for one in found] == [Odd, type(unread("BTC-USD-LINEAR-PERP", 7))]
    assert found[1] == unread("BTC-USD-LINEAR-PERP", 7)


@pytest.mark.parametrize("change", [(b'"sell"', b'"ask"'), (b'"seq":326072251', b'"seq":null'), (b"91000.5", b"0"), (b"91000.5", b"-1")])
def test_a_level_of_no_side_or_number_breaks_only_its_book(change: tuple[bytes, bytes]) -> None:
    """A price of zero, too."""
    assert parse(FRAMES["book_ask"].replace(*change))[1] == unread("BTC-USD-LINEAR-PERP", 7)


def test_a_trade_that_was_forced_is_a_liquidation_too() -> None:
    """There is no feed of liquidations; they are in the row of trades. A snapshot's are older than the tape."""
    trade, liquidation = parse(FRAMES["trade_forced"])

    assert isinstance(trade, Trade)
    assert (trade.trade_id, trade.size) == ("222738", D("0.5"))
    assert liquidation == Liquidation("kraken_futures", "BTC-USD-PERP", NOW + 323 * MS, 7, Side.SELL, D(91000), D("0.5"))
    assert [type(one) for one in parse(FRAMES["trade_snapshot"])] == [TradeSnapshot]


def test_the_trades_of_a_subscription_repair_a_lost_connection() -> None:
    """They come newest first, with the numbers of the stream: two were missed, and none is missing."""
    (past,) = parse(FRAMES["trade_snapshot"])
    assert isinstance(past, TradeSnapshot)
    assert [one.trade_id for one in past.trades] == ["222735", "222736"]

    before = FRAMES["trade_inverse"].replace(b"222737", b"222734")
    events = tape(before, FRAMES["trade_snapshot"], FRAMES["trade_inverse"])
    assert [event.trade_id for event in events if isinstance(event, Trade)] == ["222734", "222735", "222736", "222737"]
    assert not [event for event in events if isinstance(event, Gap)]


def test_a_missing_number_is_a_missing_trade() -> None:
    """As many as are missing."""
    gaps = [
        event for event in tape(FRAMES["trade_inverse"], FRAMES["trade_forced"].replace(b"222738", b"222741")) if isinstance(event, Gap)
    ]

    assert [(gap.kind, gap.missed) for gap in gaps] == [("trade", 3)]


def test_numbers_that_begin_again_are_no_old_trades() -> None:
    """The venue has begun them again more than once: a lower number with a later time is new."""
    restarted = FRAMES["trade_inverse"].replace(b"222737", b"12").replace(b"1767225600223", b"1767225700223")
    events = tape(FRAMES["trade_inverse"], restarted)

    assert [event.trade_id for event in events if isinstance(event, Trade)] == ["222737", "12"]


@pytest.mark.parametrize(
    "change", [(b"0.0015", b"0"), (b"0.0015", b'"0_1"'), (b"91000.1", b"-1"), (b"4000001", b"null"), (b"91000.1", b'"NaN"')]
)
def test_a_trade_that_cannot_be_read_is_refused(change: tuple[bytes, bytes]) -> None:
    """Its number shows that it is missing. In a snapshot it is odd, and its neighbour is used."""
    with pytest.raises(FRAME_ERRORS):
        parse(FRAMES["trade"].replace(*change))
    odd, past = parse(FRAMES["trade_snapshot"].replace(b'"qty":910.0', b'"qty":0'))
    assert isinstance(odd, Odd)
    assert isinstance(past, TradeSnapshot)
    assert len(past.trades) == 1


def test_a_ticker_has_four_kinds_of_figures() -> None:
    """The day of a linear contract in base and quote units, the two prices, the funding, the open interest."""
    ticker, mark, funding, interest = parse(FRAMES["ticker"])

    assert ticker == TickerEvent(
        "kraken_futures", "BTC-USD-LINEAR-PERP", NOW + 600 * MS, 7,
        D("91000.1"), D(90120), D(92000), D("89000.5"), D("5720.4177"), D("520558000.81"), D("880.1"),
    )  # fmt: skip
    assert mark == Mark("kraken_futures", "BTC-USD-LINEAR-PERP", NOW + 600 * MS, 7, D("91000.25553924942"), D("91010.55"))
    assert isinstance(funding, Funding)
    assert interest == OpenInterest("kraken_futures", "BTC-USD-LINEAR-PERP", NOW + 600 * MS, 7, D("2408.5822"))


def test_the_funding_rate_is_the_relative_one() -> None:
    """A fraction of an hour, to the digit; `funding_rate` would be dollars a contract. Dated contracts have none."""
    rates = [one for one in parse(FRAMES["ticker"], FRAMES["ticker_inverse"], FRAMES["ticker_dated"]) if isinstance(one, Funding)]

    assert [(one.instrument, one.rate, one.interval_s, one.next_ts) for one in rates] == [
        ("BTC-USD-LINEAR-PERP", D("0.0000189"), 3_600, NOW + 3_600 * 10**9),
        ("BTC-USD-PERP", D("-0.000013803"), 3_600, NOW + 3_600 * 10**9),
    ]


def test_open_interest_of_an_inverse_contract_is_worth_dollars() -> None:
    """Its base units are those at the mark price; its day has no base units."""
    day, _, _, interest = parse(FRAMES["ticker_inverse"])

    assert isinstance(interest, OpenInterest)
    assert (interest.size, interest.value) == (D(100), D(9_100_000))
    assert isinstance(day, TickerEvent)
    assert (day.base_volume, day.quote_volume, day.open, day.change) == (None, D(31_403_908), None, None)


def test_an_index_of_zero_is_none() -> None:
    """A mark price of zero is no price."""
    _, mark, _ = parse(FRAMES["ticker_dated"])

    assert isinstance(mark, Mark)
    assert (mark.mark_price, mark.index_price) == (D("92004.25"), None)
    found = parse(FRAMES["ticker_dated"].replace(b"92004.25", b"0"))
    assert [one.kind for one in found if isinstance(one, Unreadable)] == ["mark"]


@pytest.mark.parametrize("bad", [b'"x"', b'"9_1"', b"[]", b'{"a":1}'])
def test_a_ticker_that_cannot_be_read_makes_all_its_feeds_old(bad: bytes) -> None:
    """They come in one frame."""
    found = parse(FRAMES["ticker"].replace(b"5720.4177", bad))

    assert [one.kind for one in found if isinstance(one, Unreadable)] == ["ticker", "mark", "funding", "open_interest"]
    assert {one.instrument for one in found if isinstance(one, Unreadable)} == {"BTC-USD-LINEAR-PERP"}
    impossible = parse(FRAMES["ticker"].replace(b"2408.5822", b"-1"))
    assert [one.kind for one in impossible if isinstance(one, Unreadable)] == ["open_interest"]


def test_replies_name_the_product_or_nothing() -> None:
    """An error concerns the oldest request without an answer; an alert that there are too many requests does, too."""
    assert parse(FRAMES["ack"], FRAMES["unsubscribed"]) == [
        Ack(channel="book", symbols=("PF_XBTUSD",)),
        Ack(channel="book", symbols=("PF_XBTUSD",), unsubscribed=True),
    ]
    assert parse(FRAMES["refused"], FRAMES["alert"]) == [Rejected("Invalid product id"), Rejected("Rate limit exceeded")]
    assert parse(FRAMES["refused_product"]) == [Rejected("Invalid product id", channel="book", symbols=("PF_LUNAUSD",))]
    assert parse(FRAMES["info"], FRAMES["ack_heartbeat"], FRAMES["heartbeat"]) == [Heartbeat()] * 3


def test_requests_name_the_feed_and_the_products() -> None:
    """The heartbeat is subscribed first; a ping is a frame of its own."""
    asked = msgspec.json.decode(stream.request("subscribe", Request("book", ("PF_XBTUSD", "PI_XBTUSD"), 4, 10)))

    assert asked == {"event": "subscribe", "feed": "book", "product_ids": ["PF_XBTUSD", "PI_XBTUSD"]}
    assert [msgspec.json.decode(one) for one in VENUE.endpoints[0].greeting] == [{"event": "subscribe", "feed": "heartbeat"}]
    assert 0 < VENUE.endpoints[0].frame_ping_s < 60
    assert VENUE.environments["demo"].ws_urls["v1"] == "wss://demo-futures.kraken.com/ws/v1"


def test_other_feeds() -> None:
    """A ticker without sizes and time holds nothing for the tape; what is not documented is counted."""
    assert parse(FRAMES["ticker_lite"]) == []
    for frame in (b'{"feed":"something_new","product_id":"PF_XBTUSD"}', b'{"event":"something_new"}', b"{}"):
        with pytest.raises(UnknownFrame):
            parse(frame)
    with pytest.raises(UnknownSymbol):
        parse(FRAMES["trade"].replace(b"PF_XBTUSD", b"PF_LUNAUSD"))

"""Bybit: what is particular to it, on spot, and what all its categories share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.connection import plan
from crosstape_connector.errors import FRAME_ERRORS, UnknownFrame
from crosstape_connector.feeds.books.checks import Outcome
from crosstape_connector.feeds.books.known_range import KnownRange
from crosstape_connector.feeds.books.order_book import OrderBook
from crosstape_connector.venues.bybit import SPOT, listing, rest
from crosstape_connector.venues.bybit.parser import SpotParser
from crosstape_connector.venues.bybit.stream import chain
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    ConnectionBreak,
    Heartbeat,
    Odd,
    OddRow,
    Output,
    Rejected,
    RepeatedQuote,
    Unreadable,
)
from crosstape_connector.venues.parsing.unreadable import feeds_of
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Request, Verdict, subscribed_depth
from crosstape_schemas import Candle, Instrument, Quote, Side, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

FRAMES: Final = frames_of("bybit")
REST: Final = answers_of("bybit")
D: Final = Decimal
IDS: Final = ("bybit", "bybit_linear", "bybit_inverse")


def read(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = SpotParser(symbols_of("bybit"))
    return [output for frame in frames for output in parser(frame, 7)]


def changed(frame: bytes, *parts: tuple[bytes, bytes]) -> bytes:
    """A frame with other parts, each of which is in it."""
    for old, new in parts:
        assert old in frame
        frame = frame.replace(old, new)
    return frame


def test_a_side_is_the_takers_and_no_digit_is_lost() -> None:
    """A block trade, and one with a retail order, is a trade like any other."""
    first, second = (one for one in read(FRAMES["trade"]) if isinstance(one, Trade))

    assert (first.taker, first.price, first.size, first.trade_id) == (Side.SELL, "91000.1", "0.0015", "2290000000004000001")
    assert (second.taker, second.price, second.size, second.venue_ts) == (Side.BUY, "91000.20", "0.020000", 1_767_225_600_123_000_000)


@pytest.mark.parametrize("trade_id", ["20f43950-d8dd-5b31-9112-a178eb6023af", "", "-1", "007", "9223372036854775808", "1e5", "١"])
def test_ids_of_spot_are_numbers_and_another_one_is_a_row_that_cannot_be_read(trade_id: str) -> None:
    """Its neighbour is used, and as no id shows that one is missing, a gap will."""
    row = b'"i":"2290000000004000001"'
    found = read(changed(FRAMES["trade"], (row, f'"i":"{trade_id}"'.encode())))

    assert [one.trade_id for one in found if isinstance(one, Trade)] == ["2290000000004000002"]
    assert [one.kind for one in found if isinstance(one, Odd | Unreadable)] == ["row", "trade"]


def test_a_quote_that_is_sent_again_is_a_sign_of_life() -> None:
    """Every three seconds with the same `u`: it is not published again. One with another content is a quote, whatever its number."""
    quote, again, same_number = read(FRAMES["quote"], FRAMES["quote_repeated"], changed(FRAMES["quote_repeated"], (b'"3.10"', b'"2.10"')))

    assert isinstance(quote, Quote)
    assert isinstance(again, RepeatedQuote)
    assert (again.quote.bid_price, again.quote.bid_size) == (quote.bid_price, quote.bid_size)
    assert isinstance(same_number, Quote)
    assert same_number.bid_size == "2.10"


def test_a_side_without_orders_is_null() -> None:
    """The frame is complete: what it does not have is not there."""
    (quote,) = read(FRAMES["quote_without_asks"])

    assert isinstance(quote, Quote)
    assert (quote.bid_price, quote.ask_price, quote.ask_size) == ("91000.1", None, None)


def test_changes_of_one_level_in_old_recordings_are_applied_to_the_quote_before() -> None:
    """Until 2025-03 the book of one level had them; one that does not follow makes the quote old, until the next snapshot."""
    first, second = read(FRAMES["quote_of_2023"], FRAMES["quote_changed_of_2023"])
    assert isinstance(first, Quote)
    assert isinstance(second, Quote)
    assert (second.bid_price, second.bid_size, second.ask_price) == ("3000", "4", first.ask_price)

    skipped = read(FRAMES["quote_of_2023"], changed(FRAMES["quote_changed_of_2023"], (b'"u":51', b'"u":52')))[1:]
    assert [one.kind for one in skipped if isinstance(one, Odd | Unreadable)] == ["quote", "quote"]
    alone = read(FRAMES["quote_changed_of_2023"])
    assert not any(isinstance(one, Quote) for one in alone)


def book_of(*frames: bytes) -> tuple[OrderBook, list[Outcome]]:
    """The book after these frames, and what each led to."""
    book = OrderBook(SPOT.book, 50, KnownRange(depth=10))
    outcomes = []
    for output in read(*frames):
        if isinstance(output, BookSnapshot):
            outcomes.append(book.apply_snapshot(output))
        elif isinstance(output, BookUpdate):
            outcomes.append(book.apply_update(output))
    return book, outcomes


def test_a_number_that_is_left_out_breaks_the_book() -> None:
    """`u` counts the frames of a topic: one that is missing, and one that comes again, show that the book is not the venue's."""
    book, _ = book_of(FRAMES["book"], FRAMES["book_changed"])
    assert book.live
    for number in (b'"u":18521290', b'"u":18521288', b'"u":18521287'):
        book, _ = book_of(FRAMES["book"], changed(FRAMES["book_changed"], (b'"u":18521289', number)))
        assert not book.live
    update = BookUpdate("BTC-USDT", 1, 7, [], [], 9, 9)
    assert [chain(update, number) for number in (7, 8, 9)] == [Verdict.BREAK, Verdict.APPLY, Verdict.BREAK]


def test_number_one_is_a_restart_whatever_the_frame_calls_itself() -> None:
    """The book is replaced, and the next number is 2."""
    later = changed(FRAMES["book_changed"], (b'"u":18521289', b'"u":2'))
    for kind in (b'"type":"snapshot"', b'"type":"delta"'):
        restarted = changed(FRAMES["book_restarted"], (b'"type":"snapshot"', kind))
        book, _ = book_of(FRAMES["book"], FRAMES["book_changed"], restarted, later)
        assert book.live
        assert book.sequence == 2


def test_a_snapshot_at_any_time_replaces_the_book() -> None:
    """The venue sends one when it had trouble, with any number; an older one that comes late does not."""
    again = changed(FRAMES["book"], (b'"u":18521288', b'"u":18521200'), (b'"cts":1767225600123', b'"cts":1767225600223'))
    book, _ = book_of(FRAMES["book"], FRAMES["book_changed"], again)

    assert book.live
    assert book.sequence == 18521200
    late, _ = book_of(FRAMES["book"], FRAMES["book_changed"], FRAMES["book"])
    assert late.sequence == 18521289


def test_a_change_that_cannot_be_read_breaks_its_book_alone() -> None:
    """The book lacks it from then on."""
    for part, bad in ((b'"1e-4"', b'"x"'), (b'"1e-4"', b'"\\u0661"'), (b'"u":18521289', b'"u":"x"'), (b'"delta"', b'"something"')):
        found = read(FRAMES["book"], changed(FRAMES["book_changed"], (part, bad)))
        assert [one.instruments for one in found if isinstance(one, ConnectionBreak)] == [("BTC-USDT",)]


def test_a_snapshot_may_come_before_the_acknowledgement() -> None:
    """Frames go by their topic, whatever was acknowledged."""
    found = read(FRAMES["book"], FRAMES["ack"], FRAMES["book_changed"])

    assert [type(one) for one in found] == [BookSnapshot, Ack, BookUpdate]


def test_a_recording_with_two_depths_has_the_book_of_the_first() -> None:
    """Each depth has numbers of its own: mixed, they would break each other."""
    found = read(FRAMES["book"], FRAMES["book_of_another_depth"], FRAMES["book_changed"])
    assert [one.depth for one in found if isinstance(one, BookSnapshot)] == [50]
    assert not any(isinstance(one, ConnectionBreak) for one in found)

    (other,) = read(FRAMES["book_of_another_depth"], FRAMES["book"])
    assert isinstance(other, BookSnapshot)
    assert other.depth == 200


@pytest.mark.parametrize("venue", IDS)
def test_a_request_names_ten_topics_at_most(venue: str) -> None:
    """Spot refuses one with more as a whole; no other category states a number."""
    (endpoint,) = VENUES[venue].endpoints
    many = {f"A{n}-B": Instrument(f"A{n}-B", venue, f"A{n}B", f"A{n}", "B") for n in range(25)}
    (connection,) = plan.connections(VENUES[venue], many, ["trade"])
    asked = [endpoint.subscribe(one) for one in plan.requests(endpoint, connection.topics, 50, 1)]

    assert [len(msgspec.json.decode(one)["args"]) for one in asked] == [10, 10, 5]
    refusal = SpotParser({})(FRAMES["too_many_topics"], 7)
    assert refusal == (Rejected("args size >10", 5),)


@pytest.mark.parametrize("venue", IDS)
def test_all_topics_of_a_connection_have_room(venue: str) -> None:
    """The venue counts their characters: 21,000 on one connection."""
    (endpoint,) = VENUES[venue].endpoints
    longest = max(f"{channel}.1000.1000000BABYDOGEUSDT-25DEC26" for channel in endpoint.channels.values())

    assert endpoint.topics * (len(longest) + 4) <= 21_000


def test_a_topic_has_the_depth_of_the_book_and_the_symbol_at_its_end() -> None:
    """The quote is the book of one level; a book has at least 50, since both would have one topic."""
    (endpoint,) = SPOT.endpoints
    book = msgspec.json.decode(endpoint.subscribe(Request("orderbook", ("BTCUSDT",), 3, 200)))
    quote = msgspec.json.decode(endpoint.unsubscribe(Request("orderbook.1", ("BTCUSDT", "ETHUSDT"), 4, 200)))

    assert book == {"req_id": "3", "op": "subscribe", "args": ["orderbook.200.BTCUSDT"]}
    assert quote == {"req_id": "4", "op": "unsubscribe", "args": ["orderbook.1.BTCUSDT", "orderbook.1.ETHUSDT"]}
    assert [subscribed_depth(SPOT, depth) for depth in (1, 10, 50, 51, 500, 5_000)] == [50, 50, 50, 200, 1000, 1000]


def test_a_ping_is_a_message_and_its_answer_too() -> None:
    """The answer says `ping` in one field and `pong` in another, or `pong` alone."""
    (endpoint,) = SPOT.endpoints
    assert endpoint.ping is not None

    assert msgspec.json.decode(endpoint.ping(42)) == {"req_id": "42", "op": "ping"}
    assert read(FRAMES["pong"], FRAMES["pong_of_another_kind"]) == [Heartbeat(), Heartbeat()]


def test_a_refusal_is_of_its_request_or_of_the_topic_that_it_names() -> None:
    """A topic that is subscribed already goes on: that is no refusal of it."""
    found = read(FRAMES["refused"], FRAMES["refused_without_id"], FRAMES["subscribed_already"])

    assert [(one.request_id, one.channel, one.symbols) for one in found if isinstance(one, Rejected)] == [
        (3, None, ()),
        (None, "orderbook", ("BTCUSDT",)),
    ]
    assert found[2] == Ack(channel="publicTrade", symbols=("BTCUSDT",))
    quote = changed(FRAMES["refused_without_id"], (b"orderbook.500.BTCUSDT", b"orderbook.1.BTCUSDT"))
    assert read(quote) == [Rejected("error:handler not found,topic:orderbook.1.BTCUSDT", None, "orderbook.1", ("BTCUSDT",))]


def test_the_ticker_of_spot_is_complete_in_each_frame() -> None:
    """Its change is last less the price of a day ago. The price in dollars may be empty."""
    (found,) = read(FRAMES["ticker"])

    assert isinstance(found, Ticker)
    assert (found.last, found.open, found.change, str(found.low)) == (D("91000.1"), D("90000.1"), D(1000), "89000.50")
    assert (found.base_volume, found.quote_volume) == (D("6780.866843"), D("617000000.5"))


def test_a_candle_opens_at_the_close_before_it() -> None:
    """So `low` may be a price at which nothing was traded. The reference says so."""
    found = [one for one in read(FRAMES["candle_closed"]) if isinstance(one, Candle)]

    assert SPOT.candles is not None
    assert SPOT.candles.open == "previous close"
    assert [(one.open, one.low) for one in found] == [(D(90999), D(90999)), (D("91000.2"), D("91000.2"))]
    assert found[0].close == found[1].open


def test_a_frame_may_hold_the_closed_candle_and_the_next() -> None:
    """The venue says which is closed. One that cannot be read makes the feed old, and its neighbour is used."""
    closed, running = (one for one in read(FRAMES["candle_closed"]) if isinstance(one, Candle))
    assert (closed.closed, running.closed, running.open_ts) == (True, False, closed.close_ts)

    found = read(changed(FRAMES["candle_closed"], (b'"182000.2"', b'"x"')))
    assert [type(one) for one in found] == [Odd, Unreadable, Candle]
    with pytest.raises(FRAME_ERRORS):
        read(FRAMES["candle_closed"][:-40])


@pytest.mark.parametrize(
    ("part", "bad"), [(b'"end":1767225599999', b'"end":1767225599998'), (b'"start":1764547200000', b'"start":1764547260000')]
)
def test_a_month_is_a_calendar_month_or_none(part: bytes, bad: bytes) -> None:
    """Nothing documents where it begins: each candle shows its own end."""
    assert any(isinstance(one, Candle) for one in read(FRAMES["candle_of_a_month"]))
    assert not any(isinstance(one, Candle) for one in read(changed(FRAMES["candle_of_a_month"], (part, bad))))


def test_topics_that_the_documents_name_hold_nothing_and_others_are_unknown() -> None:
    """A topic that nobody knows is counted."""
    assert read(FRAMES["price_limit"], FRAMES["book_of_retail_orders"]) == []
    with pytest.raises(UnknownFrame, match="somethingNew"):
        read(b'{"topic":"somethingNew.BTCUSDT","data":{}}')


def test_the_order_of_keys_does_not_matter() -> None:
    """The topic comes first, as a rule: a frame with it elsewhere is read all the same."""
    frame = msgspec.json.decode(FRAMES["trade"])
    turned = msgspec.json.encode(dict(reversed(frame.items())))

    assert not turned.startswith(b'{"topic"')
    assert read(turned) == read(FRAMES["trade"])
    assert read(FRAMES["trade"], turned) == read(FRAMES["trade"]) * 2


@pytest.mark.parametrize(("name", "kind"), [("ticker", "ticker"), ("quote", "quote"), ("candle", "candle:1m")])
def test_a_frame_that_is_cut_is_of_the_feed_that_its_topic_names(name: str, kind: str) -> None:
    """Topics are a channel, a point and a symbol: `kline.1` is not `kline.15`, nor `orderbook.1` `orderbook.1000`."""
    (endpoint,) = SPOT.endpoints
    found = feeds_of(endpoint, symbols_of("bybit"), FRAMES[name][:60], 7)

    assert [(one.kind, one.instrument) for one in found] == [(kind, "BTC-USDT")]


def test_tokenised_stocks_are_left_out() -> None:
    """Without a word: they are not what this is about."""
    found = SPOT.instruments.parse(REST["instruments"])

    assert "AAPLXUSDT" in REST["instruments"].decode()
    assert [one.symbol for one in found] == ["BTCUSDT", "ETHUSDT", "BTCUSDC", "PEPEUSDT"]


def test_an_option_does_not_take_the_name_of_its_pair() -> None:
    """Its row has no contract type, as those of spot have none."""
    body = msgspec.json.decode(REST["instruments"])
    rows = body["result"]["list"]
    option = {**rows[0], "symbol": "BTC-27MAR26-70000-P-USDT", "optionsType": "Put"}
    body["result"]["list"] = [option, *rows]

    assert SPOT.instruments.parse(msgspec.json.encode(body)) == SPOT.instruments.parse(REST["instruments"])


def test_a_list_that_is_cut_says_so_and_calls_nothing_gone() -> None:
    """The venue's most are 1,000 rows."""
    body = msgspec.json.decode(REST["instruments"])
    row = body["result"]["list"][0]
    body["result"]["list"] = [{**row, "symbol": f"A{n}USDT", "baseCoin": f"A{n}"} for n in range(listing.LISTED)]
    cut = msgspec.json.encode(body)

    assert [one.kind for one in SPOT.instruments.parse(cut) if isinstance(one, OddRow)] == ["instrument_row"]
    assert listing.parse_trading(cut, ["A7USDT", "BTCUSDT"]) == {"A7USDT": ""}


def test_a_best_price_without_orders_is_null_by_rest() -> None:
    """The venue writes an empty text. A row that cannot be read harms no other."""
    body: dict[str, Any] = msgspec.json.decode(REST["quotes"])
    (row, *_) = body["result"]["list"]
    body["result"]["list"] = [{**row, "bid1Price": "", "bid1Size": ""}, {**row, "symbol": "ETHUSDT", "ask1Price": "x"}, None]
    found = rest.parse_quotes(msgspec.json.encode(body), symbols_of("bybit"), 7)

    assert [(one.bid_price, one.ask_size) for one in found if isinstance(one, Quote)] == [(None, D("0.5"))]
    assert len([one for one in found if isinstance(one, Odd)]) == 2


def test_a_ban_is_a_403_that_says_so() -> None:
    """It lasts ten minutes. The refusal of a country has the same status, and no waiting ends it; some limits come with HTTP 200."""
    assert rest.asked_to_wait(403, b"403, Access too frequent.") == 600.0
    assert rest.asked_to_wait(403, b"<html><title>The request could not be satisfied</title></html>") is None
    assert rest.asked_to_wait(200, b'{"retCode":10006,"retMsg":"Too many visits!"}') == 5.0
    assert rest.asked_to_wait(200, REST["trades"]) is None
    assert rest.rest_error(b'{"retCode":10001,"retMsg":"params error"}') == "10001 params error"
    assert rest.rest_error(REST["trades"]) is None


def test_candles_are_asked_for_between_two_times() -> None:
    """Nothing says from which end a page is counted where one bound is missing."""
    assert SPOT.candle_source is not None
    assert SPOT.past_candles is not None
    page = SPOT.candle_source.path("BTCUSDT", "1m", 1_767_225_600 * 10**9)
    past = SPOT.past_candles.path("BTCUSDT", "1d", 1_767_225_600 * 10**9, 1_767_312_000 * 10**9)

    assert page == "/v5/market/kline?category=spot&symbol=BTCUSDT&interval=1&start=1767225600000&end=1767285540000&limit=1000"
    assert past == "/v5/market/kline?category=spot&symbol=BTCUSDT&interval=D&start=1767225600000&end=1767312000000&limit=1000"


@pytest.mark.parametrize("venue", IDS)
def test_environments_have_the_paths_of_the_live_market(venue: str) -> None:
    """The demo's public data are those of the live market."""
    found = VENUES[venue]
    (endpoint,) = found.endpoints
    path = endpoint.url.removeprefix("wss://stream.bybit.com")

    assert found.environments["testnet"].ws_urls == {endpoint.name: f"wss://stream-testnet.bybit.com{path}"}
    assert found.environments["demo"].ws_urls == {endpoint.name: endpoint.url}
    assert all(one.rest_urls.keys() == found.rest_urls.keys() for one in found.environments.values())

"""BingX spot: the outputs of its frames, and what becomes of them on the tape."""

from __future__ import annotations

import gzip
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.bingx import SPOT, frames, rest, spot, spot_rest
from crosstape_connector.venues.bingx.candles import on_tick
from crosstape_connector.venues.messages import Ack, BookSnapshot, BookUpdate, Odd, Output, Rejected, Reply, Unreadable, unread
from crosstape_connector.venues.spec import Request, subscribed_depth
from crosstape_schemas import Book, Candle, FeedState, Instrument, Quote, Status, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("bingx")
D: Final = Decimal


def parse(*made: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = spot.Parser(symbols_of("bingx"))
    return [output for frame in made for output in parser(frame, 7)]


def tape(*made: bytes) -> list[Any]:
    """The events of one connection's frames."""
    found = feeds(SPOT)
    return [event for output in parse(*made) for event in found.apply(output)]


def ack(channel: str, symbol: str = "BTC-USDT") -> bytes:
    """The venue's answer to a request of ours for this topic."""
    sent = msgspec.json.decode(frames.request("subscribe", Request(channel, (symbol,), 9, 20)))
    return msgspec.json.encode({"code": 0, "id": sent["id"], "msg": "SUCCESS", "timestamp": 1_767_225_600_001})


def test_a_frame_is_gzip_in_a_binary_frame() -> None:
    """Anything else that is binary is refused, and so is a small frame that becomes a huge text."""
    (endpoint,) = SPOT.endpoints
    assert endpoint.binary is not None

    assert endpoint.binary(gzip.compress(FRAMES["quote"])) == FRAMES["quote"]
    for bad in (FRAMES["quote"], gzip.compress(FRAMES["quote"])[:-9], gzip.compress(b" " * (5 << 20))):
        with pytest.raises(FrameError):
            endpoint.binary(bad)


def test_each_sign_of_life_is_answered_as_it_was_asked_for() -> None:
    """As text, which is no JSON, or with the same value and time."""
    assert parse(b"Ping") == [Reply(b"Pong")]
    (reply,) = parse(FRAMES["ping"])
    assert isinstance(reply, Reply)
    assert msgspec.json.decode(reply.data) == {"pong": "2177c68e4d0e45679965f482929b59c2", "time": "2026-01-01T08:00:00.089+0800"}
    assert parse(b'{"ping":"a"}') == [Reply(b'{"pong":"a"}')]


def test_a_request_is_for_one_topic_and_its_id_comes_back() -> None:
    """A book's topic has its levels in it. Ids that are not ours are nobody's."""
    wanted = msgspec.json.decode(frames.request("subscribe", Request("depth", ("BTC-USDT",), 5, subscribed_depth(SPOT, 30))))

    assert SPOT.endpoints[0].symbols_per_request == 1
    assert (wanted["reqType"], wanted["dataType"]) == ("sub", "BTC-USDT@depth50")
    assert msgspec.json.decode(frames.request("unsubscribe", Request("trade", ("BTC-USDT",), 6, 10)))["reqType"] == "unsub"
    assert parse(msgspec.json.encode({"code": 0, "id": wanted["id"]})) == [Ack(5)]
    for other in ("e745cd6d-d0f6-4a70-8d5a-043e4c741b40", "12345678-d0f6-4a70-8d5a-043e4c741b40", "", "x"):
        assert parse(msgspec.json.encode({"code": 0, "id": other})) == [Ack(None)]


def test_a_refusal_says_whether_there_is_no_room() -> None:
    """An error may have no id."""
    assert parse(FRAMES["full"]) == [Rejected("80403 your topic num over max 200", 7, full=True)]
    assert parse(FRAMES["refused_without_id"]) == [Rejected("100400")]


def test_trades_whose_ids_do_not_ascend_are_all_published_once() -> None:
    """4000005 comes after 4000007, and both come twice."""
    made = [FRAMES[name] for name in ("trade_sold", "trade_bought", "trade_as_text")]

    assert [event.trade_id for event in tape(*made, *made) if isinstance(event, Trade)] == ["4000001", "4000007", "4000005"]


def test_a_trade_may_be_written_as_text() -> None:
    """Numbers and flags, in old frames."""
    (trade,) = parse(FRAMES["trade_as_text"])
    (same,) = parse(FRAMES["trade_as_text"].replace(b'"1767225600323"', b"1767225600323").replace(b'"true"', b"true"))

    assert trade == same


def test_a_complete_book_is_a_snapshot_and_then_its_changes() -> None:
    """Asks come worst first; removals are first."""
    first, later, again = parse(FRAMES["book"], FRAMES["book_later"], FRAMES["book_again"])

    assert isinstance(first, BookSnapshot)
    assert (first.bids, first.asks) == (
        [(D("91000.10"), D("0.5")), (D(91000), D(1))],
        [(D("91000.20"), D(2)), (D("91000.50"), D("0.25"))],
    )
    assert later == BookUpdate(
        "BTC-USDT", 1_767_225_600_400_000_000, 7,
        [(D(91000), D(0)), (D("91000.10"), D("0.75")), (D("90999.90"), D(3))], [(D("91000.20"), D(0))], None, 13_565_694_853,
    )  # fmt: skip
    assert isinstance(again, BookUpdate)
    assert not again.bids
    assert not again.asks


def test_a_lost_book_frame_costs_nothing_but_time() -> None:
    """With or without the one between, the last frame leads to the same book."""
    between = FRAMES["book"].replace(b"600100", b"600200").replace(b'["91000.00","1.0"]', b'["90998","7"]').replace(b"694850", b"694851")
    books = [[event for event in tape(FRAMES["book"], *lost, FRAMES["book_later"]) if isinstance(event, Book)] for lost in ((between,), ())]

    assert books[0][-1] == books[1][-1]
    assert books[0][-1].bids == ((D("91000.10"), D("0.75")), (D("90999.90"), D(3)))


def test_a_book_that_is_older_is_left_out() -> None:
    """By its number; books with neither number nor time count in their order. Numbers that begin again are noticed by the time."""
    assert [type(output) for output in parse(FRAMES["book_later"], FRAMES["book"])] == [BookSnapshot, Odd]
    assert [type(output) for output in parse(FRAMES["book_without_number"], FRAMES["book_without_number"])] == [BookSnapshot, BookUpdate]
    begun_again = FRAMES["book"].replace(b"13565694850", b"1").replace(b"1767225600100", b"1767225602000")
    assert [type(output) for output in parse(FRAMES["book_later"], begun_again)] == [BookSnapshot, BookUpdate]


@pytest.mark.parametrize("bad", [b'"x"', b"null", b'"NaN"', b'"-1"', '"١"'.encode(), b'"1","1"', b'"0.75"],["91000.10","2"'])
def test_a_book_that_cannot_be_read_is_subscribed_again(bad: bytes) -> None:
    """So is one with a price that is there twice. The next one that is good is a snapshot."""
    outputs = parse(FRAMES["book"], FRAMES["book_later"].replace(b'"0.75"', bad), FRAMES["book_later"])

    if bad not in (b'"NaN"', b'"-1"'):  # the book itself refuses these
        assert [type(output) for output in outputs] == [BookSnapshot, Odd, type(unread("BTC-USDT", 7)), BookSnapshot]
    events = tape(FRAMES["book"], FRAMES["book_later"].replace(b'"0.75"', bad))
    assert [event.state for event in events if isinstance(event, Status) and event.kind == "book"] == [FeedState.LIVE, FeedState.RECOVERING]


def test_a_book_may_have_spaces_and_empty_sides() -> None:
    """The same levels, however they are written."""
    spaced = msgspec.json.format(FRAMES["book_later"], indent=2)

    _, later = parse(FRAMES["book_later"], spaced.replace(b"694853", b"694854"))
    assert isinstance(later, BookUpdate)
    assert not later.bids
    assert not later.asks
    for empty in (b"[]", b"null"):
        (snapshot,) = parse(FRAMES["book_without_number"].replace(b'"asks":[]', b'"asks":' + empty))
        assert isinstance(snapshot, BookSnapshot)
        assert snapshot.asks == []


def test_a_new_subscription_begins_with_a_snapshot() -> None:
    """Only that of its own topic, which the id of the answer shows."""
    outputs = parse(FRAMES["book"], ack("trade"), FRAMES["book_later"], ack("depth", "ETH-USDT"), FRAMES["book_later"])
    assert [type(output) for output in outputs] == [BookSnapshot, Ack, BookUpdate, Ack, BookUpdate]

    outputs = parse(FRAMES["book"], ack("depth"), FRAMES["book_later"])
    assert [type(output) for output in outputs] == [BookSnapshot, Ack, BookSnapshot]


def test_changes_of_a_book_may_be_a_list_or_a_table() -> None:
    """Both are read, though complete books are subscribed."""
    first, later = parse(FRAMES["all_as_table"], FRAMES["update_as_list"])

    assert isinstance(first, BookSnapshot)
    assert first.bids == [(D("3000.10"), D("2.5")), (D(3000), D(1))]
    as_table = FRAMES["update_as_list"].replace(b'[["3000.00","0.0000"]]', b'{"3000.00":"0.0000"}')
    assert parse(FRAMES["all_as_table"], as_table)[1] == later


def test_open_and_change_are_those_of_a_day_or_null() -> None:
    """The letters of a ticker are the reverse of a quote's. Digits of a binary float stay."""
    (ticker,) = parse(FRAMES["ticker"])
    (short,) = parse(FRAMES["ticker"].replace(b'"O":1767139201399', b'"O":1767225430399'))
    assert isinstance(ticker, Ticker)
    assert isinstance(short, Ticker)

    assert (ticker.open, ticker.change, ticker.base_volume) == (D("91632.52"), D("-632.32"), D("3087.4900000000002"))
    assert (short.open, short.change) == (None, None)
    assert (short.last, short.high, short.quote_volume) == (ticker.last, ticker.high, ticker.quote_volume)


def test_prices_of_candles_are_on_the_tick_and_volumes_keep_their_digits() -> None:
    """`t` is the beginning. Without a tick prices are as they were sent."""
    (candle,) = parse(FRAMES["candle_1m"])
    assert isinstance(candle, Candle)

    assert (candle.open, candle.high, candle.low, candle.close) == (D("91000.10"), D(91010), D("91000.00"), D("91000.20"))
    assert str(candle.volume) == "0.025850000000000000"
    assert (candle.open_ts, candle.close_ts, candle.closed, candle.trades) == (
        1_767_225_600_000_000_000, 1_767_225_660_000_000_000, False, 4,
    )  # fmt: skip
    assert on_tick(D("121137.93299999999"), None) == D("121137.93299999999")
    assert on_tick(D("0.5"), D("0.25")) == D("0.50")


@pytest.mark.parametrize(
    ("name", "old", "new", "kind"),
    [
        ("quote", b'"91000.10000000"', b'"x"', "quote"),
        ("quote", b'"b":"91000.10000000",', b"", "quote"),
        ("ticker", b"91000.2,", b'"NaN",', "ticker"),
        ("candle_1m", b'"91010"', b'"90000"', "candle:1m"),
        ("candle_5m", b'"v":"0.02', b'"v":"-0.02', "candle:5m"),
    ],
)
def test_what_is_out_of_date_says_so(name: str, old: bytes, new: bytes, kind: str) -> None:
    """A quote, ticker or candle that cannot be read."""
    assert old in FRAMES[name]
    odd, stale = parse(FRAMES[name].replace(old, new, 1))

    assert isinstance(odd, Odd)
    assert stale == Unreadable(kind, "BTC-USDT", 7)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b'{"code":0,"dataType":"BTC-USDT@soothsayer","data":{}}', UnknownFrame),
        (b'{"code":0,"data":{}}', UnknownFrame),
        (FRAMES["trade_sold"].replace(b'"BTC-USDT@', b'"XRP-USDT@'), UnknownSymbol),
        (FRAMES["trade_sold"].replace(b'"0.001500"', b'"0"'), FrameError),
        (FRAMES["trade_sold"].replace(b'"T":1767225600123', b'"T":"yesterday"'), msgspec.ValidationError),
    ],
)
def test_what_cannot_be_used_says_why(frame: bytes, error: type[Exception]) -> None:
    """The type of the error gives the kind by which it is counted."""
    with pytest.raises(error):
        parse(frame)


def test_an_error_in_a_rest_answer_is_found_by_its_code() -> None:
    """It comes with HTTP 200."""
    assert rest.rest_error(b'{"code":109425,"msg":"symbol does not exist","data":{}}') == "109425 symbol does not exist"
    assert rest.rest_error(answers_of("bingx")["quotes"]) is None


def test_candles_by_rest_are_sorted_and_on_the_tick() -> None:
    """They come newest first; the days of other zones are not asked for."""
    source = SPOT.candle_source
    assert source is not None
    found = source.parse(answers_of("bingx")["candles"], symbols_of("bingx")["BTC-USDT"], "1m", 7)

    assert [candle.open_ts for candle in found.candles] == [1_767_225_600_000_000_000, 1_767_225_660_000_000_000]
    assert found.candles[1].close == D("91000.13")
    assert source.path("BTC-USDT", "1h", 1_767_225_600_000_000_000) == (
        "/openApi/spot/v2/market/kline?symbol=BTC-USDT&interval=1h&startTime=1767225600000&limit=1440&timeZone=0"
    )
    with pytest.raises(FRAME_ERRORS):
        source.parse(b'{"code":0,"data":[[1]]}', symbols_of("bingx")["BTC-USDT"], "1m", 7)


def test_ticks_may_have_an_exponent() -> None:
    """JSON numbers: 1e-06."""
    first = next(one for one in spot_rest.parse_instruments(answers_of("bingx")["instruments"]) if isinstance(one, Instrument))

    assert (first.price_tick, first.size_step, first.active) == (D("0.01"), D("0.000001"), True)


def test_a_quote_has_the_time_of_its_frame() -> None:
    """The spot socket has no other."""
    (quote,) = parse(FRAMES["quote"])

    assert isinstance(quote, Quote)
    assert quote.venue_ts == 1_767_225_600_500_000_000

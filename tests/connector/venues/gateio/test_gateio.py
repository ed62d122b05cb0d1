"""Gate spot: frames, answers to requests, and what REST is asked for. Of books see `test_gateio_books`."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import pytest

from crosstape_connector.errors import FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.gateio import SPOT, rest
from crosstape_connector.venues.gateio.connection import ping, request
from crosstape_connector.venues.gateio.spot import SpotParser
from crosstape_connector.venues.gateio.values import moment
from crosstape_connector.venues.messages import (
    Ack,
    Odd,
    OddRow,
    Output,
    Rejected,
    Rotate,
    Unreadable,
)
from crosstape_connector.venues.parsing.unreadable import feeds_of
from crosstape_connector.venues.spec import Request
from crosstape_schemas import Candle, Instrument, Quote, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

FRAMES: Final = frames_of("gateio")
REST: Final = answers_of("gateio")
D: Final = Decimal
START: Final = 1_767_225_600 * 10**9


def parsed(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = SpotParser(symbols_of("gateio"))
    return [output for frame in frames for output in parser(frame, 7)]


def only_candle(frame: bytes) -> Candle:
    """The candle of a frame."""
    (found,) = parsed(frame)
    assert isinstance(found, Candle)
    return found


def test_a_candles_v_is_its_turnover_and_a_its_volume() -> None:
    """Here as in the REST columns, whose order is turnover, close, high, low, open, volume."""
    candle = only_candle(FRAMES["candle"])
    page = rest.parse_candles(REST["candles"], symbols_of("gateio")["BTC_USDT"], "1m", 7)
    first = page.candles[0]

    assert (candle.volume, candle.quote_volume) == (D("1.5"), D("136500.125"))
    assert (first.volume, first.quote_volume) == (candle.volume, candle.quote_volume)
    assert (first.open, first.high, first.low, first.close) == (candle.open, candle.high, candle.low, candle.close)
    assert [one.closed for one in page.candles] == [True, True, False]


def test_a_candle_may_have_no_closing_flag_and_an_old_one_no_volume() -> None:
    """Then the next candle closes it, and its volume is the turnover at the close."""
    assert only_candle(FRAMES["candle_closed"]).closed
    assert not only_candle(FRAMES["candle_without_flag"]).closed
    old = only_candle(FRAMES["candle_old"])
    assert (old.volume, old.quote_volume, old.closed) == (D("0.5"), D(45_500), False)
    assert SPOT.candles is not None
    assert SPOT.candles.closed == "next candle"


def test_a_week_that_begins_on_thursday_is_no_week() -> None:
    """The venue's `7d` is refused, and passed over."""
    assert parsed(FRAMES["candle_week"]) == []
    assert SPOT.candles is not None
    assert "Thursday" in SPOT.candles.refused["1w"]


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1606292218", 1_606_292_218_000_000_000),
        ("1606292218.25", 1_606_292_218_250_000_000),
        ("1606292218213", 1_606_292_218_213_000_000),
        ("1606292218213.4578", 1_606_292_218_213_457_800),
        ("1606292218213.0", 1_606_292_218_213_000_000),
        ("1606292218213457", 1_606_292_218_213_457_000),
        ("1606292218213.1234567", 1_606_292_218_213_123_456),
    ],
)
def test_times_are_in_s_ms_or_parts_of_them(text: str, ns: int) -> None:
    """Their length shows which; parts of a ns are cut."""
    assert moment(text) == ns


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.", "1e9", "1606292218.x", "12345678901234567", "١٢٣٤٥٦٧٨٩٠"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With an error that shows it."""
    with pytest.raises(FrameError):
        moment(text)


def test_a_trades_time_is_a_text_of_ms_with_decimals() -> None:
    """Side, digits and id are the venue's."""
    trade, list_of_two = parsed(FRAMES["trade"]), parsed(FRAMES["trade_list"])

    assert [(one.venue_ts, one.trade_id, str(one.size)) for one in trade if isinstance(one, Trade)] == [
        (START + 123_456_700, "4000001", "0.00150000")
    ]
    assert [one.instrument for one in list_of_two if isinstance(one, Trade)] == ["BTC-USDT", "ETH-USDT"]


def test_an_empty_text_is_an_empty_side() -> None:
    """Of a quote."""
    one_sided, empty = parsed(FRAMES["book_ticker_no_bids"], FRAMES["book_ticker_empty"])

    assert isinstance(one_sided, Quote)
    assert (one_sided.bid_price, one_sided.bid_size, str(one_sided.ask_price)) == (None, None, "91000.2")
    assert isinstance(empty, Quote)
    assert (empty.bid_price, empty.ask_price, empty.venue_ts) == (None, None, None)


def test_the_time_of_a_day_is_that_of_its_frame() -> None:
    """In ms, or in s where old frames have no ms."""
    new, old = parsed(FRAMES["ticker"], FRAMES["ticker_old"])

    assert isinstance(new, Ticker)
    assert isinstance(old, Ticker)
    assert (new.venue_ts, old.venue_ts) == (START + 130_000_000, START)


def test_a_bad_row_of_a_list_harms_no_other() -> None:
    """Its feed has a gap, as ids do not show that a trade is missing; a pair that is not ours is counted."""
    bad, odd, unreadable = parsed(FRAMES["trade_list"].replace(b'"amount":"0.00150000"', b'"amount":"-1"'))[::-1]
    good, foreign = parsed(FRAMES["trade_list"].replace(b"ETH_USDT", b"NOPE_USDT"))

    assert isinstance(bad, Trade)
    assert bad.instrument == "ETH-USDT"
    assert isinstance(odd, Unreadable)
    assert (odd.kind, odd.instrument) == ("trade", "BTC-USDT")
    assert isinstance(unreadable, Odd)
    assert isinstance(good, Trade)
    assert isinstance(foreign, Odd)
    assert (foreign.kind, "NOPE_USDT" in foreign.reason) == ("symbol", True)


def test_a_pair_that_is_not_ours_is_refused() -> None:
    """If a frame holds nothing else."""
    with pytest.raises(UnknownSymbol):
        parsed(FRAMES["trade"].replace(b"BTC_USDT", b"NOPE_USDT"))


def test_a_candle_that_cannot_be_read_makes_its_timeframe_old() -> None:
    """No other; of a timeframe that is not ours, none."""
    found = parsed(FRAMES["candle"].replace(b'"h":"91000.2"', b'"h":"1"'))

    assert [one.kind for one in found if isinstance(one, Unreadable)] == ["candle:1m"]
    assert parsed(FRAMES["candle_week"].replace(b'"h":"91000.2"', b'"h":1')) == []
    assert {one.kind for one in parsed(FRAMES["candle"].replace(b'"n":', b'"m":')) if isinstance(one, Unreadable)} == {
        f"candle:{timeframe}" for timeframe in ("1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d")
    }


def test_a_torn_candle_shows_its_timeframe() -> None:
    """Its channel is that of all timeframes."""
    (endpoint,) = SPOT.endpoints
    torn = FRAMES["candle"][:-20]

    found = feeds_of(endpoint, symbols_of("gateio"), torn, 7)

    assert [(one.kind, one.instrument) for one in found] == [("candle:1m", "BTC-USDT")]
    assert [one.kind for one in feeds_of(endpoint, symbols_of("gateio"), FRAMES["ticker"][:-20], 7)] == ["ticker"]


def test_what_is_no_frame_of_the_documents_is_unknown() -> None:
    """By its channel, or by its event; a frame without rows is malformed."""
    with pytest.raises(UnknownFrame):
        parsed(FRAMES["trade"].replace(b"spot.trades", b"spot.nonsense"))
    with pytest.raises(UnknownFrame):
        parsed(FRAMES["trade"].replace(b'"event":"update"', b'"event":"finish"'))
    with pytest.raises(FrameError):
        parsed(b'{"time":1767225600,"channel":"spot.trades","event":"update","result":null}')


def test_a_refused_request_is_asked_again_in_parts() -> None:
    """A refusal of several pairs does not say which of them are wrong; that of one pair names it."""
    several, alone = parsed(FRAMES["refused"], FRAMES["refused_alone"])

    assert several == Rejected("2 unknown currency pair: NOPE_USDT", 10, "spot.trades")
    assert alone == Rejected("2 unknown currency pair: NOPE_USDT", None, "spot.trades", ("NOPE_USDT",))


def test_a_book_that_is_subscribed_already_is_no_refusal() -> None:
    """It goes on; of other books in the request nothing is said."""
    several = FRAMES["refused_book_again"].replace(b'["ob.BTC_USDT.50"]', b'["ob.ETH_USDT.50","ob.BTC_USDT.50"]')

    assert parsed(several) == [Ack(11, "spot.obu", ("BTC_USDT",))]


def test_an_answer_without_an_id_names_its_symbols() -> None:
    """In the venue's own form of each channel; an old one names the channel only."""
    assert parsed(FRAMES["subscribed_candle"], FRAMES["subscribed_old"]) == [
        Ack(None, "spot.candlesticks_1m", ("BTC_USDT",)),
        Ack(None, "spot.trades"),
    ]


def test_an_announced_upgrade_is_left_in_time() -> None:
    """Any frame of such a channel announces it."""
    assert [type(one) for one in parsed(FRAMES["upgrade"], FRAMES["upgrade"].replace(b"spot.system", b"new.system"))] == [Rotate, Rotate]


def test_requests_are_written_as_each_channel_wants_them() -> None:
    """Books by stream and depth, candles by timeframe and one pair, all else by pairs. The time is set when they are sent."""

    def payload(channel: str, *symbols: str, depth: int = 50) -> tuple[str, list[str]]:
        asked = msgspec.json.decode(request("subscribe", Request(channel, symbols, 4, depth)))
        assert (asked["time"], asked["id"], asked["event"]) == (0, 4, "subscribe")
        return asked["channel"], asked["payload"]

    (endpoint,) = SPOT.endpoints
    assert payload("spot.trades", "BTC_USDT", "ETH_USDT") == ("spot.trades", ["BTC_USDT", "ETH_USDT"])
    assert payload("spot.obu", "BTC_USDT", depth=400) == ("spot.obu", ["ob.BTC_USDT.400"])
    assert payload("spot.candlesticks_1h", "BTC_USDT") == ("spot.candlesticks", ["1h", "BTC_USDT"])
    assert (endpoint.at_once("spot.candlesticks_1h"), endpoint.at_once("spot.obu")) == (1, 100)
    assert msgspec.json.decode(endpoint.dated(ping("spot")(3), START)) == {"time": 1_767_225_600, "channel": "spot.ping"}


def test_pairs_have_our_names_and_steps() -> None:
    """A precision is a number of decimals."""
    found = {one.symbol: one for one in SPOT.instruments.parse(REST["instruments"]) if isinstance(one, Instrument)}

    assert (found["BTC_USDT"].price_tick, found["BTC_USDT"].size_step) == (D("0.1"), D("0.000001"))
    assert (found["LUNA_USDT"].active, found["BTC3L_USDT"].name) == (False, "BTC3L-USDT")
    rows = SPOT.instruments.parse(REST["instruments"].replace(b'"precision":1,', b'"precision":-1,'))
    assert [one.symbol for one in rows if isinstance(one, OddRow)] == ["BTC_USDT"]


def test_the_error_of_an_answer_is_its_label_and_message() -> None:
    """And nothing else is an error."""
    assert SPOT.rest_error is not None
    assert SPOT.rest_error(b'{"label":"INVALID_CURRENCY_PAIR","message":"Invalid currency pair X"}') == (
        "INVALID_CURRENCY_PAIR Invalid currency pair X"
    )
    assert SPOT.rest_error(REST["quotes"]) is None


def test_past_trades_are_those_below_an_id_and_candles_those_between_times() -> None:
    """A limit beside two times is an error, and so are more than 1,000 candles."""
    assert rest.PATHS.below("BTC_USDT", 5) == "/api/v4/spot/trades?currency_pair=BTC_USDT&limit=1000&last_id=5&reverse=true"
    assert rest.PATHS.between("BTC_USDT", "1M", START, START + 10**9) == (
        "/api/v4/spot/candlesticks?currency_pair=BTC_USDT&interval=30d&from=1767225600&to=1767225601"
    )
    assert SPOT.past_candles is not None
    assert (SPOT.past_candles.page, SPOT.past_candles.reach_intervals) == (999, 10_000)

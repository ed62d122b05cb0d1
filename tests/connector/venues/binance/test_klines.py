"""Candles of Binance's markets, by stream and by REST."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.venues.binance import VENUE, klines, stream
from crosstape_connector.venues.binance_coinm import VENUE as COINM
from crosstape_connector.venues.messages import CandleSnapshot, Odd, Output, Unreadable
from crosstape_schemas import TIMEFRAMES, Candle, Instrument
from crosstape_schemas.timeframes import close_of, is_open
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

BINANCE = frames_of("binance")
BITCOIN = symbols_of("binance")["BTCUSDT"]
DAY = 86_400 * 10**9
NEW_YEAR = 1_767_225_600_000_000_000


def parse(frame: bytes) -> list[Output]:
    """All outputs of a frame that was received at 7."""
    return list(stream.Parser(symbols_of("binance"))(frame, 7))


def test_a_candle_is_that_of_the_venue() -> None:
    """Every figure with its digits; the last millisecond of the interval becomes the open of the next."""
    (candle,) = parse(BINANCE["kline"])

    assert candle == Candle(
        "binance", "BTC-USDT", NEW_YEAR + 10**9, 7, "1m", NEW_YEAR, NEW_YEAR + 60 * 10**9,
        Decimal("91000.00"), Decimal("91002.00"), Decimal("90999.00"), Decimal("91001.50"),
        Decimal("1.5"), Decimal("136501.25"), 2, Decimal(1), closed=False,
    )  # fmt: skip


def test_the_venue_says_when_a_candle_is_closed() -> None:
    """Also one without trades: it is flat, at the close before it."""
    (candle,) = parse(BINANCE["kline_1s_without_trades"])

    assert isinstance(candle, Candle)
    assert candle.closed
    assert (candle.volume, candle.trades, candle.open) == (Decimal(0), 0, candle.close)


def test_a_month_ends_when_the_next_begins() -> None:
    """It has no fixed length; times may be in µs."""
    (candle,) = parse(BINANCE["kline_1M_us"])

    assert isinstance(candle, Candle)
    assert (candle.open_ts, candle.close_ts) == (NEW_YEAR, NEW_YEAR + 31 * DAY)


@pytest.mark.parametrize("name", ["kline_3d", "raw_kline_3d", "kline_zone"])
def test_candles_that_begin_elsewhere_are_left_out(name: str) -> None:
    """Three days begin with the day on which the symbol was listed, and a zone's day is not ours."""
    assert parse(BINANCE[name]) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"o":"91000.00"', b'"o":"NaN"'),
        (b'"h":"91002.00"', b'"h":"91001.00"'),
        (b'"l":"90999.00"', b'"l":"0"'),
        (b'"v":"1.50000000"', b'"v":"-1"'),
        (b'"n":2', b'"n":-1'),
        (b'"x":false', b'"x":null'),
        (b'"q":"136501.25000000",', b""),
    ],
)
def test_a_candle_that_cannot_be_right_is_out_of_date(old: bytes, new: bytes) -> None:
    """The one on the tape is not the newest any more, and the reason is counted."""
    frame = BINANCE["kline"].replace(old, new)
    assert frame != BINANCE["kline"]

    odd, unreadable = parse(frame)
    assert isinstance(odd, Odd)
    assert (odd.kind, odd.reason.startswith("candle:1m of BTC-USDT: ")) == ("candle", True)
    assert unreadable == Unreadable("candle:1m", "BTC-USDT", 7)


def test_a_page_has_past_candles_and_the_running_one() -> None:
    """Oldest first, whatever the order of the rows; nothing in them says which are closed."""
    rows = msgspec.json.decode(answers_of("binance")["candles"])
    page = klines.parse(msgspec.json.encode(rows[::-1]), BITCOIN, "1m", 7)

    assert isinstance(page, CandleSnapshot)
    assert [candle.open_ts for candle in page.candles] == [NEW_YEAR, NEW_YEAR + 60 * 10**9]
    assert [(candle.closed, candle.venue_ts, candle.trades) for candle in page.candles] == [(False, None, 2), (False, None, 0)]
    (live,) = parse(BINANCE["kline"])
    assert msgspec.structs.replace(page.candles[0], venue_ts=NEW_YEAR + 10**9) == live


def test_a_row_that_cannot_be_read_takes_no_other_with_it() -> None:
    """It is reported apart."""
    body = answers_of("binance")["candles"].replace(b'"91002.00"', b'"x"')
    page = klines.parse(body, BITCOIN, "1m", 7)

    assert [candle.open_ts for candle in page.candles] == [NEW_YEAR + 60 * 10**9]
    assert [odd.kind for odd in page.odd] == ["row"]


def test_past_candles_are_asked_for_from_a_time() -> None:
    """Forwards on spot and USD-M. COIN-M counts back from an end, which is that of one page, and at most 200 days on."""
    source, backwards = VENUE.candle_source, COINM.candle_source
    assert source is not None
    assert backwards is not None

    assert source.path("BÄRUSDT", "1w", NEW_YEAR) == "/api/v3/klines?symbol=B%C3%84RUSDT&interval=1w&startTime=1767225600000&limit=1000"
    start, end = (int(found) for found in re.findall(r"(?:start|end)Time=(\d+)", backwards.path("BTCUSD_PERP", "1m", NEW_YEAR)))
    assert (start, end) == (1_767_225_600_000, 1_767_225_600_000 + backwards.page * 60_000 - 1)
    for timeframe in ("1d", "1w", "1M"):
        start, end = (int(found) for found in re.findall(r"(?:start|end)Time=(\d+)", backwards.path("BTCUSD_PERP", timeframe, NEW_YEAR)))
        assert end - start == 200 * 86_400_000


def test_all_timeframes_are_ours_or_refused_with_a_reason() -> None:
    """The venue's names are ours; `1s` is spot's alone, `3d` nobody's."""
    for venue in (VENUE, COINM):
        assert venue.candles is not None
        assert set(venue.candles.timeframes) | set(venue.candles.refused) == {*TIMEFRAMES, "3d"}
        assert not set(venue.candles.timeframes) & set(venue.candles.refused)
        assert "listed" in venue.candles.refused["3d"]
        assert {f"candle:{name}" for name in venue.candles.timeframes} < set(venue.endpoints[0].channels)
    assert VENUE.candles is not None
    assert COINM.candles is not None
    assert set(VENUE.candles.timeframes) - set(COINM.candles.timeframes) == {"1s"}


@pytest.mark.parametrize("timeframe", VENUE.candles.timeframes if VENUE.candles is not None else ())
def test_every_timeframe_is_parsed(timeframe: str) -> None:
    """By its own stream, and with its own end."""
    opened = {"1w": NEW_YEAR - 3 * DAY, "1M": NEW_YEAR}.get(timeframe, NEW_YEAR)
    frame = (
        BINANCE["kline"].replace(b"kline_1m", f"kline_{timeframe}".encode()).replace(b'"t":1767225600000', b'"t":%d' % (opened // 10**6))
    )
    (candle,) = parse(frame)

    assert isinstance(candle, Candle)
    assert is_open(timeframe, candle.open_ts)
    assert (candle.timeframe, candle.close_ts) == (timeframe, close_of(timeframe, opened))


def test_an_inverse_contract_counts_in_coins() -> None:
    """`v` is contracts there, so that the base volume is `q`."""
    inverse = Instrument("BTC-USD-PERP", "binance_coinm", "BTCUSD_PERP", "BTC", "USD", contract_size=Decimal(100), inverse=True)
    (first, _) = klines.parse(answers_of("binance_coinm")["candles"], inverse, "1m", 7).candles

    assert (first.volume, first.quote_volume, first.taker_buy_volume) == (Decimal("1.49996704"), Decimal(136_500), Decimal("0.99998351"))

"""Binance USD-M futures: the outputs of its frames."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.errors import FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.binance_futures import rest, stream
from crosstape_connector.venues.binance_usdm import VENUE
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, LastTrade, Odd, OddRow, Output, Unreadable, unread
from crosstape_connector.venues.spec import Verdict
from crosstape_schemas import Funding, Instrument, Liquidation, Mark, Quote, Side, Ticker, Trade
from tests.connector.venues.golden import answers_of, as_read, frames_of, symbols_of

PUBLIC, MARKET = frames_of("binance_usdm", "public"), frames_of("binance_usdm", "market")
BITCOIN = "BTC-USDT-PERP"
SECOND = 1_767_225_601_000_000_000
MADE = 1_767_225_600_123_000_000


def parse(*frames: bytes) -> list[Output]:
    """All outputs of one connection for these frames, received at 7, as a reader of the tape gets them."""
    parser = stream.Parser(symbols_of("binance_usdm"))
    return [as_read(output) for frame in frames for output in parser(frame, 7)]


def test_each_stream_is_subscribed_where_it_is_served() -> None:
    """A subscription on the wrong path is acknowledged and silent."""
    public, market = VENUE.endpoints

    assert (public.url, market.url) == ("wss://fstream.binance.com/public/stream", "wss://fstream.binance.com/market/stream")
    assert set(public.channels.values()) == {"bookTicker", "depth@100ms"}
    assert {"aggTrade", "ticker", "markPrice@1s", "forceOrder", "kline_1m"} <= set(market.channels.values())
    assert not set(public.channels) & set(market.channels)


def test_trades_are_aggregates_with_ids_of_their_own() -> None:
    """`m` true: the taker sold. The quantity includes orders that only some traders see; `nq`, without these, is not used."""
    sold, bought = parse(MARKET["agg_trade"], MARKET["agg_trade_taker_buys"])

    assert sold == Trade("binance_usdm", BITCOIN, MADE, 7, Decimal("91000.10"), Decimal("0.015"), Side.SELL, "5933014")
    assert isinstance(bought, Trade)
    assert (bought.taker, bought.trade_id) == (Side.BUY, "5933015")


def test_what_is_no_market_trade_is_an_id_and_no_trade() -> None:
    """Rows without a price, the insurance fund's and deleveraging; a frame of 2019 says nothing of it."""
    names = ("trade", "trade_no_price", "trade_insurance_fund", "trade_adl", "trade_2019")
    outputs = parse(*(PUBLIC[name] for name in names))

    assert outputs[1:4] == [LastTrade(BITCOIN, MADE, 7, number, no_trade=True) for number in (4_000_002, 4_000_003, 4_000_004)]
    assert [output.trade_id for output in outputs if isinstance(output, Trade)] == ["4000001", "4000005"]


def test_a_market_trade_without_a_price_is_refused() -> None:
    """It is not passed on at price 0."""
    with pytest.raises(FrameError):
        parse(PUBLIC["trade_no_price"].replace(b'"NA"', b'"MARKET"'))


@pytest.mark.parametrize(("first", "second"), [("trade", "agg_trade"), ("agg_trade", "trade")])
def test_no_trade_counts_twice(first: str, second: str) -> None:
    """Of a symbol's two streams of trades the first counts."""
    frames = {"trade": PUBLIC["trade"], "agg_trade": MARKET["agg_trade"]}
    outputs = parse(frames[first], frames[second], frames[second], frames[first])

    assert [output.trade_id for output in outputs if isinstance(output, Trade)] == [{"trade": "4000001", "agg_trade": "5933014"}[first]] * 2


def test_a_best_bid_and_ask_have_the_engines_time() -> None:
    """`T`, not `E`, which is the sender's; zeros are an empty side. Fields that only new frames have change nothing."""
    both, old, one = parse(PUBLIC["book_ticker"], PUBLIC["book_ticker_2021"], PUBLIC["book_ticker_one_side"])

    assert both == Quote("binance_usdm", BITCOIN, MADE, 7, Decimal("91000.1"), Decimal("3.1"), Decimal("91000.2"), Decimal("0.5"))
    assert isinstance(old, Quote)
    assert old.venue_ts == MADE
    assert one == Quote("binance_usdm", "1000PEPE-USDT-PERP", MADE, 7, None, None, Decimal("0.006123"), Decimal(1500))


@pytest.mark.parametrize("bad", [b'"x"', b"5", b'"-1"', b"null"])
def test_a_quote_that_cannot_be_read_is_out_of_date(bad: bytes) -> None:
    """It is counted, and the quote before is not the newest."""
    odd, unreadable = parse(PUBLIC["book_ticker"].replace(b'"91000.20"', bad))

    assert isinstance(odd, Odd)
    assert unreadable == Unreadable("quote", BITCOIN, 7)


def test_depth_keeps_the_numbers_that_link_it() -> None:
    """Of all speeds: first and last update id, and the last of the frame before."""
    first, following, slow, fast = parse(*(PUBLIC[name] for name in ("depth", "depth_next", "depth_250ms", "depth_0ms")))

    assert first == BookUpdate(
        BITCOIN, 1_767_225_600_200_000_000, 7, [(Decimal("91000.1"), Decimal("3.2")), (Decimal(90999), Decimal(0))],
        [(Decimal("91000.3"), Decimal(1))], 700_101, 700_190, 700_044,
    )  # fmt: skip
    assert isinstance(following, BookUpdate)
    assert (following.first, following.previous) == (700_254, first.last)
    assert isinstance(slow, BookUpdate)
    assert isinstance(fast, BookUpdate)
    assert (slow.instrument, fast.instrument) == ("ETH-USDT-PERP", "BTC-USDT-20261225")


@pytest.mark.parametrize("bad", [b'"x"', b"null", b'"0.-1"', b'""', '"١"'.encode()])
def test_a_change_that_cannot_be_read_spoils_its_book(bad: bytes) -> None:
    """At once, and no other book."""
    odd, suspect = parse(PUBLIC["depth"].replace(b'"3.200"', bad))

    assert isinstance(odd, Odd)
    assert odd.kind == "book"
    assert suspect == unread(BITCOIN, 7)


@pytest.mark.parametrize(
    ("first", "last", "previous", "verdict"),
    [
        (90, 99, 80, Verdict.SKIP),
        (90, 100, 80, Verdict.APPLY),
        (95, 120, 80, Verdict.APPLY),
        (100, 120, 99, Verdict.APPLY),
        (110, 120, 100, Verdict.APPLY),
        (110, 120, 101, Verdict.BREAK),
        (101, 120, 90, Verdict.BREAK),
        (None, None, None, Verdict.BREAK),
    ],
)
def test_the_first_update_spans_the_snapshot_or_follows_it(
    first: int | None, last: int | None, previous: int | None, verdict: Verdict
) -> None:
    """The venue's steps 4 and 5: drop `u` < L, then `U` <= L <= `u`; or `pu` is L, which the documents do not name."""
    assert stream.bridges(BookUpdate(BITCOIN, None, 7, (), (), first, last, previous), 100) is verdict


@pytest.mark.parametrize(
    ("first", "last", "previous", "verdict"),
    [
        (150, 160, 100, Verdict.APPLY),
        (101, 160, 99, Verdict.BREAK),
        (101, 160, 101, Verdict.BREAK),
        (90, 100, 80, Verdict.SKIP),
        (101, 160, None, Verdict.BREAK),
        (None, None, 100, Verdict.BREAK),
    ],
)
def test_an_update_names_the_one_before(first: int | None, last: int | None, previous: int | None, verdict: Verdict) -> None:
    """Ids are those of all symbols: `U` does not follow the last `u`."""
    assert stream.follows(BookUpdate(BITCOIN, None, 7, (), (), first, last, previous), 100) is verdict


def test_a_snapshot_is_asked_for_by_rest_and_read() -> None:
    """With the engine's time; its URL is known again in a capture, and spot's is not taken for it."""
    assert VENUE.snapshots is not None
    path = VENUE.snapshots.path("BTCUSDT", 500)
    assert path == "/fapi/v1/depth?symbol=BTCUSDT&limit=500"
    assert VENUE.snapshots.match("https://x" + path) == "BTCUSDT"
    assert VENUE.snapshots.match("https://x/api/v3/depth?symbol=BTCUSDT") is None

    snapshot = rest.parse_depth(answers_of("binance_usdm")["snapshot"], symbols_of("binance_usdm")["BTCUSDT"], 7)
    assert isinstance(snapshot, BookSnapshot)
    assert (snapshot.sequence, snapshot.venue_ts, len(snapshot.bids), snapshot.limit) == (700_150, 1_767_225_600_190_000_000, 2, None)
    full = {"lastUpdateId": 1, "bids": [["1", "1"]] * 500, "asks": []}
    assert rest.parse_depth(msgspec.json.encode(full), symbols_of("binance_usdm")["BTCUSDT"], 7).limit == 500


def test_a_perpetual_has_a_mark_and_a_funding_rate() -> None:
    """Both of one frame; the interval is not in it. A rate may be negative."""
    mark, funding, _, negative = parse(MARKET["mark_price"], MARKET["mark_price_negative_rate"])

    assert mark == Mark("binance_usdm", BITCOIN, SECOND, 7, Decimal("91000.15"), Decimal("91010.62659091"))
    assert funding == Funding("binance_usdm", BITCOIN, SECOND, 7, Decimal("0.0001"), None, 1_767_254_400_000_000_000)
    assert isinstance(negative, Funding)
    assert negative.rate == Decimal("-0.0375")


def test_a_dated_future_has_no_funding_rate() -> None:
    """The venue sends zeros for it."""
    assert [type(output) for output in parse(MARKET["mark_price_dated"])] == [Mark]


@pytest.mark.parametrize("bad", [b'"x"', b'"0"', b'"-1"', b"5"])
def test_a_mark_that_cannot_be_read_is_out_of_date(bad: bytes) -> None:
    """And so is the funding rate of the same frame."""
    odd, mark, funding = parse(MARKET["mark_price"].replace(b'"91000.15000000"', bad, 1))

    assert isinstance(odd, Odd)
    assert (mark, funding) == (Unreadable("mark", BITCOIN, 7), Unreadable("funding", BITCOIN, 7))


def test_a_forced_order_counts_as_far_as_it_is_filled() -> None:
    """Its own side, which is the taker's; the average price, not the order's; none if nothing is filled."""
    short, long = parse(MARKET["force_order"], MARKET["force_order_of_a_long"], MARKET["force_order_not_filled"])

    assert short == Liquidation("binance_usdm", BITCOIN, 1_767_225_601_421_000_000, 7, Side.BUY, Decimal("91006.04"), Decimal("0.014"))
    assert isinstance(long, Liquidation)
    assert (long.taker, long.size) == (Side.SELL, Decimal("1.5"))


def test_a_forced_order_that_comes_twice_counts_once() -> None:
    """It has no id: the venue sends one a second and symbol, so that one with the same time, price and size is the same."""
    frame = MARKET["force_order"]
    later = frame.replace(b'"T":1767225601421', b'"T":1767225602421')

    assert len(parse(frame, frame, later, later)) == 2


def test_the_day_is_that_of_the_venue() -> None:
    """Without a best bid and ask, which these tickers do not have."""
    (ticker,) = parse(MARKET["ticker"])

    assert ticker == Ticker(
        "binance_usdm", BITCOIN, SECOND, 7, Decimal("91000.2"), Decimal("91500.3"), Decimal(92000), Decimal(90500),
        Decimal("12345.678"), Decimal("1123456789.12"), Decimal("-500.1"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["kline_3d", "mini_ticker", "mini_tickers", "mark_prices", "continuous_kline", "contract_info", "composite_index", "trading_session"],
)
def test_known_streams_without_anything_for_the_tape_are_silent(name: str) -> None:
    """Streams of all markets hold COIN-M's symbols, too, since 2026-06: none is used."""
    assert parse(MARKET[name]) == []


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b'{"stream":"btcusdt@soothsayer","data":{}}', UnknownFrame),
        (b'{"stream":"!soothsayer","data":{}}', UnknownFrame),
        (b'{"e":"soothsayer","s":"BTCUSDT"}', UnknownFrame),
        (b'{"stream":"xrpusdt@aggTrade","data":{}}', UnknownSymbol),
        (MARKET["force_order"].replace(b'"91006.04"', b'"-1"'), FrameError),
        (MARKET["ticker"].replace(b'"12345.678"', b'"sNaN"'), FrameError),
        (MARKET["agg_trade"].replace(b'"0.015"', b'"0"'), FrameError),
    ],
)
def test_what_cannot_be_used_says_why(frame: bytes, error: type[Exception]) -> None:
    """The type of the error gives the kind by which it is counted."""
    with pytest.raises(error):
        parse(frame)


def test_instruments_are_perpetuals_and_dated_futures() -> None:
    """Named by base and quote, and by the day of delivery; a multiplier stays in the base asset's name."""
    found = {row.symbol: row for row in VENUE.instruments.parse(answers_of("binance_usdm")["instruments"]) if isinstance(row, Instrument)}

    assert {symbol: row.name for symbol, row in found.items()} == {
        "BTCUSDT": BITCOIN,
        "ETHUSDT": "ETH-USDT-PERP",
        "1000PEPEUSDT": "1000PEPE-USDT-PERP",
        "BTCUSDT_261225": "BTC-USDT-20261225",
        "TSLAUSDT": "TSLA-USDT-PERP",
        "BTCUSDC": "BTC-USDC-PERP",
    }
    dated = found["BTCUSDT_261225"]
    assert (dated.expiry, dated.price_tick, dated.size_step, dated.contract_size) == (
        1_798_185_600_000_000_000, Decimal("0.1"), Decimal("0.001"), Decimal(1),
    )  # fmt: skip
    assert (found["BTCUSDT"].expiry, found["BTCUSDT"].inverse) == (None, False)
    assert [symbol for symbol, row in found.items() if not row.active] == ["BTCUSDC"]


def test_a_dated_contract_without_a_date_is_odd() -> None:
    """Nothing else says when it is delivered."""
    body = answers_of("binance_usdm")["instruments"].replace(b"1798185600000", b"0")
    rows = VENUE.instruments.parse(body)

    assert [(row.symbol, row.instrument) for row in rows if isinstance(row, OddRow)] == [("BTCUSDT_261225", "")]


def test_open_interest_is_in_base_units() -> None:
    """Asked for one symbol at a time."""
    (source,) = VENUE.polled
    (found,) = source.parse(answers_of("binance_usdm")["open_interest"], symbols_of("binance_usdm"), 7)

    assert source.path(["BTCUSDT"]) == "/fapi/v1/openInterest?symbol=BTCUSDT"
    assert not isinstance(found, Odd)
    assert (found.instrument, getattr(found, "size", None), getattr(found, "value", 0)) == (BITCOIN, Decimal("10659.509"), None)
    for bad in (b'"-1"', b'"x"', b"5"):
        with pytest.raises((FrameError, msgspec.MsgspecError)):
            source.parse(answers_of("binance_usdm")["open_interest"].replace(b'"10659.509"', bad), symbols_of("binance_usdm"), 7)


def test_quotes_of_others_in_the_same_answer_are_passed_over() -> None:
    """The venue answers with all symbols at once."""
    assert VENUE.quotes is not None
    found = VENUE.quotes.parse(answers_of("binance_usdm")["quotes"], symbols_of("binance_usdm"), 7)

    assert [one.instrument for one in found if isinstance(one, Quote)] == [BITCOIN, "ETH-USDT-PERP"]
    assert not [one for one in found if isinstance(one, Odd)]


def test_a_snapshot_counts_what_it_weighs() -> None:
    """In our own limit, which is a weight a minute, and in what processes of one address share."""
    assert VENUE.snapshots is not None
    (limit,) = VENUE.rest_limits

    assert VENUE.snapshots.levels == {100: 5, 500: 10, 1_000: 20}
    assert {levels: limit.weight(VENUE.snapshots.path("BTCUSDT", levels)) for levels in rest.DEPTHS} == VENUE.snapshots.levels


def test_requests_take_half_of_the_weight_that_both_futures_have() -> None:
    """2,400 a minute for USD-M and COIN-M together, each a process of its own; a fifth of the half is left."""
    assert VENUE.candle_source is not None
    assert VENUE.candle_source.page < 500
    weights = {"snapshots": 1, "trades": 20, "quotes": 5, "trading": 1, "candle_source": 2}
    polled = sum(source.per_minute for source in VENUE.polled)

    assert sum(getattr(VENUE, name).per_minute * weight for name, weight in weights.items()) + polled <= 2_400 / 2 * 4 / 5

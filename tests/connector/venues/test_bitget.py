"""Bitget, spot and contracts: what is particular of its frames, of its books, and of its REST."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from crosstape_connector.errors import UnknownFrame, UnknownSymbol
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.venues.bitget import FUTURES, SPOT, frames
from crosstape_connector.venues.bitget.figures import size_of
from crosstape_connector.venues.bitget.stream import follows
from crosstape_connector.venues.bitget.values import made_ms, product_of
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    CandleSnapshot,
    ConnectionBreak,
    Heartbeat,
    Odd,
    OddRow,
    Output,
    Rejected,
    TradeSnapshot,
    Unreadable,
)
from crosstape_connector.venues.past import TradesById
from crosstape_connector.venues.spec import Parser, Request, Venue, Verdict
from crosstape_schemas import (
    Book,
    Candle,
    FeedState,
    Funding,
    Instrument,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Side,
    Status,
    Ticker,
    Trade,
)
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

MS: Final = 1_000_000
T: Final = 1_767_225_600_000
"""2026-01-01, 00:00 UTC, ms."""
BOTH: Final = pytest.mark.parametrize("venue", [SPOT, FUTURES], ids=[SPOT.id, FUTURES.id])
PRODUCT: Final = {SPOT.id: "SPOT", FUTURES.id: "USDT-FUTURES"}


def parser_of(venue: Venue, *, recorded: bool = False) -> Parser:
    """A parser of the first endpoint; of recordings, if `recorded`."""
    table = next(iter(venue.recordings.values())) if recorded else venue
    return table.endpoints[0].parser(symbols_of(venue.id))


def v2(product: str, channel: str, action: str, data: Sequence[Any], symbol: str = "BTCUSDT") -> bytes:
    """A frame of v2."""
    arg = {"instType": product, "channel": channel, "instId": symbol}
    return json.dumps({"action": action, "arg": arg, "data": data, "ts": T}, separators=(",", ":")).encode()


def v3(product: str, topic: str, action: str, data: Sequence[Any], **more: str) -> bytes:
    """A frame of v3."""
    arg = {"instType": product.lower(), "topic": topic, "symbol": "BTCUSDT", **more}
    return json.dumps({"action": action, "arg": arg, "data": data, "ts": T}, separators=(",", ":")).encode()


def book(action: str, seq: int | None, pseq: int | None, bids: Sequence[Sequence[str]], asks: Sequence[Sequence[str]] = ()) -> bytes:
    """A frame of the spot book."""
    row: dict[str, Any] = {"asks": asks, "bids": bids, "ts": str(T)}
    return v2("SPOT", "books", action, [row | ({} if seq is None else {"seq": seq, "pseq": pseq})])


def trade(number: int, price: str = "91000.1", size: str = "0.5", side: str = "buy") -> dict[str, str]:
    """A trade of v2."""
    return {"ts": str(T + number), "price": price, "size": size, "side": side, "tradeId": str(1_390_000_000_000_000_000 + number)}


def only(outputs: Sequence[Output]) -> Output:
    """The one output."""
    (output,) = outputs
    return output


def test_the_reason_names_what_cannot_be_read_once() -> None:
    """The instrument, the trade or the field, and what is wrong with it."""
    parser = parser_of(SPOT)
    trade = {"ts": str(T), "price": "x", "size": "1", "side": "buy", "tradeId": "12"}
    frames_ = (
        v2("SPOT", "trade", "update", [trade]),
        book("snapshot", 5, 0, [["x", "1"]]),
        v2("SPOT", "candle1m", "update", [[str(T), "1", "2"]]),
    )

    assert [one.reason for frame in frames_ for one in parser(frame, 7) if isinstance(one, Odd)] == [
        "trade of BTC-USDT: 12: 1 at x",
        "book of BTC-USDT: no number in a level",
        "candle:1m of BTC-USDT: Expected `array` of at least length 7, got 3",
    ]


def test_frames_of_another_layout_are_read_and_not_remembered() -> None:
    """What is remembered of a topic is how its frames begin; of frames with spaces, or with their data first, that would be all of each."""
    parser = parser_of(SPOT)
    frame = json.loads(v2("SPOT", "books1", "snapshot", [{"asks": [["2", "1"]], "bids": [["1", "3"]], "ts": str(T)}]))
    spaced, data_first = json.dumps(frame).encode(), json.dumps({"data": frame["data"], **frame}, separators=(",", ":")).encode()

    assert isinstance(parser, frames.Parser)
    assert len({repr(parser(data, 7)) for data in (spaced, data_first, v2("SPOT", "books1", "snapshot", frame["data"]))}) == 1
    assert len(parser._readers) == 1


@BOTH
def test_a_ping_is_a_text_and_is_sent_however_much_data_flow(venue: Venue) -> None:
    """Every 30 s, says the venue; what it sends meanwhile does not count. The answer is no JSON either."""
    for endpoint in venue.endpoints:
        assert endpoint.ping is not None
        assert endpoint.ping(7) == b"ping"
        assert endpoint.ping_s < 30
        assert endpoint.ping_s * 1.5 < endpoint.silence_s
    assert parser_of(venue)(b"pong", 7) == (Heartbeat(),)


@BOTH
def test_a_request_has_ten_parts_and_4096_bytes_at_most(venue: Venue) -> None:
    """More than 25 parts ended a connection."""
    for endpoint in venue.endpoints:
        assert endpoint.symbols_per_request <= 10
        symbols = tuple(f"1000000LONGNAME{number}USDT" for number in range(endpoint.symbols_per_request))
        for channel in endpoint.channels.values():
            request = endpoint.subscribe(Request(channel, symbols, 1, 10))
            assert len(json.loads(request)["args"]) <= 10
            assert len(request) <= 4096


@BOTH
def test_each_part_of_a_request_names_its_product(venue: Venue) -> None:
    """The same symbol is a spot pair and a perpetual; a wrong product is acknowledged and stays silent."""
    (asked,) = json.loads(venue.endpoints[0].subscribe(Request("books", ("BTCUSDT",), 1, 10)))["args"]
    assert asked == {"instType": PRODUCT[venue.id], "channel": "books", "instId": "BTCUSDT"}


def test_the_product_of_a_contract_is_in_its_symbol() -> None:
    """And a row of the list whose symbol says another one is odd, since it could not be subscribed."""
    names = ("BTCUSDT", "PERPUSDT", "USDCUSDT", "BTCPERP", "BTCUSD", "BTCUSDZ26")
    products = [product_of(name) for name in names]
    assert products == [*["USDT-FUTURES"] * 3, "USDC-FUTURES", *["COIN-FUTURES"] * 2]
    request = FUTURES.endpoints[0].subscribe(Request("trade", ("BTCPERP", "BTCUSD"), 1, 10))
    assert [part["instType"] for part in json.loads(request)["args"]] == ["USDC-FUTURES", "COIN-FUTURES"]

    rows = FUTURES.instruments.parse(answers_of(FUTURES.id)["instruments"])
    odd = {row.symbol: row.reason for row in rows if isinstance(row, OddRow)}
    assert odd["BTCXYZ"] == "BTCXYZ: the symbol 'BTCXYZ' does not show that its quote asset is USDT"
    assert odd.keys() == {"BTCXYZ", "ETHUSDZ26"}


def test_frames_of_another_product_are_not_ours() -> None:
    """A recording may have both markets on one connection. A product that nobody documents is unknown."""
    frame = v2("SPOT", "trade", "update", [trade(1)])
    assert isinstance(only(parser_of(SPOT)(frame, 7)), Trade)
    assert parser_of(FUTURES)(frame, 7) == ()
    assert parser_of(FUTURES)(b'{"event":"subscribe","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"}}', 7) == ()
    with pytest.raises(UnknownFrame, match="BTCUSDT in USDC-FUTURES"):
        parser_of(FUTURES)(frame.replace(b"SPOT", b"USDC-FUTURES"), 7)
    with pytest.raises(UnknownFrame, match="STOCKS"):
        parser_of(SPOT)(frame.replace(b"SPOT", b"STOCKS"), 7)
    with pytest.raises(UnknownSymbol, match="NOPE"):
        parser_of(SPOT)(frame.replace(b"BTCUSDT", b"NOPE"), 7)


@BOTH
def test_trades_after_a_subscription_are_of_the_past(venue: Venue) -> None:
    """Newest first in both; they do not show that the stream goes on."""
    parse, rows = parser_of(venue), [trade(3), trade(2)]
    past = only(parse(v2(PRODUCT[venue.id], "trade", "snapshot", rows), 7))
    assert isinstance(past, TradeSnapshot)
    assert [one.trade_id[-1] for one in past.trades] == ["2", "3"]
    live = parse(v2(PRODUCT[venue.id], "trade", "update", rows), 7)
    assert [one.trade_id[-1] for one in live if isinstance(one, Trade)] == ["2", "3"]
    assert "trade" in venue.endpoints[0].answers


def test_a_trade_that_cannot_be_read_harms_no_other() -> None:
    """And is a gap, because no id shows that it is missing."""
    for change in ({"price": "NaN"}, {"size": "0"}, {"side": "hold"}, {"tradeId": "x"}, {"ts": "soon"}):
        outputs = parser_of(SPOT)(v2("SPOT", "trade", "update", [trade(3), trade(2) | change, trade(1)]), 7)
        assert [type(one) for one in outputs] == [Odd, Unreadable, Trade, Trade], change


def test_the_time_of_a_trade_is_in_its_id() -> None:
    """So the page before an id is asked for with the week that ends with it: without times the venue gives the newest seven days only."""
    assert made_ms(1_432_912_488_536_195_072) == 1_777_358_880_170
    for venue in (SPOT, FUTURES):
        past = venue.past_trades
        assert isinstance(past, TradesById)
        query = parse_qs(urlsplit(past.path("BTCUSDT", 1_432_912_488_536_195_072)).query)
        assert (int(query["endTime"][0]), int(query["startTime"][0])) == (1_777_358_880_171, 1_777_358_880_171 - 7 * 86_400_000)
        assert "startTime" not in past.path("BTCUSDT", 4_000_000)


def test_an_empty_side_of_a_quote_is_null() -> None:
    """A quote that cannot be read makes the one before out of date."""
    parse = parser_of(SPOT)
    row = {"asks": [["91000.2", "0.5"]], "bids": [], "ts": str(T)}
    quote = only(parse(v2("SPOT", "books1", "snapshot", [row]), 7))
    assert isinstance(quote, Quote)
    assert (quote.bid_price, quote.ask_price, quote.venue_ts) == (None, "91000.2", T * MS)
    for bad in ([], [row, row], [row | {"asks": [["x", "1"]]}], [row | {"ts": "x"}]):
        assert [type(one) for one in parse(v2("SPOT", "books1", "snapshot", bad), 7)] == [Odd, Unreadable]


def test_an_update_follows_the_frame_whose_number_it_names() -> None:
    """Numbers jump, and exceed 2^53; zero as the one before says that they began again; an old update is skipped."""

    def verdict(seq: int | None, pseq: int | None, at: int) -> Verdict:
        return follows(BookUpdate("BTC-USDT", None, 0, (), (), None, seq, pseq), at)

    assert verdict(1_483_653_649_791_156_272, 1_483_653_649_791_156_200, 1_483_653_649_791_156_200) is Verdict.APPLY
    assert verdict(1_483_653_649_791_156_273, 1_483_653_649_791_156_272, 1_483_653_649_791_156_271) is Verdict.BREAK
    assert verdict(100, 90, 100) is Verdict.SKIP
    assert verdict(200, 0, 100) is Verdict.BREAK
    assert verdict(17, 0, 100) is Verdict.BREAK
    assert verdict(None, None, 100) is Verdict.BREAK


def feeds() -> FeedHandler:
    """The book of one pair, at each change."""
    return FeedHandler(SPOT, {"BTC-USDT": symbols_of(SPOT.id)["BTCUSDT"]}, ("book", "delta"), book_depth=10, book_interval_ns=0)


def fed(handler: FeedHandler, *frames: bytes) -> list[Any]:
    """What comes of these frames."""
    parse = parser_of(SPOT)
    return [effect for now, frame in enumerate(frames, 1) for output in parse(frame, now) for effect in handler.apply(output)]


def test_a_book_that_began_again_is_subscribed_again() -> None:
    """An update with `pseq` 0 does not follow anything."""
    handler = feeds()
    effects = fed(
        handler,
        book("snapshot", 100, 0, [["10", "1"]], [["11", "1"]]),
        book("update", 110, 100, [["10", "2"]]),
        book("update", 7, 0, [["10", "3"]]),
    )
    assert FeedState.RECOVERING in [one.state for one in effects if isinstance(one, Status)]
    assert handler.book_checks()["BTC-USDT"].holes == 1


def test_a_book_begins_anew_with_each_snapshot() -> None:
    """Levels of the book before are not merged into it."""
    handler = feeds()
    first, second = (
        book("snapshot", 100, 0, [["10", "1"], ["9", "5"]], [["11", "1"]]),
        book("snapshot", 200, 0, [["10", "4"]], [["12", "1"]]),
    )
    event = [one for one in fed(handler, first, second) if isinstance(one, Book)][-1]
    assert [list(event.bids), list(event.asks)] == [[(Decimal(10), Decimal(4))], [(Decimal(12), Decimal(1))]]


def test_a_checksum_is_neither_wanted_nor_trusted() -> None:
    """Frames of 2026-04 have one in updates, and 0 in snapshots; those of 2026-09 have none."""
    parse = parser_of(SPOT)
    frame = book("update", 110, 100, [["10", "2"]])
    assert parse(frame, 7) == parse(frame.replace(b'"seq"', b'"checksum":-1258619028,"seq"'), 7)
    assert SPOT.book.checksum is None


def test_a_book_without_numbers_is_only_read_in_recordings() -> None:
    """Those of 2024 have none: nothing would show that a change of a live book was lost."""
    frames = book("snapshot", None, None, [["10", "1"]], [["11", "1"]]), book("update", None, None, [["10", "2"]])
    for frame in frames:
        assert [type(one) for one in parser_of(SPOT)(frame, 7)] == [Odd, ConnectionBreak]
    parse = parser_of(SPOT, recorded=True)
    assert [type(only(parse(frame, 7))) for frame in frames] == [BookSnapshot, BookUpdate]


def test_a_change_of_a_book_that_cannot_be_read_breaks_it() -> None:
    """The book lacks it from then on."""
    for levels in ([["x", "1"]], [["1_000", "1"]], [["\u0661", "1"]], [["10"]]):
        outputs = parser_of(SPOT)(book("update", 110, 100, levels), 7)
        assert [type(one) for one in outputs] == [Odd, ConnectionBreak], levels


@pytest.mark.parametrize("channel", ["books5", "books15"])
def test_complete_books_of_recordings_are_compared(channel: str) -> None:
    """Each frame is complete; `books` has precedence, and of several complete ones the first."""
    parse = parser_of(SPOT, recorded=True)

    def complete(bids: Sequence[Sequence[str]], ts: int, name: str = channel) -> bytes:
        return v2("SPOT", name, "snapshot", [{"asks": [["11", "1"]], "bids": bids, "checksum": 0, "ts": str(ts)}])

    first, second = (only(parse(complete(bids, T + at), 7)) for at, bids in enumerate(([["10", "1"], ["9", "1"]], [["10", "2"]])))
    assert isinstance(first, BookSnapshot)
    assert isinstance(second, BookUpdate)
    assert sorted(second.bids) == [(Decimal(9), Decimal(0)), (Decimal(10), Decimal(2))]
    assert parse(complete([], T + 5, "books50"), 7) == ()
    parse(book("snapshot", 100, 0, [["10", "1"]]), 7)
    assert parse(complete([["10", "3"]], T + 9), 7) == ()


def test_the_open_of_another_day_is_left_out() -> None:
    """Of spot `open24h` is that of the day in UTC+8, while `change24h` is of 24 hours: both are null then."""

    def ticker(last: str, opened: str, share: str) -> Ticker:
        found = only(parser_of(SPOT)(v2("SPOT", "ticker", "snapshot", [{"lastPr": last, "open24h": opened, "change24h": share}]), 7))
        assert isinstance(found, Ticker)
        return found

    other, same = ticker("43528.19", "42267.78", "0.03879"), ticker("76631.3", "77641", "-0.013")
    assert (other.open, other.change) == (None, None)
    assert (same.open, same.change) == (Decimal(77641), Decimal("-1009.7"))


def test_a_ticker_of_a_contract_has_its_figures() -> None:
    """Mark, index, the rate to come and the open interest; a dated contract has no rate. One that cannot be read harms no other."""
    frames, parse = frames_of(FUTURES.id, "v2"), parser_of(FUTURES)
    ticker, mark, funding, interest = parse(frames["ticker"], 7)
    assert isinstance(mark, Mark)
    assert (mark.mark_price, mark.index_price) == (Decimal("91000.7"), Decimal("91010.49123"))
    assert isinstance(funding, Funding)
    assert (funding.rate, funding.next_ts, funding.interval_s) == (Decimal("0.000096"), (T + 28_800_000) * MS, None)
    assert isinstance(interest, OpenInterest)
    assert (interest.size, interest.value) == (Decimal("50670.787"), None)
    assert [type(one) for one in parse(frames["ticker_of_a_dated_contract"], 7)] == [Ticker, Mark, OpenInterest]

    bad = frames["ticker"].replace(b'"markPrice":"91000.7"', b'"markPrice":"-1"')
    assert [type(one) for one in parse(bad, 7)] == [Ticker, Odd, Unreadable, Funding, OpenInterest]
    lost = parse(frames["ticker"].replace(b'"lastPr":"91000.2"', b'"lastPr":7'), 7)
    assert [one.kind for one in lost if isinstance(one, Unreadable)] == ["ticker", "mark", "funding", "open_interest"]
    assert isinstance(ticker, Ticker)


def test_the_first_frame_of_candles_has_many() -> None:
    """Up to 500, the last of them running: none counts as closed by itself. Rows that cannot be read harm no others."""
    rows = [[str(T + 60_000 * number), "2", "3", "1", "2", "1", "2", "2"] for number in range(500)]
    found = only(parser_of(SPOT)(v2("SPOT", "candle1m", "snapshot", [*rows, ["x"]]), 7))
    assert isinstance(found, CandleSnapshot)
    assert (len(found.candles), len(found.odd), any(one.closed for one in found.candles)) == (500, 1, False)
    assert SPOT.candles is not None
    assert SPOT.candles.open == "previous close"


def test_days_that_begin_at_16_utc_are_not_ours() -> None:
    """Names without `utc` count from midnight in UTC+8, as all of v3 do. They are known, and hold nothing for the tape."""
    row = [str(T - 28_800_000), "2", "3", "1", "2", "1", "2", "2"]
    parse = parser_of(SPOT, recorded=True)
    for name in ("6H", "12H", "1D", "1W", "1M", "3Dutc"):
        assert parse(v2("SPOT", f"candle{name}", "snapshot", [row]), 7) == ()
    assert parse(v3("SPOT", "kline", "snapshot", [{"start": str(T - 28_800_000)}], interval="1D"), 7) == ()
    assert isinstance(only(parse(v2("SPOT", "candle1Dutc", "update", [[str(T), *row[1:]]]), 7)), Candle)
    assert {"1Dutc", "1Wutc", "1Mutc", "6Hutc", "12Hutc"} <= set(SPOT.candles.timeframes.values() if SPOT.candles else ())
    with pytest.raises(UnknownFrame, match="7m"):
        parse(v2("SPOT", "candle7m", "snapshot", [row]), 7)


def test_words_of_rest_for_timeframes_differ_from_the_sockets() -> None:
    """`1min` and `1h` on spot, `1m` and `1H` of contracts; both take the `utc` names."""

    def words(venue: Venue) -> list[str]:
        source = venue.candle_source
        assert source is not None
        return [parse_qs(urlsplit(source.path("BTCUSDT", one, T * MS)).query)["granularity"][0] for one in ("1m", "1h", "4h", "6h", "1d")]

    assert words(SPOT) == ["1min", "1h", "4h", "6Hutc", "1Dutc"]
    assert words(FUTURES) == ["1m", "1H", "4H", "6Hutc", "1Dutc"]


def test_which_volume_is_of_the_base_asset_shows_at_the_price() -> None:
    """By REST of spot the volume in USDT is before or after that in the quote asset; of coin-margined contracts the first may be in USD."""

    def volumes(venue: Venue, instrument: Instrument, *columns: str) -> tuple[Decimal, Decimal | None]:
        source = venue.candle_source
        assert source is not None
        row = (
            [str(T), "0.033", "0.034", "0.032", "0.033", *columns] if instrument.quote == "BTC" else [str(T), "9", "9", "9", "9", *columns]
        )
        (candle,) = source.parse(msgspec.json.encode({"code": "00000", "data": [row]}), instrument, "1m", 7).candles
        return candle.volume, candle.quote_volume

    pair = Instrument("ETH-BTC", SPOT.id, "ETHBTC", "ETH", "BTC")
    for columns in (("100", "3.3", "300300"), ("100", "300300", "3.3")):
        assert volumes(SPOT, pair, *columns) == (Decimal(100), Decimal("3.3"))
    inverse = Instrument("BTC-USD-PERP", FUTURES.id, "BTCUSD", "BTC", "USD")
    for first, second in (("100", "900"), ("900", "100")):
        assert volumes(FUTURES, inverse, first, second) == (Decimal(100), Decimal(900))


def test_the_amount_of_a_liquidation_is_worth_a_size() -> None:
    """A multiple of the step, where one is worth the amount with its last decimals cut; liquidations of other contracts are left out."""
    instrument = Instrument("IP-USDT-PERP", FUTURES.id, "IPUSDT", "IP", "USDT", size_step=Decimal("0.1"))
    assert str(size_of(instrument, Decimal("0.500280739469"), Decimal("143.330431857868"))) == "286.5"
    assert size_of(instrument, Decimal(3), Decimal(1)) == Decimal("0.3333333333333333333333333333")
    endpoint = FUTURES.endpoints[1]
    outputs = endpoint.parser(symbols_of(FUTURES.id))(frames_of(FUTURES.id, "v3")["liquidations"], 7)
    assert [(one.instrument, one.taker, str(one.size)) for one in outputs if isinstance(one, Liquidation)] == [
        ("ETH-USDT-PERP", Side.BUY, "0.01"),
        ("BTC-USDT-PERP", Side.SELL, "0.0125"),
    ]


def test_liquidations_are_asked_for_by_product() -> None:
    """One subscription has those of all contracts of a product, so that one request asks for all products."""
    endpoint = FUTURES.endpoints[1]
    parts = json.loads(endpoint.subscribe(Request("liquidation", ("BTCUSDT",), 1, 10)))["args"]
    assert parts == [{"instType": name, "topic": "liquidation"} for name in ("usdt-futures", "usdc-futures", "coin-futures")]
    assert endpoint.shared_channels == {"liquidation"}


def test_an_error_of_v3_names_its_topic_within_a_text() -> None:
    """The part of the request is repeated as JSON in the message."""
    message = '{"instType":"usdt-futures","symbol":"NOPEUSDT","topic":"books"} doesn\'t exist'
    refused = only(parser_of(FUTURES)(msgspec.json.encode({"event": "error", "code": 30001, "msg": message, "connId": "x"}), 7))
    assert isinstance(refused, Rejected)
    assert (refused.channel, refused.symbols) == ("books", ("NOPEUSDT",))
    vague = only(parser_of(FUTURES)(b'{"event":"error","code":30003,"msg":"op not exist"}', 7))
    assert vague == Rejected("30003 op not exist")


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (
            v3("SPOT", "publicTrade", "update", [{"i": "1390000000000000001", "p": "9.5", "v": "2", "S": "sell", "T": str(T)}]),
            v2("SPOT", "trade", "update", [{"tradeId": "1390000000000000001", "price": "9.5", "size": "2", "side": "sell", "ts": str(T)}]),
        ),
        (
            v3("SPOT", "books", "update", [{"a": [["11", "0"]], "b": [["10", "2"]], "seq": 8, "pseq": 7, "ts": str(T)}]),
            v2("SPOT", "books", "update", [{"asks": [["11", "0"]], "bids": [["10", "2"]], "seq": 8, "pseq": 7, "ts": str(T)}]),
        ),
        (
            v3("SPOT", "books1", "snapshot", [{"a": [["11", "1"]], "b": [["10", "2"]], "seq": 8, "pseq": 0, "ts": str(T)}]),
            v2("SPOT", "books1", "snapshot", [{"asks": [["11", "1"]], "bids": [["10", "2"]], "ts": str(T)}]),
        ),
        (
            v3("SPOT", "ticker", "snapshot", [{"lastPrice": "9", "openPrice24h": "10", "price24hPcnt": "-0.1", "volume24h": "7"}]),
            v2("SPOT", "ticker", "snapshot", [{"lastPr": "9", "open24h": "10", "change24h": "-0.1", "baseVolume": "7"}]),
        ),
        (
            v3(
                "SPOT", "kline", "update",
                [{"start": str(T), "open": "2", "high": "3", "low": "1", "close": "2", "volume": "5", "turnover": "10"}], interval="1m",
            ),
            v2("SPOT", "candle1m", "update", [[str(T), "2", "3", "1", "2", "5", "10", "10"]]),
        ),
    ],
    ids=["trade", "book", "quote", "ticker", "candle"],
)  # fmt: skip
def test_both_generations_are_read_alike(new: bytes, old: bytes) -> None:
    """Recordings of either become the same."""
    parse = parser_of(SPOT, recorded=True)
    assert parse(new, 7) == parse(old, 7)
    assert parse(new, 8) == parse(old, 8)  # by the way that was found


def test_a_frame_in_another_order_of_keys_is_read_alike() -> None:
    """Its beginning does not say what it is of."""
    frame: Mapping[str, Any] = json.loads(v2("SPOT", "trade", "update", [trade(1)]))
    parse = parser_of(SPOT)
    expected = parse(json.dumps(frame, separators=(",", ":")).encode(), 7)
    for _ in range(2):
        assert parse(json.dumps(dict(reversed(list(frame.items()))), separators=(",", ":")).encode(), 7) == expected
    assert parse(json.dumps(frame).encode(), 7) == expected


def test_acknowledgements_name_their_channel_and_symbol() -> None:
    """They have no id."""
    parse = parser_of(SPOT)
    arg = '"arg":{"instType":"SPOT","channel":"candle1m","instId":"BTCUSDT"}}'
    assert parse(f'{{"event":"subscribe",{arg}'.encode(), 7) == (Ack(None, "candle1m", ("BTCUSDT",)),)
    assert parse(f'{{"event":"unsubscribe",{arg}'.encode(), 7) == (Ack(None, "candle1m", ("BTCUSDT",), True),)
    with pytest.raises(UnknownFrame):
        parse(b'{"event":"dance","arg":{"instType":"SPOT","channel":"books","instId":"BTCUSDT"}}', 7)


def test_contracts_come_in_a_list_for_each_product() -> None:
    """The tick is a number of last decimals; shares are left out; a contract that takes no new positions does not trade."""
    assert [parse_qs(urlsplit(path).query)["productType"][0] for path in FUTURES.instruments.paths] == [
        "USDT-FUTURES",
        "USDC-FUTURES",
        "COIN-FUTURES",
    ]
    found = symbols_of(FUTURES.id)
    assert (found["ETHUSDT"].price_tick, found["ETHUSDT"].size_step) == (Decimal("0.05"), Decimal("0.01"))
    assert (found["BTCUSDZ26"].name, found["BTCUSDZ26"].expiry) == ("BTC-USD-20261225", 1_798_185_600_000 * MS)
    assert not found["1000BONKUSDT"].active
    assert "NVDAUSDT" not in found
    assert "RNVDAUSDT" not in symbols_of(SPOT.id)


def test_the_demo_is_chosen_by_a_header() -> None:
    """Its sockets have another host, its REST has not."""
    demo = FUTURES.environments["demo"]
    assert demo.ws_urls == {"v2": "wss://wspap.bitget.com/v2/ws/public", "v3": "wss://wspap.bitget.com/v3/ws/public"}
    assert demo.headers == {"PAPTRADING": "1"}
    assert demo.rest_urls == FUTURES.rest_urls

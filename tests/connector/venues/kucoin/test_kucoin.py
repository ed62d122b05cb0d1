"""KuCoin spot, both protocols: the outputs of its frames."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.venues.kucoin import OLD_SPOT, SPOT, pro, recorded, requests, rest, spot
from crosstape_connector.venues.messages import (
    BookUpdate,
    ConnectionBreak,
    Odd,
    Output,
    Rejected,
    Rotate,
    Unreadable,
    Welcome,
    unread,
)
from crosstape_connector.venues.parsing.unreadable import NOT_OURS, feeds_of
from crosstape_connector.venues.registry import find
from crosstape_connector.venues.spec import Request, Verdict
from crosstape_schemas import Candle, Quote, Ticker, Trade
from tests.connector.venues.golden import answers_of, as_read, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

PRO: Final = frames_of("kucoin", "pro")
CLASSIC: Final = frames_of("kucoin", "classic")
D: Final = Decimal


def from_pro(*frames: bytes) -> list[Output]:
    """All that one connection of the newer protocol finds in these, received at 7."""
    parser = pro.SpotParser(symbols_of("kucoin"))
    return [output for frame in frames for output in parser(frame, 7)]


def from_classic(*frames: bytes) -> list[Output]:
    """The same of the older protocol, as a reader of the tape gets it."""
    parser = recorded.Parser(symbols_of("kucoin"))
    return [as_read(output) for frame in frames for output in parser(frame, 7)]


def test_changes_may_overlap_and_not_leave_a_hole() -> None:
    """A change that begins at most one after the newest is applied, if it brings anything new."""
    spans = {(8, 9): Verdict.APPLY, (6, 8): Verdict.APPLY, (7, 7): Verdict.SKIP, (3, 5): Verdict.SKIP, (9, 9): Verdict.BREAK}

    assert {span: pro.chain(BookUpdate("BTC-USDT", 1, 7, (), (), *span), 7) for span in spans} == spans


def test_a_book_begins_with_the_snapshot_on_the_stream() -> None:
    """Changes before it are dropped, those after it are linked to it, and a hole breaks the book until the next snapshot."""
    found = feeds(SPOT)
    early, hole = (PRO["book_delta"].replace(b'"O":103,"C":107', numbers) for numbers in (b'"O":95,"C":100', b'"O":109,"C":110'))
    tape = [
        [type(event).__name__ for output in from_pro(frame) for event in found.apply(output)]
        for frame in (early, PRO["book_snapshot"], PRO["book_delta"], hole)
    ]

    assert "Book" not in tape[0]
    assert {"Status", "Delta"} <= set(tape[1])
    assert "Delta" in tape[2]
    assert "Gap" in tape[3]


def test_a_change_that_does_not_follow_the_snapshot_breaks_the_book() -> None:
    """What lies between them is missing."""
    found = feeds(SPOT)
    late = PRO["book_delta"].replace(b'"O":103', b'"O":104')
    tape = [[type(event).__name__ for output in from_pro(frame) for event in found.apply(output)] for frame in (PRO["book_snapshot"], late)]

    assert "Delta" in tape[0]
    assert "Delta" not in tape[1]
    assert "Gap" in tape[1]


@pytest.mark.parametrize(
    "bad",
    [(b'"91000.3","1.5"', b'"91000.3","1_5"'), (b'["91000","0"]', b'["91000"]'), (b'"M":1767', b'"M":-1767'), (b'"delta"', b'"other"')],
)
def test_a_change_that_cannot_be_read_is_a_break_of_that_book(bad: tuple[bytes, bytes]) -> None:
    """The book lacks it from then on."""
    odd, broken = from_pro(PRO["book_delta"].replace(*bad))

    assert isinstance(odd, Odd)
    assert broken == unread("BTC-USDT", 7)


def test_a_change_that_names_no_book_may_be_of_any() -> None:
    """All books of the connection are suspect; one of a pair that was not subscribed is none of them."""
    found = from_pro(PRO["book_delta"].replace(b'"s":"BTC-USDT"', b'"s":null'))

    assert [one.instruments for one in found if isinstance(one, ConnectionBreak)] == [("BTC-USDT",), ("ETH-USDT",), ("LUNA-USDT",)]
    with pytest.raises(UnknownSymbol):
        from_pro(PRO["book_delta"].replace(b'"s":"BTC-USDT"', b'"s":"XXX-USDT"'))


def test_a_candle_is_closed_when_the_venue_says_so_at_its_end() -> None:
    """`S` is a bool or a text, and was seen true in the middle of an interval: then it says nothing."""
    candles = [one for one in from_pro(PRO["candle"], PRO["candle_closed"], PRO["candle_closed_too_early"]) if isinstance(one, Candle)]

    assert [one.closed for one in candles] == [False, True, False]
    assert (candles[1].open, candles[1].high, candles[1].low, candles[1].close) == (D("91000.1"), D("91000.2"), D(90999), D("91000.2"))
    assert (candles[1].volume, candles[1].quote_volume) == (D("1.5"), D("136500.125"))


def test_a_candle_of_the_older_protocol_has_its_close_before_its_high() -> None:
    """By REST too; one without trades is flat."""
    live, flat = from_classic(CLASSIC["candle"], CLASSIC["candle_of_a_silent_minute"])
    assert SPOT.candle_source is not None
    past = SPOT.candle_source.parse(answers_of("kucoin")["candles"], symbols_of("kucoin")["BTC-USDT"], "1m", 7)

    assert isinstance(live, Candle)
    assert isinstance(flat, Candle)
    assert (live.open, live.close, live.high, live.low) == (D("91000.1"), D("91000.2"), D("91000.2"), D(90999))
    assert (flat.volume, flat.open) == (D(0), flat.close)
    assert [one.open_ts // 10**9 for one in past.candles] == [1_767_225_600, 1_767_225_720]
    assert past.candles[0].close == D("91000.2")
    assert (
        rest.candles_path("BTC-USDT", "1h", 1_767_225_600 * 10**9) == "/api/v1/market/candles?symbol=BTC-USDT&type=1hour&startAt=1767225600"
    )


def test_a_candle_whose_high_is_not_the_highest_is_no_candle() -> None:
    """Figures in another order than ours would show so."""
    found = from_pro(PRO["candle"].replace(b'"h":"91000.2"', b'"h":"91000.1"'))

    assert [type(one) for one in found] == [Odd, Unreadable]
    assert found[1] == Unreadable("candle:1m", "BTC-USDT", 7)


def test_a_week_that_begins_on_thursday_is_not_ours() -> None:
    """It is left out, and the settings say why."""
    assert SPOT.candles is not None
    assert "Thursday" in SPOT.candles.refused["1w"]
    assert not any("week" in channel for channel in SPOT.endpoints[0].channels.values())


def test_a_quote_has_the_symbol_of_its_topic_and_empty_sides_are_null() -> None:
    """The frame names it nowhere else."""
    both, one_side = from_classic(CLASSIC["level1"], CLASSIC["level1_one_side"])

    assert both == Quote("kucoin", "BTC-USDT", 1_767_225_600_123_000_000, 7, D("91000.1"), D("3.1"), D("91000.2"), D("0.5"))
    assert one_side == Quote("kucoin", "ETH-USDT", 1_767_225_600_123_000_000, 7, None, None, D("3000.5"), D(1))


@pytest.mark.parametrize("key", [b"asks", b"bids", b"timestamp"])
def test_a_side_whose_name_cannot_be_read_is_not_empty(key: bytes) -> None:
    """A damaged key would otherwise make a quote that never was."""
    _, unreadable = from_classic(CLASSIC["level1"].replace(b'"%s"' % key, b'"%s\xff"' % key))

    assert unreadable == Unreadable("quote", "BTC-USDT", 7)


def test_data_whose_topic_cannot_be_read_may_be_of_any_feed() -> None:
    """Of either protocol: they are no frames of an unknown type."""
    for frame, parse in (
        (CLASSIC["level1"].replace(b'"topic"', b'"top\xff"'), from_classic),
        (PRO["candle"].replace(b'"T"', b'"\xff"'), from_pro),
    ):
        with pytest.raises(FrameError) as caught:
            parse(frame)
        assert caught.value.kind not in NOT_OURS
    assert feeds_of(SPOT.endpoints[0], symbols_of("kucoin"), PRO["candle"][:-9], 7) == [Unreadable("candle:1m", "BTC-USDT", 7)]


@pytest.mark.parametrize("name", ["level1", "snapshot"])
def test_a_frame_that_is_cut_off_still_names_its_feed(name: str) -> None:
    """Its last data are not the newest any more."""
    kind = {"level1": "quote", "snapshot": "ticker"}[name]

    assert feeds_of(SPOT.endpoints[1], symbols_of("kucoin"), CLASSIC[name][:-9], 7) == [Unreadable(kind, "BTC-USDT", 7)]


def test_the_day_keeps_every_digit() -> None:
    """Of JSON numbers with zeros at their end."""
    (ticker,) = from_classic(CLASSIC["snapshot"])

    assert isinstance(ticker, Ticker)
    assert str(ticker.change) == "-500.10000000000000000000"
    assert (ticker.last, ticker.open, ticker.base_volume) == (D("91000.2"), D("91500.3"), D("12345.678"))
    odd, unreadable = from_classic(CLASSIC["snapshot"].replace(b"12345.678", b'"1_2"'))
    assert (type(odd), unreadable) == (Odd, Unreadable("ticker", "BTC-USDT", 7))


def test_a_trade_is_known_by_its_sequence() -> None:
    """Which REST has too, and is a number where the trade's id was none."""
    trades = [one for one in from_classic(CLASSIC["trade"], CLASSIC["trade_of_2021"]) if isinstance(one, Trade)]

    assert [one.trade_id for one in trades] == ["4000001", "1612701563869"]
    assert trades[0].venue_ts == 1_767_225_600_123_456_789
    with pytest.raises(FRAME_ERRORS):
        from_classic(CLASSIC["trade"].replace(b'"sequence":"4000001"', b'"sequence":"6085c09769bc506996295e36"'))


def test_requests_are_those_of_the_documents() -> None:
    """The older protocol takes several symbols at once, the newer one each for itself."""
    older, newer = requests.classic(spot.TOPICS), requests.pro("SPOT")
    both = Request("level1", ("BTC-USDT", "ETH-USDT"), 5, 10)
    topic = {"topic": "/spotMarket/level1:BTC-USDT,ETH-USDT", "privateChannel": False, "response": True}

    assert json.loads(older("subscribe", both)) == {"id": "5", "type": "subscribe", **topic}
    one = {"tradeType": "SPOT", "symbol": "BTC-USDT"}
    book = {"id": "6", "action": "unsubscribe", "channel": "obu", "depth": "increment@10ms", **one}
    assert json.loads(newer("unsubscribe", Request("obu", ("BTC-USDT",), 6, 10))) == book
    candle = {"id": "7", "action": "subscribe", "channel": "kline", "interval": "1min", **one}
    assert json.loads(newer("subscribe", Request("1min", ("BTC-USDT",), 7, 10))) == candle
    assert json.loads(requests.ping(9)) == {"id": "9", "type": "ping"}


def test_a_full_connection_is_no_refusal_and_an_old_token_ends_it() -> None:
    """The first sends the topic elsewhere, the second opens another connection with a new token."""
    assert [one.full for one in from_classic(CLASSIC["full"], CLASSIC["too_many"]) if isinstance(one, Rejected)] == [True, False]
    assert all(isinstance(one, Rotate) for one in from_classic(CLASSIC["expired"], CLASSIC["ping_missed"]))
    assert from_pro(PRO["welcome"]) == [Welcome(16.2)]


def test_a_grant_has_the_venues_address_and_pace() -> None:
    """The token stays out of the address; what is no address of a WebSocket is refused."""
    body = answers_of("kucoin")["grant"]
    grant = rest.parse_grant(body)

    assert (grant.url, grant.ping_s) == ("wss://ws-api-spot.kucoin.com/", 16.2)
    assert grant.query == {"token": "not-a-token==.", "connectId": "{id}"}
    for bad in (b"https://ws-api-spot.kucoin.com/", b"wss://a/?b=c", b""):
        with pytest.raises(FrameError):
            rest.parse_grant(body.replace(b"wss://ws-api-spot.kucoin.com/", bad))
    with pytest.raises(msgspec.ValidationError):
        rest.parse_grant(b'{"code":"400100","msg":"no"}')


def test_an_error_comes_with_http_200() -> None:
    """It is known by its code; an answer without one has none."""
    assert SPOT.rest_error is not None
    assert SPOT.rest_error(b'{"code":"400100","msg":"Unsupported trading pair."}') == "400100 Unsupported trading pair."
    assert SPOT.rest_error(answers_of("kucoin")["quotes"]) is None


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (PRO["candle"].replace(b"kline.SPOT", b"kline.FUTURES"), UnknownFrame),
        (PRO["book_snapshot"].replace(b"increment@10ms", b"7"), UnknownFrame),
        (CLASSIC["trade"].replace(b"/market/match", b"/market/new"), UnknownFrame),
        (CLASSIC["trade"].replace(b":BTC-USDT", b":XXX-USDT"), UnknownSymbol),
        (CLASSIC["pong"].replace(b"pong", b"gong"), UnknownFrame),
        (b"{}", UnknownFrame),
    ],
)
def test_what_cannot_be_used_says_why(frame: bytes, error: type[Exception]) -> None:
    """The type of the error gives the kind by which it is counted."""
    endpoint = SPOT.endpoints[not pro.speaks(frame)]
    with pytest.raises(error):
        endpoint.parser(symbols_of("kucoin"))(frame, 7)


def test_old_books_start_from_a_snapshot_by_rest(tmp_path: Path) -> None:
    """A recording of the older protocol is known by its address. Rows of price zero only move the sequence."""
    snapshot = {"d": "rest", "u": "https://api.kucoin.com/api/v3/market/orderbook/level2?symbol=BTC-USDT"}
    lines: list[dict[str, Any]] = [
        {"capture": 1, "venue": "kucoin", "url": "wss://push-private.kucoin.com/endpoint"},
        {"t": 1, "c": 0, "d": "rest", "u": "https://api.kucoin.com/api/v1/symbols", "f": answers_of("kucoin")["instruments"].decode()},
        {"t": 2, "c": 0, "d": "in", "f": CLASSIC["level2"].decode()},
        {"t": 3, "c": 0, **snapshot, "f": answers_of("kucoin")["snapshot"].decode()},
    ]
    found = normalize(find("kucoin"), [json.dumps(line).encode() for line in lines], delta=True, book_interval_ns=0)
    books = [event for event in found if type(event).__name__ == "Book"]

    assert OLD_SPOT.snapshots is not None
    assert OLD_SPOT.snapshots.path("BTC-USDT", 0).startswith("/api/v3/market/orderbook/level2")
    assert found.summary.unhandled == {}
    assert (found.summary.proofs["bridged"], found.summary.proofs["snapshots"]) == (1, 1)
    (book,) = books
    assert (book.bids, book.asks) == (((D("91000.1"), D("3.1")),), ((D("91000.2"), D("0.5")), (D("91000.3"), D(1)), (D("91000.4"), D(2))))  # type: ignore[attr-defined]

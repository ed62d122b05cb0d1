"""One bad row in a frame leaves its good neighbours; text that is no number is none, and numbers have bounds."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crosstape_connector.errors import FRAME_ERRORS, NotANumber
from crosstape_connector.feeds.books.ladder import ImpossibleLevelError, Ladder
from crosstape_connector.feeds.effects import Effect
from crosstape_connector.venues.messages import BookUpdate, ConnectionBreak, Odd, Output, TradeSnapshot
from crosstape_connector.venues.parsing.numbers import FLOOR, LIMIT, LONGEST, check, decimal, figure, is_plain, number
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Endpoint, Venue
from crosstape_schemas import FeedState, Gap, Quote, Status, Ticker, Trade, decode, encode
from tests.connector.venues.golden import frames_of, symbols_of
from tests.connector.venues.test_contract import feeds, warp

BINANCE = frames_of("binance")
ADVANCED = frames_of("coinbase", "advanced")
EXCHANGE = frames_of("coinbase", "exchange")
KRAKEN = frames_of("kraken")

NO_NUMBERS = [
    "1_000", "_1", "1_", " 1", "1 ", "\t1", "1\n", "١", "１", "1٫5", "NaN", "sNaN", "-NaN", "Infinity", "-Infinity", "inf", "", "x", "--1",
    "1e", "0x1", "1E-7000", "1E-25", "1E+20", "1E+7000", "100000000000000000000", "0." + 10_000 * "1", "1." + 10_000 * "0", 10_000 * "9",
]  # fmt: skip
"""None is a price or a size."""
NUMBERS = ["1", "0.00000061", "1.50", "1e-8", "1E+3", "99999999999999999999", "0.000000000000000000000001", "007"]

TRADES: dict[tuple[str, str], tuple[bytes, bytes, bytes]] = {
    ("binance", "stream"): (BINANCE["trade"], b'"91000.10000000"', b'"0.00150000"'),
    ("coinbase", "exchange"): (EXCHANGE["match"], b'"91000.01"', b'"1.50"'),
    ("coinbase", "advanced"): (
        b'{"channel":"market_trades","timestamp":"2026-01-01T00:00:02Z","sequence_num":0,"events":[{"type":"update","trades":[{"product_id":'
        b'"BTC-USD","trade_id":"504","price":"91000.03","size":"0.3","time":"2026-01-01T00:00:01.9Z","side":"SELL"}]}]}',
        b'"91000.03"',
        b'"0.3"',
    ),
    ("kraken", "v2"): (
        b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":91000.1,"qty":0.5,"ord_type":"limit",'
        b'"trade_id":704,"timestamp":"2026-01-01T00:00:01.798009Z"}]}',
        b"91000.1",
        b"0.5",
    ),
}
each_trade = pytest.mark.parametrize("place", TRADES, ids="-".join)


def endpoint(venue: str, name: str) -> tuple[Venue, Endpoint]:
    """By their names."""
    found = VENUES[venue]
    return found, next(one for one in found.endpoints if one.name == name)


def outputs(place: tuple[str, str], frame: bytes) -> list[Output]:
    """What a fresh connection makes of one frame; nothing, if it cannot be used."""
    try:
        return list(endpoint(*place)[1].parser(symbols_of(place[0]))(frame, 7))
    except FRAME_ERRORS:
        return []


def quoted(text: str, *, escaped: bool = False) -> bytes:
    """As JSON writes it, or with each character escaped."""
    return b'"' + "".join(f"\\u{ord(char):04x}" for char in text).encode() + b'"' if escaped else msgspec.json.encode(text)


@each_trade
@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: ascii(text)[:20])
def test_text_that_is_no_number_is_no_trade(place: tuple[str, str], text: str, *, escaped: bool) -> None:
    """Neither as a price nor as a size, however it is written."""
    frame, price, size = TRADES[place]
    assert any(isinstance(output, Trade) for output in outputs(place, frame))
    if escaped and len(text) > 1_000:
        pytest.skip("as above")
    for part in (price, size):
        assert part in frame
        assert not any(isinstance(output, Trade) for output in outputs(place, frame.replace(part, quoted(text, escaped=escaped))))


@each_trade
@pytest.mark.parametrize("text", ["1E-7000", "1e-25", "0.0000000000000000000000001", "1e20", "1" + 300 * "0", "0." + 300 * "1", "-1", "0"])
def test_a_json_number_has_bounds_too(place: tuple[str, str], text: str) -> None:
    """Where a venue writes numbers, not text."""
    frame, price, size = TRADES[place]
    for part in (price, size):
        assert not any(isinstance(output, Trade) for output in outputs(place, frame.replace(part, text.encode())))


@each_trade
@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_keeps_its_digits(place: tuple[str, str], text: str) -> None:
    """All that a decimal of the venue can be."""
    frame, price, _ = TRADES[place]
    if place[0] == "kraken" and text == "007":
        pytest.skip("no number in JSON")
    (trade,) = outputs(place, frame.replace(price, text.encode() if place[0] == "kraken" else quoted(text)))

    assert isinstance(trade, Trade)
    read = decode(encode(trade))
    assert isinstance(read, Trade)
    assert read.price.as_tuple() == Decimal(format(Decimal(text), "f")).as_tuple()
    assert b'"price":"%s"' % format(Decimal(text), "f").encode() in encode(trade)


QUOTES: dict[tuple[str, str], tuple[bytes, tuple[bytes, ...]]] = {
    ("binance", "stream"): (BINANCE["book_ticker"], (b'"91000.10000000"', b'"3.10000000"', b'"91000.20000000"', b'"0.50000000"')),
    ("kraken", "v2"): (KRAKEN["ticker"], (b"91000.0,", b"12.31628629,", b"91000.1,", b"0.31232000,")),
}


@pytest.mark.parametrize("place", QUOTES, ids="-".join)
@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: ascii(text)[:20])
def test_text_that_is_no_number_is_no_quote(place: tuple[str, str], text: str) -> None:
    """On either side."""
    frame, parts = QUOTES[place]
    for part in parts:
        assert part in frame
        bad = frame.replace(part, quoted(text) + (b"," if part.endswith(b",") else b""), 1)
        assert not any(isinstance(output, Quote) for output in outputs(place, bad))


BOOKS: dict[tuple[str, str], tuple[bytes, bytes, bytes]] = {
    ("binance", "stream"): (BINANCE["depth"], b'"91000.10000000"', b'"3.20000000"'),
    ("coinbase", "exchange"): (EXCHANGE["l2update"], b'"91000.010"', b'"2.5"'),
    ("coinbase", "advanced"): (ADVANCED["l2_update"], b'"91000.01"', b'"0.75"'),
}


@pytest.mark.parametrize("place", BOOKS, ids="-".join)
@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: ascii(text)[:20])
def test_text_that_is_no_number_breaks_the_book(place: tuple[str, str], text: str) -> None:
    """The change is not applied, so the book lacks it: only that book is suspect, or refuses the level itself."""
    frame, price, size = BOOKS[place]
    for part in (price, size):
        assert part in frame
        made = outputs(place, frame.replace(part, quoted(text), 1))
        (update,) = [output for output in made if isinstance(output, ConnectionBreak | BookUpdate)]
        if isinstance(update, ConnectionBreak):
            assert len(update.instruments) == 1
            assert any(isinstance(output, Odd) for output in made)
        else:
            with pytest.raises((ImpossibleLevelError, ArithmeticError)):
                Ladder((*update.bids, *update.asks), best_last=True)


def test_a_kraken_book_whose_row_cannot_be_read_is_suspect_and_its_neighbour_is_not() -> None:
    """At once: its checksum would tell only with the next change."""
    frame = msgspec.json.decode(KRAKEN["book"])
    (row,) = frame["data"]
    for bad in ({**row, "bids": 5}, {**row, "bids": [{"price": "x", "qty": 1}]}, {**row, "timestamp": "yesterday"}, {"symbol": "BTC/USD"}):
        both = msgspec.json.encode({**frame, "data": [bad, {**row, "symbol": "DOGE/USD"}]})
        made = outputs(("kraken", "v2"), both)
        assert [type(output).__name__ for output in made] == ["Odd", "ConnectionBreak", "BookUpdate"]
        assert made[1].instruments == ("BTC-USD",)  # type: ignore[union-attr]
    nameless = outputs(("kraken", "v2"), msgspec.json.encode({**frame, "data": [{**row, "symbol": None}]}))
    suspects = {name for output in nameless if isinstance(output, ConnectionBreak) for name in output.instruments}
    assert suspects == {one.name for one in symbols_of("kraken").values()}


def rows_of(place: tuple[str, str], frame: dict[str, Any]) -> list[Any]:
    """The list of rows in a frame."""
    found: list[Any] = (
        frame["data"] if place[0] == "kraken" else frame["events"][0]["trades" if "market" in frame["channel"] else "tickers"]
    )
    return found


ARRAYS = {
    ("kraken", "v2"): [KRAKEN["trade"], KRAKEN["ticker"]],
    ("coinbase", "advanced"): [ADVANCED["trades_update"], ADVANCED["ticker"]],
}


@pytest.mark.parametrize("place", ARRAYS, ids="-".join)
@given(seed=st.integers(0, 2**32))
def test_good_rows_of_a_frame_are_what_they_are_beside_any_other(place: tuple[str, str], seed: int) -> None:
    """Whatever one row is: null, a list, a row with a part replaced."""
    chance = random.Random(seed)
    for good in ARRAYS[place]:
        frame = msgspec.json.decode(good)
        alone = [one for one in outputs(place, good) if isinstance(one, Trade | Quote | Ticker)]
        rows = rows_of(place, frame)
        bad = chance.choice([None, [], 7, "row", {}, warp(dict(rows[0]), chance)])
        rows.insert(chance.randrange(len(rows) + 1), bad)

        made = [one for one in outputs(place, msgspec.json.encode(frame)) if isinstance(one, Trade | Quote | Ticker)]

        assert all(one in made for one in alone)


def test_a_replay_with_a_bad_trade_is_one_replay() -> None:
    """Its good trades repair a line, and do not begin one in the middle."""
    for place, frame in ((("kraken", "v2"), KRAKEN["trade_snapshot"]), (("coinbase", "advanced"), ADVANCED["trades_snapshot"])):
        raw = msgspec.json.decode(frame)
        rows_of(place, raw).append({"symbol": "BTC/USD"})
        odd, *made = outputs(place, msgspec.json.encode(raw))
        assert isinstance(odd, Odd)
        assert odd.kind == "row"
        assert made == [one for one in outputs(place, frame) if isinstance(one, TradeSnapshot)]


def test_a_lost_trade_leaves_a_gap() -> None:
    """By its id; the trades on both sides are on the tape."""
    raw = msgspec.json.decode(KRAKEN["trade"])
    row = raw["data"][0]
    raw["data"] = [row | {"trade_id": 801}, row | {"trade_id": 802, "price": "1_000"}, row | {"trade_id": 803}]
    venue, found = endpoint("kraken", "v2")
    tape = feeds(venue)
    events: list[Effect] = []
    for output in found.parser(symbols_of("kraken"))(msgspec.json.encode(raw), 7):
        events += tape.apply(output)

    assert [event.trade_id for event in events if isinstance(event, Trade)] == ["801", "803"]
    (gap,) = [event for event in events if isinstance(event, Gap)]
    assert (gap.kind, gap.missed) == ("trade", 1)


def test_statuses_are_read_one_by_one() -> None:
    """Products of Coinbase in both dialects, and Kraken's word of its engine."""
    good = {"id": "BTC-USD", "status": "offline"}
    for place, frame in (
        (("coinbase", "exchange"), {"type": "status", "products": [None, good, {"id": 5}, []]}),
        (("coinbase", "advanced"), {"channel": "status", "timestamp": "", "events": [{"products": [None, good, {"id": 5}, []]}]}),
        (("kraken", "v2"), {"channel": "status", "data": [None, {"system": "maintenance"}, {"system": 5}, []]}),
    ):
        made = outputs(place, msgspec.json.encode(frame))
        assert [one.state for one in made if isinstance(one, Status)] == [FeedState.DOWN]
        assert len([one for one in made if isinstance(one, Odd)]) == 3


@given(st.text(max_size=30) | st.from_regex(r"[-+ _.0-9eE١]{1,12}", fullmatch=True) | st.decimals().map(str))
@example("1_0")
@example("1E-24")
def test_a_number_is_what_it_says_or_none(text: str) -> None:
    """The bounds are those of the contract."""
    try:
        found = figure(text)
    except NotANumber:
        return
    assert found.as_tuple() == Decimal(text).as_tuple()
    assert text.isascii()
    assert not any(char in text for char in "_ \t\n")
    assert found.is_zero() or FLOOR <= abs(found) < LIMIT
    assert len(found.as_tuple().digits) <= LONGEST


def test_bounds_are_told_apart_from_what_lies_within() -> None:
    """The first and the last of both sides."""
    for text in ("1E-24", "99999999999999999999", "9.9E+19", "0", "-5", "0E-8", "." + 24 * "3"):
        assert number(text) == Decimal(text)
    for text in ("9.9E-25", "1E+20", "0E-7000", "1" * 257, "1." + "0" * 256):
        with pytest.raises(ArithmeticError):
            number(text)
    assert decimal("1e5") == 100_000
    for text in ("1_0", "", "1" * 257, "١"):
        with pytest.raises(NotANumber):
            decimal(text)
    assert is_plain(b'{"a":"1"}')
    assert not is_plain(b'"\\u0031"')
    assert not is_plain("١".encode())


@pytest.mark.parametrize("value", [{"a": ["1_0"]}, " 1", [[{"b": "１"}]], {"a": "9" * 300}])
def test_a_frame_is_looked_through_for_text_that_is_taken_for_a_number(value: Any) -> None:
    """In all of its parts; other text is none of its business."""
    with pytest.raises(NotANumber):
        check(msgspec.json.encode(value))
    check(msgspec.json.encode({"a": ["x_y", "", "2026-01-01", "NaN", "1.5", "1e5", 7, None, "-.5"]}))
    with pytest.raises(NotANumber):
        check(b"[0." + 300 * b"1" + b"]")

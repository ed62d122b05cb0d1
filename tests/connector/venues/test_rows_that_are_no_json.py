"""Rows that no JSON decoder takes: each is counted and left out, and its neighbours are as good as ever.

Half a character, bytes that are not UTF-8, `NaN`, brackets that are nested too deep.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS, frame_error_kind
from crosstape_connector.rest import instruments
from crosstape_connector.rest.instruments import CachedAnswer, InstrumentCache
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, ConnectionBreak, Odd, Output
from crosstape_connector.venues.parsing.rows import DEEPEST, mended
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Endpoint
from crosstape_schemas import Quote, Status, Ticker, Trade
from tests.connector.venues.golden import answers_of, instrument, symbols_of
from tests.connector.venues.test_odd_rows import LISTS
from tests.connector.venues.unfinished import FINISHED

TEXTS: dict[str, bytes] = {
    "high surrogate": b'"\\ud800"',
    "low surrogate": b'"x\\uDC00y"',
    "high before a letter": b'"\\uD83D\\u0041"',
    "high before an escape": b'"\\ud83d\\n"',
    "not UTF-8": b'"\xff"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "cut off": b'"\xf0\x9f\x98"',
    "control character": b'"\x01"',
    "no escape": b'"\\x41"',
    "NaN": b"NaN",
    "minus infinity": b"-Infinity",
    "leading zero": b"007",
    "a Python word": b"None",
    "deep list": b"[" * 1500 + b"]" * 1500,
    "deep object": b'{"a":' * 1500 + b"1" + b"}" * 1500,
    "deep, closed in text": b"[" * 1500 + b'"]]]\\"]"' + b"]" * 1500,
}
"""JSON of a value, or what should be."""
BYTES = ("not UTF-8", "a surrogate in UTF-8", "cut off")
each_text = pytest.mark.parametrize("text", TEXTS)


def spoiled(row: Any, field: str, text: str) -> bytes:
    """A row with that in this field."""
    return msgspec.json.encode(row | {field: "SPOILED"}).replace(b'"SPOILED"', TEXTS[text])


def put(body: bytes, row: bytes) -> bytes:
    """A list's body with this row in place of `"ROW"`."""
    assert b'"ROW"' in body
    return body.replace(b'"ROW"', row)


@each_text
@pytest.mark.parametrize("name", LISTS)
def test_a_row_that_is_no_json_takes_no_other_with_it(name: str, text: str) -> None:
    """In a list of instruments, wherever it stands, in a field that is read or another; nothing of it is listed."""
    venue, row, body, symbol, *_ = LISTS[name]
    for field in (symbol, "no field of ours"):
        for place in (0, 1, 2):
            rows: list[Any] = [row("ETH"), row("SOL")]
            rows.insert(place, "ROW")
            listing = instruments.parse(VENUES[venue], [put(body(rows), spoiled(row("BTC"), field, text))], 7)
            if field != symbol and text in BYTES:  # a decoder skips what it does not read
                assert {one.name for one in listing.instruments} == {"ETH-USDT", "SOL-USDT", "BTC-USDT"}
                continue
            assert {one.name for one in listing.instruments} == {"ETH-USDT", "SOL-USDT"}
            (odd,) = listing.odd
            assert odd.kind in ("instrument_malformed", "instrument_encoding")
            assert len(odd.reason) <= 200


@each_text
@pytest.mark.parametrize("name", ["binance", "exchange", "kraken"])
def test_a_status_that_is_no_json_says_nothing_of_others(name: str, text: str) -> None:
    """What trades is known of all others; of the one that was asked for and not found nothing is claimed."""
    venue, row, body, *_ = LISTS[name]
    source = VENUES[venue].trading
    assert source is not None
    bad = spoiled(row("BTC"), "status", text)
    asked = {"binance": ["ETHUSDT", "BTCUSDT"], "exchange": ["ETH-USDT", "BTC-USDT"], "kraken": ["ETH/USDT", "BTC/USDT"]}[name]
    halted = {"binance": "BREAK", "exchange": "offline", "kraken": "cancel_only"}[name]
    found = source.parse(
        put(
            body(["ROW", row("ETH", status=halted)]),
            bad,
        ),
        asked,
    )
    assert found == {asked[0]: halted}


@each_text
@pytest.mark.parametrize("venue", [venue.id for venue in FINISHED if venue.trades is not None])
def test_a_past_trade_that_is_no_json_is_left_out(venue: str, text: str) -> None:
    """Of a page by REST."""
    source = VENUES[venue].trades
    assert source is not None
    body, found = re.subn(rb'"?91000\.20*"?', lambda _: TEXTS[text], answers_of(venue)["trades"], count=1)
    assert found
    page = source.parse(body, instrument("BTC-USD"), 7)
    assert [trade.trade_id for trade in page.trades] == ["4000001"]
    assert page.left_out == 1
    assert len(page.odd) == 1


@each_text
def test_a_quote_that_is_no_json_is_left_out(text: str) -> None:
    """Of a list by REST: the only venue that has one is Binance."""
    source = VENUES["binance"].quotes
    assert source is not None
    found = source.parse(
        answers_of("binance")["quotes"].replace(b'"3000.50000000"', TEXTS[text], 1),
        {"BTCUSDT": instrument("BTC-USDT"), "ETHUSDT": instrument("ETH-USDT")},
        7,
    )
    assert [one.instrument for one in found if isinstance(one, Quote)] == ["BTC-USDT"]
    assert sum(isinstance(one, Odd) for one in found) == 1


def _endpoint(venue: str, name: str) -> Endpoint:
    return next(one for one in VENUES[venue].endpoints if one.name == name)


def kraken(channel: str, rows: list[bytes], kind: str = "update") -> bytes:
    """A frame."""
    return b'{"channel":"%s","type":"%s","data":[%s]}' % (channel.encode(), kind.encode(), b",".join(rows))


def kraken_trade(number: int, price: bytes = b"91000.1") -> bytes:
    """A row."""
    return (
        b'{"symbol":"BTC/USD","side":"sell","price":%s,"qty":0.5,"ord_type":"limit","trade_id":%d,"timestamp":"2026-01-01T00:00:01.7Z"}'
        % (price, number)
    )


def kraken_ticker(symbol: bytes, bid: bytes = b"91000.0") -> bytes:
    """A row."""
    return b'{"symbol":"%s","bid":%s,"bid_qty":1.5,"ask":91000.1,"ask_qty":0.5,"last":91000.1}' % (symbol, bid)


def kraken_book(symbol: bytes, price: bytes = b"91000.0") -> bytes:
    """A row."""
    return b'{"symbol":"%s","bids":[{"price":%s,"qty":1.5}],"asks":[],"checksum":7,"timestamp":"2026-01-01T00:00:01.7Z"}' % (symbol, price)


def advanced(channel: str, event: bytes) -> bytes:
    """A frame."""
    return b'{"channel":"%s","timestamp":"2026-01-01T00:00:02Z","sequence_num":0,"events":[%s]}' % (channel.encode(), event)


def advanced_trade(number: int, price: bytes = b'"91000.03"') -> bytes:
    """A row."""
    return b'{"product_id":"BTC-USD","trade_id":"%d","price":%s,"size":"0.3","time":"2026-01-01T00:00:01.9Z","side":"SELL"}' % (
        number,
        price,
    )


FRAMES: dict[str, tuple[str, str, Callable[[bytes], bytes]]] = {
    "kraken trades": ("kraken", "v2", lambda bad: kraken("trade", [kraken_trade(1), kraken_trade(2, bad), kraken_trade(3)])),
    "kraken tickers": ("kraken", "v2", lambda bad: kraken("ticker", [kraken_ticker(b"BTC/USD", bad), kraken_ticker(b"ETH/USD")])),
    "advanced trades": (
        "coinbase",
        "advanced",
        lambda bad: advanced(
            "market_trades",
            b'{"type":"update","trades":[%s]}' % b",".join([advanced_trade(3), advanced_trade(2, bad), advanced_trade(1)]),
        ),
    ),
    "advanced statuses": (
        "coinbase",
        "advanced",
        lambda bad: advanced(
            "status", b'{"type":"snapshot","products":[{"id":"ETH-USD","status":%s},{"id":"BTC-USD","status":"online"}]}' % bad
        ),
    ),
    "exchange statuses": (
        "coinbase",
        "exchange",
        lambda bad: b'{"type":"status","products":[{"id":"ETH-USD","status":%s},{"id":"BTC-USD","status":"online"}]}' % bad,
    ),
}
WORTH = {"kraken trades": 2, "kraken tickers": 2, "advanced trades": 2, "advanced statuses": 1, "exchange statuses": 1}
"""Events of the good rows."""


def outputs(venue: str, name: str, frame: bytes) -> list[Output]:
    """What a fresh connection makes of one frame."""
    symbols = {**symbols_of(venue), "ETH/USD": instrument("ETH-USD"), "ETH-USD": instrument("ETH-USD")}
    return list(_endpoint(venue, name).parser(symbols)(frame, 7))


@each_text
@pytest.mark.parametrize("name", FRAMES)
def test_good_rows_of_a_frame_are_taken(name: str, text: str) -> None:
    """Live, as if the bad one were not there, which is counted."""
    venue, endpoint, frame = FRAMES[name]
    made = outputs(venue, endpoint, frame(TEXTS[text]))
    assert sum(isinstance(one, Trade | Quote | Ticker | Status) for one in made) == WORTH[name]
    (odd,) = [one for one in made if isinstance(one, Odd)]
    assert odd.kind == ("quote" if name == "kraken tickers" else "row")
    assert not [one for one in made if isinstance(one, ConnectionBreak)]


@each_text
@pytest.mark.parametrize("name", ["kraken trades", "kraken tickers", "advanced trades"])
def test_what_is_no_json_may_be_in_a_field_that_is_not_read(name: str, text: str) -> None:
    """The row may be used or not, its neighbours are."""
    venue, endpoint, frame = FRAMES[name]
    price = b'"91000.03"' if name.startswith("advanced") else b"91000.03"
    made = outputs(venue, endpoint, frame(price + b',"no field of ours":' + TEXTS[text]))
    assert sum(isinstance(one, Trade | Quote | Ticker | Status) for one in made) >= WORTH[name]


@each_text
def test_a_book_that_is_no_json_is_suspect_alone(text: str) -> None:
    """The others of the frame go on; where its name cannot be read, all of the connection are suspect."""
    good, bad = kraken_book(b"ETH/USD"), kraken_book(b"BTC/USD", TEXTS[text])
    made = outputs("kraken", "v2", kraken("book", [good, bad]))
    assert [one.instrument for one in made if isinstance(one, BookUpdate)] == ["ETH-USD"]
    (suspect,) = [one for one in made if isinstance(one, ConnectionBreak)]
    assert suspect.instruments == ("BTC-USD",)

    unnamed = kraken_book(b"BTC/USD").replace(b'"BTC/USD"', TEXTS[text])
    made = outputs("kraken", "v2", kraken("book", [good, unnamed]))
    assert {name for one in made if isinstance(one, ConnectionBreak) for name in one.instruments} >= {"BTC-USD", "ETH-USD"}


@each_text
@pytest.mark.parametrize("dialect", ["exchange", "advanced"])
def test_a_change_that_is_no_json_makes_its_book_suspect(dialect: str, text: str) -> None:
    """Coinbase: only that book, as long as it is named."""
    size = TEXTS[text]
    if dialect == "exchange":
        frame = b'{"type":"l2update","product_id":"BTC-USD","changes":[["buy","91000.01","1"],["buy","91000.00",%s]],"time":null}' % size
    else:
        level = b'{"side":"bid","event_time":"2026-01-01T00:00:02Z","price_level":"91000.01","new_quantity":%s}' % size
        frame = advanced("l2_data", b'{"type":"update","product_id":"BTC-USD","updates":[%s]}' % level)
    made = outputs("coinbase", dialect, frame)
    (suspect,) = [one for one in made if isinstance(one, ConnectionBreak)]
    assert set(suspect.instruments) == {"BTC-USD"}
    assert not [one for one in made if isinstance(one, BookUpdate | BookSnapshot)]


def test_a_change_of_a_book_that_is_not_named_spoils_all() -> None:
    """Coinbase Exchange: it may be any book's."""
    parser = _endpoint("coinbase", "exchange").parser(symbols_of("coinbase"))
    snapshot = b'{"type":"snapshot","product_id":"BTC-USD","bids":[["1","1"]],"asks":[["2","1"]]}'
    assert [one for one in parser(snapshot, 6) if isinstance(one, BookSnapshot)]
    with pytest.raises(FRAME_ERRORS):
        parser(b'{"type":"l2update","product_id":%s,"changes":[["buy","1","2"]],"time":null}' % TEXTS["high surrogate"], 7)
    made = parser(snapshot, 8)
    assert [one for one in made if isinstance(one, ConnectionBreak)]


def test_a_list_with_such_a_row_is_cached(tmp_path: Path) -> None:
    """And reads as before: what stood for the bytes is no name."""
    venue, row, body, *_ = LISTS["binance"]
    good = put(body([row("ETH"), "ROW"]), spoiled(row("BTC"), "baseAsset", "not UTF-8"))
    cache = InstrumentCache(tmp_path / "instruments.json")
    cache.path.write_bytes(msgspec.json.encode(CachedAnswer("binance", 7, good.decode(errors="replace"))))
    found = instruments.load_cached(cache, VENUES[venue])
    assert found is not None
    assert [one.name for one in found[0].instruments] == ["ETH-USDT"]
    assert len(found[0].odd) == 1


def test_text_outside_of_rows_does_not_matter() -> None:
    """Fields of an answer beside its rows, and the keys of rows, need no meaning."""
    assert json.loads(mended(b'{"a":"\\ud800 \\\\ud800","b\\udfff":[{"c":1}],"d":"\\ud83d\\ude00","e":"\xff"}', 2)) == {
        "a": "\ufffd \\ud800", "b\ufffd": [{"c": 1}], "d": "\U0001f600", "e": "\ufffd",
    }  # fmt: skip


@pytest.mark.parametrize(
    "broken", [b"", b"[", b'["', b"[1,2", b"[1]]", b'{"a":1', b"\xff\xfe", b"[{]}", b"nonsense", b'{"a":[1,}', b'["x"y"', b"[1}"]
)
def test_what_is_no_json_around_its_rows_is_refused(broken: bytes) -> None:
    """As ever; and bytes that are no text are called that."""
    with pytest.raises(JSON_ERRORS) as caught:
        mended(broken, 1)
    assert (frame_error_kind(caught.value) == "encoding") == (broken == b"\xff\xfe")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.integers(1, 4), st.booleans(), st.none() | st.integers(0, 3))
def test_good_json_stays_what_it_is(value: Any, depth: int, ascii_only: bool, indent: int | None) -> None:
    """Whatever counts as a row, in whichever notation."""
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="surrogatepass")
    assert json.loads(mended(data, depth)) == value


@given(st.lists(VALUES | st.sampled_from(sorted(TEXTS.values())), max_size=8))
def test_only_bad_rows_are_replaced(rows: list[Any]) -> None:
    """The others keep their places."""
    data = b"[%s]" % b", ".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    made = msgspec.json.decode(mended(data, 1))
    assert len(made) == len(rows)
    for row, found in zip(rows, made, strict=True):
        assert found.startswith("unreadable: ") if isinstance(row, bytes) else found == row


def test_it_takes_time_in_proportion_to_its_length() -> None:
    """Of brackets without end, and of many bad rows."""
    started = time.process_time()
    for data in (
        b"[" * 2_000_000 + b"]" * 2_000_000,
        b"[%s]" % b",".join([b'{"a":"\\ud800"}'] * 100_000),
        b"[" + b'"\\' * 1_000_000 + b"]",
    ):
        with contextlib.suppress(*JSON_ERRORS):
            mended(data, 1)
    assert time.process_time() - started < 20.0
    assert msgspec.json.decode(mended(b"[" + b"[" * DEEPEST + b"]" * DEEPEST + b"]", 1))

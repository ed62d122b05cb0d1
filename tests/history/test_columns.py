"""Events become columns, and come back from them byte for byte."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import crosstape_schemas
from crosstape.bus import Entry
from crosstape.history import text_events
from crosstape.history.arrow import batch_of, events_of, schema_of, table_of
from crosstape.history.batch import Batch, Source
from crosstape.history.columns import BatchBuilder, columns_of
from crosstape_schemas import KINDS, Trade, encode
from tests.schemas.strategies import events

TRADE = (
    b'{"type":"trade","venue":"binance","instrument":"BTC-USDT","venue_ts":1700000000123000000,"received_ts":1700000000129123456,'
    b'"price":"67000.50","size":"0.00123","taker":"buy","trade_id":"3123456789","backfilled":false,"epoch":1700000000000000000,"seq":12}'
)


def batch(*data: bytes, keep: Any = "events") -> Batch:
    """Returns the batch of these events of one kind, with ids 1-0, 1-1 …"""
    decoded = [text_events.decode(one) for one in data]
    builder = BatchBuilder(text_events.kind_of(decoded[0]), keep)
    for number, (event, one) in enumerate(zip(decoded, data, strict=True)):
        builder.add(1, number, event, one)
    return builder.build()


def test_a_trade_becomes_columns() -> None:
    """Decimals are the tape's text, times and numbers are integers; the columns alone give the event back."""
    made = batch(TRADE)

    assert {name: values[0] for name, values in made.columns.items()} == {
        "ts": 1_700_000_000_123_000_000, "id_ms": 1, "id_n": 0, "source": "tape", "venue": "binance", "instrument": "BTC-USDT",
        "venue_ts": 1_700_000_000_123_000_000, "received_ts": 1_700_000_000_129_123_456, "epoch": 1_700_000_000_000_000_000, "seq": 12,
        "price": "67000.50", "size": "0.00123", "taker": "buy", "trade_id": "3123456789", "backfilled": False,
    }  # fmt: skip
    assert made.exact == [True]
    table = table_of(made)
    assert table.column("price").to_pylist() == [Decimal("67000.5")]
    assert table.column("price_scale").to_pylist() == [2]
    assert table.column("d").to_pylist() == [None]
    assert events_of(table) == [TRADE]


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_every_event_comes_back_byte_for_byte(data: st.DataObject, kind: str) -> None:
    """All 16 kinds, with any texts, times and decimals, alone or many in a batch."""
    some = [encode(event) for event in data.draw(st.lists(events(kind), min_size=1, max_size=5))]

    made = batch(*some)

    assert [*made.columns] == [column.name for column in columns_of(kind)]
    for keep_data in (False, True):
        table = table_of(made, keep_data)
        assert table.schema.equals(schema_of(kind))
        table.validate(full=True)
        assert events_of(table) == some
        assert batch_of(table) == made


@settings(max_examples=200, deadline=None)
@example("350000000000000000000")  # too large by so much that 128 bits overflow, and what is left of it looks as if it fits
@example("-99999999999999999999.999999999999999999")
@given(st.from_regex(re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?", re.ASCII), fullmatch=True))
def test_any_digits_come_back(text: str) -> None:
    """A decimal of any digits is never rounded, and never stops a batch: where it fits in no column, the event's JSON is kept."""
    some = [TRADE, TRADE.replace(b'"67000.50"', f'"{text}"'.encode()), TRADE]

    table = table_of(batch(*some))

    number = table.column("price").to_pylist()[1]
    assert number is None or number == Decimal(text)
    assert table.column("price").to_pylist()[::2] == [Decimal("67000.5")] * 2
    assert events_of(table) == some


@pytest.mark.parametrize(
    "price",
    ["007", "+1", "-0.0", "1E+3", "1_0", " 1 ", ".5", "5.", "NaN", "sNaN", "Infinity", "0." + "0" * 18 + "1", "1" * 20_000, "1E+99999"],
)
def test_an_unusual_spelling_is_kept(price: str) -> None:
    """What the schema reads as a decimal is recorded, with its JSON; a column has its number or null, never another number."""
    odd = TRADE.replace(b'"67000.50"', f'"{price}"'.encode())

    made = batch(TRADE, odd)

    assert made.exact == [True, price.startswith("0.")]  # a column of PostgreSQL holds 19 digits behind the point
    text = made.columns["price"][1]
    assert text is None or re.fullmatch(r"-?\d+(\.\d+)?", str(text))
    assert text is None or Decimal(str(text)) == Decimal(price)
    assert events_of(table_of(made)) == [TRADE, odd]


@pytest.mark.parametrize(
    "odd",
    [
        TRADE.replace(b'"seq"', b'"new_field":{"a":[1]},"seq"'),
        TRADE.replace(b",", b", "),
        TRADE.replace(b'"venue":"binance"', b'"venue":"\\u0062inance"'),
        TRADE.replace(b'"67000.50"', b"67000.50"),
        TRADE.replace(b'"seq":12', b'"seq":123456789012345678901234567890'),
        TRADE.replace(b',"backfilled":false', b""),
    ],
)
def test_other_json_is_kept(odd: bytes) -> None:
    """Unknown fields of a newer producer, white space, escapes, numbers without quotes: the row has columns, and the JSON."""
    made = batch(odd, TRADE)

    assert made.exact == [False, True]
    assert made.columns["price"][0] == "67000.50"
    assert events_of(table_of(made)) == [odd, TRADE]


@pytest.mark.parametrize("price", ["", "1.2.3", "abc", "1e", "-", "0x1", "1\\u0000", "--1", "1-1", "1\\n2"])
def test_what_is_no_decimal_is_refused(price: str) -> None:
    """An entry that the schema does not decode is left out of the batch, and named; the others are recorded."""
    wrong = TRADE.replace(b'"67000.50"', f'"{price}"'.encode())
    with pytest.raises(msgspec.MsgspecError) as told:
        crosstape_schemas.decode(wrong)
    builder = BatchBuilder("trade")
    for number, data in enumerate([TRADE, wrong, TRADE]):
        builder.add(7, number, text_events.decode(data), data)

    made = builder.build()

    assert list(made.columns["id_n"]) == [0, 2]
    assert [(one.id, one.reason) for one in builder.refused] == [("7-1", str(told.value))]


@settings(max_examples=300, deadline=None)
@given(st.text("0123.-\n+eE_ naINFf١\0", max_size=8), st.sampled_from(["price", "size"]))
def test_the_schema_decides_what_is_a_decimal(text: str, name: str) -> None:
    """What it decodes is recorded and comes back byte for byte; what it refuses is left out."""
    data = re.sub(f'"{name}":"[^"]*"'.encode(), b'"' + name.encode() + b'":' + msgspec.json.encode(text).replace(b"\\", b"\\\\"), TRADE)
    try:
        crosstape_schemas.decode(data)
    except msgspec.MsgspecError:
        expected = [TRADE]
    else:
        expected = [data, TRADE]

    assert events_of(table_of(batch(data, TRADE))) == expected


def test_an_id_that_no_column_holds_is_refused() -> None:
    """Ids are numbers of 64 bits, and may be any that are greater than those before; a column holds 63 bits."""
    entries = [Entry("s", entry_id, cast("Any", text_events.decode(TRADE)), TRADE) for entry_id in ("7-1", f"8-{2**63}", f"{2**64 - 1}-0")]
    builder = BatchBuilder("trade")
    builder.extend(entries)

    made = builder.build()

    assert list(made.columns["id_n"]) == [1]
    assert {one.id for one in builder.refused} == {f"8-{2**63}", f"{2**64 - 1}-0"}


@pytest.mark.parametrize("name", [b"binance", b"BTC-USDT"])
def test_a_name_that_no_store_can_look_up_is_refused(name: bytes) -> None:
    """A Parquet file has no statistics of long texts, PostgreSQL no index: one such row would make the file one that cannot be read."""
    builder = BatchBuilder("trade")
    for number, length in enumerate((3, 1_000, 1_001, 10_000)):
        data = TRADE.replace(name, b"X" * length)
        builder.add(8, number, text_events.decode(data), data)

    made = builder.build()

    assert {one.id for one in builder.refused} == {"8-2", "8-3"}
    assert list(made.columns["id_n"]) == [0, 1]


def test_json_that_is_not_utf_8_is_refused() -> None:
    """A decoder skips the bytes of a field that it does not know; a text column of a file cannot hold them."""
    wrong = TRADE.replace(b'"seq"', b'"x":"\xff","seq"')

    assert len(batch(TRADE, wrong)) == 1


def test_only_closed_candles_are_kept() -> None:
    """An open candle is kept only where every event is."""
    data = (
        b'{"type":"candle","venue":"v","instrument":"I","venue_ts":null,"received_ts":9,"timeframe":"1m","open_ts":5,"close_ts":6,'
        b'"open":"1","high":"1","low":"1","close":"1","volume":"0","quote_volume":null,"trades":null,"taker_buy_volume":null,'
        b'"closed":false,"revision":0,"epoch":1,"seq":1}'
    )
    closed = data.replace(b'"closed":false', b'"closed":true')

    assert batch(data, closed, keep="columns").data == [closed]
    assert batch(data, closed, keep="events").data == [data, closed]
    assert list(batch(closed).columns["ts"]) == [5]


def test_an_unusable_venue_time_is_not_a_trades_time() -> None:
    """`ts` of a trade is by the rule of bars: without a usable venue time, it is the time of receipt."""
    for venue_ts in (b"null", b"0", b"1700000000123000"):
        made = batch(TRADE.replace(b'"venue_ts":1700000000123000000', b'"venue_ts":' + venue_ts))
        assert list(made.columns["ts"]) == [1_700_000_000_129_123_456]


def test_an_empty_batch_is_an_empty_table() -> None:
    """A builder without events builds a batch of no rows."""
    for kind in KINDS:
        made = BatchBuilder(kind).build()
        assert len(made) == 0
        assert table_of(made).schema.equals(schema_of(kind))
        assert events_of(table_of(made)) == []


def test_sources_are_kept() -> None:
    """A row says whether it comes from the tape or by REST."""
    builder = BatchBuilder("trade")
    builder.add(1, 2, text_events.decode(TRADE), TRADE, Source.REST)
    table = table_of(builder.build())
    assert table.column("source").to_pylist() == ["rest"]
    assert isinstance(crosstape_schemas.decode(events_of(table)[0]), Trade)


@pytest.mark.parametrize("sizes", [[1], [3, 600, 1, 511], [512, 512], [1500]])
def test_entries_are_added_many_at_a_time(sizes: list[int]) -> None:
    """It is the same batch as of one event after the other, in the same order, however they come."""
    rows = [TRADE.replace(b'"seq":12', b'"seq":%d' % number) for number in range(sum(sizes))]
    rows[-1] = rows[-1].replace(b'"size":"0.00123"', b'"size":"00.1"')
    entries = [Entry("s", f"5-{number}", cast("Any", text_events.decode(data)), data) for number, data in enumerate(rows)]
    one, many = BatchBuilder("trade"), BatchBuilder("trade")
    for number, entry in enumerate(entries):
        one.add(5, number, entry.event, entry.data)

    added = 0
    for size in sizes:
        part = entries[added : added + size]
        added += size
        if size == 1:
            many.add(5, added - 1, part[0].event, part[0].data)
        else:
            many.extend(part)
        assert len(many) == added

    assert many.build() == one.build()

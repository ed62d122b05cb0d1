"""Events on the wire: exact, tagged, and the same for every reader."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given

from crosstape_schemas import KIND_OF, KINDS, Event, Quote, Side, Trade, decode, encode, stamp
from tests.schemas.strategies import events

TRADE = Trade(
    venue="bitstamp",
    instrument="BTC-USD",
    venue_ts=1_562_650_233_964_229_000,
    received_ts=7,
    price=Decimal("12700.00"),
    size=Decimal("0.01414016"),
    taker=Side.SELL,
    trade_id="93215787",
)


@given(events())
def test_what_is_encoded_comes_back_equal(event: Event) -> None:
    """Encoding and decoding change no digit, no null and no number."""
    assert decode(encode(event)) == event
    assert [f"{value:f}" for value in _decimals(decode(encode(event)))] == [f"{value:f}" for value in _decimals(event)]


def test_a_trade_reads_well_in_any_language() -> None:
    """The tag is `type`, decimals are strings with the venue's digits, the stamp stands last."""
    assert encode(TRADE) == (
        b'{"type":"trade","venue":"bitstamp","instrument":"BTC-USD","venue_ts":1562650233964229000,"received_ts":7,'
        b'"price":"12700.00","size":"0.01414016","taker":"sell","trade_id":"93215787","backfilled":false,"epoch":0,"seq":0}'
    )


@given(events())
def test_a_stamp_changes_the_stamp_alone(event: Event) -> None:
    """A publisher numbers an event where it is; it then is what a stamped copy would be."""
    stamped = msgspec.structs.replace(event, epoch=17, seq=4)

    assert stamp(event, 17, 4) == encode(stamped)
    assert event == stamped


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_its_events_tag(kind: str) -> None:
    """The same word is part of a stream's name and the `type` of its entries."""
    cls = KINDS[kind]

    assert cls.__struct_config__.tag == kind
    assert KIND_OF[cls] == kind


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        b'{"type":"trade"}',
        b'{"type":"nothing of ours"}',
        b"[]",
        encode(TRADE).replace(b'"12700.00"', b'"12,700"'),
        encode(TRADE).replace(b'"sell"', b'"ask"'),
        b"\xff\xfe",
        encode(TRADE).replace(TRADE.venue.encode(), b"\xff"),
        encode(TRADE)[:-1] + b',"later":' + b"[" * 100_000,
    ],
)
def test_what_is_not_an_event_is_refused(bad: bytes) -> None:
    """A foreign entry never becomes a half-filled event."""
    with pytest.raises(msgspec.DecodeError):  # a ValidationError is one
        decode(bad)


def test_a_field_of_the_future_is_skipped() -> None:
    """Schemas evolve by new fields: a reader of today reads tomorrow's events."""
    assert decode(encode(TRADE).replace(b'"trade_id"', b'"liquidation":true,"trade_id"')) == TRADE


def test_events_do_not_change() -> None:
    """Consumers cannot change each other's events."""
    with pytest.raises(AttributeError):
        TRADE.price = Decimal(1)  # type: ignore[misc]


def test_the_stamp_is_named_only() -> None:
    """It is last in the JSON, whatever fields a subclass adds."""
    for cls in KINDS.values():
        assert cls.__struct_fields__[-2:] == ("epoch", "seq")
        assert list(json.loads(encode(TRADE)))[-2:] == ["epoch", "seq"]


def test_an_empty_side_is_null() -> None:
    """It is not zero: zero could be a price."""
    quote = Quote("kraken", "BTC-USD", None, 1, None, None, Decimal(5), Decimal(1))

    assert b'"bid_price":null,"bid_size":null,"ask_price":"5"' in encode(quote)


def _decimals(event: Event) -> list[Decimal]:
    return [value for name in event.__struct_fields__ if isinstance(value := getattr(event, name), Decimal)]

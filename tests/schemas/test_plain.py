"""Decimals on the tape are in plain notation, with the venue's digits; text that looks like a number stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_schemas import (
    Book,
    Cbbo,
    Delta,
    Event,
    FeedState,
    Gap,
    GapCause,
    Leg,
    Level,
    Market,
    Quote,
    Status,
    Ticker,
    Trade,
    Vwap,
    decode,
    encode,
    stamp,
)
from tests.schemas.strategies import events

PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
TINY = st.builds(lambda sign, digits, exponent: Decimal((sign, digits, exponent)), st.integers(0, 1),
                 st.lists(st.integers(0, 9), min_size=1, max_size=20).map(tuple), st.integers(-40, 20))  # fmt: skip
NAMES = st.sampled_from(["DOGE-USDT", "ETH-USDT", "BTC-USDT", "1E-7", "0E-8", "ÉE-E", 'E"E-8'])


def numbers(value: Any) -> Iterator[Decimal]:
    """All decimals of an event, in order of its fields."""
    match value:
        case Decimal():
            yield value
        case tuple():
            for part in value:
                yield from numbers(part)
        case dict():
            for part in value.values():
                yield from numbers(part)
        case msgspec.Struct():
            for name in value.__struct_fields__:
                yield from numbers(getattr(value, name))


def texts(event: Event) -> list[str]:
    """All decimals of an event as its JSON has them: those places where msgspec itself writes a decimal."""
    marked = json.loads(
        msgspec.json.Encoder(decimal_format="number").encode(event), parse_float=lambda _: Ellipsis, parse_int=lambda _: Ellipsis
    )
    found: list[str] = []

    def walk(mark: Any, value: Any) -> None:
        if mark is Ellipsis and isinstance(value, str):
            found.append(value)
        elif isinstance(mark, dict):
            for name in mark:
                walk(mark[name], value[name])
        elif isinstance(mark, list):
            for one, other in zip(mark, value, strict=True):
                walk(one, other)

    walk(marked, json.loads(encode(event)))
    return found


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0.00000061", "0.00000061"),
        ("6.1E-7", "0.00000061"),
        ("0.00000000", "0.00000000"),
        ("0E-8", "0.00000000"),
        ("0E-18", "0.000000000000000000"),
        ("1E+3", "1000"),
        ("1.5E+3", "1500"),
        ("-0.00000010", "-0.00000010"),
        ("12700.00", "12700.00"),
        ("0", "0"),
        ("1E-24", "0.000000000000000000000001"),
        ("0E-999999", "0." + 64 * "0"),
    ],
)
def test_a_number_is_written_in_plain_notation(number: str, text: str) -> None:
    """In every kind of event, and in lists of numbers; a zero with very many decimals keeps 64 of them."""
    value = Decimal(number)
    levels: tuple[Level, ...] = ((value, value), (Decimal(7), value))
    leg = Leg("kraken", value, value, None, None, 1, FeedState.LIVE, None, 1, 1)
    for event in (
        Trade("kraken", "BTC-USD", 1, 2, value, value, None, "7"),
        Quote("kraken", "ETH-USD", None, 2, value, value, None, None),
        Book("kraken", "DOGE-USD", 1, 2, levels, (), 10, FeedState.LIVE),
        Delta("kraken", "BTC-USD", 1, 2, levels, levels, 7),
        Ticker("kraken", "BTC-USD", 1, 2, value, change=value),
        Cbbo("consolidated", "BTC-USD", None, 2, 2, value, value, (), None, None, (), value, value, value, Market.NORMAL, 1,
             {"1m": Vwap(value, value, 3)}, (leg,)),
    ):  # fmt: skip
        assert set(texts(event)) == {text} | ({"7"} if isinstance(event, Book | Delta) else set())
        assert stamp(event, 3, 4) == encode(event)


@given(events(), NAMES, st.data())
def test_no_decimal_has_an_exponent(event: Event, name: str, data: st.DataObject) -> None:
    """Whatever the event, its instrument and its numbers: the same value, the same digits, and all else as msgspec writes it."""
    made = {field: data.draw(TINY) for field in event.__struct_fields__ if isinstance(getattr(event, field), Decimal)}
    event = msgspec.structs.replace(event, instrument=name, **made)

    assert all(PLAIN.fullmatch(text) for text in texts(event))
    assert texts(event) == [f"{number:f}" for number in numbers(event)]
    again = decode(encode(event))
    assert again == event
    assert encode(again) == encode(event)
    for before, after in zip(numbers(event), numbers(again), strict=True):
        assert after.as_tuple() == before.as_tuple() or before.as_tuple().exponent > 0  # type: ignore[operator]


@pytest.mark.parametrize("text", ["1E-7", "0E-8", "6.1E+3", '"0E-8"', 'E"0E-8', "0E-8\\"])
def test_text_that_looks_like_a_number_stays_as_it_is(text: str) -> None:
    """A trade id, a reason, a name of an instrument or a venue."""
    tiny = Decimal("6.1E-7")
    events = [
        Trade(text, text, 1, 2, tiny, tiny, None, text),
        Quote(text, text, None, 2, tiny, Decimal("0E-8"), None, None),
        Delta(text, text, 1, 2, ((tiny, Decimal("0E-8")),), (), 7),
        Status(text, text, None, 2, text, FeedState.DOWN, text),
        Gap(text, text, None, 2, text, 1, 2, None, GapCause.UNKNOWN),
    ]
    for event in events:
        assert decode(encode(event)) == event
        raw = json.loads(encode(event))
        assert (raw["venue"], raw["instrument"]) == (text, text)
        assert raw.get("trade_id", text) == raw.get("reason", text) == text


def test_an_event_without_an_exponent_is_what_msgspec_writes() -> None:
    """The bytes are the same, also if an instrument's name has an E."""
    for name in ("BTC-USDT", "DOGE-USDT", "ETH-USDT"):
        event = Trade("binance", name, 1, 2, Decimal("0.00150000"), Decimal("91000.10000000"), None, "4000001")
        assert encode(event) == msgspec.json.encode(event)

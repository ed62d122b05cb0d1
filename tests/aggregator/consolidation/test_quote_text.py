"""Quotes with text are the same to the consolidated quote as quotes with decimals."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crosstape_aggregator.consolidation.quote_text import decode_for_legs
from crosstape_schemas import Book, Cbbo, Event, Exclusion, Quote, Trade, decode, encode
from tests.aggregator.builders import MS, T0, X, alive, book, consolidated, instrument, quote, reasons, trade

ODD = (
    "", "0", "0.00", "-1", "+1", "NaN", "sNaN", "nan", "-0", "inf", "Infinity", "1E+400", "1e-400", "1E+24", "9.99E+23", "1E-24", "1e24",
    "9E-25", "9.99999999999999999999E-25",
    "1_0", "1__0", "_1", " 1.5", "1.5\n", "1\u00a0", "\u0661\u0662", "\uff11", "1,2", "1]", "[1", "null",
    "0x1", ".5", "5.", ".",
    "007", "1 2", "1" * 96 + "E-90", "1" * 97 + "E-90", "0." + "1" * 96, "0." + "1" * 97, "0." + "9" * 97, "1." + "0" * 97, "100.0", "1e2",
    "\U0001f600", '1"', "\\", "1.5e", "0" * 5000, None, 100, 100.5,
)  # fmt: skip


class Message(NamedTuple):
    """A quote of one venue as it is written, the time before it, and whether a consolidated quote is computed behind it."""

    venue: str
    numbers: tuple[object, object, object, object]
    state: object = "live"
    pause_ms: int = 1
    computed: bool = True


def messages_of(seed: int) -> list[Message]:
    """Return what the venues write with this seed. (To draw each value by hypothesis costs a hundred times as much.)"""
    chance = random.Random(seed)
    odd = chance.choice((0.0, 0.02, 0.2))

    def number(plain: str) -> object:
        return chance.choice(ODD) if chance.random() < odd else plain

    def price() -> str:
        near = Decimal(100) + Decimal(chance.randint(-3, 3)).scaleb(-20)
        return str(near) if chance.random() < 0.3 else f"{chance.randint(9_990, 10_010) / 100:.2f}"

    return [
        Message(
            venue=chance.choice(("kraken", "binance", "coinbase")),
            numbers=(number(price()), number("1.50"), number(price()), number("2")),
            state=chance.choice(("live",) * 12 + ("stale", "down", "", 1)),
            pause_ms=chance.choice((1, 10, 400)),
            computed=chance.random() < 0.5,
        )
        for _ in range(20)
    ]


MESSAGES = st.integers(0, 2**32).map(messages_of)


def data(venue: str, *numbers: object, state: object = "live", at: int = T0, seq: int = 1) -> bytes:
    """Returns a quote as anybody may write it."""
    names = ("bid_price", "bid_size", "ask_price", "ask_size")
    fields = {"type": "quote", "venue": venue, "instrument": X, "venue_ts": None, "received_ts": at, "state": state, "epoch": 1, "seq": seq}
    return msgspec.json.encode(fields | dict(zip(names, numbers, strict=True)))


def decoded(text: bytes, *, as_text: bool) -> Event | str:
    """Returns the event, or what is wrong with it."""
    try:
        return decode_for_legs(text) if as_text else decode(text)
    except (msgspec.MsgspecError, ValueError) as exc:
        return f"{type(exc).__name__}: {exc}"


def digits(found: Cbbo | None) -> bytes | None:
    """Returns the JSON, since decimals of different digits are equal."""
    return None if found is None else encode(found)


@given(MESSAGES)
@example([Message("kraken", ("0." + "9" * 97, "1", "1.5", "1"))])
@example([Message("kraken", ("100", "1", "99", "1"), computed=False), Message("kraken", ("99", "1", "100", "1"))])
def test_the_consolidated_quote_is_the_same(messages: list[Message]) -> None:
    """It has the same digits, and legs are excluded for the same reasons, whatever stands on the tape. What is foreign stays foreign."""
    decimals, texts = instrument(windows=()), instrument(windows=())
    now = T0
    for seq, message in enumerate(messages, 1):
        now += message.pause_ms * MS
        written = data(message.venue, *message.numbers, state=message.state, at=now, seq=seq)
        events = decoded(written, as_text=False), decoded(written, as_text=True)
        if isinstance(events[0], str):
            assert events[0] == events[1]
            continue
        for one, event in zip((decimals, texts), events, strict=True):
            assert isinstance(event, Quote)
            one._venues.apply(alive(message.venue, now), now)
            one.apply(event, now)
        if message.computed:
            assert digits(decimals.consolidate(now)) == digits(texts.consolidate(now))
            assert decimals.quote.next_ts() == texts.quote.next_ts()


@given(st.text(max_size=6) | st.from_regex(r"[0-9]{1,30}[.,_eE ]?[0-9]{0,30}", fullmatch=True) | st.sampled_from(ODD))
def test_a_single_odd_number_changes_nothing(text: object) -> None:
    """It is refused, not used, or used with the same digits, as if it had been decoded as a decimal."""
    for numbers in ((text, "1", "101", "1"), ("99", text, "101", "1"), ("99", "1", text, "1"), ("99", "1", "101", text)):
        by_decimals, by_text = (decoded(data("kraken", *numbers), as_text=as_text) for as_text in (False, True))
        if isinstance(by_decimals, str) or isinstance(by_text, str):
            assert by_decimals == by_text
        else:
            assert digits(consolidated([by_decimals])) == digits(consolidated([by_text]))


@pytest.mark.parametrize("numbers", [("100.10", "0.50", "100.2", "7"), ("0.00000061", "12", "0.00000062", "1"), ("1e2", "1", "1E3", "1")])
def test_a_quote_in_order_keeps_its_text(numbers: tuple[str, ...]) -> None:
    """Its decimals are made for the consolidated quote, with all digits."""
    event = decode_for_legs(data("kraken", *numbers))
    assert isinstance(event, Quote)
    assert (event.bid_price, event.bid_size, event.ask_price, event.ask_size) == numbers

    leg = consolidated([event]).legs[0]
    assert [str(one) for one in (leg.bid_price, leg.bid_size, leg.ask_price, leg.ask_size)] == [str(Decimal(one)) for one in numbers]


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [
        ("100.00000000000000000001", "100.00000000000000000002", None),
        ("100.00000000000000000002", "100.00000000000000000002", Exclusion.CROSSED),
        ("100.00000000000000000003", "100.00000000000000000002", Exclusion.CROSSED),
    ],
)
def test_decimals_decide_where_floats_are_equal(bid: str, ask: str, reason: Exclusion | None) -> None:
    """The floats of these prices are all 100."""
    event = decode_for_legs(data("kraken", bid, "1", ask, "1"))
    assert isinstance(event, Quote)
    assert isinstance(event.bid_price, Decimal)
    assert reasons(consolidated([event])) == {"kraken": reason}


def test_a_fault_that_is_over_counts() -> None:
    """The leg settles, though the quote that crossed itself was replaced before a consolidated quote was computed."""
    crossed, good = (decode_for_legs(data("kraken", bid, "1", "100", "1", seq=seq)) for seq, bid in enumerate(("101", "99"), 1))
    assert reasons(consolidated([crossed, good])) == {"kraken": Exclusion.SETTLING}


def test_other_events_are_as_always() -> None:
    """They have decimals; so has a quote without a side."""
    for event in (trade("kraken", "1", "2"), book("kraken", [("1", "2")], [("3", "4")]), quote("kraken", None, "1")):
        found = decode_for_legs(encode(event))
        assert isinstance(found, Trade | Book | Quote)
        assert found == event

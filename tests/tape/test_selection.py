"""Names that users write: a wrong one is refused, with the nearest right one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape import KINDS, TIMEFRAMES, Keys, UnknownName
from crosstape.tape.selection import FRAMED, select
from tests.bus.tape import BTC

KINDS_WITH_TIMEFRAMES = [kind for kind in KINDS if kind not in FRAMED] + [f"{kind}:{frame}" for kind in FRAMED for frame in TIMEFRAMES]


@pytest.mark.parametrize(
    ("kind", "instrument", "venue", "message"),
    [
        ("trades", BTC, None, "'trades' is no kind of event; did you mean 'trade'?"),
        ("CBBO", BTC, None, "did you mean 'cbbo'?"),
        ("open-interest", BTC, None, "did you mean 'open_interest'?"),
        ("ohlcv", BTC, None, "is no kind of event; kinds are trade"),
        ("bar", BTC, None, "'bar' has no timeframe: write it as in bar:1m"),
        ("bar:", BTC, None, "'' is no timeframe"),
        ("bar:1min", BTC, None, "'1min' is no timeframe; did you mean '1m'?"),
        ("bar:60m", BTC, None, "did you mean '1h'?"),
        ("candle:1H", BTC, None, "did you mean '1h'?"),
        ("candle:7d", BTC, None, "did you mean '1w'?"),
        ("candle:1y", BTC, None, "'1y' is no timeframe"),
        ("trade:1m", BTC, None, "trade has no timeframe"),
        ("trade", "BTCUSDT", None, "'BTCUSDT' is no name of an instrument; did you mean 'BTC-USDT'?"),
        ("trade", "btc/usdt", None, "did you mean 'BTC-USDT'?"),
        ("trade", "BTC_USDT_PERP", None, "did you mean 'BTC-USDT-PERP'?"),
        ("trade", "btc-usdt", None, "did you mean 'BTC-USDT'?"),
        ("trade", "BTC/USDT", None, "'BTC/USDT' is no name of an instrument; did you mean 'BTC-USDT'?"),
        ("trade", "BTC/USDT:USDT", None, "'BTC/USDT:USDT' is no name of an instrument; did you mean 'BTC-USDT-PERP'?"),
        ("trade", "btc/usdt:usdt-261225", None, "did you mean 'BTC-USDT-20261225'?"),
        ("trade", "BTCUSDT-PERP", None, "did you mean 'BTC-USDT-PERP'?"),
        ("trade", "XBT/USD", None, "did you mean 'BTC-USD'?"),
        ("trade", "btcusd*", None, "did you mean 'BTC-USD*'?"),
        ("trade", "bitcoin", None, "one looks like BTC-USDT, that of a perpetual like BTC-USDT-PERP"),
        ("trade", "", None, "is no name of an instrument"),
        ("trade", "tape:trade:BTC-USDT", None, "is no name of an instrument"),
        ("trade", BTC, "Kraken", "did you mean 'kraken'?"),
        ("trade", BTC, "", "is no id of a venue"),
    ],
)
def test_a_wrong_name_is_refused(kind: str, instrument: str, venue: str | None, message: str) -> None:
    """By an error that is a `ValueError`, too."""
    with pytest.raises(UnknownName) as refused:
        select(kind, [instrument], venue)
    assert message in str(refused.value)
    assert isinstance(refused.value, ValueError)


def test_instruments_are_named() -> None:
    """An empty list does not become all, and a name is no list of its letters."""
    with pytest.raises(ValueError, match="or '\\*' for all"):
        select("trade", [], None)
    with pytest.raises(TypeError, match="one by one"):
        select("trade", BTC, None)
    for name in (7, [BTC, "ETH-USDT"]):
        with pytest.raises(TypeError, match=r"is text.* one by one"):
            select("trade", [name], None)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="kind of event is text"):
        select(None, [BTC], None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="venue is text"):
        select("trade", [BTC], ["kraken"])  # type: ignore[arg-type]


@given(st.sampled_from(KINDS_WITH_TIMEFRAMES), st.sampled_from([BTC, "ETH-USD-PERP", "BTC-USD*", "BTC-USDT-20261225"]), st.integers(1, 3))
def test_a_right_name_gives_its_stream(kind: str, instrument: str, partitions: int) -> None:
    """The one that `Keys` names; all instruments have no stream of their own."""
    keys = Keys("tape", partitions)
    one = select(kind, [instrument, instrument], "ccxt.some_venue")
    assert list(one.streams(keys)) == [keys.stream(kind, instrument)]
    assert not one.is_open
    everything = select(kind, [instrument, "*"], None)
    assert everything.is_open
    assert list(everything.streams(keys)) == []
    assert everything.includes(*(keys.parse(keys.stream(kind, instrument)) or ("", "")))
    assert everything.includes("venue", "kraken") == (kind in {"status", "gap"})
    assert not everything.includes("other", instrument)


def test_a_hint_is_given_once() -> None:
    """Where the right name is known, nothing else is shown."""
    with pytest.raises(UnknownName) as refused:
        select("trade", ["BTC/USDT"], None)
    assert str(refused.value) == "'BTC/USDT' is no name of an instrument; did you mean 'BTC-USDT'?"


@given(st.text(max_size=12))
def test_any_text_is_right_or_refused(text: str) -> None:
    """Never another error."""
    for kind, instrument, venue in ((text, BTC, None), (f"bar:{text}", BTC, None), ("trade", text, None), ("trade", BTC, text)):
        with contextlib.suppress(UnknownName):
            select(kind, [instrument], venue)

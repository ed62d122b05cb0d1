"""Spellings of instruments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape.tape.symbols import meant_by, plain
from crosstape_gateway.errors import RequestError
from crosstape_gateway.symbols import Names, instrument_of, spelled

KNOWN = ["BTC-USDT", "BTC-USD", "ETH-USDT", "BTC-USDT-PERP", "BTC-USD*", "1000PEPE-USDT"]
ASSETS = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=8)


@pytest.mark.parametrize(
    ("symbol", "instrument"),
    [
        ("BTC-USDT", "BTC-USDT"),
        ("BTCUSDT", "BTC-USDT"),
        ("btc/usdt", "BTC-USDT"),
        ("btc_usdt", "BTC-USDT"),
        ("BTC USDT", "BTC-USDT"),
        ("BTC:USDT", "BTC-USDT"),
        ("BTCUSD", "BTC-USD"),
        ("btcusd*", "BTC-USD*"),
        ("BTCUSDTPERP", "BTC-USDT-PERP"),
        ("1000pepeusdt", "1000PEPE-USDT"),
    ],
)
def test_a_symbol_means_the_instrument_with_the_same_letters(symbol: str, instrument: str) -> None:
    """Separators and case do not matter; the star of a composite does."""
    assert instrument_of(symbol, KNOWN) == instrument


@given(base=ASSETS, quote=ASSETS, separator=st.sampled_from(["", "-", "/", "_", " ", ".", ":"]), lower=st.booleans())
def test_every_instrument_is_found_in_every_spelling(base: str, quote: str, separator: str, lower: bool) -> None:
    """Of one known instrument, all spellings of its two assets mean it."""
    spelled = f"{base}{separator}{quote}"
    assert instrument_of(spelled.lower() if lower else spelled, [f"{base}-{quote}"]) == f"{base}-{quote}"


@given(symbol=st.text(max_size=300), known=st.lists(st.text(alphabet="ABCUSDT-*", min_size=1, max_size=9), max_size=6))
def test_any_text_is_one_instrument_or_an_error(symbol: str, known: list[str]) -> None:
    """An error repeats no more than a part of a long text, and says which status the answer has."""
    try:
        found = instrument_of(symbol, known)
    except RequestError as exc:
        error = exc
    else:
        assert found in known
        assert found == symbol or plain(found) == plain(symbol)
        return
    assert error.status == (400 if error.code == "ambiguous_symbol" else 404)
    assert len(str(error)) < 300 + sum(len(name) + 4 for name in known)


def test_a_symbol_that_means_two_is_refused_with_both() -> None:
    """Which one is meant only the client knows."""
    with pytest.raises(RequestError, match="'ABCD' may mean A-BCD or AB-CD"):
        instrument_of("ABCD", ["AB-CD", "A-BCD"])


def test_the_exact_name_is_never_ambiguous() -> None:
    """One of two that look alike can be named."""
    assert instrument_of("A-BCD", ["AB-CD", "A-BCD"]) == "A-BCD"


def test_an_unknown_symbol_is_answered_with_the_nearest() -> None:
    """The spelling of the suggestion is ours."""
    with pytest.raises(RequestError, match=r"did you mean BTC-USDT\?"):
        instrument_of("btcusdr", ["BTC-USDT", "ETH-USDT"])


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BTC/USDT", "BTC-USDT"),
        ("btcusdt", "BTC-USDT"),
        ("btc_usdt", "BTC-USDT"),
        ("XBT/USD", "BTC-USD"),
        ("BTC/USDT:USDT", "BTC-USDT-PERP"),
        ("BTC/USDT:USDT-261225", "BTC-USDT-20261225"),
        ("ethusdtperp", "ETH-USDT-PERP"),
        ("BTC-USD*", "BTC-USD*"),
        ("BTC-USDX", "BTC-USDX"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_symbol_that_the_tape_does_not_have_yet_is_spelled_as_ours(symbol: str, name: str) -> None:
    """So that it is found when its instrument comes."""
    assert spelled(symbol) == name
    assert Names([]).resolve(symbol) == name


@given(
    symbol=st.text(alphabet="abBTCUSDX-/_:*", max_size=12),
    known=st.lists(st.text(alphabet="ABCUSDTX-*", min_size=1, max_size=9), max_size=6),
)
def test_the_index_of_names_finds_what_a_search_of_all_finds(symbol: str, known: list[str]) -> None:
    """It only looks at fewer names."""
    assert Names(known).meant_by(symbol) == meant_by(symbol, known)

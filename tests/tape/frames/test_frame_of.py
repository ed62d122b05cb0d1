"""A DataFrame has every value of the events, in both libraries."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crosstape.errors import FrameError
from crosstape.settings.model import AggregatorSettings
from crosstape.tape.frames import frame_of
from crosstape_schemas import KINDS, Book, Cbbo, Event, FeedState, Gap, GapCause, Market, Quote, Side, Trade, Vwap
from tests.schemas.strategies import events
from tests.tape.frames.reading_back import expected, rows

Library = Literal["polars", "pandas"]
LIBRARIES: tuple[Library, ...] = ("polars", "pandas")

each_library = pytest.mark.parametrize("library", LIBRARIES)


def trade(price: Decimal | str, size: Decimal | str = "1") -> Trade:
    """A trade whose other fields do not matter."""
    return Trade("kraken", "BTC-USDT", None, 1, Decimal(price), Decimal(size), Side.BUY, "7")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8)
@given(data=st.data())
def test_every_value_comes_back_equal(kind: str, data: st.DataObject) -> None:
    """Of every kind, nested fields included. A window that only another event has is null."""
    some = data.draw(st.lists(events(kind), min_size=1, max_size=2))
    for library in LIBRARIES:
        frame = frame_of(some, kind, library=library)
        assert [{name: value for name, value in row.items() if value is not None} for row in rows(frame)] == [
            {name: value for name, value in expected(event).items() if value is not None} for event in some
        ]
        _check_types(frame, frame_of([], kind, library=library))


def _check_types(full: Any, empty: Any) -> None:
    """An empty frame has the columns of the kind, with the same types but for the digits of decimals; windows follow the settings."""
    types = [{name: _family(dtype) for name, dtype in zip(frame.columns, frame.dtypes, strict=True)} for frame in (full, empty)]
    names = [[name for name in frame if not name.startswith("vwap_")] for frame in types]
    assert names[0] == names[1]
    assert all(types[0][name] == types[1][name] for name in types[0] if name in types[1])


def test_the_windows_of_an_empty_frame_are_those_of_the_settings() -> None:
    """Four columns for each."""
    event = Cbbo(
        "consolidated", "BTC-USDT", None, 1, 1, None, None, (), None, None, (), None, None, None, Market.EMPTY, 0,
        dict.fromkeys(AggregatorSettings().windows, Vwap(None, Decimal(0), 0)), (),
    )  # fmt: skip
    assert frame_of([], "cbbo").schema == frame_of([event]).schema
    assert [name for name in frame_of([], "cbbo").columns if "_5m_" in name] == [
        "vwap_5m_price", "vwap_5m_volume", "vwap_5m_trades", "vwap_5m_complete",
    ]  # fmt: skip


def _family(dtype: Any) -> str:
    """The type without its digits."""
    return re.sub(r"[Dd]ecimal(128)?\((precision=)?\d+, (scale=)?\d+\)", "decimal", repr(dtype))


def needed(value: Decimal) -> tuple[int, int]:
    """Digits before and behind the point, from the number as it is written."""
    whole, _, behind = format(value, "f").lstrip("-").partition(".")
    return len(whole.lstrip("0")), len(behind.rstrip("0"))


wide = st.builds(
    lambda digits, exponent, sign: Decimal((sign, tuple(digits), exponent)),
    st.lists(st.integers(0, 9), min_size=1, max_size=44),
    st.integers(-44, 40),
    st.integers(0, 1),
)


@each_library
@settings(max_examples=60)
@given(values=st.lists(wide, min_size=1, max_size=4))
@example(values=[Decimal("0E-64"), Decimal("0E+64")])
@example(values=[Decimal("9" * 38)])
@example(values=[Decimal("1E+37"), Decimal("-1." + "0" * 50)])
@example(values=[Decimal("1E-38")])
@example(values=[Decimal("9" * 20 + "." + "9" * 18)])
@example(values=[Decimal("9" * 20 + "." + "9" * 19)])
def test_a_number_is_exact_or_an_error(library: Library, values: list[Decimal]) -> None:
    """An error exactly where 38 digits do not hold all values of the column."""
    whole, behind = (max(part) for part in zip(*map(needed, values), strict=True))
    some = [trade(value) for value in values]
    if whole + behind > 38:
        with pytest.raises(FrameError, match=r'^column price needs .* digits.*decimals="float"'):
            frame_of(some, library=library)
    else:
        assert [row["price"] for row in rows(frame_of(some, library=library))] == values


@each_library
def test_an_error_names_the_part_of_a_nested_column(library: Library) -> None:
    """The levels of a book are many numbers in one column."""
    book = Book("kraken", "BTC-USDT", None, 1, ((Decimal("1E+30"), Decimal(1)), (Decimal("1E-9"), Decimal(1))), (), 10, FeedState.LIVE)
    with pytest.raises(FrameError, match=r"^column bids\.price needs 31 digits before and 9 behind"):
        frame_of([book], library=library)


@each_library
@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_an_error(library: Library, text: str) -> None:
    """polars would panic."""
    with pytest.raises(FrameError, match="column size: "):
        frame_of([trade("1", text)], library=library)


@each_library
def test_an_integer_of_more_than_64_bits_is_an_error(library: Library) -> None:
    """A number of a venue may be any integer."""
    gap = Gap("kraken", "BTC-USDT", None, 1, "trade", 1, 2, 2**63, GapCause.UNKNOWN)
    with pytest.raises(FrameError, match="column missed: 9223372036854775808 does not fit into 64 bits"):
        frame_of([gap], library=library)


@each_library
@settings(max_examples=30)
@given(some=st.lists(events("trade"), max_size=4))
def test_floats_are_the_nearest_ones(library: Library, some: list[Trade]) -> None:
    """In columns of 64-bit floats."""
    frame = frame_of(some, "trade", library=library, decimals="float")
    assert list(frame["price"]) == [float(one.price) for one in some]
    assert str(frame["price"].dtype).lower() == "float64"


@each_library
def test_floats_hold_numbers_of_any_width(library: Library) -> None:
    """Also in nested columns, and where there is none."""
    wide = (Decimal("1E+30"), Decimal("1E-30"))
    book = Book("kraken", "BTC-USDT", None, 1, (wide,), (), 10, FeedState.LIVE)
    (row,) = rows(frame_of([book], library=library, decimals="float"))
    assert row["bids"] == [{"price": 1e30, "size": 1e-30}]
    quote = Quote("kraken", "BTC-USDT", None, 1, None, None, *wide)
    frame = frame_of([quote], library=library, decimals="float")
    column = frame["bid_price"]
    assert column.is_null().all() if isinstance(column, pl.Series) else column.isna().all()
    assert list(frame["ask_price"]) == [1e30]


@settings(max_examples=30)
@given(
    prices=st.lists(st.decimals(0, 10**6, places=4), min_size=1, max_size=5),
    sizes=st.lists(st.decimals(0, 10**9, places=8), min_size=5, max_size=5),
)
def test_products_and_sums_are_exact(prices: list[Decimal], sizes: list[Decimal]) -> None:
    """As the docstring says, of prices and sizes as venues have them: polars alone would round them to the decimals of a size."""
    some = [trade(price, size) for price, size in zip(prices, sizes, strict=False)]
    value = sum(one.price * one.size for one in some)
    exact = frame_of(some).select((pl.col("price") * pl.col("size")).sum()).item()
    assert exact == value
    frame = frame_of(some, library="pandas")
    assert (frame["price"] * frame["size"]).sum() == value


def test_frames_of_polars_put_together_lose_nothing() -> None:
    """Those of usual numbers have the same types; others need `vertical_relaxed`, as the docstring says."""
    usual, fine = frame_of([trade("1.5")]), frame_of([trade("0." + "0" * 19 + "1")])
    assert frame_of([trade("70000.12345678")]).schema == usual.schema == frame_of([], "trade").schema
    both = pl.concat([usual, fine], how="vertical_relaxed")
    assert both["price"].to_list() == [Decimal("1.5"), Decimal("1E-20")]


def test_frames_of_pandas_put_together_lose_nothing() -> None:
    """They become objects of Python where the digits differ."""
    both = pd.concat([frame_of([trade("1.5")], library="pandas"), frame_of([trade("1E-20")], library="pandas")])
    assert both["price"].tolist() == [Decimal("1.5"), Decimal("1E-20")]


def test_what_polars_does_with_exact_columns() -> None:
    """As the docstring of `frame_of` says; where a newer version does better, the text changes."""
    prices = frame_of([trade("1.5"), trade("2")])["price"]
    assert type(prices.mean()) is type(prices.ewm_mean(alpha=0.5)[0]) is type(prices.rolling_mean(2)[1]) is float
    with pytest.raises(pl.exceptions.ComputeError, match="overflow"):
        frame_of([trade("9" * 38)] * 2)["price"].sum()
    rounded = pl.concat([frame_of([trade("1.5")]), frame_of([trade("1E-20")])], how="vertical")["price"]
    assert rounded.to_list() == [Decimal("1.5"), 0]


def test_what_pandas_does_with_exact_columns() -> None:
    """Likewise."""
    frame = frame_of([trade("1.01"), trade("1.02")], library="pandas")
    assert frame["price"].mean() == Decimal("1.02")  # of 1.015
    assert str(frame["price"].rolling(2).mean().dtype) == "float64"
    wide = frame_of([trade("1" * 20, "1" * 20)], library="pandas")
    with pytest.raises(pa.ArrowInvalid, match="precision out of range"):
        wide["price"] * wide["size"]
    with pytest.raises(TypeError):
        frame["price"].cumsum()
    with pytest.raises(NotImplementedError):
        frame.set_index("received_ts")["price"].resample("1s").ohlc()


def test_times_of_pandas_can_be_an_index() -> None:
    """For `resample`."""
    frame = frame_of([msgspec.structs.replace(trade("1.5"), received_ts=ns) for ns in (0, 1, 10**9)], library="pandas")
    assert frame.set_index("received_ts")["price"].resample("1s").last().tolist() == [Decimal("1.5")] * 2


@each_library
@pytest.mark.parametrize(
    ("some", "kind", "text"),
    [
        ([trade("1"), Gap("kraken", "*", None, 1, "*", 1, 2, None, GapCause.UNKNOWN)], None, "one kind, and these are gap, trade"),
        ([], None, "without events, the kind says"),
        ([], "trades", "'trades' is no kind of event; did you mean trade?"),
        ([], "!", "'!' is no kind of event; kinds are trade, quote"),
        ([trade("1")], "bar:1m", "the events are of the kind trade, not bar:1m"),
        ([trade("1"), "trade"], "trade", "among these is a str"),
    ],
)
def test_events_that_make_no_frame(library: Library, some: list[Event], kind: str | None, text: str) -> None:
    """The text says which they are, and what was expected."""
    with pytest.raises(FrameError) as raised:
        frame_of(some, kind, library=library)
    assert text in str(raised.value)


def test_choices_that_do_not_exist() -> None:
    """They are named, with those that do."""
    with pytest.raises(FrameError, match='library must be "polars" or "pandas", not \'dask\''):
        frame_of([], "trade", library="dask")  # type: ignore[call-overload]
    with pytest.raises(FrameError, match='decimals must be "exact" or "float", not \'round\''):
        frame_of([], "trade", decimals="round")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("library", "module", "command"),
    [
        ("polars", "polars", "pip install 'crosstape[frames]', or in a clone of it pip install '.[frames]'"),
        ("pandas", "pandas", "pip install pandas pyarrow"),
        ("pandas", "pyarrow", "pip install pandas pyarrow"),
    ],
)
def test_a_library_that_is_not_installed(library: Library, module: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to install it."""
    monkeypatch.delitem(sys.modules, f"crosstape.tape.frames.{library}_frame", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FrameError) as raised:
        frame_of([trade("1")], library=library)
    assert str(raised.value) == f"DataFrames of {library} need {module}, which is not installed: {command}"


def test_the_library_is_imported_only_when_it_is_used() -> None:
    """A strategy without DataFrames needs neither."""
    code = "import sys, crosstape.tape.frames as frames; sys.exit(bool({'polars', 'pandas', 'pyarrow', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

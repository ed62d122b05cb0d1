"""The settings of bars, consolidated books, edges and composites: mistakes are named with the path of their key before anything starts."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from crosstape.errors import SettingsError
from crosstape.settings import CompositeSettings
from crosstape.settings.computed import nearest_timeframe
from crosstape.settings.load import load
from crosstape_cli import options
from crosstape_schemas import TIMEFRAMES

PREFIX = "CROSSTAPE_AGGREGATOR__"
GOOD = """
[aggregator]
bars = ["1s", "1m", "1M"]
depth_levels = 10
sweep_sizes = {"BTC-USDT" = ["0.1", 1], "*" = [0.5]}
taker_fees_bps = {binance = "10", kraken = 26.5, coinbase = 0}
[aggregator.composites."BTC-USD*"]
parts = ["BTC-USD", "BTC-USDT"]
[aggregator.composites."BTC-USD-PERP*"]
parts = ["BTC-USDT-PERP"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file."""
    path = tmp_path / "crosstape.toml"
    path.write_text(GOOD)
    return path


def test_all_of_it_is_read(file: Path) -> None:
    """Decimals keep their digits, as text or as numbers."""
    found = load(file, {}).aggregator

    assert found.bars == ("1s", "1m", "1M")
    assert found.sweep_sizes == {"BTC-USDT": (Decimal("0.1"), Decimal(1)), "*": (Decimal("0.5"),)}
    assert found.taker_fees_bps == {"binance": Decimal(10), "kraken": Decimal("26.5"), "coinbase": Decimal(0)}
    assert found.composites["BTC-USD*"] == CompositeSettings(parts=("BTC-USD", "BTC-USDT"))


def test_the_environment_sets_one_key_of_a_table_or_all_of_it(file: Path) -> None:
    """One key stays beside those of the file; a table is written as TOML or JSON, and no digit of it goes through a float."""
    found = load(
        file,
        {
            f"{PREFIX}BARS": "1m,1h",
            f"{PREFIX}TAKER_FEES_BPS__KRAKEN": "16",
            f"{PREFIX}TAKER_FEES_BPS__BITFINEX": "20",
            f"{PREFIX}SWEEP_SIZES": '{"ETH-USDT" = [0.10000000000000000001]}',
            f"{PREFIX}COMPOSITES": '{"ETH-USD*": {"parts": ["ETH-USD"], "depeg_bps": 50.5}}',
        },
    ).aggregator

    assert found.bars == ("1m", "1h")
    assert found.taker_fees_bps == {"binance": 10, "kraken": 16, "coinbase": 0, "bitfinex": 20}
    assert found.sweep_sizes["ETH-USDT"] == (Decimal("0.10000000000000000001"),)
    assert found.composites["ETH-USD*"] == CompositeSettings(parts=("ETH-USD",), depeg_bps=Decimal("50.5"))
    assert set(found.composites) == {"BTC-USD*", "BTC-USD-PERP*", "ETH-USD*"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"1s"', '"10m"', f'aggregator.bars ({{file}}): "10m" is no timeframe; did you mean "15m"? There are {", ".join(TIMEFRAMES)}'),
        ('"1s"', '"1min"', 'aggregator.bars ({file}): "1min" is no timeframe; did you mean "1m"?'),
        ('"1s"', '"1m"', 'aggregator.bars ({file}): "1m" is named twice'),
        ('"1s"', "60", 'aggregator.bars = [60, "1m", "1M"] ({file}): expected a list of timeframes'),
        ('binance = "10"', 'binance = "ten"', 'aggregator.taker_fees_bps.binance = "ten" ({file}): expected a number ≥ 0'),
        ('binance = "10"', "binance = -1", "aggregator.taker_fees_bps.binance = -1 ({file}): expected a number ≥ 0"),
        ('binance = "10"', 'binance = "nan"', 'aggregator.taker_fees_bps.binance = "nan" ({file}): expected a number ≥ 0'),
        ('binance = "10"', "binance = 10000", "aggregator.taker_fees_bps.binance = 10000 ({file}): expected a number ≥ 0 and < 10000"),
        (", kraken = 26.5, coinbase = 0", "", "aggregator.taker_fees_bps ({file}): only binance has a fee; an edge needs two venues"),
        ('"BTC-USDT" =', '"btc" =', "aggregator.sweep_sizes.btc ({file}): the name is that of an instrument, as BTC-USDT, or of"),
        ('"*" =', '"**" =', 'aggregator.sweep_sizes."**" ({file}): the name is that of an instrument'),
        ("{binance", '"10" #', 'aggregator.taker_fees_bps = "10" ({file}): expected a table'),
        ('["0.1", 1]', '["0.1", 0]', 'aggregator.sweep_sizes.BTC-USDT = ["0.1", 0] ({file}): expected a list of numbers > 0'),
        ("[0.5]", "[inf]", 'aggregator.sweep_sizes."*" = ["Infinity"] ({file}): expected a list of numbers > 0'),
        ('["0.1", 1]', '["0.1", "0.10"]', "aggregator.sweep_sizes.BTC-USDT ({file}): the size 0.1 is named twice"),
        ("depth_levels = 10", "", "aggregator.sweep_sizes ({file}): sizes are swept with each consolidated book, so aggregator.depth_"),
        ("depth_levels = 10", "depth_levels = -1", "aggregator.depth_levels = -1 ({file}): expected a whole number ≥ 0 and ≤ 1000"),
        ('"BTC-USD*"', '"BTC-USD"', "aggregator.composites.BTC-USD ({file}): the name of a composite is that of an instrument with a star"),
        ('["BTC-USD", "BTC-USDT"]', "[]", 'aggregator.composites."BTC-USD*".parts ({file}): none is named; a composite of BTC has parts'),
        ('"BTC-USD",', '"BTC-USDT",', 'aggregator.composites."BTC-USD*".parts ({file}): "BTC-USDT" is named twice'),
        ('"BTC-USD",', '"ETH-USD",', '.parts ({file}): "ETH-USD" is not of the form BTC-QUOTE, as all parts of BTC-USD* are'),
        ('"BTC-USD",', '"BTC-USD-PERP",', '.parts ({file}): "BTC-USD-PERP" is not of the form BTC-QUOTE, as all parts'),
        ('"BTC-USD",', '"BTC-USD*",', '.parts ({file}): "BTC-USD*" is no instrument, as BTC-USD'),
        ("bars", 'instruments = ["BTC-USD", "BTC-USDT"]\nbars', '"BTC-USDT": USDT-USD, whose mid converts it, is not in aggregator.instru'),
        ("bars", 'instruments = ["BTC-USDT", "USDT-USD"]\nbars', '"BTC-USD": it is not in aggregator.instruments'),
        ("parts", "depeg_bps = 0\nparts", 'aggregator.composites."BTC-USD*".depeg_bps = 0 ({file}): expected a number > 0'),
        ("parts", "part", '"BTC-USD*".part ({file}): no such setting; did you mean aggregator.composites."BTC-USD*".parts?'),
        ("{binance", "{binanse = 1, binance", "fees_bps.binanse ({file}): no such venue; did you mean aggregator.taker_fees_bps.binance?"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_path(file: Path, old: str, new: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with what was probably meant. `options.load` also knows the venues."""
    monkeypatch.delenv("CROSSTAPE_SETTINGS", raising=False)
    file.write_text(GOOD.replace(old, new, 1))

    with pytest.raises(SettingsError) as caught:
        options.load(file)
    assert said.format(file=file) in str(caught.value)


def test_all_mistakes_are_named_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one value, those between values and those of venues, each with where it came from, and none that follows from another."""
    monkeypatch.delenv("CROSSTAPE_SETTINGS", raising=False)
    monkeypatch.setenv(f"{PREFIX}BARS", "7m")
    monkeypatch.setenv(f"{PREFIX}TAKER_FEES_BPS__KRAKEN", "-1")
    text = GOOD.replace("depth_levels = 10", "depth_levels = -1").replace(", kraken = 26.5, coinbase = 0", "")
    file.write_text(text.replace("[0.5]", "[1, 1]") + "[venues.krakn]\n[venues.kraken]\ncandles = ['7m']\nenvironment = 'x'\n")

    with pytest.raises(SettingsError) as caught:
        options.load(file)
    assert [line.partition("expected")[0].partition(";")[0] for line in str(caught.value).splitlines()] == [
        f"aggregator.depth_levels = -1 ({file}): ",
        f'aggregator.taker_fees_bps.kraken = "-1" ({PREFIX}TAKER_FEES_BPS__KRAKEN): ',
        f'aggregator.bars ({PREFIX}BARS): "7m" is no timeframe',
        f'aggregator.sweep_sizes."*" ({file}): the size 1 is named twice',
        f"venues.krakn ({file}): no such venue",
        f"venues.kraken.environment ({file}): x: the venue has no environment but the live one",
        f"venues.kraken.candles ({file}): 7m: there are no such candles",
    ]


def test_sizes_of_a_composite(file: Path) -> None:
    """Its name is a key like that of an instrument."""
    file.write_text(GOOD.replace('"BTC-USDT" =', '"BTC-USD-PERP*" =', 1))
    assert set(load(file, {}).aggregator.sweep_sizes) == {"BTC-USD-PERP*", "*"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("60s", "1m"), ("60m", "1h"), ("24h", "1d"), ("7d", "1w"), ("2d", "1d"), ("5s", "1s"), ("1H", "1h"), ("1min", "1m"), ("xyz", "1m")],
)
def test_the_nearest_timeframe(name: str, meant: str) -> None:
    """By its length, else by its name."""
    assert nearest_timeframe(name) == meant

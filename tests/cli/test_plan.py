"""`crosstape plan`: which connections the settings lead to."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstape.runtime.exit_codes import Exit
from crosstape_cli.main import main
from crosstape_connector.venues.registry import VENUES

BITFINEX = """
[venues.bitfinex]
instruments = ["BTC-USD", "BTC-USDT-PERP", "ETH-USDT-PERP", "SOL-USDT-PERP"]
kinds = ["trade", "quote", "book", "ticker", "mark", "liquidation"]
candles = ["1m", "5m", "15m", "1h", "6h"]
"""


def settings(tmp_path: Path, text: str) -> str:
    """Write a settings file."""
    file = tmp_path / "plan.toml"
    file.write_text(text)
    return str(file)


def test_each_connection_is_shown_with_the_channels_of_its_instruments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Spot has no mark price. The channel of all liquidations counts once a connection; what does not fit gets another one."""
    assert main(["plan", "--venue", "bitfinex", "--settings", settings(tmp_path, BITFINEX)]) == Exit.OK
    candles = "trade:1m, trade:5m, trade:15m, trade:1h, trade:6h"
    assert capsys.readouterr().out.splitlines() == [
        "bitfinex",
        "  connection 1 to v2, wss://api-pub.bitfinex.com/ws/2: 27 of 30 topics",
        f"    BTC-USD: trades, book, ticker, {candles}",
        f"    BTC-USDT-PERP: trades, book, ticker, deriv, liq:global, {candles}",
        f"    ETH-USDT-PERP: trades, book, ticker, deriv, liq:global, {candles}",
        "  connection 2 to v2, wss://api-pub.bitfinex.com/ws/2: 10 of 30 topics",
        f"    SOL-USDT-PERP: trades, book, ticker, deriv, liq:global, {candles}",
    ]


def test_a_testnet_and_an_address_of_the_settings_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a password that the address may have."""
    own = '[venues.binance]\ninstruments = ["BTC-USDT"]\nkinds = ["trade"]\ncandles = []\nenvironment = "testnet"\n'
    assert main(["plan", "--venue", "binance", "--settings", settings(tmp_path, own)]) == Exit.OK
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "binance (testnet)"
    assert "testnet.binance.vision" in second
    assert (
        main(["plan", "--venue", "binance", "--settings", settings(tmp_path, own + 'ws_url = "ws://me:hunter2@10.0.0.1/x"\n')]) == Exit.OK
    )
    text = capsys.readouterr().out
    assert "10.0.0.1/x" in text
    assert "hunter2" not in text


BITVAVO = """
[venues."ccxt.bitvavo"]
instruments = ["BTC-EUR", "ETH-EUR"]
kinds = ["trade", "quote", "book", "ticker", "status"]
candles = ["1m"]
enabled = false
"""


def test_a_venue_by_ccxt_is_planned_as_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without ccxt: what it has is in a list. Books have connections of their own."""
    assert main(["plan", "--venue", "ccxt.bitvavo", "--settings", settings(tmp_path, BITVAVO)]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        "ccxt.bitvavo (not enabled)",
        "  connection 1 to streams, wss://ws.bitvavo.com/v2: 8 of 100 topics",
        "    BTC-EUR: trades, bidsasks, ticker, ohlcv 1m",
        "    ETH-EUR: trades, bidsasks, ticker, ohlcv 1m",
        "  connection 2 to books, wss://ws.bitvavo.com/v2: 2 of 100 topics",
        "    BTC-EUR: book",
        "    ETH-EUR: book",
    ]


def test_a_venue_without_instruments_has_no_connection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are shown all the same; of one that is not enabled, only that."""
    own = "[venues.kraken]\ninstruments = []\n[venues.binance]\nenabled = false\n"
    assert main(["plan", "--settings", settings(tmp_path, BITFINEX + own)]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["binance (not enabled)", "coinbase"]
    assert lines[lines.index("kraken") + 1] == "  no connection: no instrument is named, or the venue has none of the kinds"
    assert "bitfinex" in lines


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("", ["gateway", "  page, REST and streams on http://127.0.0.1:8090/, without a token"]),
        (
            'enabled = false\nhost = "::"\nport = 9000\ntokens_file = "tokens"\n',
            ["gateway (not enabled)", "  page, REST and streams on http://[::1]:9000/, with a token"],
        ),
        ("port = 0\n", ["gateway", "  page, REST and streams on a free port of 127.0.0.1, without a token"]),
    ],
)
def test_where_the_gateway_listens_is_shown_last(tmp_path: Path, capsys: pytest.CaptureFixture[str], own: str, said: list[str]) -> None:
    """Whether it runs or not; and who may read there."""
    assert main(["plan", "--settings", settings(tmp_path, f"{BITFINEX}[gateway]\n{own}")]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[-2:] == said


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            '[venues.binance]\nenvironment = "tesnet"\n',
            "venues.binance.environment: tesnet: there is no such environment; the venue has testnet",
        ),
        ('[venues.kraken]\nenvironment = "testnet"\n', "venues.kraken.environment: testnet: the venue has no environment but the live one"),
        ('[venues.bitstamp]\ncandles = ["1m"]\n', "venues.bitstamp.candles: 1m: the venue publishes no candles"),
        ('[venues.kraken]\ncandles = ["1m", "3m"]\n', "venues.kraken.candles: 3m: there are no such candles; the venue has 1m, 5m"),
        ('[venues.kraken]\ncandles = ["1min", "1h"]\n', "venues.kraken.candles: 1min: did you mean 1m? the venue has 1m, 5m"),
        ('[venues.bitfinex]\ncandles = ["14D"]\n', "venues.bitfinex.candles: 14D: two weeks are no timeframe of ours"),
    ],
)
def test_what_a_venue_does_not_have_is_a_mistake_for_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own: str, said: str
) -> None:
    """The connector is not started with it either. The message names the file."""
    key, _, reason = said.partition(": ")
    file = settings(tmp_path, own)
    for command in (["plan"], ["connector", "--venue", "kraken"], ["up"]):
        assert main([*command, "--settings", file]) == Exit.USAGE
        assert f"crosstape: {key} ({file}): {reason}" in capsys.readouterr().err


REFUSED = [(venue, name) for venue, table in VENUES.items() if table.candles is not None for name in table.candles.refused]


@pytest.mark.parametrize(("venue", "timeframe"), REFUSED)
def test_a_refused_timeframe_is_answered_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], venue: str, timeframe: str
) -> None:
    """Of every venue: users ask for these because the venue has them, or most venues do."""
    rules = VENUES[venue].candles
    assert rules is not None

    file = settings(tmp_path, f'[venues.{venue}]\ncandles = ["{timeframe}"]\n')
    assert main(["plan", "--settings", file]) == Exit.USAGE
    said = f"{rules.refused[timeframe]}; the venue has {', '.join(rules.timeframes)}"
    assert capsys.readouterr().err == f"crosstape: venues.{venue}.candles ({file}): {timeframe}: {said}\n"

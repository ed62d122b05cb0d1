"""`crosstape venues`: which there are, and what of each is proven."""

from __future__ import annotations

import json

import pytest

from crosstape.runtime.exit_codes import Exit
from crosstape_cli.main import main
from crosstape_connector.venues import ccxt
from crosstape_connector.venues.registry import VENUES


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, dict[str, object]]:
    """Venue → its row of the JSON document."""
    assert main(["venues", "--json", *options]) == Exit.OK
    return {row["venue"]: row for row in json.loads(capsys.readouterr().out)["venues"]}


def test_every_venue_is_listed_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that we speak to ourselves first."""
    rows = listed(capsys)

    assert list(rows) == [*VENUES, *ccxt.names()]
    assert {name for name, row in rows.items() if row["source"] == "ccxt"} == set(ccxt.names())


def test_what_is_proven_is_said_of_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """Books of the library are unproven, whatever exchange they are of."""
    rows = listed(capsys)

    assert rows["kraken"]["proven"]["book"] == "checksum, times in order, never crossed"  # type: ignore[index]
    assert rows["kraken"]["proven"]["trade"] == "id continuity"  # type: ignore[index]
    assert rows["ccxt.kraken"] == {
        "venue": "ccxt.kraken",
        "source": "ccxt",
        "kinds": ["trade", "quote", "book", "ticker", "candle"],
        "proven": {"trade": "each id once", "quote": "none", "book": "unproven", "ticker": "none", "candle": "none"},
        "candles": ["1m", "5m", "15m", "30m", "1h", "4h", "1d"],
        "environments": [],
        "example": None,
        "markets": ["spot"],
    }
    assert {row["proven"]["book"] for name, row in rows.items() if name.startswith("ccxt.") and "book" in row["kinds"]} == {  # type: ignore[index, operator]
        "unproven"
    }


def test_one_source_alone_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each venue is in one of the two lists."""
    native, library = listed(capsys, "--source", "native"), listed(capsys, "--source", "ccxt")

    assert (list(native), list(library)) == (list(VENUES), ccxt.names())


def test_named_venues_alone_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With the name of an instrument here and there. A typing error is told."""
    rows = listed(capsys, "okx_swap", "ccxt.kraken")
    assert list(rows) == ["okx_swap", "ccxt.kraken"]
    assert rows["okx_swap"]["example"] == {"instrument": "BTC-USDT-PERP", "symbol": "BTC-USDT-SWAP"}
    assert main(["venues", "okx", "hyperliquids"]) == Exit.USAGE
    assert capsys.readouterr() == ("", "crosstape: venue hyperliquids: did you mean hyperliquid?\n")


def test_the_text_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each venue."""
    assert main(["venues"]) == Exit.OK
    heading, *lines = capsys.readouterr().out.splitlines()

    assert heading.split() == ["venue", "source", "example", "kinds", "proven", "environments"]
    assert len(lines) == len(VENUES) + len(ccxt.names())
    bitvavo = next(line for line in lines if line.startswith("ccxt.bitvavo "))
    assert bitvavo.split(maxsplit=2)[1] == "ccxt"
    assert "trade: each id once; book: unproven" in bitvavo


def test_a_mistyped_venue_of_the_library_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    """Among its venues, not among ours."""
    assert main(["connector", "--venue", "ccxt.bitvavoo"]) == Exit.USAGE
    assert "did you mean ccxt.bitvavo?" in capsys.readouterr().err

"""`crosstape history` prints what was recorded."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crosstape.bus import Bookmark
from crosstape.bus.spool.tape_identity import Identity
from crosstape.history.arrow import events_of
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape.origin import Origin
from crosstape_cli.main import main
from tests.history.batches import MINUTE, NOON, SECOND, batch, candle, trade


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ten trades, one a second, two of them with more digits than a column holds; and a candle with two revisions."""
    folder = tmp_path / "my history"
    monkeypatch.setenv("CROSSTAPE_RECORDER__STORE", str(folder))
    asyncio.run(_write(folder))
    return folder


TRADES = [
    trade(number, price=Decimal("0.1234567890123456789") if number in (3, 4) else Decimal("67000.10"), taker=None if number == 5 else "buy")
    for number in range(10)
]


async def _write(folder: Path) -> None:
    store = ParquetStore(LocalFolder(folder))
    await store.bind(Identity("tape-1", Origin.SIMULATED), after=0)
    await store.append(batch(TRADES[:6]), {}, after=0)
    marks = {"tape:trade:BTC-USDT": Bookmark("3-0", (("kraken", 1, 10),)), "tape:trade:ETH-USDT": Bookmark("4-0", (("kraken", 1, 3),))}
    await store.append(batch(TRADES[6:], first_ms=2_000, first_seq=7), marks, after=1)
    await store.append(batch([candle(0), candle(0, revision=1), candle(1)]), {}, after=0)
    await store.aclose()


def test_lines_are_the_bytes_of_the_tape(history: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Oldest first; a range and a limit choose; times may be ns or ISO."""
    everything = [*batch(TRADES[:6]).data, *batch(TRADES[6:], first_seq=7).data]
    for options, expected in (
        ([], everything),
        (["--limit", "3"], everything[-3:]),
        (["--from", str(NOON + 2 * SECOND), "--to", "2026-11-30T12:00:04Z"], everything[2:4]),
        (["--venue", "kraken", "--to", "2026-11-30T12:00:01"], everything[:1]),
        (["--venue", "okx"], []),
    ):
        assert main(["history", "trade", "btc/usdt", *options]) == 0
        out, err = capfdbinary.readouterr()
        assert out.splitlines() == expected
        assert bool(err) != bool(expected)


def test_csv_has_plain_decimals(history: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """As the venue wrote them, whatever their digits; null is empty."""
    assert main(["history", "trade", "BTC-USDT", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capfdbinary.readouterr().out.decode())))

    assert [row["price"] for row in rows] == [str(one.price) for one in TRADES]
    assert {row["size"] for row in rows} == {"0.250"}
    assert [row["taker"] for row in rows] == ["buy"] * 5 + [""] + ["buy"] * 4
    assert "price_scale" not in rows[0]
    assert "d" not in rows[0]
    assert rows[9]["ts"] == str(NOON + 9 * SECOND)


def test_a_parquet_file_gives_the_events_back(history: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """By the name of the file, which appears when it is complete."""
    path = tmp_path / "trades.parquet"
    assert main(["history", "trade", "BTC-USDT", "--output", str(path)]) == 0

    assert events_of(pq.read_table(path)) == [*batch(TRADES[:6]).data, *batch(TRADES[6:], first_seq=7).data]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["my history", "trades.parquet"]
    assert main(["history", "trade", "BTC-USDT", "--output", str(tmp_path / "none" / "x.csv")]) == 6
    assert b"none/x.csv" in capfdbinary.readouterr().err


def test_candles_have_their_newest_revision(history: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """All of them if asked for."""
    assert main(["history", "candle:1m", "BTC-USDT"]) == 0
    assert [json.loads(line)["revision"] for line in capfdbinary.readouterr().out.splitlines()] == [1, 0]
    assert main(["history", "candle", "BTC-USDT", "--timeframe", "1m", "--revisions"]) == 0
    assert [json.loads(line)["revision"] for line in capfdbinary.readouterr().out.splitlines()] == [0, 1, 0]


def test_candles_are_made_from_trades(history: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Those that opened in the range, each with all its trades."""
    assert main(["history", "candle:1s", "BTC-USDT", "--from-trades", "--from", str(NOON + 1), "--to", str(NOON + 2 * SECOND + 1)]) == 0
    found = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [(one["open_ts"], one["close_ts"], one["trades"]) for one in found] == [
        (NOON + number * SECOND, NOON + (number + 1) * SECOND, 1) for number in (1, 2)
    ]
    assert found[0]["close"] == "67000.1"
    assert main(["history", "bar:1m", "BTC-USDT", "--from-trades", "--output", str(tmp_path / "bars.parquet")]) == 0
    (row,) = pq.read_table(tmp_path / "bars.parquet").to_pylist()
    assert (row["open_ts"], row["volume"], row["low"]) == (NOON, Decimal("2.5"), "0.1234567890123456789")
    assert row["quote_volume"] == "134000.26172839450617283945"
    assert row["close_ts"] == NOON + MINUTE


def test_the_files_for_other_engines(history: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Each path on a line of its own."""
    assert main(["history", "--files", "trade"]) == 0
    lines = capfdbinary.readouterr().out.decode().splitlines()

    assert len(lines) == 2
    assert sum(pq.read_metadata(line).num_rows for line in lines) == 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trades", "BTC-USDT"], "did you mean 'trade'"),
        (["candle", "BTC-USDT"], "candle:1m"),
        (["candle:7m", "BTC-USDT"], "'7m' is no timeframe"),
        (["candle:1m", "BTC-USDT", "--timeframe", "5m"], "names another one"),
        (["trade", "BTC-USDT", "--timeframe", "5m"], "has no timeframe"),
        (["trade"], "name the instrument"),
        (["trade", "BTC-USDT", "--limit", "0"], "--limit 0"),
        (["trade", "BTC-USDT", "--from", "-1x"], "--from -1x"),
        (["trade", "BTC-USDT", "--from-trades"], "write candle:1m"),
        (["trade", "BTC-USDT", "--format", "parquet"], "--output FILE"),
        (["trade", "BTC-USDT", "--venue", "Kraken"], "did you mean 'kraken'"),
    ],
)
def test_a_mistake_is_named(history: Path, arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    """With what would be right."""
    assert main(["history", *arguments]) == 2
    out, err = capfd.readouterr()
    assert said in err
    assert not out


def test_nothing_recorded_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """And what to do."""
    monkeypatch.setenv("CROSSTAPE_RECORDER__STORE", str(tmp_path / "none"))
    assert main(["history", "bar:1m", "BTC-USDT"]) == 0
    assert "no bar was recorded yet" in capfd.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trade", "BTC-USDT", "--to", "2020-01-01"], "no trade of BTC-USDT in this range"),
        (
            ["trade", "BTC-USDT", "--venue", "krakn"],
            "no trade of BTC-USDT at krakn is in the history; did you mean kraken? it has of these venues kraken",
        ),
        (
            ["trade", "BTC-USD1"],
            "no trade of BTC-USD1 is in the history; did you mean BTC-USDT? it has trade of BTC-USDT, ETH-USDT",
        ),
        (["trade", "XAU-JPY"], "no trade of XAU-JPY is in the history; it has trade of BTC-USDT, ETH-USDT"),
        (["candle:5m", "XAU-JPY", "--from-trades"], "no trade of XAU-JPY is in the history; it has trade of BTC-USDT, ETH-USDT"),
        (["liquidation", "BTC-USDT-PERP"], "no liquidation is in the history yet"),
    ],
)
def test_a_name_that_was_never_recorded_is_no_empty_range(
    history: Path, arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the store has instead is named; a kind of which nothing happened is not called unrecorded."""
    assert main(["history", *arguments]) == 0
    assert capfd.readouterr() == ("", f"crosstape: {history}: {said}\n")


def test_a_reader_that_stops_is_no_error(history: Path) -> None:
    """As `head` does."""
    command = [sys.executable, "-m", "crosstape_cli", "history", "trade", "BTC-USDT"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_odd_text_comes_through_csv(history: Path, tmp_path: Path) -> None:
    """Commas, quotes, line ends; an empty text is not null."""
    texts = ["a,b", 'say "no"', "two\nlines", "\u2603", "", "=1+1"]

    async def write() -> None:
        store = ParquetStore(LocalFolder(history))
        await store.append(batch([trade(number, trade_id=text) for number, text in enumerate(texts)], first_ms=9_000), {}, after=2)
        await store.aclose()

    asyncio.run(write())
    out = tmp_path / "odd.csv"
    assert main(["history", "trade", "BTC-USDT", "--output", str(out)]) == 0
    written = out.read_text(encoding="utf-8")
    assert set(texts) <= {row["trade_id"] for row in csv.DictReader(io.StringIO(written, newline=""))}
    assert ',"",' in written


def test_a_device_is_written_and_not_replaced(history: Path, tmp_path: Path) -> None:
    """A pipe that has a name stays one; so does a link, whose file is written."""
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    link.symlink_to(target)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        assert main(["history", "trade", "BTC-USDT", "--output", str(pipe)]) == 0
        assert main(["history", "trade", "BTC-USDT", "--output", str(link)]) == 0
        assert reader.stdout is not None
        assert reader.stdout.read() == target.read_bytes() != b""
    assert pipe.is_fifo()
    assert link.is_symlink()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
@pytest.mark.parametrize("options", [[], ["--format", "csv"]])
def test_a_full_disk_behind_standard_output_is_named(history: Path, options: list[str]) -> None:
    """No traceback, and no success."""
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "crosstape_cli", "history", "trade", "BTC-USDT", *options]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 6
    assert b"standard output cannot be written: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr

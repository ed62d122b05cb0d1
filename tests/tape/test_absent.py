"""What the tape does not have is said once, with what it has instead, and followed all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape import CandleProvider, Start, StreamCollector, SyncTape, Tape
from crosstape.tape.absent import LIMIT, Absent, nearest_instruments, of_instrument
from tests.bus.tape import BTC, ETH, trade
from tests.tape.candles import bar, candle, closes, polled
from tests.tape.reading import taping
from tests.tape.writing import Writer, wait_for
from tests.waiting import wait_until

KNOWN = ["BTC-USDT", "ETH-USDT", "BTC-USDT-PERP", "BTC-USD"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("BTC-USDX", ["BTC-USD", "BTC-USDT"]),
        ("ETH-USDC", ["ETH-USDT"]),
        ("BTCUSDT", ["BTC-USDT", "BTC-USD"]),
        ("Btc-Usdt", ["BTC-USDT", "BTC-USD", "BTC-USDT-PERP"]),
        ("BTC-USDT-20261225", ["BTC-USDT", "BTC-USDT-PERP"]),
        ("BTC_USDT-PERP", ["BTC-USDT-PERP"]),
        ("SOL-USDT", []),
        ("FOOUSDT", []),
        ("", []),
    ],
)
def test_the_nearest_instruments(name: str, found: list[str]) -> None:
    """In any spelling; none if none is near. One pair in another market is near."""
    assert nearest_instruments(name, KNOWN)[: len(found) or None] == found


@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=12), max_size=20))
def test_there_is_always_a_hint(name: str, known: list[str]) -> None:
    """In words, whatever the names are."""
    assert of_instrument(name, known)
    assert set(nearest_instruments(name, known)) <= set(known)


def test_hints_in_words() -> None:
    """What is near, what there is, or that there is nothing."""
    assert of_instrument("FOOUSDT", KNOWN[:2]) == "the tape does not have it yet, nor a name like it; it has BTC-USDT, ETH-USDT"
    assert of_instrument("FOO", [f"A{number}-USD" for number in range(9)]).endswith("A4-USD, A5-USD and 3 more")
    assert of_instrument("BTC-USDX", KNOWN) == "the tape does not have it yet; did you mean BTC-USD or BTC-USDT?"
    assert "no instrument yet" in of_instrument(BTC, [])


def test_what_was_said_is_forgotten_at_last() -> None:
    """A program that asks for ever new names does not fill the memory."""
    absent = Absent()
    with capture_logs() as logs:
        for number in range(LIMIT + 5):
            absent.check("trade", f"A{number}-B", [])
        absent.check("trade", "A9-B", [])
    assert len(logs) == LIMIT + 5
    assert len(absent._said) == LIMIT


QUESTIONS: list[Callable[[Tape, str], Any]] = [
    lambda tape, name: tape.last("trade", name),
    lambda tape, name: tape.history("trade", name),
    lambda tape, name: tape.trades(name, start=Start.BEGINNING).read(timeout_s=0.3),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=["last", "history", "subscription"])
async def test_every_way_says_the_same_once(client: Redis, valkey: str, writer: Writer, question: Callable[[Tape, str], Any]) -> None:
    """Nothing comes, and one warning says why; also on a tape that has nothing at all."""
    async with taping(valkey) as tape:
        with capture_logs() as logs:
            assert not await question(tape, ETH)
            writer.write(trade(1))
            for _ in range(2):
                assert not await question(tape, "BTC-USDX")
            await wait_until(lambda: len(logs) == 2, what="the warnings")
            assert await question(tape, BTC)
    assert [(log["event"], log["log_level"], log["instrument"], log["kind"], log["hint"]) for log in logs] == [
        ("tape.unknown_instrument", "warning", ETH, "trade", of_instrument(ETH, [])),
        ("tape.unknown_instrument", "warning", "BTC-USDX", "trade", "the tape does not have it yet; did you mean BTC-USDT?"),
    ]


def test_a_frame_of_an_unknown_instrument_is_empty(sync_tape: SyncTape, writer: Writer) -> None:
    """With its columns, and the same warning."""
    writer.write(trade(1))
    with capture_logs() as logs:
        frame = sync_tape.frame("trade", "BTC-USDX")
        assert sync_tape.last("trade", "BTC-USDX") == {}
    assert isinstance(frame, pl.DataFrame)
    assert len(frame) == 0
    assert "price" in frame.columns
    assert [log["event"] for log in logs] == ["tape.unknown_instrument"]


async def test_a_kind_or_timeframe_that_the_tape_does_not_have(client: Redis, valkey: str, writer: Writer) -> None:
    """The warning names those that it has. Of some kinds there may be none for days."""
    writer.write(bar(1), candle(1), trade(1, "BTC-USD"))
    async with taping(valkey) as tape:
        with capture_logs() as logs:
            assert await tape.history("bar:3m", "BTC-USD") == []
            assert await tape.history("candle:1h", "BTC-USD") == []
            assert await tape.last("depth", "BTC-USD") == {}
            for kind in ("liquidation", "gap", "edge", "status"):
                assert await tape.last(kind, "BTC-USD") == {}
    assert [(log["event"], log["kind"], log["hint"]) for log in logs] == [
        (
            "tape.unknown_timeframe",
            "bar:3m",
            "the tape has no bars of 3m of it yet; it has bar:1m; aggregator.bars sets which are built",
        ),
        (
            "tape.unknown_timeframe",
            "candle:1h",
            "the tape has no candles of 1h of it yet; it has candle:1m; venues.VENUE.candles sets which are published",
        ),
        ("tape.unknown_kind", "depth", "the tape has none of it yet; it has bar:1m, candle:1m, trade"),
    ]


async def test_a_venue_that_the_tape_does_not_have(client: Redis, valkey: str, writer: Writer) -> None:
    """The warning names those that it has."""
    writer.write(trade(1))
    async with taping(valkey) as tape:
        with capture_logs() as logs:
            trades = tape.trades(BTC, venue="binanse", start=Start.BEGINNING)
            assert await trades.read(timeout_s=0.05) == []
            await wait_until(lambda: logs, what="a warning")
            assert len(await tape.trades(BTC, venue="binance", start=Start.BEGINNING).read(timeout_s=20)) == 1
            assert await tape.history("gap", BTC, venue="binanse") == []
    assert [(log["event"], log["venue"], log["instrument"], log["hint"]) for log in logs] == [
        ("tape.unknown_venue", "binanse", BTC, "the tape has none of this venue yet, but of binance; did you mean binance?"),
    ]


def test_a_provider_says_what_it_will_not_get(provider: CandleProvider, writer: Writer) -> None:
    """Instrument, timeframe and venue, of each once; what comes later is delivered."""
    writer.write(bar(1, 7), candle(1, 8))
    with capture_logs() as logs:
        for symbol in ("BTCUSD", "BTC/USD", "BTC-USD"):
            provider.subscribe(symbol, "3m")
        provider.subscribe("FOOUSDT", "1m")
        provider.subscribe("QUX-USDT", "1m")
        provider.subscribe("BTCUSD", "1m", venue="coinbase")
        provider.start()
        wait_for(lambda: len(logs) == 4, what="four warnings")
        writer.write(candle(2, 9, venue="coinbase"))
        assert closes(polled(provider, 1)) == [9]
    hints = {(log["event"], log["instrument"], log["kind"]): log["hint"] for log in logs}
    assert len(logs) == 4
    assert hints == {
        ("tape.unknown_timeframe", "BTC-USD", "bar:3m"): "the tape has no bars of 3m of it yet; it has bar:1m; "
        "aggregator.bars sets which are built",
        ("tape.unknown_instrument", "FOOUSDT", "bar:1m"): "the tape does not have it yet, nor a name like it; it has BTC-USD",
        ("tape.unknown_instrument", "QUX-USDT", "bar:1m"): "the tape does not have it yet, nor a name like it; it has BTC-USD",
        ("tape.unknown_venue", "BTC-USD", "candle:1m"): "the tape has none of this venue yet, but of kraken; "
        "venues.coinbase.candles sets which are published",
    }


def test_a_collector_says_what_it_will_not_get(valkey: str, writer: Writer) -> None:
    """And what it has is an empty list."""
    writer.write(bar(1, 7))
    collector = StreamCollector(bus=valkey)
    with capture_logs() as logs:
        collector.stream_ohlcv({"consolidated": ["BTC/USD"]}, timeframe="3m")
        with collector:
            wait_for(lambda: logs, what="a warning")
            assert collector.get_latest_ohlcv("consolidated", "BTC/USD", "3m") == []
    assert [log["event"] for log in logs] == ["tape.unknown_timeframe"]

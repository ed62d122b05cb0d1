"""`StreamCollector`: the newest candles and tickers of many venues, in bounded buffers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from crosstape import Bar, BusError, BusSettings, Candle, SettingsError, Ticker, UnknownName
from crosstape.tape.candle_buffer import CandleBuffer
from crosstape.tape.stream_collector import StreamCollector
from tests.engines import StartServer
from tests.tape.candles import bar, candle, ticker
from tests.tape.writing import Writer, threads, wait_for


@pytest.fixture
def collector(valkey: str, writer: Writer) -> Iterator[StreamCollector]:
    """A collector that leaves no thread behind."""
    collector = StreamCollector(5, bus=valkey)
    yield collector
    collector.close()
    assert threads("crosstape") == []


def closes(candles: list[Bar | Candle]) -> list[int]:
    """By which they are told apart here."""
    return [candle.received_ts for candle in candles]


def test_the_newest_candles_of_each_venue_and_symbol(collector: StreamCollector, writer: Writer) -> None:
    """Buffers begin with the past, and hold the newest revision of each interval; the oldest make room."""
    writer.write(*(candle(minute, minute, closed=True) for minute in range(3)), candle(3, 3), bar(3, 30), candle(3, 9, venue="binance"))
    collector.stream_ohlcv({"kraken": ["BTC/USD"], "consolidated": ["BTC/USD"]}, timeframe="1m")
    collector.start()
    wait_for(lambda: closes(collector.get_latest_ohlcv("kraken", "BTCUSD", "1m")) == [0, 1, 2, 3], what="the past")
    wait_for(lambda: closes(collector.get_latest_ohlcv("consolidated", "BTC-USD", "1m")) == [30], what="the bar")
    writer.write(candle(3, 4), candle(3, 5, closed=True), candle(4, 6), candle(5, 7), candle(3, 8, venue="binance"))
    wait_for(lambda: closes(collector.get_latest_ohlcv("kraken", "btc_usd", "1m")) == [1, 2, 5, 6, 7], what="the newest five")
    assert collector.get_latest_ohlcv("binance", "BTC/USD", "1m") == []
    assert collector.get_latest_ohlcv("kraken", "BTC/USD", "5m") == []
    collector.clear()
    assert collector.get_latest_ohlcv("kraken", "BTC/USD", "1m") == []
    writer.write(candle(6, 8))
    wait_for(lambda: closes(collector.get_latest_ohlcv("kraken", "BTC/USD", "1m")) == [8], what="the next one")


def test_the_newest_ticker(collector: StreamCollector, writer: Writer) -> None:
    """Of each venue and symbol; symbols of ccxt, too."""
    writer.write(ticker(1), ticker(2, "BTC-USDT-PERP", "kucoin_futures"))
    collector.stream_tickers({"kraken": ["BTC/USD"], "kucoin_futures": ["BTC/USDT:USDT"]})
    assert collector.get_latest_ticker("kraken", "BTC/USD") is None
    collector.start()
    wait_for(lambda: collector.get_latest_ticker("kraken", "BTCUSD"), what="a ticker")
    wait_for(lambda: collector.get_latest_ticker("kucoin_futures", "BTC/USDT:USDT"), what="a ticker of a perpetual")
    writer.write(ticker(3))
    wait_for(lambda: getattr(collector.get_latest_ticker("kraken", "BTCUSD"), "last", 0) == 3, what="the next ticker")
    assert collector.get_latest_ticker("binance", "BTC/USD") is None


def test_callbacks(collector: StreamCollector, writer: Writer) -> None:
    """With the venue, the symbol as it was written, the timeframe and the whole buffer; on one thread of the collector's own."""
    called: list[tuple[object, ...]] = []

    def on_candles(venue: str, symbol: str, timeframe: str, candles: list[Bar | Candle]) -> None:
        called.append((venue, symbol, timeframe, closes(candles), threading.current_thread().name))

    async def on_ticker(venue: str, symbol: str, one: Ticker) -> None:
        await asyncio.sleep(0)
        called.append((venue, symbol, one.received_ts, threading.current_thread().name))

    def failing(*_arguments: object) -> None:
        raise ValueError("ours")

    thread = "crosstape.collector.callbacks"
    writer.write(bar(0))  # the tape has the instrument
    with capture_logs() as logs:
        collector.stream_ohlcv({"kraken": ["BTC/USD"]}, callback=failing)
        collector.stream_ohlcv({"kraken": ["BTC/USD"]}, callback=on_candles)
        collector.stream_tickers({"kraken": ["BTC/USD"]}, callback=on_ticker)
        collector.start()
        wait_for(lambda: collector.get_stream_status()["streams"][0]["instrument"], what="it reads")
        writer.write(candle(1, 1, closed=True))
        wait_for(lambda: len(called) == 1, what="a call")
        writer.write(ticker(7))
        wait_for(lambda: len(called) == 2, what="a call with a ticker")
        writer.write(candle(2, 2))
        wait_for(lambda: len(called) == 3, what="another call")
    assert called == [
        ("kraken", "BTC/USD", "1m", [1], thread),
        ("kraken", "BTC/USD", 7, thread),
        ("kraken", "BTC/USD", "1m", [1, 2], thread),
    ]
    assert {log["event"] for log in logs if log["log_level"] == "error"} == {"tape.callback_failed"}


def test_events_from_elsewhere(collector: StreamCollector) -> None:
    """The collector's own methods serve as callbacks of other sources, without a thread."""
    collector.ohlcv_callback("kraken", "BTC/USD", "1m", [candle(2, 2), candle(1, 1, closed=True)])
    collector.ohlcv_callback("kraken", "BTC-USD", "1m", candle(2, 3))
    collector.ticker_callback("kraken", "BTC/USD", ticker(4))
    assert closes(collector.get_latest_ohlcv("kraken", "BTCUSD", "1m")) == [1, 3]
    assert collector.get_latest_ticker("kraken", "BTCUSD") == ticker(4)
    assert threads("crosstape") == []


def test_the_status_report(collector: StreamCollector, writer: Writer) -> None:
    """How many streams there are, of which something came, and what."""
    writer.write(candle(1, 7))
    collector.stream_ohlcv({"kraken": ["BTC/USD", "ETHUSD"]})
    collector.stream_tickers({"kraken": ["BTC/USD"]})
    before = collector.get_stream_status()
    assert (before["running"], before["total_streams"], before["active_streams"], before["missed"]) == (False, 3, 0, 0)
    collector.start()
    wait_for(lambda: collector.get_stream_status()["active_streams"] == 1, what="an update")
    status = collector.get_stream_status()
    assert status["running"]
    assert status["streams"][0] == {
        "venue": "kraken", "symbol": "BTC/USD", "instrument": "BTC-USD", "kind": "candle:1m", "updates": 1, "buffered": 1, "received_ts": 7,
    }  # fmt: skip
    assert status["streams"][1] == {
        "venue": "kraken", "symbol": "ETHUSD", "instrument": "", "kind": "candle:1m", "updates": 0, "buffered": 0, "received_ts": None,
    }  # fmt: skip


def test_run_streams_for_a_time(collector: StreamCollector, writer: Writer) -> None:
    """It starts and stops by itself; buffers stay."""
    writer.write(candle(1, 7))
    collector.stream_ohlcv({"kraken": ["BTC-USD"]})
    began = time.monotonic()
    while not collector.get_latest_ohlcv("kraken", "BTC-USD", "1m"):
        collector.run_streams(duration=0.2)
    assert time.monotonic() - began >= 0.2
    assert threads("crosstape") == []
    assert not collector.get_stream_status()["running"]


def test_stop_ends_run_streams(collector: StreamCollector, writer: Writer) -> None:
    """From another thread."""
    collector.stream_ohlcv({"kraken": ["BTC-USD"]})
    running = threading.Thread(target=collector.run_streams)
    running.start()
    wait_for(lambda: collector.get_stream_status()["running"], what="it runs")
    collector.stop()
    running.join(20)
    assert not running.is_alive()


def test_wrong_names_are_errors_at_once(collector: StreamCollector) -> None:
    """They say what is right, and add nothing."""
    with pytest.raises(UnknownName, match="'1h'"):
        collector.stream_ohlcv({"kraken": ["BTC/USD"]}, timeframe="1H")
    with pytest.raises(UnknownName, match="did you mean 'kraken'"):
        collector.stream_tickers({"bitfinex": ["BTC/USD"], "Kraken": ["BTC/USD"]})
    with pytest.raises(TypeError, match="symbols are given as a list"):
        collector.stream_tickers({"kraken": "BTC/USD"})
    with pytest.raises(ValueError, match="at least 1"):
        StreamCollector(0)
    assert collector.get_stream_status()["total_streams"] == 0


def test_an_error_that_waiting_cannot_help(valkey: str, writer: Writer) -> None:
    """`run_streams` raises it."""
    collector = StreamCollector(bus=BusSettings(url=valkey, username="nobody", password="wrong"))
    collector.stream_ohlcv({"kraken": ["BTC-USD"]})
    with pytest.raises(BusError):
        collector.run_streams(60)
    with pytest.raises(SettingsError):
        StreamCollector(bus="ftp://nowhere").run_streams(60)
    assert threads("crosstape") == []


@pytest.mark.slow
async def test_it_connects_again_by_itself(start_server: StartServer) -> None:
    """After the server was killed; also when it was away from the start."""
    server = await start_server(persist=True, options={"appendfsync": "always"})
    writer = Writer(server.url)
    writer.write(candle(0, 0, closed=True), candle(1, 1, closed=True))
    await server.kill()
    collector = StreamCollector(100, bus=BusSettings(url=server.url, timeout_s=0.5, backoff_s=0.2))
    collector.stream_ohlcv({"kraken": ["BTCUSD"]})

    def has(last: int) -> bool:
        return closes(collector.get_latest_ohlcv("kraken", "BTCUSD", "1m")) == list(range(last + 1))

    with collector:
        await server.start()
        await asyncio.to_thread(wait_for, lambda: has(1), what="the past")
        for turn in range(2):
            await server.kill()
            await server.start()
            writer.write(candle(2 + turn, 2 + turn, closed=True))
            await asyncio.to_thread(wait_for, lambda: has(2 + turn), what="the next candle")  # noqa: B023
    writer.redis.close()


@given(
    limit=st.integers(1, 6),
    candles=st.lists(st.builds(candle, st.integers(0, 8), st.integers(0, 5), closed=st.booleans()), max_size=30),
)
def test_a_buffer_holds_the_newest_of_each_interval(limit: int, candles: list[Candle]) -> None:
    """Sorted by time, at most `limit`, whatever the order in which they came, unless one came after it had made room."""
    buffer = CandleBuffer(limit)
    for one in candles:
        buffer.put(one)
    held = buffer.candles()
    assert [one.open_ts for one in held] == sorted({one.open_ts for one in candles})[-limit:]
    assert len(buffer) == len(held)
    for kept in held:
        rivals = [(other.closed, other.revision, other.received_ts) for other in candles if other.open_ts == kept.open_ts]
        assert (kept.closed, kept.revision, kept.received_ts) == max(rivals)

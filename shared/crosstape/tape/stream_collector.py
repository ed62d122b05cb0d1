"""The newest candles and tickers of many venues, in bounded buffers: `StreamCollector`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, TypeAlias, TypedDict

from crosstape.bus import Entry, Missed
from crosstape.log import get_log
from crosstape.settings import BusSettings
from crosstape.tape.callback_thread import CallbackThread
from crosstape.tape.candle_buffer import CandleBuffer
from crosstape.tape.feed_reader import Feed, Hooks
from crosstape.tape.follower import Follower, candle_feed, feed_of
from crosstape.tape.receivers import Receivers, feed_of_entry
from crosstape_schemas import AnyEvent, Bar, Candle, Ticker

OhlcvCallback: TypeAlias = Callable[[str, str, str, list[Bar | Candle]], object]
TickerCallback: TypeAlias = Callable[[str, str, Ticker], object]
Symbols: TypeAlias = Mapping[str, Sequence[str]]
"""Venue → symbols."""

TICKER: Final = "ticker"

log = get_log(__name__)


class StreamState(TypedDict):
    """One stream in `StreamCollector.get_stream_status`."""

    venue: str
    symbol: str
    """As it was written."""
    instrument: str
    """Its name on the tape; empty while the tape does not have it."""
    kind: str
    """`bar:1m`, `candle:1m` or `ticker`."""
    updates: int
    """How many came since the start or `clear`."""
    buffered: int
    """Candles in the buffer; of tickers at most one."""
    received_ts: int | None
    """`received_ts` of the newest update, ns; null: none came yet."""


class StreamStatus(TypedDict):
    """What `StreamCollector.get_stream_status` returns."""

    running: bool
    total_streams: int
    active_streams: int
    """Streams of which an update has come, while it runs."""
    missed: int
    """Updates that were lost since the start; at least."""
    streams: list[StreamState]


class StreamCollector:
    """Follows candles and tickers of any number of venues and symbols, and keeps the newest, for blocking code.

        collector = StreamCollector(buffer_size=100)
        collector.stream_ohlcv({"consolidated": ["BTC/USD"], "kraken": ["BTC/USD", "ETH/USD"]}, timeframe="1m")
        collector.stream_tickers({"kraken": ["BTC/USD"]})
        collector.run_streams(duration=60)
        candles = collector.get_latest_ohlcv("kraken", "BTC/USD", "1m")  # empty until one has come
        print(candles[-1].close if candles else "no candle yet")

    `buffer_size`: candles that are kept of each venue, symbol and timeframe; the oldest make room. Buffers of candles begin with what the
    tape has of the past. `bus`: as of `Tape`. The venue `consolidated` has bars (`Bar`, built from the trades of all venues); the candles
    of others (`Candle`) are as the venue publishes them. Symbols are in any spelling, as of `CandleProvider`: `BTC/USDT:USDT` of ccxt is
    the perpetual `BTC-USDT-PERP`. What the tape does not have is followed, with one warning, as there.

    Callbacks run one after the other on one thread of the collector's own, coroutine functions as well. A slow one gets the newest of each
    open candle and each ticker, and each closed candle; when more than 10,000 of these wait, the oldest are dropped, logged and counted.
    An error that one raises is logged, and the others are called all the same.

    All methods may be called from any thread. When the server or the connection is lost, it connects again by itself and continues behind
    the last update. It may be started again after `stop`.
    """

    def __init__(self, buffer_size: int = 1_000, *, bus: str | BusSettings | None = None) -> None:
        if buffer_size < 1:
            raise ValueError(f"buffer_size = {buffer_size}: it is at least 1")
        self._size = buffer_size
        self._lock = threading.Lock()
        self._receivers: dict[Feed, Receivers[Callable[..., object]]] = {}
        self._candles: dict[Feed, CandleBuffer] = {}
        self._newest: dict[Feed, AnyEvent] = {}
        self._updates: dict[Feed, int] = {}
        self._callbacks: CallbackThread | None = None
        self._ended = threading.Event()
        self._ended.set()
        self._follower = Follower(bus, "crosstape.collector", Hooks(self._receive, self._fill, past=buffer_size), self._ended.set)
        self._dropped = 0

    def stream_ohlcv(self, symbols_per_venue: Symbols, timeframe: str = "1m", callback: OhlcvCallback | None = None) -> None:
        """Follows candles, before `start` or after it.

        `callback`: called with each update, as `callback(venue, symbol, timeframe, candles)`: the symbol as it is written here, and all
        candles of the buffer, oldest first. Raises `UnknownName` for a timeframe or venue that there is not, `BusError` as `run_streams`.
        """
        self._stream(((candle_feed(symbol, timeframe, venue), symbol) for venue, symbol in _pairs(symbols_per_venue)), callback)

    def stream_tickers(self, symbols_per_venue: Symbols, callback: TickerCallback | None = None) -> None:
        """Follows the rolling 24 hours of venues. `callback`: called as `callback(venue, symbol, ticker)`. As `stream_ohlcv` else."""
        self._stream(((feed_of(TICKER, symbol, venue), symbol) for venue, symbol in _pairs(symbols_per_venue)), callback)

    def ohlcv_callback(self, venue: str, symbol: str, timeframe: str, ohlcv: Bar | Candle | Iterable[Bar | Candle]) -> None:
        """Puts candles from elsewhere into the buffer, one or several: a callback for other sources. Raises `UnknownName`."""
        feed = candle_feed(symbol, timeframe, venue)
        for candle in [ohlcv] if isinstance(ohlcv, Bar | Candle) else ohlcv:
            self._put(feed, candle)

    def ticker_callback(self, venue: str, symbol: str, ticker: Ticker) -> None:
        """Puts a ticker from elsewhere in place of the newest: a callback for other sources. Raises `UnknownName`."""
        self._put(feed_of(TICKER, symbol, venue), ticker)

    def get_latest_ohlcv(self, venue: str, symbol: str, timeframe: str) -> list[Bar | Candle]:
        """Returns the candles of the buffer, oldest first, of each interval the newest revision; the last one may be open. Empty
        until one has come. Raises `UnknownName` for a timeframe or venue that there is not.
        """
        feed = candle_feed(symbol, timeframe, venue)
        with self._lock:
            return self._candles[feed].candles() if feed in self._candles else []

    def get_latest_ticker(self, venue: str, symbol: str) -> Ticker | None:
        """Returns the newest ticker; None: there was none yet. Raises `UnknownName` for a venue that there is not."""
        feed = feed_of(TICKER, symbol, venue)
        with self._lock:
            ticker = self._newest.get(feed)
        return ticker if isinstance(ticker, Ticker) else None

    def clear(self) -> None:
        """Empties all buffers and counters of updates. Streams go on."""
        with self._lock:
            self._candles.clear()
            self._newest.clear()
            self._updates.clear()

    def get_stream_status(self) -> StreamStatus:
        """Returns what is followed and what has come of it, as a dict.

        Its keys: `running`; `total_streams`; `active_streams`, of which something has come, while it runs; `missed`, how many were lost, at
        least; `streams`, a list of dicts with `venue`, `symbol`, `instrument` (empty while the tape does not have it), `kind`,
        `updates`, `buffered` (candles) and `received_ts` (of the newest update, ns; or None).
        """
        instruments = self._follower.instruments
        running = self._follower.running
        with self._lock:
            streams = [
                StreamState(
                    venue=feed.venue, symbol=receivers.symbol, instrument=instruments.get(feed, ""), kind=feed.kind,
                    updates=self._updates.get(feed, 0), buffered=len(self._candles.get(feed, ())) or int(feed in self._newest),
                    received_ts=self._newest[feed].received_ts if feed in self._newest else None,
                )
                for feed, receivers in self._receivers.items()
            ]  # fmt: skip
            missed = self._dropped + self._follower.missed
        active = sum(running and one["updates"] > 0 for one in streams)
        return StreamStatus(running=running, total_streams=len(streams), active_streams=active, missed=missed, streams=streams)

    def start(self) -> None:
        """Starts to read. Does nothing if it runs. Raises `SettingsError` for wrong settings, `BusError` if no server is set."""
        with self._lock:
            if self._callbacks is None or self._callbacks.queue.closed:
                self._callbacks = CallbackThread("crosstape.collector.callbacks", 10_000, self._deliver, self._note_missed)
            self._ended.clear()
        try:
            self._follower.start()
        except BaseException:
            self.stop()
            raise

    def run_streams(self, duration: float | None = None) -> None:
        """Starts, unless it runs, and waits for `duration` seconds, or without it until `stop`; then stops.

        Raises as `start`, and `BusError` if the server refuses us (waiting would not help).
        """
        self.start()
        try:
            self._ended.wait(duration)
            self._follower.check()
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends both threads; `run_streams` returns. Streams and buffers stay. More than once does no harm."""
        self._ended.set()
        self._follower.stop()
        if self._callbacks is not None:
            self._callbacks.stop()

    def close(self) -> None:
        """The same as `stop`."""
        self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _stream(self, wanted: Iterable[tuple[Feed, str]], callback: Callable[..., object] | None) -> None:
        feeds = list(wanted)  # an error in one adds none
        self._follower.check()
        for feed, symbol in feeds:
            with self._lock:
                self._receivers.setdefault(feed, Receivers(symbol)).add(callback)
            self._follower.add(feed, symbol)

    def _receive(self, entry: Entry) -> None:
        """On the follower's thread."""
        feed = feed_of_entry(entry)
        self._put(feed, entry.event)
        with self._lock:
            receivers = self._receivers.get(feed)
            if receivers is not None and receivers.callbacks and self._callbacks is not None:
                self._callbacks.queue.put(entry)

    def _fill(self, feed: Feed, events: list[AnyEvent]) -> None:
        """On the follower's thread: the past."""
        with self._lock:
            for event in events:
                if isinstance(event, Bar | Candle):
                    self._candles.setdefault(feed, CandleBuffer(self._size)).put(event)

    def _put(self, feed: Feed, event: AnyEvent) -> None:
        with self._lock:
            self._updates[feed] = self._updates.get(feed, 0) + 1
            self._newest[feed] = event
            if isinstance(event, Bar | Candle):
                self._candles.setdefault(feed, CandleBuffer(self._size)).put(event)

    def _deliver(self, entry: Entry) -> None:
        """On the thread of the callbacks."""
        feed = feed_of_entry(entry)
        with self._lock:
            receivers = self._receivers.get(feed)
            due = [] if receivers is None else receivers.due(entry)
            candles = self._candles[feed].candles() if feed in self._candles else []
            thread = self._callbacks
        for callback in due:
            assert receivers is not None
            assert thread is not None
            if feed.kind == TICKER:
                thread.call(callback, feed.venue, receivers.symbol, entry.event)
            else:
                thread.call(callback, feed.venue, receivers.symbol, feed.kind.partition(":")[2], candles)

    def _note_missed(self, missed: Missed) -> None:
        with self._lock:
            self._dropped += missed.count or 1
        log.warning("collector.dropped", stream=missed.stream, venue=missed.venue, count=missed.count, hint="callbacks are too slow")


def _pairs(symbols_per_venue: Symbols) -> Iterable[tuple[str, str]]:
    """Yields venue and symbol. Raises `TypeError` for one symbol where a list of them is expected."""
    for venue, symbols in symbols_per_venue.items():
        if isinstance(symbols, str):
            raise TypeError(f"{venue}: symbols are given as a list, not {symbols!r:.40}")
        for symbol in symbols:
            yield venue, symbol

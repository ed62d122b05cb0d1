"""Reads one stream of the library for ever. There is one pump for each stream: two that wait for the same would cancel each other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from crosstape_connector.bridge import writing
from crosstape_connector.bridge.failures import Meaning, meaning, ours, reason
from crosstape_connector.bridge.parking import Parking, Stream
from crosstape_connector.venues.ccxt.frames import Broken, Ready

Send = Callable[[bytes], None]
Watch = Callable[[], Awaitable[Any]]

OHLCV = "ohlcv "


def watching(exchange: Any, stream: Stream) -> Watch:
    """Return the call of the library that waits for the next data of a stream."""
    channel, symbol = stream
    if channel.startswith(OHLCV):
        timeframe = channel.removeprefix(OHLCV)
        return lambda: exchange.watch_ohlcv(symbol, timeframe)
    return {
        "trades": lambda: exchange.watch_trades(symbol),
        "ticker": lambda: exchange.watch_ticker(symbol),
        "bidsasks": lambda: exchange.watch_bids_asks([symbol]),
        "book": lambda: exchange.watch_order_book(symbol),
    }[channel]


def unwatching(exchange: Any, stream: Stream) -> Callable[[], Awaitable[Any]]:
    """Return the call that unsubscribes a stream. Many classes have none: it raises then."""
    channel, symbol = stream
    if channel.startswith(OHLCV):
        timeframe = channel.removeprefix(OHLCV)
        return lambda: exchange.un_watch_ohlcv(symbol, timeframe)
    return {
        "trades": lambda: exchange.un_watch_trades(symbol),
        "ticker": lambda: exchange.un_watch_ticker(symbol),
        "bidsasks": lambda: exchange.un_watch_bids_asks([symbol]),
        "book": lambda: exchange.un_watch_order_book(symbol),
    }[channel]


class Pump:
    """One stream of one connection."""

    def __init__(
        self,
        exchange: Any,
        stream: Stream,
        *,
        depth: int,
        library_class: str,
        parking: Parking,
        send: Send,
        refuse: Callable[[Stream, str], None],
        lost: Callable[[BaseException], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`send`: passes a frame on. `refuse`: says why the stream cannot be had. `lost`: called with the error that shows that the
        connection is gone. `pause`: waits for seconds.
        """
        self._watch = watching(exchange, stream)
        self._stream = stream
        self._depth = depth
        self._library_class = library_class
        self._parking = parking
        self._send = send
        self._refuse = refuse
        self._lost = lost
        self._pause = pause
        self._parked_s = parking.parked_s(stream, time.monotonic())
        if self._parked_s:  # at once: a stream that was confirmed cannot be refused any more
            refuse(stream, f"{parking.reason(stream)}; asked for again in {self._parked_s:.0f} s")

    async def run(self) -> None:
        """Read until cancelled, until the connection is gone, or until it is clear that the stream cannot be had."""
        channel, symbol = self._stream
        is_refused = self._parked_s > 0
        if is_refused:
            await self._pause(self._parked_s)
        since_ns = time.time_ns()
        while True:
            try:
                data = await self._watch()
                frame = self._frame(data, since_ns)
                if is_refused:
                    self._send(writing.frame(Ready(channel, (symbol,))))
                    is_refused = False
                if frame is not None:
                    self._send(frame)
                self._parking.worked(self._stream)
                continue
            except asyncio.CancelledError as exc:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                error: BaseException = exc  # the library has cancelled what we wait for
            except Exception as exc:  # any error of the library's concerns this stream, or shows that its connection is gone
                error = exc
            if (found := ours(error)) is not None:
                self._lost(found)
                return
            match meaning(error):
                case Meaning.PERMANENT:
                    self._parking.park(self._stream, time.monotonic(), reason(error))
                    self._refuse(self._stream, reason(error))
                    return
                case Meaning.AGAIN:
                    pause_s = self._parking.failed(self._stream, time.monotonic())
                    if not is_refused and self._parking.parked_s(self._stream, time.monotonic()):
                        self._lost(error)  # the next connection refuses it: a stream that was confirmed cannot be refused any more
                        return
                    if not is_refused:
                        self._send(writing.frame(Broken(channel, (symbol,), reason(error))))
                    await self._pause(pause_s)
                case _:
                    self._lost(error)
                    return

    def _frame(self, data: Any, since_ns: int) -> bytes | None:
        """Write what came, at once: a book is the library's own object, and changes with the next frame."""
        channel, symbol = self._stream
        match channel:
            case "trades":
                return writing.trades(symbol, since_ns, data, self._library_class) if data else None
            case "book":
                return writing.book(symbol, data, self._depth)
            case "ticker":
                return writing.ticker(symbol, data)
            case "bidsasks":
                return writing.bid_ask(symbol, data[symbol]) if symbol in data else None
            case _:
                return writing.candles(symbol, channel.removeprefix(OHLCV), data) if data else None

"""One connection of ours: an exchange object of the library behind the face of a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from aiohttp import WSMsgType

from crosstape.errors import CrosstapeError
from crosstape_connector.bridge import writing
from crosstape_connector.bridge.exchange import Guard
from crosstape_connector.bridge.failures import reason
from crosstape_connector.bridge.parking import Parking, Stream
from crosstape_connector.bridge.pump import OHLCV, Pump, unwatching
from crosstape_connector.errors import ConnectionLost
from crosstape_connector.venues.ccxt.frames import Alive, Bad, Broken, Order, Ready, Refused

QUEUE: Final = 20_000
"""Frames that wait to be read at most. When there are more, the connection ends: what was missed is then a gap, and not lost in silence."""
ALIVE_S: Final = 5.0
"""How often the exchange's signs of life are passed on."""
LEAVE_S: Final = 2.0
"""How long to wait for the library to unsubscribe a stream, or to close."""
GATHER_S: Final = 0.05
"""All streams of a lost connection fail within this time; the first that says why gives the reason."""
UNIT: Final = "its candles count contracts that are not one base unit"

log = structlog.get_logger(__name__)
_order = msgspec.json.Decoder(Order).decode


class Message(NamedTuple):
    """A message as a WebSocket of aiohttp gives it."""

    data: bytes
    type: WSMsgType = WSMsgType.TEXT
    extra: str = ""


class BridgeSocket:
    """The streams of one connection, as frames; requests are orders to start and stop streams."""

    def __init__(self, exchange: Any, library_class: str, parking: Parking, *, on_end: Callable[[BaseException | None], None]) -> None:
        """`exchange`: a new exchange object with its markets. `on_end`: called once, with the error by which the connection was lost, or
        None.
        """
        self._exchange = exchange
        self._library_class = library_class
        self._parking = parking
        self._on_end = on_end
        self._queue: asyncio.Queue[Message | CrosstapeError] = asyncio.Queue()  # bounded by `_send`
        self._pumps: dict[Stream, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._refused: set[Stream] = set()
        self._waiting: list[Ready] = []  # requests that are carried out once a connection is open
        self._errors: list[BaseException] = []
        self._why = ""
        self._is_open = self._is_over = False
        self._guard = Guard(exchange, on_open=self._opened, on_lost=self._connection_lost, on_bad=self._bad_frame)
        self._keep(self._pass_on_life(), "alive")

    async def receive(self) -> Message:
        """Return the next frame. Raises `ConnectionLost` at the end, or the error of ours by which the connection was lost."""
        found = await self._queue.get()
        if isinstance(found, Message):
            return found
        raise found

    async def send_frame(self, data: bytes, _: WSMsgType) -> None:
        """Carry out an order."""
        order = _order(data)
        for symbol in order.symbols:
            stream = order.channel, symbol
            await self._stop(stream)
            if order.op == "subscribe":
                self._start(stream, order.depth)
        ready = Ready(order.channel, order.symbols, order.op == "subscribe", order.id)
        if self._is_open or not ready.subscribed:
            self._confirm(ready)
        else:
            self._waiting.append(ready)

    async def pong(self, data: bytes) -> None:
        """Do nothing: the library answers pings itself."""

    async def close(self) -> None:
        """End all streams and the library's connections."""
        was_over, self._is_over = self._is_over, True
        try:
            await self._leave()
        finally:
            if not was_over:
                self._on_end(None)

    async def _leave(self) -> None:
        for task in (*self._pumps.values(), *self._tasks):
            task.cancel()
        await asyncio.gather(*self._pumps.values(), *self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                try:
                    await self._exchange.close()
                except Exception as exc:  # nothing depends on it any more
                    log.warning("bridge.close_failed", library_class=self._library_class, error=reason(exc))

    def _start(self, stream: Stream, depth: int) -> None:
        channel, symbol = stream
        if channel == "book":
            self._exchange.number = float  # books of some classes compare prices: with texts they would be sorted wrong, or not at all
        market = self._exchange.markets.get(symbol, {})
        if channel.startswith(OHLCV) and market.get("contract") and str(market.get("contractSize")) not in ("1", "1.0"):
            self._refuse(stream, UNIT)
            return
        pump = Pump(
            self._exchange, stream,
            depth=depth, library_class=self._library_class, parking=self._parking,
            send=self._send, refuse=self._refuse, lost=self._stream_lost,
        )  # fmt: skip
        self._pumps[stream] = asyncio.create_task(pump.run(), name=f"pump {channel} {symbol}")

    async def _stop(self, stream: Stream) -> None:
        """End a stream, if it runs, and unsubscribe it, where the library can."""
        self._refused.discard(stream)
        pump = self._pumps.pop(stream, None)
        if pump is None:
            return
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        self._keep(self._unsubscribe(stream), "unsubscribe")

    async def _unsubscribe(self, stream: Stream) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                try:
                    await unwatching(self._exchange, stream)()
                except Exception as exc:  # most classes cannot: data that still come are not wanted, and are left out
                    log.debug("bridge.not_unsubscribed", stream=stream, error=reason(exc))

    def _keep(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=f"bridge {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on_life(self) -> None:
        heard = 0.0
        while True:
            await asyncio.sleep(ALIVE_S)
            if self._guard.heard > heard:
                heard = self._guard.heard
                self._send(writing.frame(Alive()))

    def _opened(self) -> None:
        self._is_open = True
        for ready in self._waiting:
            self._confirm(ready)
        self._waiting.clear()

    def _confirm(self, ready: Ready) -> None:
        """Say that a request was carried out, but for the streams that were refused meanwhile: to confirm those would undo it."""
        symbols = tuple(symbol for symbol in ready.symbols if (ready.channel, symbol) not in self._refused)
        if symbols:
            self._send(writing.frame(msgspec.structs.replace(ready, symbols=symbols)))

    def _refuse(self, stream: Stream, why: str) -> None:
        self._refused.add(stream)
        self._send(writing.frame(Refused(*stream, why)))

    def _send(self, frame: bytes) -> None:
        if self._is_over:
            return
        if self._queue.qsize() >= QUEUE:
            self._end(f"{QUEUE} frames wait: they are not read fast enough")
            return
        self._queue.put_nowait(Message(frame))

    def _bad_frame(self, error: Exception, frame: str) -> None:
        """Report a frame that the library could not handle. What it may have changed is suspect."""
        self._send(writing.frame(Bad(f"{type(error).__name__}: {reason(error)}", frame)))
        places = _functions(error)
        if any("book" in place or "delta" in place for place in places) and self._of("book"):
            self._connection_lost(f"a change of a book could not be handled: {reason(error)}")
        elif any("trade" in place for place in places) and (symbols := self._of("trades")):
            self._send(writing.frame(Broken("trades", symbols, reason(error))))

    def _of(self, channel: str) -> tuple[str, ...]:
        return tuple(symbol for name, symbol in self._pumps if name == channel)

    def _stream_lost(self, error: BaseException) -> None:
        self._errors.append(error)
        self._soon()

    def _connection_lost(self, why: str) -> None:
        self._why = self._why or why
        self._soon()

    def _soon(self) -> None:
        if not self._is_over:
            asyncio.get_running_loop().call_later(GATHER_S, self._end)

    def _end(self, why: str = "") -> None:
        """End the connection, once."""
        if self._is_over:
            return
        self._is_over = True
        error = next((one for one in self._errors if not isinstance(one, asyncio.CancelledError)), next(iter(self._errors), None))
        self._on_end(error)
        found = why or self._why or ("" if error is None else reason(error))
        self._queue.put_nowait(error if isinstance(error, CrosstapeError) else ConnectionLost(found))


def _functions(error: BaseException) -> list[str]:
    """Return the names of the library's functions in which an error was raised."""
    names: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    return names

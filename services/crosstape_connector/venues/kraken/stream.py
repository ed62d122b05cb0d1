"""Kraken's WebSocket v2: what its frames become.

Quirks  numbers are JSON numbers whose digits matter; `connection_id` can exceed 2^63 (not read); a refused subscription leaves a socket
        that looks alive; `Error` with a capital E for too many messages; a market without quotes sends zeros and the year 1970; `side` is
        the taker's
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.kraken import candles
from crosstape_connector.venues.kraken.frames import (
    CHANNELS,
    DECODE_ROW,
    ROW_DEPTH,
    BookFrame,
    HeartbeatFrame,
    OhlcFrame,
    RawResult,
    RawStatus,
    RawTicker,
    RowsFrame,
    StatusFrame,
    TickerFrame,
    TradeFrame,
    decode_frame,
    decode_named,
    decode_number,
    decode_quote_row,
    decode_reply,
    decode_rows,
)
from crosstape_connector.venues.kraken.names import ID
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    Heartbeat,
    Odd,
    Output,
    Rejected,
    Unreadable,
    replay,
    unread,
    unreadable,
)
from crosstape_connector.venues.parsing.numbers import LONGEST, PER_LEVEL, check, doubtful
from crosstape_connector.venues.parsing.rows import cause, mended
from crosstape_connector.venues.parsing.unreadable import named_in
from crosstape_connector.venues.parsing.wire import finite, known_ns, positive, shown, side
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import VENUE_WIDE, FeedState, Quote, Side, Status, Ticker, Trade

STATES: Final = {"online": FeedState.LIVE, "maintenance": FeedState.DOWN}
"""In any other (`cancel_only`, `post_only`, `limit_only`) quotes cannot be traded on: stale."""
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_PER_ROW: Final = 208
"""Bytes of a row, on the average, and of a frame's head: a frame that is longer is looked through for numbers that are too long."""
_SYMBOL: Final = re.compile(r'"symbol":\s*"([ !#-\[\]-~]+)"')
_SHORT: Final = 1_024
"""A book frame that is no longer is not looked at for numbers that are too long: the checksum proves the digits of the best levels."""
_TICKER_KINDS: Final[tuple[Literal["quote", "ticker"], ...]] = ("quote", "ticker")


class Parser:
    """Frames of one connection. It remembers the depth that each book was acknowledged with."""

    __slots__ = ("_depths", "_symbols")

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._depths: dict[str, int] = {}

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`. If a row cannot be used, the others of the frame are: each is parsed apart."""
        try:
            frame = decode_frame(data)
        except msgspec.ValidationError as exc:
            return self._other(data, exc, received_ts)
        except JSON_ERRORS:
            return self(mended(data, ROW_DEPTH), received_ts)
        try:
            match frame:
                case BookFrame():
                    if len(data) > _SHORT and len(data) > LONGEST + PER_LEVEL * sum(len(row.bids) + len(row.asks) for row in frame.data):
                        check(data)
                    outputs = self._books(frame, received_ts)
                    if len(outputs) > 1 and doubtful(data):
                        check(data)  # several rows, or one without the checksum that would prove its digits
                    return outputs
                case TradeFrame():
                    if doubtful(data) or len(data) > _PER_ROW * (1 + len(frame.data)):
                        check(data)
                    return self._trades(frame, received_ts)
                case TickerFrame():
                    if doubtful(data) or len(data) > _PER_ROW * (1 + len(frame.data)):
                        check(data)
                    return self._tickers(frame, received_ts)
                case OhlcFrame():
                    check(data)
                    return candles.outputs(frame.type, frame.data, known_ns(frame.timestamp), self._symbols, received_ts)
                case HeartbeatFrame():
                    return (Heartbeat(),)
                case StatusFrame():
                    return _statuses(frame, received_ts)
                case _:
                    return ()
        except UnknownFrame:
            raise
        except FRAME_ERRORS as exc:
            if isinstance(frame, TickerFrame):
                return self._ticker_rows(data, received_ts, exc)
            return self._row_by_row(data, received_ts, exc)

    def _instrument(self, symbol: str) -> str:
        return lookup(self._symbols, symbol).name

    def _books(self, frame: BookFrame, received_ts: int) -> Sequence[Output]:
        outputs: list[Output] = []
        for raw in frame.data:
            instrument = self._instrument(raw.symbol)
            venue_ts = known_ns(raw.timestamp)
            if raw.checksum is None:
                outputs.append(Odd("checksum", f"book of {raw.symbol}"))
            bids = [(level.price, level.qty) for level in raw.bids]
            asks = [(level.price, level.qty) for level in raw.asks]
            if frame.type == "update":
                outputs.append(BookUpdate(instrument, venue_ts, received_ts, bids, asks, checksum=raw.checksum))
            elif frame.type == "snapshot":
                depth = self._depths.get(raw.symbol)
                outputs.append(BookSnapshot(instrument, venue_ts, received_ts, bids, asks, checksum=raw.checksum, depth=depth))
            else:
                raise UnknownFrame(f"book of type {frame.type!r}")
        return outputs

    def _trades(self, frame: TradeFrame, received_ts: int) -> Sequence[Output]:
        replayed = frame.type == "snapshot"
        if not replayed and frame.type != "update":
            raise UnknownFrame(f"trade of type {frame.type!r}")
        trades: list[Trade] = []
        for raw in frame.data:
            if not positive(raw.price, raw.qty):
                raise FrameError(f"trade {raw.trade_id} of {raw.symbol}: {shown(raw.qty)} at {shown(raw.price)}")
            trades.append(
                Trade(
                    ID, self._instrument(raw.symbol), known_ns(raw.timestamp), received_ts,
                    raw.price, raw.qty, SIDES.get(raw.side), str(raw.trade_id), replayed,
                )
            )  # fmt: skip
        return replay(trades, received_ts) if replayed else trades

    def _tickers(self, frame: TickerFrame, received_ts: int) -> Sequence[Output]:
        return [output for raw in frame.data for output in self._ticker(raw, received_ts)]

    def _ticker(self, raw: RawTicker, received_ts: int) -> Sequence[Output]:
        """Best bid and ask, and the day's figures. Without a time and a price it is a market that has neither."""
        instrument = self._instrument(raw.symbol)
        venue_ts = known_ns(raw.timestamp)
        bid_price, bid_size = side(raw.bid, raw.bid_qty)
        ask_price, ask_size = side(raw.ask, raw.ask_qty)
        if bid_price is None and ask_price is None and raw.timestamp is not None and venue_ts is None:
            return Odd("quote"), Unreadable("quote", instrument, received_ts)  # the quote before, if there was one, is over
        outputs: list[Output] = [Quote(ID, instrument, venue_ts, received_ts, bid_price, bid_size, ask_price, ask_size)]
        if raw.last is not None:
            finite(raw.last, raw.high, raw.low, raw.volume, raw.change)
            outputs.append(Ticker(ID, instrument, venue_ts, received_ts, raw.last, None, raw.high, raw.low, raw.volume, None, raw.change))
        return outputs

    def _row_by_row(self, data: bytes, received_ts: int, error: Exception) -> Sequence[Output]:
        """Parses each row of a frame apart: an `Odd` for each that is bad, and a suspect book for a book's row that cannot be read.

        Raises `error`, why the frame cannot be read at once, where no row is good.
        """
        frame = decode_rows(data)
        good: list[Any] = []
        odd: list[Output] = []
        for raw in frame.data:
            try:
                check(raw)
                row = DECODE_ROW[frame.channel](raw)
                self._converted(frame, [row], received_ts)
            except FRAME_ERRORS as exc:
                is_book = frame.channel == "book"
                odd.append(Odd("book" if is_book else "row", f"{frame.channel}: {cause(raw, exc)}"))
                if is_book and not isinstance(exc, UnknownSymbol):
                    odd += self._suspects(raw, received_ts)
                if frame.channel == candles.CHANNEL:
                    odd += candles.suspects(raw, self._symbols, received_ts)
            else:
                good.append(row)
        if not good and len(odd) == len(frame.data):
            raise error
        return [*odd, *self._converted(frame, good, received_ts)] if good else odd

    def _ticker_rows(self, data: bytes, received_ts: int, error: Exception) -> Sequence[Output]:
        """Each row of a ticker frame, in order; the quote and the ticker of one that cannot be read are out of date.

        Raises `error` where all rows are of symbols that were not asked for.
        """
        try:
            rows = decode_rows(data).data
        except FRAME_ERRORS as exc:
            return self._unread_ticker(None, received_ts, exc)
        outputs: list[Output] = []
        strange = 0
        for raw in rows:
            try:
                check(raw)
                outputs += self._ticker(DECODE_ROW["ticker"](raw), received_ts)
            except UnknownSymbol as exc:
                strange += 1
                outputs.append(Odd("row", f"ticker: {exc}"))
            except FRAME_ERRORS as exc:
                outputs += self._unread_ticker(raw, received_ts, exc)
        if strange == len(rows):
            raise error
        return outputs

    def _unread_ticker(self, raw: msgspec.Raw | None, received_ts: int, error: Exception) -> list[Output]:
        """A row that cannot be read; its quote is used if only the figures of the day cannot be.

        Where no field names its symbol, it may be of those that its text names, or of any of the connection's.
        """
        try:
            symbol = decode_named(raw or msgspec.Raw(b"null")).symbol
        except FRAME_ERRORS:
            names = named_in(bytes(raw or b""), self._symbols)
            odd = Odd("quote", f"ticker of an unknown symbol: {error if raw is None else cause(raw, error)}")
            return [odd, *(Unreadable(kind, name, received_ts) for name in names for kind in _TICKER_KINDS)]
        listed = self._symbols.get(symbol)
        if raw is None or listed is None:
            return [Odd("row", f"ticker: {error}")]
        instrument = listed.name
        try:
            quote = self._ticker(_quote_of(raw), received_ts)
        except FRAME_ERRORS:
            return [*unreadable("quote", instrument, received_ts, error), Unreadable("ticker", instrument, received_ts)]
        return [*quote, *unreadable("ticker", instrument, received_ts, error)]

    def _converted(self, frame: RowsFrame, rows: list[Any], received_ts: int) -> Sequence[Output]:
        match frame.channel:
            case "book":
                return self._books(BookFrame(frame.type, rows), received_ts)
            case "trade":
                return self._trades(TradeFrame(frame.type, rows), received_ts)
            case candles.CHANNEL:
                return candles.outputs(frame.type, rows, known_ns(frame.timestamp), self._symbols, received_ts)
            case _:
                return _statuses(StatusFrame(rows), received_ts)

    def _suspects(self, raw: msgspec.Raw, received_ts: int) -> list[Output]:
        """The book that a row is of; all of the connection, where it names none."""
        try:
            symbol = decode_named(raw).symbol
        except FRAME_ERRORS as exc:
            found = _SYMBOL.search(str(cause(raw, exc)))  # in what is shown of one that is no JSON
            if found is None:
                return [unread(one.name, received_ts) for one in self._symbols.values()]
            symbol = found[1]
        instrument = self._symbols.get(symbol)
        return [] if instrument is None else [unread(instrument.name, received_ts)]

    def _other(self, data: bytes, refused: msgspec.ValidationError, received_ts: int) -> Sequence[Output]:
        """What has no channel that we know: a reply, a complaint, or a frame that is no good."""
        frame = decode_reply(data)
        if frame.channel is not None:
            if frame.channel == "ticker":
                return self._ticker_rows(data, received_ts, refused)
            if frame.channel in DECODE_ROW:
                return self._row_by_row(data, received_ts, refused)
            if frame.channel in CHANNELS:
                raise refused
            raise UnknownFrame(f"channel {frame.channel!r}")
        if frame.complaint is not None:
            return (Rejected(frame.complaint, frame.req_id),)
        result = frame.result or RawResult()
        symbol = result.symbol if result.symbol is not None else frame.symbol
        symbols = (symbol,) if symbol is not None else ()
        channel = result.channel if result.interval is None else f"{result.channel}-{result.interval}"
        if frame.error == "Already subscribed":
            return (Ack(frame.req_id, channel, symbols),)
        if frame.error is not None or frame.success is False:
            return (Rejected(frame.error or "refused without a reason", frame.req_id, channel, symbols),)
        if frame.method == "pong":
            return (Heartbeat(),)
        if frame.method not in ("subscribe", "unsubscribe"):
            raise UnknownFrame(f"method {frame.method!r}")
        if result.channel == "book" and symbol is not None and symbol in self._symbols and result.depth is not None:
            self._depths[symbol] = result.depth
        return (Ack(frame.req_id, channel, symbols, unsubscribed=frame.method == "unsubscribe"),)


def _quote_of(raw: msgspec.Raw) -> RawTicker:
    """The quote in this row, without the figures of the day. Raises one of `FRAME_ERRORS`."""
    row = decode_quote_row(raw)
    parts = row.bid, row.bid_qty, row.ask, row.ask_qty
    for part in parts:
        check(part)
    bid, bid_qty, ask, ask_qty = map(decode_number, parts)
    return RawTicker(row.symbol, bid, bid_qty, ask, ask_qty, timestamp=row.timestamp)


def _statuses(frame: StatusFrame, received_ts: int) -> Sequence[Output]:
    return [_status(raw, received_ts) for raw in frame.data]


def _status(raw: RawStatus, received_ts: int) -> Status:
    state = STATES.get(raw.system, FeedState.STALE)
    return Status(ID, VENUE_WIDE, None, received_ts, VENUE_WIDE, state, "" if state is FeedState.LIVE else raw.system)

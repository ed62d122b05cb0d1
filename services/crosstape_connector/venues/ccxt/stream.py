"""Parses the frames of the bridge (see `frames`) into the outputs that any venue's parser gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, assert_never

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.ccxt import frames
from crosstape_connector.venues.ccxt.facts import NULL_IN_TICKER
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    CandleSnapshot,
    ConnectionBreak,
    Heartbeat,
    Odd,
    Output,
    Rejected,
    TradeSnapshot,
    Unreadable,
    unread,
    unreadable,
)
from crosstape_connector.venues.parsing.candles import candle, snapshot
from crosstape_connector.venues.parsing.contracts import base_size, is_in_base_units
from crosstape_connector.venues.parsing.numbers import FLOOR, LIMIT
from crosstape_connector.venues.parsing.wire import ZERO, finite, shown, side
from crosstape_connector.venues.spec import Parser, Request, Symbols, Verb, lookup
from crosstape_schemas import CANDLE, GapCause, Instrument, Level, Quote, Side, Ticker, Trade

MILLISECOND: Final = 1_000_000
LAST_NS: Final = 2**63
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
"""The taker's."""
KINDS: Final = {"trades": "trade", "ticker": "ticker", "bidsasks": "quote"}
"""Channel → kind of feed; the others are candles and the book."""
OLD_NS: Final = 60 * 1_000_000_000
"""A book that changes, but whose time is so far behind our clock, is not current."""
FEW: Final = 2
"""Candles in one frame at most that are changes; more are the past, which answers a subscription."""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    """One trade of a frame."""

    price: Decimal | None = None
    amount: Decimal | None = None
    id: str | None = None
    ns: int | None = None
    side: str | None = None


_frame = msgspec.json.Decoder(frames.Frame).decode
_trade = msgspec.json.Decoder(RawTrade).decode


def parsers(venue: str, library_class: str) -> Callable[[Symbols], Parser]:
    """Return what makes the parser of a connection."""
    nulls = NULL_IN_TICKER.get(library_class, frozenset())
    return lambda symbols: BridgeParser(venue, symbols, nulls)


def request(verb: Verb, wanted: Request) -> bytes:
    """Write an order to the bridge."""
    return msgspec.json.encode(frames.Order(verb, wanted.channel, wanted.symbols, wanted.request_id, wanted.depth))


class BridgeParser:
    """Frames of one connection. It remembers the book of each instrument."""

    __slots__ = ("_books", "_nulls", "_symbols", "_times", "_venue")

    def __init__(self, venue: str, symbols: Symbols, nulls: frozenset[str]) -> None:
        self._venue = venue
        self._symbols = symbols
        self._nulls = nulls
        self._books: dict[str, tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]] = {}
        self._times: dict[str, int] = {}

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        frame = _frame(data)
        match frame:
            case frames.Trades():
                return self._trades(frame, lookup(self._symbols, frame.s), received_ts)
            case frames.Book():
                return self._book(frame, lookup(self._symbols, frame.s), received_ts)
            case frames.BidAsk():
                return self._quote(frame, lookup(self._symbols, frame.s), received_ts)
            case frames.Ticker():
                return self._ticker(frame, lookup(self._symbols, frame.s), received_ts)
            case frames.Candles():
                return self._candles(frame, lookup(self._symbols, frame.s), received_ts)
            case frames.Ready():
                return self._ready(frame)
            case frames.Refused(channel=channel, symbol=symbol, reason=reason):
                return (Rejected(reason, channel=channel, symbols=(symbol,)),)
            case frames.Broken():
                return self._broken(frame, received_ts)
            case frames.Bad(error=error):
                raise FrameError(f"the library failed: {error}")
            case frames.Alive():
                return (Heartbeat(),)
            case _:
                assert_never(frame)

    def _ready(self, frame: frames.Ready) -> Sequence[Output]:
        for symbol in frame.symbols if frame.channel == "book" else ():
            self._forget(symbol)
        return (Ack(frame.id, frame.channel, frame.symbols, unsubscribed=not frame.subscribed),)

    def _broken(self, frame: frames.Broken, received_ts: int) -> Sequence[Output]:
        names = tuple(self._symbols[symbol].name for symbol in frame.symbols if symbol in self._symbols)
        if frame.channel != "book":
            kind = KINDS.get(frame.channel) or f"{CANDLE}{frame.channel.partition(' ')[2]}"
            return [Unreadable(kind, name, received_ts) for name in names]
        for symbol in frame.symbols:
            self._forget(symbol)
        return (ConnectionBreak(received_ts, None, GapCause.UNKNOWN, names, frame.reason),)

    def _trades(self, frame: frames.Trades, instrument: Instrument, received_ts: int) -> Sequence[Output]:
        past: list[Trade] = []
        outputs: list[Output] = []
        for raw in frame.rows:
            try:
                trade = self._trade(_trade(raw), instrument, received_ts)
            except FRAME_ERRORS as exc:
                outputs.append(Odd("trade", f"trade of {instrument.name}: {exc}"))
                outputs.append(Unreadable("trade", instrument.name, received_ts))
                continue
            if trade is None:
                outputs.append(Odd("price", f"trade of {instrument.name} without a price"))
            elif trade.venue_ts is not None and trade.venue_ts < frame.since:
                past.append(trade)
            else:
                outputs.append(trade)
        return [TradeSnapshot(instrument.name, received_ts, tuple(past)), *outputs] if past else outputs

    def _trade(self, raw: RawTrade, instrument: Instrument, received_ts: int) -> Trade | None:
        """Return the trade; None if it has no price, as rows have that are no trades. Raises `FrameError`."""
        if raw.price is None or raw.amount is None or raw.price.is_zero():
            return None
        if not (_fits(raw.price) and _fits(raw.amount)):
            raise FrameError(f"{shown(raw.amount)} at {shown(raw.price)}")
        return Trade(
            self._venue, instrument.name, raw.ns if raw.ns is not None and 0 < raw.ns < LAST_NS else None, received_ts,
            raw.price, _base(instrument, raw.amount, raw.price), SIDES.get(raw.side or ""), raw.id or "",
        )  # fmt: skip

    def _book(self, frame: frames.Book, instrument: Instrument, received_ts: int) -> Sequence[Output]:
        """A complete book. One that cannot be right breaks the book before."""
        name, venue_ts = instrument.name, _ns(frame.timestamp)
        try:
            bids, asks = _levels(frame.bids, instrument), _levels(frame.asks, instrument)
        except FRAME_ERRORS as exc:
            self._forget(frame.s)
            return Odd("book", f"{name}: {exc}"), unread(name, received_ts)
        if venue_ts is not None and venue_ts < self._times.get(name, 0):
            return (Odd("late", f"{name}: a book that is older than the one before"),)
        self._times[name] = venue_ts or 0
        before = self._books.get(name)
        new_bids, new_asks = dict(bids), dict(asks)
        self._books[name] = new_bids, new_asks
        if before is None:
            return (BookSnapshot(name, venue_ts, received_ts, bids, asks),)
        changes = _changes(before[0], new_bids), _changes(before[1], new_asks)
        if any(changes) and venue_ts is not None and received_ts - venue_ts > OLD_NS:
            self._forget(frame.s)
            reason = f"its time is {(received_ts - venue_ts) / 1e9:.0f} s behind"
            return (ConnectionBreak(received_ts, None, GapCause.UNKNOWN, (name,), reason),)
        return (BookUpdate(name, venue_ts, received_ts, *changes),)

    def _forget(self, symbol: str) -> None:
        if symbol in self._symbols:
            name = self._symbols[symbol].name
            self._books.pop(name, None)
            self._times.pop(name, None)

    def _quote(self, frame: frames.BidAsk, instrument: Instrument, received_ts: int) -> Sequence[Output]:
        name = instrument.name
        try:
            bid, ask = _side(frame.bid, frame.bid_volume, instrument), _side(frame.ask, frame.ask_volume, instrument)
        except (FrameError, ArithmeticError) as exc:
            return unreadable("quote", name, received_ts, exc)
        return (Quote(self._venue, name, _ns(frame.timestamp), received_ts, *bid, *ask),)

    def _ticker(self, frame: frames.Ticker, instrument: Instrument, received_ts: int) -> Sequence[Output]:
        figures = {
            "last": frame.last, "open": frame.open, "high": frame.high, "low": frame.low,
            "baseVolume": frame.base_volume, "quoteVolume": frame.quote_volume, "change": frame.change,
        }  # fmt: skip
        is_contract = instrument.expiry is not None or instrument.name.endswith("-PERP")
        nulls = self._nulls | {"baseVolume", "quoteVolume"} if is_contract else self._nulls
        values = [None if field in nulls else value for field, value in figures.items()]
        try:
            finite(*values)
        except FrameError as exc:
            return unreadable("ticker", instrument.name, received_ts, exc)
        return (Ticker(self._venue, instrument.name, _ns(frame.timestamp), received_ts, *values),)

    def _candles(self, frame: frames.Candles, instrument: Instrument, received_ts: int) -> Sequence[Output]:
        name, outputs = instrument.name, list[Output]()
        found = []
        for open_ms, first, high, low, last, volume in frame.rows:
            try:
                found.append(
                    candle(
                        self._venue,
                        name,
                        frame.timeframe,
                        open_ms * MILLISECOND,
                        (first, high, low, last),
                        volume=volume,
                        venue_ts=None,
                        received_ts=received_ts,
                    )
                )
            except FRAME_ERRORS as exc:
                outputs += unreadable(f"{CANDLE}{frame.timeframe}", name, received_ts, exc)
        past: CandleSnapshot = snapshot(name, frame.timeframe, found, received_ts)
        return [*outputs, *(past.candles if len(found) <= FEW else (past,))]


def _ns(timestamp: int | None) -> int | None:
    """Convert ms to ns; None for a time that is not known, or cannot be one."""
    return timestamp * MILLISECOND if timestamp is not None and 0 < timestamp < 10**14 else None


def _fits(number: Decimal) -> bool:
    return number.is_finite() and FLOOR <= number < LIMIT


def _base(instrument: Instrument, amount: Decimal, price: Decimal) -> Decimal:
    return amount if is_in_base_units(instrument) else base_size(instrument, amount, price)


def _levels(rows: Sequence[tuple[Decimal, Decimal]], instrument: Instrument) -> list[Level]:
    """Return the levels of a side, in base units. Raises `FrameError` for an impossible one."""
    levels: list[Level] = []
    for price, size in rows:
        if size.is_zero():
            continue
        if not (_fits(price) and _fits(size)):
            raise FrameError(f"an impossible level: {shown(size)} at {shown(price)}")
        levels.append((price, _base(instrument, size, price)))
    return levels


def _changes(old: dict[Decimal, Decimal], new: dict[Decimal, Decimal]) -> list[Level]:
    """Return the removed levels, then those that are new or have another size."""
    return [*((price, ZERO) for price in old if price not in new), *(level for level in new.items() if old.get(level[0]) != level[1])]


def _side(price: Decimal | None, size: Decimal | None, instrument: Instrument) -> tuple[Decimal, Decimal] | tuple[None, None]:
    """Return one side of a quote; nulls for an empty side. Raises `FrameError` or `ArithmeticError`."""
    if price is None and size is None:
        return None, None
    if price is None or size is None:
        raise FrameError("a price without a size, or a size without a price")
    found = side(price, size)
    return found if found[0] is None else (found[0], _base(instrument, found[1], found[0]))

"""Kraken Futures' WebSocket: the frames of a connection, and its requests.

Quirks  numbers are JSON numbers. `side` of a trade is the taker's; `type` says why it was made: `liquidation` is a position closed by
        force, for which there is no feed of its own. Sizes of inverse contracts are US dollars, others base units. A quantity of zero
        removes a level; so does one below zero, as clients that record the venue read it. In a snapshot such levels are none. A snapshot
        of trades is newest first
Figures `funding_rate` is in quote units a contract, `relative_funding_rate` the fraction; both are of an hour. `volume` counts contracts:
        base units of a linear one. `volumeQuote`, `open`, `high` and `low` are not in older frames, funding not in those of dated contracts
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS, FrameError, NotANumber, UnknownFrame
from crosstape_connector.venues.kraken_futures.frames import (
    BookFrame,
    Head,
    SnapshotFrame,
    TickerFrame,
    TradeFrame,
    TradesFrame,
    check_level,
    check_numbers,
    decode_frame,
    decode_head,
    decode_trade,
)
from crosstape_connector.venues.kraken_futures.names import ID
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
    unread_book,
    unreadable,
)
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.numbers import number
from crosstape_connector.venues.parsing.rows import readable
from crosstape_connector.venues.parsing.wire import ZERO, epoch_ns, finite, positive, shown
from crosstape_connector.venues.spec import Request, Symbols, Verb, Verdict, lookup
from crosstape_schemas import Funding, Instrument, Level, Liquidation, Mark, OpenInterest, Side, Ticker, Trade

SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
LIQUIDATION: Final = "liquidation"
FUNDING_S: Final = 3_600
"""A rate is of an hour, whatever the venue's periods were."""
OF_TICKER: Final = ("ticker", "mark", "funding", "open_interest")
"""Kinds of feeds that a ticker has data of."""
OTHERS: Final = frozenset({"ticker_lite", "candles_trade_1m", "candles_trade_1m_snapshot"})
"""Feeds that hold nothing for the tape."""
PERPETUAL: Final = "-PERP"
ONE: Final = Decimal(1)
_encode = msgspec.json.encode


class Parser:
    """Frames of one connection. It remembers nothing: books and trades have numbers, and all else replaces what was before."""

    __slots__ = ("_symbols",)

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        try:
            frame = decode_frame(data)
            if isinstance(frame, BookFrame):
                check_level(data)
                return self._change(frame, received_ts)
            if isinstance(frame, TradeFrame):
                check_level(data)
                return self._trade(frame, received_ts)
            check_numbers(data)
        except (*JSON_ERRORS, NotANumber) as exc:
            return self._other(data, received_ts, exc)
        match frame:
            case TickerFrame():
                return self._ticker(frame, received_ts)
            case SnapshotFrame():
                return self._book(frame, received_ts)
            case TradesFrame():
                return self._trades(frame, received_ts)
            case _:
                return (Heartbeat(),)

    def _change(self, frame: BookFrame, received_ts: int) -> Sequence[Output]:
        """`book`: one level."""
        instrument = lookup(self._symbols, frame.product_id)
        try:
            level = _level(instrument, frame.price, frame.qty)
            if frame.side not in SIDES:
                raise FrameError(f"a level of side {frame.side[:20]!r}")
        except (FrameError, ArithmeticError) as exc:
            return unread_book(instrument.name, received_ts, exc)
        made_ts, seq = epoch_ns(frame.timestamp), frame.seq
        if frame.side == "buy":
            return (BookUpdate(instrument.name, made_ts, received_ts, (level,), (), seq, seq),)
        return (BookUpdate(instrument.name, made_ts, received_ts, (), (level,), seq, seq),)

    def _book(self, frame: SnapshotFrame, received_ts: int) -> Sequence[Output]:
        """`book_snapshot`: the complete book. Levels without a quantity are none."""
        instrument = lookup(self._symbols, frame.product_id)
        try:
            sides = [[_level(instrument, one.price, one.qty) for one in side] for side in (frame.bids, frame.asks)]
        except (FrameError, ArithmeticError) as exc:
            return unread_book(instrument.name, received_ts, exc)
        bids, asks = ([level for level in side if level[1]] for side in sides)
        return (BookSnapshot(instrument.name, epoch_ns(frame.timestamp), received_ts, bids, asks, frame.seq),)

    def _trade(self, frame: TradeFrame, received_ts: int) -> Sequence[Output]:
        """`trade`: one execution; one that was forced is a liquidation, too."""
        instrument = lookup(self._symbols, frame.product_id)
        trade = _trade_of(instrument, frame, received_ts)
        if frame.type != LIQUIDATION:
            return (trade,)
        key = ID, instrument.name, trade.venue_ts, received_ts
        return trade, Liquidation(*key, trade.taker, trade.price, trade.size)

    def _trades(self, frame: TradesFrame, received_ts: int) -> Sequence[Output]:
        """`trade_snapshot`: the newest trades, newest first."""
        instrument = lookup(self._symbols, frame.product_id)
        odd: list[Odd] = []
        rows = readable(
            frame.trades, lambda raw: _trade_of(instrument, decode_trade(raw), received_ts), f"trades of {instrument.name}", odd
        )
        return [*odd, *replay(rows[::-1], received_ts)]

    def _ticker(self, frame: TickerFrame, received_ts: int) -> Sequence[Output]:
        """`ticker`: the day, mark and index price, funding, open interest."""
        instrument = lookup(self._symbols, frame.product_id)
        found: list[Output] = []
        for kind, read in (("ticker", _day), ("mark", _mark), ("funding", _funding), ("open_interest", _interest)):
            try:
                made = read(instrument, frame, received_ts)
            except (FrameError, ArithmeticError) as exc:
                found += unreadable(kind, instrument.name, received_ts, exc)
            else:
                found += () if made is None else (made,)
        return found

    def _other(self, data: bytes, received_ts: int, error: Exception) -> Sequence[Output]:
        """Return what a reply means, or a frame with a value of the wrong kind for its feed. Raises the error for any other frame."""
        try:
            head = decode_head(data)
        except FRAME_ERRORS:
            raise error from None
        if head.event:
            return _reply(head)
        if head.feed in OTHERS:
            return ()
        if head.feed == "ticker":
            name = lookup(self._symbols, head.product_id).name
            return *unreadable("ticker", name, received_ts, error), *(Unreadable(kind, name, received_ts) for kind in OF_TICKER[1:])
        if head.feed in ("book", "book_snapshot"):
            return unread_book(lookup(self._symbols, head.product_id).name, received_ts, error)
        if head.feed in ("trade", "trade_snapshot", "heartbeat"):
            raise error
        raise UnknownFrame(f"feed {head.feed[:40]!r}")


def is_unit(instrument: Instrument) -> bool:
    """Whether a contract is one base unit."""
    return not instrument.inverse and instrument.contract_size == ONE


def _level(instrument: Instrument, price: Decimal, qty: Decimal) -> Level:
    """Return a level with its size in base units, zero if it is removed. Raises `FrameError` or an `ArithmeticError`."""
    cost, contracts = number(price), number(qty)
    if not cost > ZERO:
        raise FrameError(f"a level of {shown(qty)} at {shown(price)}")
    if contracts <= ZERO:
        return cost, ZERO
    return cost, contracts if is_unit(instrument) else base_size(instrument, contracts, cost)


def _trade_of(instrument: Instrument, t: TradeFrame, received_ts: int) -> Trade[Decimal]:
    """Raises `FrameError`."""
    try:
        good = positive(number(t.price), number(t.qty))
    except ArithmeticError:
        good = False
    if not good:
        raise FrameError(f"trade {t.seq} of {instrument.name}: {shown(t.qty)} at {shown(t.price)}")
    size = t.qty if is_unit(instrument) else base_size(instrument, t.qty, t.price)
    return Trade(ID, instrument.name, epoch_ns(t.time), received_ts, t.price, size, SIDES.get(t.side), str(t.seq))


def _day(instrument: Instrument, t: TickerFrame, received_ts: int) -> Ticker:
    """Rolling 24 hours. The base units of an inverse contract's volume are not told."""
    finite(t.last, t.open, t.high, t.low, t.volume, t.turnover)
    change = None if t.last is None or t.open is None else t.last - t.open
    size = instrument.contract_size
    base = None if instrument.inverse or t.volume is None else t.volume * size
    quoted = t.turnover if not instrument.inverse else None if t.volume is None else t.volume * size
    return Ticker(ID, instrument.name, epoch_ns(t.time), received_ts, t.last, t.open, t.high, t.low, base, quoted, change)


def _mark(instrument: Instrument, t: TickerFrame, received_ts: int) -> Mark | None:
    """The prices of valuation; an index of zero is none."""
    finite(t.mark, t.index)
    if t.mark is None:
        return None
    if t.mark <= ZERO or (t.index is not None and t.index < ZERO):
        raise FrameError(f"{shown(t.mark)}, {shown(t.index)}")
    return Mark(ID, instrument.name, epoch_ns(t.time), received_ts, t.mark, t.index or None)


def _funding(instrument: Instrument, t: TickerFrame, received_ts: int) -> Funding | None:
    """The fraction that is paid for the hour."""
    finite(t.rate)
    if t.rate is None or not instrument.name.endswith(PERPETUAL):
        return None
    next_ts = None if t.next_ms is None else epoch_ns(t.next_ms)
    return Funding(ID, instrument.name, epoch_ns(t.time), received_ts, t.rate, FUNDING_S, next_ts)


def _interest(instrument: Instrument, t: TickerFrame, received_ts: int) -> OpenInterest | None:
    """Contracts; those of an inverse one are worth as many dollars, which are base units at the mark price."""
    finite(t.interest, t.mark)
    if t.interest is None or (instrument.inverse and not t.mark):
        return None
    if t.interest < ZERO:
        raise FrameError(f"an open interest of {shown(t.interest)}")
    size = base_size(instrument, t.interest, t.mark or Decimal(1))
    value = t.interest * instrument.contract_size if instrument.inverse else None
    return OpenInterest(ID, instrument.name, epoch_ns(t.time), received_ts, size, value)


def _reply(head: Head) -> Sequence[Output]:
    match head.event:
        case "subscribed" | "unsubscribed" if head.product_ids:
            return (Ack(channel=head.feed, symbols=head.product_ids, unsubscribed=head.event == "unsubscribed"),)
        case "subscribed" | "unsubscribed" | "info" | "pong":
            return (Heartbeat(),)
        case "subscribed_failed" | "unsubscribed_failed" if head.product_ids:
            return (Rejected(head.message or head.event, channel=head.feed, symbols=head.product_ids),)
        case "error" | "alert" | "subscribed_failed" | "unsubscribed_failed":
            return (Rejected(head.message or "refused without a reason"),)
        case _:
            raise UnknownFrame(f"event {head.event[:40]!r}")


def request(verb: Verb, request: Request) -> bytes:
    """Return the request for one feed of some products: one acknowledgement each."""
    return _asking(verb, request.channel, product_ids=request.symbols)


def _asking(verb: str, feed: str, **more: Any) -> bytes:
    return _encode({"event": verb, "feed": feed, **more})


HEARTBEAT: Final = _asking("subscribe", "heartbeat")


def follows(update: BookUpdate, sequence: int) -> Verdict:
    """Whether a level's number is the next."""
    if update.first == sequence + 1:
        return Verdict.APPLY
    return Verdict.SKIP if update.first is not None and update.first <= sequence else Verdict.BREAK

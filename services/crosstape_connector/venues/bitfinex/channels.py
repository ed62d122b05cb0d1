"""The channels of a Bitfinex connection: what the data of each become. Each is made at its acknowledgement and knows its symbol.

Trades   an execution comes as `te` at once and as `tu` with the same id a second later: the first that is seen is published. Ids grow, with
         others' between. The amount's sign is the taker's side. Past trades come newest first
Books    a change is `[price, orders, amount]`: without orders the level is gone, and the amount says only on which side. The first list of
         changes is the snapshot, later ones are changes; nothing but their order tells. There is no other snapshot
Ticker   24 hours. Its best prices are not used: the sizes beside them are sums over 25 levels, and it comes every 15 seconds
Candles  close before high; newest first; none for an interval without trades. An update may be of the candle before
Status   of a perpetual: the rate of funding is `CURRENT_FUNDING`, applied at the end of the current eight hours; what has accrued for the
         next eight is not published. Contracts are base units
Liquidations  of all symbols. A position has one row for its trigger (`IS_MATCH` 0) and may have others for its execution (1). Those count
         only if the trigger was not seen on this connection, so that no position counts twice. The price is that of the liquidation
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, UnknownFrame
from crosstape_connector.venues.bitfinex.frames import (
    PlainLevel,
    decode_candle,
    decode_checksum,
    decode_derivative,
    decode_level,
    decode_levels,
    decode_liquidation,
    decode_rows,
    decode_ticker,
    decode_trade,
)
from crosstape_connector.venues.bitfinex.values import (
    ID,
    TIMEFRAMES,
    Moment,
    candle_of,
    candles_of,
    figures_of,
    liquidation_of,
    look_through,
    sides,
    trade_of,
    trades_of,
)
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Odd, Output, TradeSnapshot, Unreadable, unread, unreadable
from crosstape_connector.venues.parsing.numbers import check, known_price
from crosstape_connector.venues.parsing.rows import readable
from crosstape_connector.venues.parsing.wire import ZERO, finite
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import Liquidation, Ticker, Trade

_OURS: Final = {theirs: ours for ours, theirs in TIMEFRAMES.items()}
_KEPT: Final = 1_000
"""Ids of trades, at least, that are remembered for their `tu`."""
TRIGGERS: Final = 1_000
"""Liquidated positions whose trigger is remembered."""
_EXECUTED, _UPDATED = b'"te"', b'"tu"'
_OTHERS: Final = frozenset({b'"fte"', b'"ftu"'})
"""Executions of the lending market."""
_EMPTY: Final = b"[]"
_NESTED: Final = b"[["


class Channel:
    """A subscription. `name`: the channel of the venue's table; `symbol`: the venue's, empty if it is of all."""

    __slots__ = ("name", "symbol")

    def __init__(self, name: str, symbol: str) -> None:
        self.name = name
        self.symbol = symbol

    def data(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return the outputs of `[chanId, payload]`."""
        raise UnknownFrame(f"data of {self.name} without a word")

    def named(self, word: bytes, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return the outputs of `[chanId, word, payload]`."""
        raise UnknownFrame(f"{word[:40].decode(errors='replace')} of {self.name}")

    def checksum(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return the outputs of a checksum, which books have."""
        raise UnknownFrame(f"a checksum of {self.name}")

    def may_have_missed(self) -> None:
        """Note that a frame of this channel may have been lost."""

    def late(self, outputs: Sequence[Output]) -> Sequence[Output]:
        """Return those outputs of a frame which are of use though a later one came before it."""
        return outputs


class OtherChannel(Channel):
    """A channel that is known and not used: of the lending market, of single orders, of aggregated books."""

    def data(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return nothing."""
        return ()

    def named(self, word: bytes, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return nothing."""
        return ()

    def checksum(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return nothing."""
        return ()


class BookChannel(Channel):
    """A book. It remembers whether the snapshot has come."""

    __slots__ = ("_has_begun",)

    def __init__(self, symbol: str) -> None:
        super().__init__("book", symbol)
        self._has_begun = False

    def data(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return a snapshot or a change. One that cannot be read makes the book suspect."""
        instrument = lookup(symbols, self.symbol).name
        has_begun, self._has_begun = self._has_begun, True
        try:
            rows = [decode_level(raw)] if raw[:2] != _NESTED and raw != _EMPTY else decode_levels(raw)
            look_through(raw, len(rows))
            bids, asks = sides(rows)
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            return Odd("book", f"{instrument}: {exc}"), unread(instrument, moment.received_ts)
        if has_begun or (len(rows) == 1 and raw[:2] != _NESTED):
            return (BookUpdate(instrument, moment.venue_ts, moment.received_ts, bids, asks),) if rows else ()
        return (BookSnapshot(instrument, moment.venue_ts, moment.received_ts, bids, asks),)

    def change(self, level: PlainLevel, venue_ts: int | None, received_ts: int, symbols: Symbols) -> BookUpdate | None:
        """Return the change of one level; None if anything of it is unusual."""
        price, amount = level.price, level.amount
        if type(price) is int:
            price = known_price(str(price))
        if type(amount) is int:
            amount = known_price(str(amount))
        instrument = symbols.get(self.symbol)
        if type(price) is not Decimal or type(amount) is not Decimal or not amount or instrument is None:
            return None
        self._has_begun = True
        changed = [(price, amount.copy_abs() if level.count else ZERO)]
        if amount.is_signed():
            return BookUpdate(instrument.name, venue_ts, received_ts, [], changed)
        return BookUpdate(instrument.name, venue_ts, received_ts, changed, [])

    def checksum(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return a change of nothing, with the checksum of the book as it is."""
        instrument = lookup(symbols, self.symbol).name
        return (BookUpdate(instrument, moment.venue_ts, moment.received_ts, (), (), checksum=decode_checksum(raw)),)

    def may_have_missed(self) -> None:
        """A snapshot that did not come yet may be the lost frame."""
        self._has_begun = True

    def late(self, outputs: Sequence[Output]) -> Sequence[Output]:
        """Return nothing of a book that is older than ours."""
        return [one for one in outputs if not isinstance(one, BookSnapshot | BookUpdate)]


class TradeChannel(Channel):
    """Trades. It remembers the newest ids, so that each trade is published once."""

    __slots__ = ("_ids", "_older")

    def __init__(self, symbol: str) -> None:
        super().__init__("trades", symbol)
        self._ids: set[int] = set()
        self._older: set[int] = set()  # the ids before these

    def data(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return the newest trades, oldest first."""
        instrument = lookup(symbols, self.symbol).name
        odd: list[Odd] = []
        trades = sorted(trades_of(raw, instrument, moment, odd), key=lambda trade: int(trade.trade_id))
        self._note(trades)
        return (*odd, TradeSnapshot(instrument, moment.received_ts, tuple(trades), len(odd), tuple(odd)))

    def named(self, word: bytes, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return the trade, unless its `te` was seen before this `tu`."""
        if word not in (_EXECUTED, _UPDATED):
            if word in _OTHERS:
                return ()
            raise UnknownFrame(f"{word[:40].decode(errors='replace')} of trades")
        look_through(raw, 1)
        row = decode_trade(raw)
        if word == _UPDATED and (row.id in self._ids or row.id in self._older):
            return ()
        trade = trade_of(row, lookup(symbols, self.symbol).name, moment)
        self._note((trade,))
        return (trade,)

    def _note(self, trades: Sequence[Trade]) -> None:
        if len(self._ids) >= _KEPT:
            self._ids, self._older = set(), self._ids
        self._ids.update(int(trade.trade_id) for trade in trades)


class TickerChannel(Channel):
    """The rolling 24 hours."""

    def __init__(self, symbol: str) -> None:
        super().__init__("ticker", symbol)

    def data(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return the ticker; its open is the last price less the change."""
        instrument = lookup(symbols, self.symbol).name
        try:
            look_through(raw, 10)
            t = decode_ticker(raw)
            finite(t.last, t.high, t.low, t.volume, t.change)
        except FRAME_ERRORS as exc:
            return unreadable("ticker", instrument, moment.received_ts, exc)
        return (Ticker(ID, instrument, moment.venue_ts, moment.received_ts, t.last, None, t.high, t.low, t.volume, None, t.change),)


class CandleChannel(Channel):
    """Candles of one timeframe."""

    __slots__ = ("_timeframe",)

    def __init__(self, name: str, symbol: str) -> None:
        super().__init__(name, symbol)
        self._timeframe = _OURS.get(name.rpartition(":")[2])

    def data(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return the past candles, oldest first, or one candle. Those of a timeframe that is not ours are left out."""
        timeframe = self._timeframe
        if timeframe is None:
            return ()
        instrument = lookup(symbols, self.symbol).name
        if raw[:2] == _NESTED or raw == _EMPTY:
            return (candles_of(raw, instrument, timeframe, moment),)
        try:
            look_through(raw, 2)
            return (candle_of(decode_candle(raw), instrument, timeframe, moment),)
        except FRAME_ERRORS as exc:
            return unreadable(f"candle:{timeframe}", instrument, moment.received_ts, exc)


class DerivativeChannel(Channel):
    """The status of a perpetual."""

    def data(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return mark and index price, funding and open interest, as far as the venue gives them."""
        instrument = lookup(symbols, self.symbol).name
        try:
            look_through(raw, 6)
            row = decode_derivative(raw)
            finite(row.mark, row.index, row.funding, row.open_interest)
            return figures_of(row, instrument, moment.received_ts)
        except FRAME_ERRORS as exc:
            kinds = ("funding", "open_interest")
            return (
                *unreadable("mark", instrument, moment.received_ts, exc),
                *(Unreadable(kind, instrument, moment.received_ts) for kind in kinds),
            )


class LiquidationChannel(Channel):
    """Liquidations of all symbols. It remembers `TRIGGERS` positions whose trigger was seen."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self._triggered: dict[int, None] = {}  # ids of positions, oldest first

    def data(self, raw: bytes, moment: Moment, symbols: Symbols) -> Sequence[Output]:
        """Return those of symbols that are ours."""
        odd: list[Odd] = []
        rows = decode_rows(raw) if raw[:2] == _NESTED or raw == _EMPTY else [msgspec.Raw(raw)]
        made = readable(rows, lambda row: self._liquidation(row, moment, symbols), "liquidation", odd)
        return [*odd, *(one for one in made if one is not None)]

    def _liquidation(self, raw: msgspec.Raw, moment: Moment, symbols: Symbols) -> Liquidation | None:
        row = decode_liquidation(raw)
        if row.is_match and row.position in self._triggered:
            return None
        check(raw)
        made = liquidation_of(row, moment, symbols)
        if made is not None and not row.is_match:
            self._triggered[row.position] = None
            if len(self._triggered) > TRIGGERS:
                del self._triggered[next(iter(self._triggered))]
        return made

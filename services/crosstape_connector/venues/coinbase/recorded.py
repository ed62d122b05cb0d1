"""Frames of Coinbase that only recordings have: the books of Exchange, and the trades of Advanced Trade (`market_trades`).

Quirks  a book's time may be that of the year 1; a batch of `market_trades` is newest first
Book    of Exchange: nothing is numbered. A change that cannot be read makes its book suspect, or every book of the connection if it names
        none, and nothing else would show it
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.coinbase import advanced, exchange
from crosstape_connector.venues.coinbase.values import ID, TAKER, by_side, hides_best, level, moment
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Odd, Output, replay, unread
from crosstape_connector.venues.parsing.numbers import short
from crosstape_connector.venues.parsing.rows import mended, readable
from crosstape_connector.venues.parsing.sequence_break import Breaks
from crosstape_connector.venues.parsing.wire import trade_numbers
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Trade

SIDES: Final = ("buy", ("sell",))


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    trade_id: str
    price: str
    size: str
    time: str
    side: str


class RawTrades(msgspec.Struct, frozen=True):
    type: str
    trades: list[RawTrade]


class TradeRows(msgspec.Struct, frozen=True):
    """Trades of which one cannot be read: each is read for itself."""

    type: str
    trades: list[msgspec.Raw]


class SnapshotFrame(msgspec.Struct, frozen=True, tag="snapshot"):
    product_id: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    time: str | None = None


class L2UpdateFrame(msgspec.Struct, frozen=True, gc=False, tag="l2update"):
    product_id: str
    changes: list[tuple[str, str, str]]
    time: str | None = None


_trades = msgspec.json.Decoder(list[RawTrades]).decode
_trade = msgspec.json.Decoder(RawTrade).decode
_trade_rows = msgspec.json.Decoder(list[TradeRows]).decode
_book = msgspec.json.Decoder(SnapshotFrame | L2UpdateFrame).decode


class AdvancedParser(advanced.Parser):
    """Frames of one Advanced Trade connection, and recorded trades."""

    __slots__ = ()

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(symbols)
        self._channels["market_trades"] = self._market_trades

    def _market_trades(self, head: advanced.Head, received_ts: int) -> list[Output]:
        try:
            return self._batches(_trades(head.events), received_ts)
        except UnknownFrame:
            raise
        except FRAME_ERRORS:
            odd: list[Odd] = []
            batches = [RawTrades(rows.type, self._good_trades(rows, received_ts, odd)) for rows in _trade_rows(head.events)]
            if not any(batch.trades for batch in batches):
                raise
            return [*odd, *self._batches(batches, received_ts)]

    def _batches(self, batches: Iterable[RawTrades], received_ts: int) -> list[Output]:
        outputs: list[Output] = []
        for batch in batches:
            replayed = batch.type == "snapshot"
            if not replayed and batch.type != "update":
                raise UnknownFrame(f"market_trades of type {batch.type!r}")
            found: list[tuple[int, Trade]] = []
            for raw in batch.trades:
                if not (raw.trade_id.isdecimal() and raw.trade_id.isascii() and len(raw.trade_id) < 20):
                    raise FrameError(f"trade {short(raw.trade_id)} of {raw.product_id}")
                price, size = trade_numbers(raw.price, raw.size, "a trade")
                trade_id = int(raw.trade_id)
                trade = Trade(
                    ID, self._products[raw.product_id], moment(raw.time, outputs), received_ts,
                    price, size, TAKER.get(raw.side), str(trade_id), replayed,
                )  # fmt: skip
                found.append((trade_id, trade))
            found.sort(key=lambda pair: pair[0])
            trades = [trade for _, trade in found]
            outputs.extend(replay(trades, received_ts) if replayed else trades)
        return outputs

    def _good_trades(self, rows: TradeRows, received_ts: int, odd: list[Odd]) -> list[RawTrade]:
        def read(raw: msgspec.Raw) -> RawTrade:
            row = _trade(raw)
            self._batches([RawTrades(rows.type, [row])], received_ts)
            return row

        return readable(rows.trades, read, "trade", odd)


class ExchangeParser(exchange.Parser):
    """Frames of one Exchange connection, and recorded books."""

    __slots__ = ("_breaks", "_times")

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(symbols)
        self._breaks = Breaks()
        self._times: dict[str, int] = {}  # newest time of each book: its next one may be that of the year 1

    def __call__(self, data: bytes, received_ts: int) -> list[Output]:
        """See `spec.Parser`. After a change of a book that could not be read, and names no book, all books are suspect."""
        try:
            outputs = super().__call__(data, received_ts)
        except UnknownSymbol:
            raise
        except FRAME_ERRORS:
            if b"l2update" in data:
                self._breaks.found(received_ts, None)
            raise
        return self._breaks.with_break(outputs)

    def other(self, data: bytes, received_ts: int, refused: msgspec.ValidationError) -> list[Output]:
        """A frame of a book, or one of `exchange.Parser.other`."""
        head = exchange.decode_typed(data)
        if head.type not in ("snapshot", "l2update"):
            return super().other(data, received_ts, refused)
        try:
            frame = _book(data)
        except msgspec.ValidationError:
            if head.type == "l2update" and (instrument := self._products.get(head.product_id)) is not None:
                return [Odd("book"), unread(instrument, received_ts)]
            raise
        except JSON_ERRORS as exc:
            try:
                return self.other(mended(data, exchange.ROW_DEPTH), received_ts, refused)
            except UnknownSymbol:  # it may be a name that we know, of which a part cannot be read
                raise exc from None
        return self._update(frame, received_ts) if isinstance(frame, L2UpdateFrame) else self._snapshot(frame, received_ts)

    def _snapshot(self, raw: SnapshotFrame, received_ts: int) -> list[Output]:
        instrument = self._products[raw.product_id]
        outputs: list[Output] = []
        rows = [*(("buy", *row) for row in raw.bids), *(("sell", *row) for row in raw.asks)]
        bids, asks, is_all = by_side([(word, level(price, size)) for word, price, size in rows], SIDES, outputs)
        if not is_all and hides_best(rows, SIDES, bids, asks):
            return [*outputs, unread(instrument, received_ts)]
        venue_ts = self._time(instrument, raw.time, outputs)
        self._breaks.book(instrument)
        outputs.append(BookSnapshot(instrument, venue_ts, received_ts, bids, asks))
        return outputs

    def _update(self, raw: L2UpdateFrame, received_ts: int) -> list[Output]:
        instrument = self._products[raw.product_id]
        outputs: list[Output] = []
        try:
            bids, asks, is_all = by_side([(word, level(price, size)) for word, price, size in raw.changes], SIDES, outputs)
        except FrameError:
            return [Odd("side"), unread(instrument, received_ts)]
        venue_ts = self._time(instrument, raw.time, outputs)
        outputs.append(BookUpdate(instrument, venue_ts, received_ts, bids, asks) if is_all else unread(instrument, received_ts))
        return outputs

    def _time(self, instrument: str, text: str | None, outputs: list[Output]) -> int | None:
        """A book's time; that of the frame before where it cannot be."""
        found = moment(text, outputs)
        if found is None:
            return self._times.get(instrument)
        self._times[instrument] = found
        return found

"""Gemini's old socket (`/v2/marketdata`), in recordings: books, trades and candles.

Wire    wss://api.gemini.com/v2/marketdata, JSON text with `type`; symbols in capitals; no acknowledgements; a heartbeat each five seconds
Docs    https://docs.gemini.com/websocket/market-data/v2/about (archived)
Quirks  the subscription `l2` brings books and trades. The first frame of a book is the complete one: it alone has `trades`, the newest
        50, newest first, and `auction_events`. Later frames have changes of both sides in one list; a quantity of zero removes. Nothing
        of a book has a time or a number. A side other than `buy` and `sell` (`auction`, `block`) is no side
Candles rows `[ms, open, high, low, close, volume]`, JSON numbers, newest first: the history, then the running candle at each change
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, NotANumber, UnknownFrame
from crosstape_connector.venues.gemini.values import ID, SIDES, TIMEFRAMES, RawCandle, candle_of
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Heartbeat, Odd, Output, Rejected, replay, unread_book, unreadable
from crosstape_connector.venues.parsing.candles import snapshot
from crosstape_connector.venues.parsing.numbers import check, doubtful, is_plain, known_price, number
from crosstape_connector.venues.parsing.rows import readable
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, trade_amounts
from crosstape_connector.venues.spec import CandleRules, Request, Symbols, Verb, lookup
from crosstape_schemas import AnyNumber, Candle, Level, Trade

OTHERS: Final = frozenset({"auction_indicative", "auction_result", "auction_open", "mark_price_updates", "funding_amount_updates"})
"""Types that the documents name and that hold nothing for the tape."""
RULES: Final = CandleRules(
    timeframes={ours: ours for ours in TIMEFRAMES},
    refused={"6h": "begins at an hour that is not documented", "1d": "begins at 04:00 UTC"},
    open="not known",
    empty="not known; REST has a flat candle with volume 0",
    closed="next candle",
    volume="base units",
    first="snapshot",
)


class Frame(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    symbol: str = ""
    changes: msgspec.Raw = msgspec.Raw(b"[]")
    trades: list[msgspec.Raw] | None = None
    auctions: msgspec.Raw = msgspec.field(name="auction_events", default=msgspec.Raw(b""))
    event_id: Serial = 0
    timestamp: Stamp = 0
    price: str = ""
    quantity: str = ""
    side: str = ""
    result: str = ""
    reason: str = ""
    message: str = ""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    event_id: Serial
    timestamp: Stamp
    price: str
    quantity: str
    side: str


_frame = msgspec.json.Decoder(Frame).decode
_changes = msgspec.json.Decoder(list[tuple[str, str, str]]).decode
_trade = msgspec.json.Decoder(RawTrade).decode
_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_candle = msgspec.json.Decoder(RawCandle).decode
_encode = msgspec.json.encode


class Parser:
    """Frames of one connection. It remembers which candles have begun."""

    __slots__ = ("_begun", "_symbols")

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._begun: set[tuple[str, str]] = set()  # instrument and timeframe

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        frame = _frame(data)
        match frame.type:
            case "l2_updates":
                return self._book(frame, received_ts)
            case "trade":
                return (self._trade(frame, received_ts),)
            case "heartbeat":
                return (Heartbeat(),)
            case "" if frame.result == "error":
                return (Rejected(" ".join(filter(None, (frame.reason, frame.message))) or "refused without a reason"),)
            case kind if kind.startswith("candles_"):
                return self._candles(frame, received_ts)
            case kind if kind in OTHERS:
                return ()
            case _:
                raise UnknownFrame(f"type {frame.type[:40]!r}")

    def _instrument(self, symbol: str) -> str:
        return lookup(self._symbols, symbol.lower()).name

    def _trade(self, raw: Frame | RawTrade, received_ts: int, instrument: str = "") -> Trade[AnyNumber]:
        name = instrument or self._instrument(raw.symbol if isinstance(raw, Frame) else "")
        amounts = trade_amounts(raw.price, raw.quantity, f"trade {raw.event_id} of {name}")
        return Trade(ID, name, epoch_ns(raw.timestamp), received_ts, *amounts, SIDES.get(raw.side), str(raw.event_id))

    def _book(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """The complete book with the trades before it, or changes."""
        name = self._instrument(frame.symbol)
        odd: list[Odd] = []
        past = readable(frame.trades or (), lambda raw: self._trade(_trade(raw), received_ts, name), f"trades of {name}", odd)
        found: list[Output] = [*odd, *replay(list(reversed(past)), received_ts)]
        try:
            bids, asks = _sides(frame.changes)
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            return [*found, *unread_book(name, received_ts, exc)]
        if frame.trades is None and not frame.auctions:
            return [*found, BookUpdate(name, None, received_ts, bids, asks)]
        held = [[level for level in side if level[1]] for side in (bids, asks)]
        return [*found, BookSnapshot(name, None, received_ts, held[0], held[1])]

    def _candles(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """The history of a subscription, then the running candle; both as rows, newest first."""
        timeframe, name = frame.type.split("_")[1], self._instrument(frame.symbol)
        if timeframe not in RULES.timeframes:
            return ()

        def read(raw: msgspec.Raw) -> Candle:
            row = _candle(raw)
            if doubtful(bytes(raw)):
                check(raw)
            return candle_of(row, name, timeframe, received_ts)

        odd: list[Odd] = []
        made = sorted(readable(_rows(frame.changes), read, f"{timeframe} candles of {name}", odd), key=lambda one: one.open_ts)
        if (name, timeframe) not in self._begun:
            self._begun.add((name, timeframe))
            return (snapshot(name, timeframe, made, received_ts, odd),)
        if odd:
            return [*made, *unreadable(f"candle:{timeframe}", name, received_ts, odd[0].reason)]
        return made


def _sides(raw: msgspec.Raw) -> tuple[list[Level], list[Level]]:
    """Return the bids and asks of a list of changes. Raises one of `FRAME_ERRORS` or an `ArithmeticError`."""
    sides: dict[str, list[Level]] = {"buy": [], "sell": []}
    rows = _changes(raw)
    if not is_plain(bytes(raw)) and not all(text.isascii() for row in rows for text in row):
        raise NotANumber("digits that are not ASCII")
    for side, price, size in rows:
        if side not in sides:
            raise UnknownFrame(f"a level of side {side[:20]!r}")
        sides[side].append((known_price(price), number(size)))
    return sides["buy"], sides["sell"]


def request(verb: Verb, request: Request) -> bytes:
    """Return the request for one channel of some symbols."""
    return _encode({"type": verb, "subscriptions": [{"name": request.channel, "symbols": [one.upper() for one in request.symbols]}]})

"""Deribit's WebSocket: what the frames of a connection become, and its requests.

Numbers  JSON numbers, read with their digits; times are ms. An empty side of a quote is a price and an amount of zero, or null
Books    the first frame is a `snapshot` of all levels, each later one a `change` whose `prev_change_id` is the `change_id` before. One that
         names zero begins an empty book, as do frames without a type of before 2019-09 that name none. Amounts are absolute, `delete` is
         zero. A second subscription brings no second snapshot: `awaits_unsubscribe`
Trades   a list, oldest first. `liquidation` says whose order was forced: the taker's (`T`), whose side is that of the trade, the maker's
         (`M`), whose side is the other, or both (`MT`)
Figures  `ticker`: rolling 24 h, of which only the relative change shows the beginning, so that `open` is null. `open_interest` counts US
         dollars of an inverse contract, base units of a linear one. `current_funding` is the rate of eight hours as of now; it is paid all
         the time, and has no next time
Candles  `tick` is the beginning. An interval without trades has a flat one; nothing says that one is final, but the next
Answers  an acknowledgement lists what was subscribed: names that are wrong are missing from it, without an error. The id of a request
         says how many names it had. Every `test_request` must be answered, or the connection ends ten seconds later
Others   frames about options, combinations and spot pairs hold nothing for the tape
Docs     https://docs.deribit.com/#subscriptions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame
from crosstape_connector.venues.deribit import frames, outputs
from crosstape_connector.venues.deribit.values import ID, TIMEFRAMES, RawTrade, is_future
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    Heartbeat,
    Odd,
    Output,
    Rejected,
    Reply,
    unread,
    unreadable,
)
from crosstape_connector.venues.parsing.numbers import BACKSLASH, SPACE, check
from crosstape_connector.venues.parsing.rows import readable
from crosstape_connector.venues.parsing.wire import epoch_ns, finite
from crosstape_connector.venues.spec import Request, Symbols, Verb, Verdict, lookup
from crosstape_schemas import Funding, Instrument

TRADES, QUOTES, BOOK, TICKER = "trades.100ms", "quote", "book.100ms", "ticker.100ms"
GREETING: Final = b'{"jsonrpc":"2.0","id":1,"method":"public/set_heartbeat","params":{"interval":10}}'
ALIVE: Final = b'{"jsonrpc":"2.0","id":2,"method":"public/test","params":{}}'
NAMES: Final = 1_000
"""More than the names of a request: its id is its number times this, and how many it had."""
GROUPED: Final = 3
"""Points in the name of a channel of books of some levels: `book.none.20.100ms`."""
TOO_MANY: Final = 10028
"""The error of a client that asks too much. The venue closes its connection."""
OTHERS: Final = frozenset(
    {
        "perpetual", "incremental_ticker", "deribit_price_index", "deribit_price_ranking", "deribit_price_statistics",
        "deribit_volatility_index", "estimated_expiration_price", "markprice", "platform_state", "instrument", "rfq", "block_rfq",
        "block_trade_confirmations", "announcements", "user",
    }
)  # fmt: skip
"""What channels begin with that the documents name and that hold nothing for the tape."""
_CHANNEL: Final = b'"channel":"'
_misplaced = re.compile(rb'_(?:(?<=[0-9."+\-]_)|(?<!funding_)(?=["0-9.+\-]))').search
"""An underscore beside a digit or at an end of a text, which only `Decimal` may read as a number. Names have theirs between letters."""
_encode = msgspec.json.encode


def _decoder(data: Any) -> Callable[[bytes], frames.Frame[Any]]:
    return msgspec.json.Decoder(frames.Frame[data]).decode


_decoders: Final = {
    b"trades": _decoder(list[RawTrade]),
    b"quote": _decoder(frames.RawQuote),
    b"book": _decoder(frames.RawBook[frames.Level]),
    b"ticker": _decoder(frames.RawTicker),
    b"chart": _decoder(frames.RawCandle),
}
"""What a channel begins with, up to its first point → the decoder of its frames: one pass over each."""
_grouped = msgspec.json.Decoder(frames.RawBook[frames.Grouped]).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_trade = msgspec.json.Decoder(RawTrade).decode


class Parser:
    """Frames of one connection."""

    __slots__ = ("_has_grouped", "_symbols")

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._has_grouped: dict[str, bool] = {}  # symbol → whether its books are the complete ones of a few levels

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        at = data.find(_CHANNEL) + len(_CHANNEL)
        kind = data[at : data.find(b".", at, at + 8)]
        decode = _decoders.get(kind)
        if decode is None:
            return self._other(data, received_ts)
        try:
            if SPACE in data or BACKSLASH in data or not data.isascii() or _misplaced(data) is not None:
                check(data)
            params = decode(data).params
        except FRAME_ERRORS as exc:
            return self._unread(data, received_ts, exc)
        if kind == b"trades":
            return self._trades(params.data, received_ts)
        channel, symbol = frames.split(params.channel)
        instrument = self._instrument(symbol)
        if instrument is None:
            return ()
        match kind:
            case b"quote":
                return outputs.quote_of(params.data, instrument, received_ts)
            case b"book":
                return self._book(channel, params.data, instrument, received_ts)
            case b"ticker":
                return outputs.figures_of(params.data, instrument, received_ts)
            case _:
                return outputs.candle_outputs(params.data, channel.rpartition(".")[2], instrument, received_ts)

    def _instrument(self, symbol: str) -> Instrument | None:
        """Return the instrument; None: it is none of ours. Raises `UnknownSymbol`."""
        return lookup(self._symbols, symbol) if symbol in self._symbols or is_future(symbol) else None

    def _trades(self, rows: Sequence[RawTrade], received_ts: int) -> Sequence[Output]:
        """Trades, which may be of several instruments. Raises `UnknownSymbol` if none of them is ours, and one is of another future."""
        found: list[Output] = []
        unknown = ""
        for raw in rows:
            instrument = self._symbols.get(raw.instrument_name)
            if instrument is None:
                unknown = raw.instrument_name if is_future(raw.instrument_name) else unknown
                continue
            try:
                found += outputs.trade_outputs(raw, instrument, received_ts)
            except FrameError as exc:
                found.append(Odd("row", f"trade of {instrument.name}: {exc}"))
        if unknown and not found:
            lookup(self._symbols, unknown)
        return found

    def _book(self, channel: str, raw: frames.RawBook[Any], instrument: Instrument, received_ts: int) -> Sequence[Output]:
        """A book that begins, its change, or a complete one of some levels, as recordings may have.

        Those have no chain, so that they must not be mixed with changes: of both forms the one that came first counts.
        """
        name, is_grouped = instrument.name, channel.count(".") == GROUPED
        if self._has_grouped.setdefault(instrument.symbol, is_grouped) is not is_grouped:
            return ()
        sides = [[("", *row) for row in side] for side in (raw.bids, raw.asks)] if is_grouped else (raw.bids, raw.asks)
        try:
            bids, asks = (outputs.levels(side, instrument) for side in sides)
        except FrameError as exc:
            return Odd("book", f"{name}: {exc}"), unread(name, received_ts)
        venue_ts = epoch_ns(raw.timestamp)
        if is_grouped:
            depth = channel.split(".")[2]
            limit = int(depth) if depth.isdecimal() and len(depth) < 6 else None
            return (BookSnapshot(name, venue_ts, received_ts, bids, asks, raw.change_id, depth=limit, limit=limit),)
        begins = raw.prev_change_id == 0 if raw.type == "change" else raw.type == "snapshot" or raw.prev_change_id is None
        if begins:
            return (BookSnapshot(name, venue_ts, received_ts, bids, asks, raw.change_id),)
        return (BookUpdate(name, venue_ts, received_ts, bids, asks, None, raw.change_id, raw.prev_change_id),)

    def _other(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """A message about the connection, an answer, or a frame of a channel that is not ours."""
        frame = frames.decode_any(data)
        match frame.method:
            case "heartbeat":
                return (Heartbeat(), Reply(ALIVE)) if frame.params.type == "test_request" else (Heartbeat(),)
            case "subscription":
                kind = frame.params.channel.partition(".")[0]
                if kind == "perpetual":
                    return self._funding(frame.params, received_ts)
                if kind in OTHERS:
                    return ()
                if kind.encode() in _decoders and (compact := msgspec.json.format(data, indent=-1)) != data:
                    return self(compact, received_ts)  # it was written again, with spaces
                raise UnknownFrame(f"channel {frame.params.channel[:40]!r}")
            case "" if frame.error is not None or bytes(frame.result) != b"null":
                return _answer(frame)
        raise UnknownFrame(f"method {frame.method[:40]!r}")

    def _funding(self, params: frames.AnyParams, received_ts: int) -> Sequence[Output]:
        """`perpetual`: the rate of a perpetual, in more digits than its ticker has."""
        instrument = self._instrument(frames.split(params.channel)[1])
        if instrument is None:
            return ()
        raw = frames.decode_perpetual(params.data)
        check(params.data)
        finite(raw.interest)
        return (Funding(ID, instrument.name, epoch_ns(raw.timestamp), received_ts, raw.interest, outputs.FUNDING_S),)

    def _unread(self, data: bytes, received_ts: int, error: Exception) -> Sequence[Output]:
        """What a frame means that cannot be read as it is: another form of it, or data that are out of date."""
        try:
            params = frames.decode_any(data).params
        except FRAME_ERRORS:
            raise error from None
        channel, symbol = frames.split(params.channel)
        kind = channel.partition(".")[0]
        if kind == "trades":
            odd: list[Odd] = []
            rows = readable(_raws(params.data), _read_trade, "a trade", odd)
            return [*odd, *self._trades(rows, received_ts)]
        instrument = self._instrument(symbol)
        if instrument is None:
            return ()
        name = instrument.name
        if kind == "quote":
            return unreadable("quote", name, received_ts, error)
        if kind == "ticker":
            return outputs.lost_figures(name, received_ts, error)
        if kind == "chart":
            ours = TIMEFRAMES.get(channel.rpartition(".")[2])
            return () if ours is None else unreadable(f"candle:{ours}", name, received_ts, error)
        if channel.count(".") == GROUPED:
            try:
                return self._book(channel, _grouped(params.data), instrument, received_ts)
            except FRAME_ERRORS as exc:
                error = exc
        return Odd("book", f"{name}: {error}"), unread(name, received_ts)


def _read_trade(raw: msgspec.Raw) -> RawTrade:
    check(raw)
    return _trade(raw)


def _answer(frame: frames.AnyFrame) -> Sequence[Output]:
    """The answer to a request: of ours to subscribe, by its id; all others only show that the venue is there."""
    number, asked = divmod(frame.id, NAMES) if isinstance(frame.id, int) else (0, 0)
    if frame.error is not None:
        reason = f"{frame.error.code} {frame.error.message}".strip()
        if frame.error.code == TOO_MANY or (not number and frame.id is not None):
            return (Odd("error", reason),)
        return (Rejected(reason, number or None),)
    try:
        names = {frames.split(name) for name in frames.decode_names(frame.result)}
    except FRAME_ERRORS:
        return (Heartbeat(),)
    number_or_none = number or None
    found: list[Output] = [
        Ack(number_or_none, channel, tuple(sorted(symbol for one, symbol in names if one == channel)))
        for channel in sorted({one for one, _ in names})
    ]
    if number and len(names) < asked:
        found.append(Rejected("the venue does not list it among what is subscribed", number))
    return found


def request(verb: Verb, request: Request) -> bytes:
    """Return the request for one channel of some symbols."""
    names = [frames.joined(request.channel, symbol) for symbol in request.symbols]
    number = request.request_id * NAMES + len(names)
    return _encode({"jsonrpc": "2.0", "id": number, "method": f"public/{verb}", "params": {"channels": names}})


def follows(update: BookUpdate, sequence: int) -> Verdict:
    """Whether a change follows the one with this number; those before a snapshot of the stream are left out."""
    if update.last is None or update.previous is None:
        return Verdict.BREAK
    if update.previous == sequence:
        return Verdict.APPLY
    return Verdict.SKIP if update.last <= sequence else Verdict.BREAK

"""Hyperliquid's WebSocket: what the frames of a connection become, of perpetuals and of spot, and its requests.

Trades   the first frame after each subscription repeats about 30 past trades, and nothing marks it: it is the one after the
         acknowledgement. `tid` is a hash; the key of a trade is its coin, its time and its `tid`, and trades of one ms may come in any
         order of these. `side` is the taker's: `B` bought, `A` sold. `hash` is a transaction's, zero for many trades
Books    `l2Book` is complete in each frame. With `fast` it has five levels a side and comes about every 0.54 s; without, twenty levels
         about every 5.4 s, which is no live book. A connection must not have both for a coin: of recordings that do, the form that came
         first counts
Quotes   `bbo` comes with each block that changes it; an empty side is null
Figures  `activeAssetCtx` has no time. `funding` is the rate of one hour, paid at each whole hour; `openInterest` is in base units;
         `prevDayPx` is the price 24 h ago; there is neither a last price nor a high or low. Spot pushes it as `activeSpotAssetCtx`
Candles  the last push of a candle usually comes before its end: only the next candle shows that it is final
Control  a `pong` has no data. An acknowledgement repeats the subscription with all defaults; an unknown coin closes the connection instead
Docs     https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.hyperliquid import frames
from crosstape_connector.venues.hyperliquid.values import TIMEFRAMES, RawCandle, candle_of, trade_id
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    Heartbeat,
    Odd,
    Output,
    Rejected,
    TradeSnapshot,
    Unreadable,
    unread_book,
    unreadable,
)
from crosstape_connector.venues.parsing.numbers import are_four_amounts, figure, is_plain
from crosstape_connector.venues.parsing.rows import readable
from crosstape_connector.venues.parsing.text_books import TextBooks
from crosstape_connector.venues.parsing.unreadable import named_in
from crosstape_connector.venues.parsing.wire import ZERO, amounts_of_side, epoch_ns, trade_amounts
from crosstape_connector.venues.spec import Request, Symbols, Verb, lookup
from crosstape_schemas import Amount, Funding, Instrument, Mark, OpenInterest, Quote, Side, Ticker, Trade

TRADES, QUOTES, BOOK, FIGURES = "trades", "bbo", "l2Book", "activeAssetCtx"
CANDLE: Final = "candle_"
"""A channel of candles is this and the venue's name of the timeframe."""
FAST: Final = 5
"""Levels a side of the book that we subscribe …"""
SLOW: Final = 20
"""… and of the other, which recordings may have."""
SIDES: Final = {"B": Side.BUY, "A": Side.SELL}
OTHERS: Final = frozenset(
    {"allMids", "allDexsAssetCtxs", "assetCtxs", "spotAssetCtxs", "fastAssetCtxs", "post", "notification", "l2", "outcomeMetaUpdates"}
)
"""Channels that hold nothing for the tape, or nothing that another does not have."""
GREETING: Final = b"Websocket connection established."
"""The text that servers sent first until 2025."""
HOUR_NS: Final = 3_600 * 10**9
_KINDS: Final = ("ticker", "mark", "funding", "open_interest")
_encode = msgspec.json.encode


class Parser:
    """Frames of one connection. It remembers the book of each coin, and whose trades will begin with past ones."""

    __slots__ = ("_books", "_forms", "_replays", "_symbols")

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._books = TextBooks()
        self._forms: dict[str, bool] = {}  # coin → whether its books are the fast ones
        self._replays: set[str] = set()

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        try:
            frame: frames.Frame = frames.decode_frame(data)
        except FRAME_ERRORS as exc:
            return self._other(data, received_ts, exc)
        match frame:
            case frames.TradesFrame(data=rows):
                return self._trades(rows, received_ts)
            case frames.QuoteFrame(data=top):
                return self._quote(top, received_ts)
            case frames.BookFrame(data=book):
                return self._book(book, data, received_ts)
            case frames.CandleFrame(data=raw):
                return self._candle(raw, received_ts)
            case frames.FiguresFrame(data=figures) | frames.SpotFiguresFrame(data=figures):
                return self._figures(figures, received_ts)

    def _trades(self, rows: Sequence[frames.RawTrade], received_ts: int) -> Sequence[Output]:
        if not rows:
            return ()
        found: list[Trade[Amount]] = []
        odd: list[Output] = []
        for raw in rows:
            try:
                found.append(_trade_of(raw, lookup(self._symbols, raw.coin), received_ts))
            except UnknownSymbol:
                raise
            except FrameError as exc:
                odd += _odd_trade(exc, lookup(self._symbols, raw.coin), received_ts)
        return [*odd, *self._as_past(rows[0].coin, found, received_ts)]

    def _as_past(self, coin: str, trades: Sequence[Trade[Amount]], received_ts: int) -> Sequence[Output]:
        """The trades as a snapshot of past ones, if they are the first since the coin was subscribed. One coin a frame."""
        if coin not in self._replays:
            return trades
        self._replays.discard(coin)
        in_order = tuple(sorted(trades, key=lambda trade: int(trade.trade_id)))
        return (TradeSnapshot(lookup(self._symbols, coin).name, received_ts, in_order),)

    def _quote(self, raw: frames.RawTop, received_ts: int) -> Sequence[Output]:
        instrument = lookup(self._symbols, raw.coin)
        venue, name, venue_ts = instrument.venue, instrument.name, epoch_ns(raw.time)
        bid, ask = (*raw.bbo, None, None)[:2]
        if bid is not None and ask is not None and are_four_amounts(f"{bid.px} {bid.sz} {ask.px} {ask.sz}"):
            return (Quote(venue, name, venue_ts, received_ts, bid.px, bid.sz, ask.px, ask.sz),)  # type: ignore[arg-type]
        try:
            sides = [(None, None) if one is None else amounts_of_side(one.px, one.sz) for one in (bid, ask)]
        except FrameError as exc:
            return unreadable("quote", name, received_ts, exc)
        return (Quote(venue, name, venue_ts, received_ts, *sides[0], *sides[1]),)

    def _book(self, raw: frames.RawBook, data: bytes, received_ts: int) -> Sequence[Output]:
        """The complete book. One that cannot be read leaves the book before out of date: it is subscribed again."""
        name = lookup(self._symbols, raw.coin).name
        if self._forms.setdefault(raw.coin, raw.fast) is not raw.fast:
            return (Odd("form", f"{name}: books of five levels and of twenty on one connection"),)
        bids, asks = ([(level.px, level.sz) for level in side] for side in raw.levels)
        try:
            if not is_plain(data):
                raise FrameError("a text that is not ASCII")
            made = self._books.changed(name, bids, asks, number=None, venue_ts=epoch_ns(raw.time), received_ts=received_ts)
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            return self._lost_book(name, received_ts, exc)
        if made is None:
            return (Odd("late", f"{name}: a book that is older than the one before"),)
        if isinstance(made, BookSnapshot):
            return (msgspec.structs.replace(made, depth=FAST if raw.fast else SLOW),)
        return (made,)

    def _lost_book(self, name: str, received_ts: int, error: Exception) -> Sequence[Output]:
        self._books.forget(name)
        return unread_book(name, received_ts, error)

    def _candle(self, raw: RawCandle, received_ts: int) -> Sequence[Output]:
        instrument = lookup(self._symbols, raw.s)
        if raw.i not in TIMEFRAMES:
            return ()
        try:
            return (candle_of(raw, instrument, raw.i, received_ts),)
        except FRAME_ERRORS as exc:
            return unreadable(f"candle:{raw.i}", instrument.name, received_ts, exc)

    def _figures(self, raw: frames.RawFigures, received_ts: int) -> Sequence[Output]:
        instrument = lookup(self._symbols, raw.coin)
        try:
            return _figures_of(raw.ctx, instrument, received_ts)
        except FrameError as exc:
            return self._lost_figures(instrument.name, received_ts, exc)

    @staticmethod
    def _lost_figures(name: str, received_ts: int, error: Exception) -> Sequence[Output]:
        first, *others = _KINDS
        return *unreadable(first, name, received_ts, error), *(Unreadable(kind, name, received_ts) for kind in others)

    def _other(self, data: bytes, received_ts: int, error: Exception) -> Sequence[Output]:
        """A message about the connection, or a frame with data that cannot be read as it is."""
        if data == GREETING:
            return (Heartbeat(),)
        try:
            frame = frames.decode_any(data)
        except FRAME_ERRORS as exc:
            if b'"trades"' not in data:
                raise
            gone = [Unreadable("trade", name, received_ts) for name in named_in(data, self._symbols)]
            return Odd("trade", f"a frame that cannot be read: {exc}"), *gone
        match frame.channel:
            case "pong":
                return (Heartbeat(),)
            case "subscriptionResponse":
                return self._acknowledged(frames.decode_answer(frame.data))
            case "error":
                return (_refusal(frames.decode_text(frame.data)),)
            case "trades":
                return self._rows(frame.data, received_ts)
            case channel if channel in OTHERS or channel.startswith(("user", "web", "order")):
                return ()
            case channel if channel in {QUOTES, BOOK, FIGURES, "activeSpotAssetCtx", "candle"}:
                return self._unread(channel, frame.data, received_ts, error)
        raise UnknownFrame(f"channel {frame.channel[:40]!r}")

    def _rows(self, raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        """Trades of which one or more cannot be read: the others are used, and a gap is reported."""
        odd: list[Odd] = []
        rows = readable(frames.decode_raws(raw), frames.decode_trade, "a trade", odd)
        names = {lookup(self._symbols, row.coin).name for row in rows} or named_in(bytes(raw), self._symbols)
        return [*odd, *(Unreadable("trade", name, received_ts) for name in names), *self._trades(rows, received_ts)]

    def _unread(self, channel: str, raw: msgspec.Raw, received_ts: int, error: Exception) -> Sequence[Output]:
        """What is out of date because this frame cannot be read. Raises its error if it does not say whose it is."""
        try:
            named = frames.decode_named(raw)
        except FRAME_ERRORS:
            raise error from None
        name = lookup(self._symbols, named.coin or named.s).name
        if channel == QUOTES:
            return unreadable("quote", name, received_ts, error)
        if channel == BOOK:
            return self._lost_book(name, received_ts, error)
        if channel == "candle":
            if named.i not in TIMEFRAMES:
                raise error
            return unreadable(f"candle:{named.i}", name, received_ts, error)
        return self._lost_figures(name, received_ts, error)

    def _acknowledged(self, answer: frames.Answer) -> Sequence[Output]:
        made = answer.subscription
        is_end = answer.method != "subscribe"
        if made.type == TRADES and not is_end:
            self._replays.add(made.coin)
        if made.type == BOOK and made.coin in self._symbols:
            self._books.forget(self._symbols[made.coin].name)
            self._forms.pop(made.coin, None)
        return (Ack(channel=channel_of(made), symbols=(made.coin,), unsubscribed=is_end),)


def _trade_of(raw: frames.RawTrade, instrument: Instrument, received_ts: int) -> Trade[Amount]:
    price, size = trade_amounts(raw.px, raw.sz, f"trade {raw.tid}")
    venue_ts = epoch_ns(raw.time)
    return Trade(instrument.venue, instrument.name, venue_ts, received_ts, price, size, SIDES.get(raw.side), trade_id(raw.time, raw.tid))


def _odd_trade(error: Exception, instrument: Instrument, received_ts: int) -> Sequence[Output]:
    return Odd("row", f"trade of {instrument.name}: {error}"), Unreadable("trade", instrument.name, received_ts)


def _figures_of(ctx: frames.RawContext, instrument: Instrument, received_ts: int) -> Sequence[Output]:
    """The day, and of a perpetual its mark price, funding and open interest. Raises `FrameError`."""
    key = instrument.venue, instrument.name, None, received_ts
    texts = ctx.mark, ctx.oracle, ctx.interest, ctx.open, ctx.base_volume, ctx.quote_volume
    mark, oracle, interest, opened, base, quoted = (None if text is None else figure(text) for text in texts)
    if any(number is not None and number < ZERO for number in (mark, oracle, interest, opened, base, quoted)):
        raise FrameError(f"a figure below zero among {texts}"[:200])
    found: list[Output] = [Ticker(*key, None, opened or None, None, None, base, quoted)]
    if ctx.funding is None:
        return found
    if mark or oracle:
        found.append(Mark(*key, mark or None, oracle or None))
    found.append(Funding(*key, figure(ctx.funding), 3_600, (received_ts // HOUR_NS + 1) * HOUR_NS))
    if interest is not None:
        found.append(OpenInterest(*key, interest))
    return found


def channel_of(made: frames.Subscription) -> str:
    """Return what a subscription is called in the venue's table."""
    return f"{CANDLE}{made.interval}" if made.interval else made.type


def _refusal(text: str) -> Ack | Rejected:
    """The meaning of an error, whose text may end in the request or the subscription that it is about."""
    reason, _, about = text.partition(": ")
    try:
        made = frames.decode_subscription(about) if reason.startswith("Already") else frames.decode_answer(about).subscription
    except FRAME_ERRORS:
        return Rejected(text)
    if reason.startswith("Already"):
        return Ack(channel=channel_of(made), symbols=(made.coin,), unsubscribed=reason == "Already unsubscribed")
    return Rejected(reason, channel=channel_of(made), symbols=(made.coin,))


def request(verb: Verb, request: Request) -> bytes:
    """Return the request for one channel of one coin: a list of coins is an error."""
    (coin,) = request.symbols
    kind, _, interval = request.channel.partition("_")
    subscription: dict[str, object] = {"type": kind, "coin": coin}
    if interval:
        subscription["interval"] = interval
    if kind == BOOK:
        subscription["fast"] = True
    return _encode({"method": verb, "subscription": subscription})


def ping(request_id: int) -> bytes:
    """Return a ping: the server closes a connection on which it has sent nothing for 60 s, and its `pong` counts."""
    return b'{"method":"ping"}'

"""Coinbase, spot: the book of Advanced Trade, the trades of Exchange, which are one matching engine.

Wire    wss://advanced-trade-ws.coinbase.com (`channel` and `events`) and wss://ws-feed.exchange.coinbase.com (`type`), JSON text, no key
Docs    https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
        https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
Quirks  a trade's `side` is the maker's on both (of an Exchange ticker the taker's); `level2` is delivered as `l2_data`, with `offer`
        for the asks; a batch of `market_trades` is newest first; times have zero to nine digits of a second, or are those of the year 1;
        sizes like `0.-10000` were seen. A `-USDC` product is a view of the `-USD` one and may be answered with its name
Book    Advanced: `sequence_num` counts all frames of the connection, so a hole spoils every book on it. Exchange (`level2_batch`, the
        fallback, and old recordings): nothing is numbered
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, assert_never
from urllib.parse import urlsplit

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venue import (
    MEBIBYTE,
    Ack,
    BookRule,
    BookSnapshot,
    BookUpdate,
    ConnectionBreak,
    Endpoint,
    Heartbeat,
    InstrumentSource,
    LastTrade,
    Odd,
    Output,
    Rejected,
    Request,
    Symbols,
    TradeSnapshot,
    Venue,
)
from crosstape_connector.wire import LIMIT, ZERO, Serial, known_ns, positive
from crosstape_schemas import VENUE_WIDE, FeedState, Instrument, Level, Side, Status, Ticker, Trade, spot

ID: Final = "coinbase"
TAKER: Final = {"BUY": Side.SELL, "SELL": Side.BUY, "buy": Side.SELL, "sell": Side.BUY}
"""The maker's side → the taker's."""
OWN_BOOKS: Final = frozenset({"USDT-USDC", "EURC-USDC"})
"""Products against USDC that are no views of a `-USD` one."""


class Products:
    """Their product → our instrument. A `-USD` name that was not asked for means the `-USDC` one, if that was: one book with two names."""

    __slots__ = ("_symbols",)

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols

    def get(self, product: str) -> str | None:
        """None if it was not asked for by either name."""
        instrument = self._symbols.get(product)
        if instrument is None and product.endswith("-USD") and product + "C" not in OWN_BOOKS:
            return self._symbols.get(product + "C")
        return instrument

    def __getitem__(self, product: str) -> str:
        """Raises `UnknownSymbol`."""
        instrument = self.get(product)
        if instrument is None:
            raise UnknownSymbol(f"product {product!r}")
        return instrument

    def asked(self, products: Iterable[str]) -> tuple[str, ...]:
        """The same products by the names that they were asked for with."""
        return tuple(product + "C" if product not in self._symbols and self.get(product) is not None else product for product in products)


def level(price: str, size: str) -> Level | None:
    """None for what is no level: `0.-10000` was sent as a size."""
    try:
        found = Decimal(price), Decimal(size)
        return found if ZERO < found[0] < LIMIT and ZERO <= found[1] < LIMIT else None
    except InvalidOperation:
        return None


def number(text: str | None) -> Decimal | None:
    """Null for what is missing, empty or no number."""
    try:
        found = Decimal(text) if text else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None


# ---- Advanced Trade


class Head(msgspec.Struct, frozen=True, gc=False):
    """What all frames share; the events are decoded by channel, after the sequence was noted."""

    channel: str | None = None
    type: str = ""
    timestamp: str = ""
    sequence_num: int | None = None
    events: msgspec.Raw = msgspec.Raw(b"[]")
    message: str = ""
    reason: str = ""


class AdvancedLevel(msgspec.Struct, frozen=True, gc=False):
    side: str
    event_time: str
    price_level: Decimal
    new_quantity: Decimal


class AdvancedBook(msgspec.Struct, frozen=True, gc=False):
    type: str
    product_id: str
    updates: list[AdvancedLevel]


class AdvancedTextLevel(msgspec.Struct, frozen=True, gc=False):
    side: str
    event_time: str
    price_level: str
    new_quantity: str


class AdvancedTextBook(msgspec.Struct, frozen=True, gc=False):
    type: str
    product_id: str
    updates: list[AdvancedTextLevel]


class AdvancedTrade(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    trade_id: str
    price: Decimal
    size: Decimal
    time: str
    side: str


class AdvancedTrades(msgspec.Struct, frozen=True):
    type: str
    trades: list[AdvancedTrade]


class AdvancedTicker(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    price: str | None = None
    volume_24_h: str | None = None
    low_24_h: str | None = None
    high_24_h: str | None = None


class AdvancedTickers(msgspec.Struct, frozen=True):
    tickers: list[AdvancedTicker]


class AdvancedProduct(msgspec.Struct, frozen=True):
    id: str
    status: str = ""
    status_message: str | None = None


class AdvancedStatus(msgspec.Struct, frozen=True):
    products: list[AdvancedProduct]


class AdvancedSubscriptions(msgspec.Struct, frozen=True):
    subscriptions: dict[str, list[str]]


_head = msgspec.json.Decoder(Head).decode
_books = msgspec.json.Decoder(list[AdvancedBook]).decode
_text_books = msgspec.json.Decoder(list[AdvancedTextBook]).decode
_trades = msgspec.json.Decoder(list[AdvancedTrades]).decode
_tickers = msgspec.json.Decoder(list[AdvancedTickers]).decode
_statuses = msgspec.json.Decoder(list[AdvancedStatus]).decode
_subscriptions = msgspec.json.Decoder(list[AdvancedSubscriptions]).decode
_encode = msgspec.json.encode


class AdvancedParser:
    """Frames of one Advanced Trade connection. It holds the connection's sequence, and whose books are on it."""

    __slots__ = ("_booked", "_broken", "_channels", "_expected", "_products")

    def __init__(self, symbols: Symbols) -> None:
        self._products = Products(symbols)
        self._expected: int | None = None
        self._broken: ConnectionBreak | None = None
        self._booked: dict[str, None] = {}
        self._channels: dict[str, Callable[[Head, int], list[Output]]] = {
            "l2_data": self._l2,
            "market_trades": self._market_trades,
            "ticker": self._ticker,
            "ticker_batch": self._ticker,
            "heartbeats": lambda head, received_ts: [Heartbeat()],
            "subscriptions": self._acknowledged,
            "status": self._status,
            "candles": lambda head, received_ts: [],
            "user": lambda head, received_ts: [],
            "futures_balance_summary": lambda head, received_ts: [],
        }

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `venue.Parser`. A hole in the sequence is told before the frame that showed it, or the next one that is good."""
        head = _head(data)
        number = head.sequence_num
        if number is not None:
            expected, self._expected = self._expected, number + 1
            if expected is not None and number != expected:
                missed = number - expected if number > expected else None
                self._broken = ConnectionBreak(received_ts, missed, instruments=tuple(self._booked))
        if head.channel is None:
            if head.type != "error":
                raise UnknownFrame(f"type {head.type!r}")
            return (_refused(head.message, head.reason),)
        channel = self._channels.get(head.channel)
        if channel is None:
            raise UnknownFrame(f"channel {head.channel!r}")
        outputs = channel(head, received_ts)
        if self._broken is not None:
            outputs.insert(0, self._broken)
            self._broken = None
        return outputs

    def _l2(self, head: Head, received_ts: int) -> list[Output]:
        try:
            return self._levels(head, received_ts)
        except FRAME_ERRORS:
            self._expected = head.sequence_num  # its changes are lost: the next frame shows the hole
            raise

    def _levels(self, head: Head, received_ts: int) -> list[Output]:
        outputs: list[Output] = []
        strange: UnknownSymbol | None = None
        try:
            books: Sequence[AdvancedBook | AdvancedTextBook] = _books(head.events)
        except msgspec.ValidationError:
            books = _text_books(head.events)
        for book in books:
            try:
                instrument = self._products[book.product_id]
            except UnknownSymbol as exc:
                strange = exc
                continue
            self._booked[instrument] = None
            bids: list[Level] = []
            asks: list[Level] = []
            for change in book.updates:
                if isinstance(change, AdvancedLevel):
                    found: Level | None = (change.price_level, change.new_quantity)
                else:
                    found = level(change.price_level, change.new_quantity)
                if found is None:
                    outputs.append(Odd("size"))
                elif change.side == "bid":
                    bids.append(found)
                elif change.side in ("offer", "ask"):
                    asks.append(found)
                else:
                    raise FrameError(f"side {change.side!r}")
            venue_ts = self._time(book.updates[-1].event_time if book.updates else head.timestamp, head, outputs)
            if book.type == "update":
                outputs.append(BookUpdate(instrument, venue_ts, received_ts, bids, asks))
            elif book.type == "snapshot":
                outputs.append(BookSnapshot(instrument, venue_ts, received_ts, bids, asks))
            else:
                raise UnknownFrame(f"book of type {book.type!r}")
        if strange is not None and not outputs:
            raise strange
        return outputs

    def _time(self, text: str, head: Head, outputs: list[Output]) -> int | None:
        """The engine's time; where it is missing (1970 in snapshots) the sender's."""
        moment = _moment(text, outputs, epoch_is_odd=False)
        return moment if moment is not None else _moment(head.timestamp, outputs)

    def _market_trades(self, head: Head, received_ts: int) -> list[Output]:
        outputs: list[Output] = []
        for batch in _trades(head.events):
            replayed = batch.type == "snapshot"
            if not replayed and batch.type != "update":
                raise UnknownFrame(f"market_trades of type {batch.type!r}")
            found: list[tuple[int, Trade]] = []
            for raw in batch.trades:
                if not (raw.trade_id.isdecimal() and raw.trade_id.isascii() and len(raw.trade_id) < 20 and positive(raw.price, raw.size)):
                    raise FrameError(f"trade {raw.trade_id!r} of {raw.product_id}: {raw.size} at {raw.price}")
                trade_id = int(raw.trade_id)
                trade = Trade(
                    ID, self._products[raw.product_id], _moment(raw.time, outputs), received_ts,
                    raw.price, raw.size, TAKER.get(raw.side), str(trade_id), replayed,
                )  # fmt: skip
                found.append((trade_id, trade))
            found.sort(key=lambda pair: pair[0])
            trades = [trade for _, trade in found]
            if replayed:
                names = dict.fromkeys(trade.instrument for trade in trades)
                outputs += [TradeSnapshot(name, received_ts, tuple(t for t in trades if t.instrument == name)) for name in names]
            else:
                outputs.extend(trades)
        return outputs

    def _ticker(self, head: Head, received_ts: int) -> list[Output]:
        outputs: list[Output] = []
        for event in _tickers(head.events):
            for raw in event.tickers:
                instrument = self._products[raw.product_id]
                venue_ts = _moment(head.timestamp, outputs)
                volume, low, high = number(raw.volume_24_h), number(raw.low_24_h), number(raw.high_24_h)
                outputs.append(Ticker(ID, instrument, venue_ts, received_ts, number(raw.price), None, high, low, volume))
        return outputs

    def _acknowledged(self, head: Head, received_ts: int) -> list[Output]:
        """What is subscribed now; `heartbeats` has no products."""
        return [
            Ack(channel=channel, symbols=self._products.asked(products))
            for event in _subscriptions(head.events)
            for channel, products in event.subscriptions.items()
            if channel != "heartbeats"
        ]

    def _status(self, head: Head, received_ts: int) -> list[Output]:
        """A product's status; those that were not asked for are left out."""
        products = [product for event in _statuses(head.events) for product in event.products]
        return [
            _product_status(instrument, product.status, product.status_message, received_ts)
            for product in products
            if (instrument := self._products.get(product.id)) is not None
        ]


def _moment(text: str, outputs: list[Output], *, epoch_is_odd: bool = True) -> int | None:
    """The time, or null and an `Odd` beside it where the venue wrote one that cannot be."""
    moment = known_ns(text)
    if moment is None and (epoch_is_odd or not text.startswith("1970")):
        outputs.append(Odd("time"))
    return moment


def _refused(message: str, reason: str) -> Rejected:
    return Rejected(": ".join(part for part in (message, reason) if part) or "refused without a reason")


def _product_status(instrument: str, status: str, message: str | None, received_ts: int) -> Status:
    online = status == "online"
    state = FeedState.LIVE if online else FeedState.DOWN
    return Status(ID, instrument, None, received_ts, VENUE_WIDE, state, "" if online else message or status or "no status")


def subscribe_advanced(request: Request) -> bytes:
    """One channel a message."""
    return _encode({"type": "subscribe", "product_ids": request.symbols, "channel": request.channel})


def unsubscribe_advanced(request: Request) -> bytes:
    """As `subscribe_advanced`."""
    return _encode({"type": "unsubscribe", "product_ids": request.symbols, "channel": request.channel})


# ---- Exchange


class Match(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    trade_id: Serial
    price: Decimal
    size: Decimal
    side: str
    time: str


class MatchFrame(Match, frozen=True, gc=False, tag="match"):
    pass


class LastMatchFrame(Match, frozen=True, gc=False, tag="last_match"):
    pass


class TickerFrame(msgspec.Struct, frozen=True, gc=False, tag="ticker"):
    product_id: str
    price: str | None = None
    open_24h: str | None = None
    high_24h: str | None = None
    low_24h: str | None = None
    volume_24h: str | None = None
    time: str | None = None


class HeartbeatFrame(msgspec.Struct, frozen=True, tag="heartbeat"):
    product_id: str
    last_trade_id: Serial
    time: str


class SnapshotFrame(msgspec.Struct, frozen=True, tag="snapshot"):
    product_id: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    time: str | None = None


class L2UpdateFrame(msgspec.Struct, frozen=True, gc=False, tag="l2update"):
    product_id: str
    changes: list[tuple[str, str, str]]
    time: str | None = None


class ChannelProducts(msgspec.Struct, frozen=True):
    name: str
    product_ids: list[str] = []


class SubscriptionsFrame(msgspec.Struct, frozen=True, tag="subscriptions"):
    channels: list[ChannelProducts]


class ErrorFrame(msgspec.Struct, frozen=True, tag="error"):
    message: str = ""
    reason: str = ""


class StatusFrame(msgspec.Struct, frozen=True, tag="status"):
    products: list[AdvancedProduct]


class TypedFrame(msgspec.Struct, frozen=True):
    type: str


ExchangeFrame = (
    MatchFrame
    | LastMatchFrame
    | TickerFrame
    | HeartbeatFrame
    | SnapshotFrame
    | L2UpdateFrame
    | SubscriptionsFrame
    | ErrorFrame
    | StatusFrame
)
EXCHANGE_TYPES: Final = frozenset(
    {"match", "last_match", "ticker", "heartbeat", "snapshot", "l2update", "subscriptions", "error", "status"}
)
OTHER_TYPES: Final = frozenset({"received", "open", "done", "change", "activate", "auction", "rfq_match", "balance", "level3"})
"""Of channels that hold orders, auctions and balances: known, and nothing for the tape."""
CHANNEL_ALIASES: Final = {"level2_50": "level2_batch", "ticker_1000": "ticker_batch"}
"""What acknowledgements call a channel → what it was asked for as."""

_exchange = msgspec.json.Decoder(ExchangeFrame).decode
_typed = msgspec.json.Decoder(TypedFrame).decode


class ExchangeParser:
    """Frames of one Exchange connection. Nothing in it is numbered but the trades."""

    __slots__ = ("_booked", "_broken", "_products", "_times")

    def __init__(self, symbols: Symbols) -> None:
        self._products = Products(symbols)
        self._times: dict[str, int] = {}  # newest time of each book: its next one may be that of the year 1
        self._booked: dict[str, None] = {}
        self._broken: ConnectionBreak | None = None

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `venue.Parser`. After a change of a book that could not be read all books of the connection are suspect."""
        try:
            outputs = self._parse(data, received_ts)
        except UnknownSymbol:
            raise
        except FRAME_ERRORS:
            if b"l2update" in data:
                self._broken = ConnectionBreak(received_ts, None, instruments=tuple(self._booked))
            raise
        if self._broken is not None:
            outputs.insert(0, self._broken)
            self._broken = None
        return outputs

    def _parse(self, data: bytes, received_ts: int) -> list[Output]:
        try:
            frame = _exchange(data)
        except msgspec.ValidationError:
            kind = _typed(data).type
            if kind in EXCHANGE_TYPES:
                raise
            if kind in OTHER_TYPES:
                return []
            raise UnknownFrame(f"type {kind!r}") from None
        match frame:
            case L2UpdateFrame():
                return self._update(frame, received_ts)
            case MatchFrame():
                return self._match(frame, received_ts, replayed=False)
            case TickerFrame():
                return self._ticker(frame, received_ts)
            case HeartbeatFrame(product_id=product, last_trade_id=trade_id, time=time):
                return [Heartbeat(), LastTrade(self._products[product], known_ns(time), received_ts, trade_id)]
            case LastMatchFrame():
                return self._match(frame, received_ts, replayed=True)
            case SnapshotFrame():
                return self._snapshot(frame, received_ts)
            case SubscriptionsFrame(channels=channels):
                return [Ack(channel=CHANNEL_ALIASES.get(c.name, c.name), symbols=self._products.asked(c.product_ids)) for c in channels]
            case ErrorFrame(message=message, reason=reason):
                return [_refused(message, reason)]
            case StatusFrame(products=products):
                return [
                    _product_status(instrument, product.status, product.status_message, received_ts)
                    for product in products
                    if (instrument := self._products.get(product.id)) is not None
                ]
            case _:
                assert_never(frame)

    def _match(self, raw: Match, received_ts: int, *, replayed: bool) -> list[Output]:
        """`last_match` is the trade before the subscription: it was published already, or it is the first that the tape knows."""
        if not positive(raw.price, raw.size):
            raise FrameError(f"trade {raw.trade_id} of {raw.product_id}: {raw.size} at {raw.price}")
        outputs: list[Output] = []
        instrument, venue_ts, taker = self._products[raw.product_id], _moment(raw.time, outputs), TAKER.get(raw.side)
        outputs.append(Trade(ID, instrument, venue_ts, received_ts, raw.price, raw.size, taker, str(raw.trade_id), replayed))
        return outputs

    def _ticker(self, raw: TickerFrame, received_ts: int) -> list[Output]:
        """The day's figures. Its best bid and ask are those of the last trade, not of now: no quote."""
        outputs: list[Output] = []
        venue_ts = _moment(raw.time, outputs) if raw.time is not None else None
        outputs.append(
            Ticker(
                ID, self._products[raw.product_id], venue_ts, received_ts,
                number(raw.price), number(raw.open_24h), number(raw.high_24h), number(raw.low_24h), number(raw.volume_24h),
            )
        )  # fmt: skip
        return outputs

    def _snapshot(self, raw: SnapshotFrame, received_ts: int) -> list[Output]:
        instrument = self._products[raw.product_id]
        outputs: list[Output] = []
        bids, asks = _levels(raw.bids, outputs), _levels(raw.asks, outputs)
        venue_ts = self._time(instrument, raw.time, outputs)
        self._booked[instrument] = None
        outputs.append(BookSnapshot(instrument, venue_ts, received_ts, bids, asks))
        return outputs

    def _update(self, raw: L2UpdateFrame, received_ts: int) -> list[Output]:
        instrument = self._products[raw.product_id]
        outputs: list[Output] = []
        bids: list[Level] = []
        asks: list[Level] = []
        for word, price, size in raw.changes:
            found = level(price, size)
            if found is None:
                outputs.append(Odd("size"))
            elif word == "buy":
                bids.append(found)
            elif word == "sell":
                asks.append(found)
            else:
                raise FrameError(f"side {word!r}")
        venue_ts = self._time(instrument, raw.time, outputs)
        outputs.append(BookUpdate(instrument, venue_ts, received_ts, bids, asks))
        return outputs

    def _time(self, instrument: str, text: str | None, outputs: list[Output]) -> int | None:
        """A book's time; that of the frame before where it cannot be."""
        moment = _moment(text, outputs) if text is not None else None
        if moment is None:
            return self._times.get(instrument)
        self._times[instrument] = moment
        return moment


def _levels(rows: Iterable[tuple[str, str]], outputs: list[Output]) -> list[Level]:
    levels: list[Level] = []
    for price, size in rows:
        found = level(price, size)
        if found is None:
            outputs.append(Odd("size"))
        else:
            levels.append(found)
    return levels


def subscribe_exchange(request: Request) -> bytes:
    """With the trades come heartbeats of each product, which name its newest trade."""
    names = ["matches", "heartbeat"] if request.channel == "matches" else [request.channel]
    return _encode({"type": "subscribe", "product_ids": request.symbols, "channels": names})


def unsubscribe_exchange(request: Request) -> bytes:
    """As `subscribe_exchange`. Without products it would drop the whole channel."""
    names = ["matches", "heartbeat"] if request.channel == "matches" else [request.channel]
    return _encode({"type": "unsubscribe", "product_ids": request.symbols, "channels": names})


# ---- REST


class ExchangeProduct(msgspec.Struct, frozen=True):
    id: str
    base_currency: str
    quote_currency: str
    base_increment: Decimal | None = None
    quote_increment: Decimal | None = None
    status: str = "online"
    trading_disabled: bool = False


class MarketProduct(msgspec.Struct, frozen=True):
    product_id: str
    base_currency_id: str
    quote_currency_id: str
    base_increment: Decimal | None = None
    price_increment: Decimal | None = None
    status: str = "online"
    product_type: str = "SPOT"
    trading_disabled: bool = False
    is_disabled: bool = False


class MarketProducts(msgspec.Struct, frozen=True):
    products: list[MarketProduct]


class RestFault(msgspec.Struct, frozen=True):
    message: str


_exchange_products = msgspec.json.Decoder(list[ExchangeProduct]).decode
_market_products = msgspec.json.Decoder(MarketProducts).decode
_fault = msgspec.json.Decoder(RestFault).decode


def parse_instruments(body: bytes) -> list[Instrument]:
    """Products of Exchange (a list) or of Advanced Trade (an object, whose tick is `price_increment`); futures are left out."""
    if body.lstrip()[:1] == b"[":
        return [
            Instrument(
                spot(p.base_currency, p.quote_currency), ID, p.id, p.base_currency, p.quote_currency,
                p.quote_increment, p.base_increment, active=p.status == "online" and not p.trading_disabled,
            )
            for p in _exchange_products(body)
        ]  # fmt: skip
    return [
        Instrument(
            spot(p.base_currency_id, p.quote_currency_id), ID, p.product_id, p.base_currency_id, p.quote_currency_id,
            p.price_increment, p.base_increment, active=p.status == "online" and not (p.trading_disabled or p.is_disabled),
        )
        for p in _market_products(body).products
        if p.product_type == "SPOT" and p.base_currency_id
    ]  # fmt: skip


def rest_error(body: bytes) -> str | None:
    """`{"message": "NotFound"}`."""
    try:
        return _fault(body).message
    except msgspec.MsgspecError:
        return None


_BOOK: Final[Mapping[str, str]] = {"book": "level2", "delta": "level2", "quote": "level2"}
_BATCH: Final[Mapping[str, str]] = {"book": "level2_batch", "delta": "level2_batch", "quote": "level2_batch"}
_RULES: Final[dict[str, Any]] = {"max_frame_bytes": 32 * MEBIBYTE, "silence_s": 10.0}  # whole books in one frame; heartbeats every second

VENUE: Final = Venue(
    id=ID,
    endpoints=(
        Endpoint(
            name="advanced",
            url="wss://advanced-trade-ws.coinbase.com",
            channels={**_BOOK, "ticker": "ticker", "status": "status"},
            parser=AdvancedParser,
            subscribe=subscribe_advanced,
            unsubscribe=unsubscribe_advanced,
            greeting=(_encode({"type": "subscribe", "channel": "heartbeats"}),),
            topics=45,  # fifteen products: one lost frame makes every book of the connection suspect
            symbols_per_request=50,
            requests_per_s=4.0,  # of 8
            connects_per_s=1.0,
            hosts=("advanced-trade",),
            speaks=lambda data: b'"channel":' in data,
            **_RULES,
        ),
        Endpoint(
            name="exchange",
            url="wss://ws-feed.exchange.coinbase.com",
            channels={"trade": "matches", **_BATCH, "ticker": "ticker"},
            parser=ExchangeParser,
            subscribe=subscribe_exchange,
            unsubscribe=unsubscribe_exchange,
            topics=200,
            symbols_per_request=50,
            requests_per_s=4.0,  # of 8
            connects_per_s=1.0,
            hosts=("ws-feed", "ws-direct"),
            speaks=lambda data: b'"type":' in data and b'"channel":' not in data,
            **_RULES,
        ),
    ),
    rest_urls={"exchange": "https://api.exchange.coinbase.com"},
    instruments=InstrumentSource(
        rest="exchange",
        path="/products",
        parse=parse_instruments,
        match=lambda url: urlsplit(url).path.endswith("/products"),
    ),
    book=BookRule(
        snapshot="stream",
        proof="`sequence_num` over all frames of the connection (Exchange recordings: nothing); never crossed",
    ),
    trade_ids="contiguous",
    quote_from_book=True,
    aliases=("coinbase_exchange",),
    rest_error=rest_error,
)

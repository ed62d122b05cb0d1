"""HTX contracts: what the frames of the markets', the index and the notification socket become.

Sizes   contracts of `contract_size` coins (of a coin-margined one: USD). What the venue counts of trades, volumes and open interest is of
        both sides: `values.BothSides` halves it. Books, best prices and liquidations are of one side
Trades  the `id` of a row grows, and is not contiguous; rows come oldest first. The first frame after subscribing is the last trade from
        before. `direction` was empty once: the side is not known
Mark    the close of a candle whose numbers are texts; the index has a topic of its own, by pair, which is subscribed with the mark's
Funding `settlement_time` is the next payment, `funding_time` only when the rate was computed. The interval is in the list of instruments
Candles `count` is left out: the documents say that it is of both sides, and frames have odd ones
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar, Final

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame
from crosstape_connector.venues.htx import books, frames, markets
from crosstape_connector.venues.htx.frames import Envelope, Route, encode
from crosstape_connector.venues.htx.notifications import NOTIFICATIONS
from crosstape_connector.venues.htx.swap_frames import (
    RawTrade,
    decode_close,
    decode_day,
    decode_heartbeat,
    decode_named,
    decode_raws,
    decode_top,
)
from crosstape_connector.venues.htx.values import SIDES, SWAP, TIMEFRAMES, BothSides, RawCandle, checked
from crosstape_connector.venues.messages import Heartbeat, Odd, Output, Reply, unreadable
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.numbers import LIMIT, figure
from crosstape_connector.venues.parsing.wire import ZERO, epoch_ns, finite, positive, shown, side
from crosstape_connector.venues.spec import Request, Symbols
from crosstape_schemas import VENUE_WIDE, FeedState, Instrument, Mark, Quote, Status, Ticker, Trade

DEPTHS: Final = (20, 150)
TRADES_IN: Final = 1
FRESH_NS: Final = 1_000_000_000
"""An index price that is older or newer than a mark price by so much, by the venue's times, is of another moment."""
GREETING: Final = encode({"op": "sub", "cid": "states", "topic": "public.*.contract_info"})
"""Tells of contracts that begin or cease to trade."""
OTHERS: Final = re.compile(
    r"kline\.(1day|1week|1mon)|(index|mark_price)\.(5min|15min|30min|60min|4hour|1day|1week|1mon)"
    r"|(basis|premium_index|estimated_rate|liquidation_orders)\..+|depth\.(step\d+|size_\d+|percent\d+)"
)


def trade_route(parser: Parser, instrument: Instrument, topic: str) -> Route:
    """`trade.detail`."""
    name, both = instrument.name, parser.both

    def made(row: RawTrade, received_ts: int, odd: list[Odd], is_first: bool) -> Trade:
        if not positive(row.price, row.amount):
            raise FrameError(f"trade {row.id} of {name}: {shown(row.amount)} at {shown(row.price)}")
        odd += both.look(row.amount, f"trade {row.id} of {name}")
        size = base_size(instrument, both.one(row.amount), row.price)
        return Trade(
            instrument.venue, name, epoch_ns(row.ts), received_ts, row.price, size, SIDES.get(row.direction), str(row.id), is_first
        )

    return markets.trade_route(name, RawTrade, made, are_numbered=False)


def quote_route(parser: Parser, instrument: Instrument, topic: str) -> Route:
    """`bbo`: the best bid and ask, at each change. A side may be missing."""
    name = instrument.name

    def best(level: tuple[Decimal, Decimal] | None) -> tuple[Decimal, Decimal] | tuple[None, None]:
        if level is None:
            return None, None
        finite(*level)
        price, size = side(*level)
        return (None, None) if price is None or size is None else (price, base_size(instrument, size, price))

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        try:
            q = decode_top(data).tick
            checked(data)
            return (Quote(instrument.venue, name, epoch_ns(q.ts), received_ts, *best(q.bid), *best(q.ask)),)
        except FRAME_ERRORS as exc:
            return unreadable("quote", name, received_ts, exc)

    return route


def ticker_route(parser: Parser, instrument: Instrument, topic: str) -> Route:
    """`detail`: rolling 24 h. `vol` counts contracts."""
    name, both = instrument.name, parser.both

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        try:
            frame = decode_day(data)
            checked(data)
            day = frame.tick
            finite(day.close, day.open, day.high, day.low, day.amount, day.turnover, day.vol)
        except FRAME_ERRORS as exc:
            return unreadable("ticker", name, received_ts, exc)
        odd = both.look(day.vol, f"the volume of {name}")
        quoted = day.vol * instrument.contract_size if instrument.inverse else day.turnover
        volumes = (None if one is None else both.one(one) for one in (day.amount, quoted))
        made_ts = epoch_ns(frame.ts)
        return *odd, Ticker(instrument.venue, name, made_ts, received_ts, day.close, day.open, day.high, day.low, *volumes)

    return route


def volumes(instrument: Instrument, raw: RawCandle, both: BothSides) -> tuple[Decimal, Decimal | None]:
    """Return the base and quote volume of a candle, of one side. Contracts of coin-margined ones are USD."""
    quoted = raw.vol * instrument.contract_size if instrument.inverse else raw.turnover
    return both.one(raw.amount), None if quoted is None else both.one(quoted)


def figures(parser: Parser, instrument: Instrument, raw: RawCandle, what: str) -> markets.Figures:
    """Of a candle. The number of trades is left out."""
    finite(raw.vol)
    odd = parser.both.look(raw.vol, what)
    return odd, volumes(instrument, raw, parser.both), None


def pair_of(symbol: str) -> str:
    """Return the pair of a contract, dated or not: `BTC-USDT-261225` → `BTC-USDT`."""
    return "-".join(symbol.split("-")[:2])


def mark_route(parser: Parser, instrument: Instrument, topic: str) -> Route:
    """`mark_price.1min`: its close is the mark price. The index price is the newest of its own topic, if that is of the same second."""
    name, pair = instrument.name, pair_of(instrument.symbol)

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        try:
            frame = decode_close(data)
            price = price_of(frame.tick.close)
        except FRAME_ERRORS as exc:
            return unreadable("mark", name, received_ts, exc)
        made_ts, (index, index_ts) = epoch_ns(frame.ts), parser.indices.get(pair, (None, 0))
        return (Mark(instrument.venue, name, made_ts, received_ts, price, index if abs(made_ts - index_ts) < FRESH_NS else None),)

    return route


def index_route(parser: Parser, topic: bytes) -> Route:
    """`index.1min`, by pair: what the next mark price is published with."""
    pair = topic.split(b".")[1].decode()

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        frame = decode_close(data)
        parser.indices[pair] = price_of(frame.tick.close), epoch_ns(frame.ts)
        return ()

    return route


def price_of(text: str) -> Decimal:
    """Return a price from its text. Raises `FrameError`."""
    price = figure(text)
    if not ZERO < price < LIMIT:
        raise FrameError(f"a price of {shown(text)}")
    return price


class Parser(frames.Parser):
    """Frames of one connection to any of the sockets."""

    __slots__ = ("both", "indices")
    channels: ClassVar = {
        "trade.detail": trade_route,
        "bbo": quote_route,
        "detail": ticker_route,
        "mark_price.1min": mark_route,
        **markets.candle_routes(TIMEFRAMES, figures),
        **{f"depth.size_{depth}.high_freq": books.of_books(books.numbered) for depth in DEPTHS},
        **{f"depth.{step}": books.of_books(books.complete) for step in ("step0", "step6")},
    }
    others = OTHERS

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(symbols)
        self.both = BothSides()
        self.indices: dict[str, tuple[Decimal, int]] = {}
        """Pair → its newest index price, and the venue's time of it."""

    def _route(self, topic: bytes) -> Route:
        return index_route(self, topic) if topic.endswith(b".index.1min") else super()._route(topic)

    def subscribed(self, topic: str, received_ts: int) -> Sequence[Output]:
        """The index price is subscribed with the mark price: an acknowledgement of one is answered with the request for the other."""
        _, _, rest = topic.partition(".")
        symbol, _, channel = rest.partition(".")
        if channel != "mark_price.1min":
            return ()
        pair = pair_of(symbol)
        return (Reply(encode({"sub": f"market.{pair}.index.1min", "id": f"index {pair}"})),)

    def notified(self, frame: Envelope, received_ts: int) -> Sequence[Output]:
        """`public.BTC-USDT.funding_rate`, or of all contracts: `public.*.funding_rate`."""
        channel = frame.topic.rpartition(".")[2]
        if channel == "heartbeat":
            state = FeedState.LIVE if decode_heartbeat(frame.data).heartbeat == 1 else FeedState.DOWN
            return (Status(SWAP, VENUE_WIDE, None, received_ts, VENUE_WIDE, state, "" if state is FeedState.LIVE else "maintenance"),)
        read = NOTIFICATIONS.get(channel)
        if read is None:
            raise UnknownFrame(f"topic {frame.topic!r}")
        made_ts = epoch_ns(frame.ts) if isinstance(frame.ts, int) else None
        outputs: list[Output] = []
        for raw in decode_raws(frame.data):
            try:
                instrument = self._symbols.get(decode_named(raw).code)
            except FRAME_ERRORS as exc:
                outputs.append(Odd("row", f"{frame.topic}: {exc}"))
                continue
            if instrument is not None:
                outputs += read(raw, instrument, made_ts, received_ts)
        return outputs or (Heartbeat(),)


def topic_of(symbol: str, request: Request) -> str:
    """Return the topic of a subscription."""
    return f"market.{symbol}.{f'depth.size_{request.depth}.high_freq' if request.channel == 'depth' else request.channel}"


request: Final = frames.market_request(topic_of, lambda request: {"data_type": "incremental"} if request.channel == "depth" else {})
"""Unsubscribing a book names its `data_type`, too. Without it a book comes complete each time."""

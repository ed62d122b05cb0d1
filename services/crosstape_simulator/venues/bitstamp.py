"""Bitstamp spot, WebSocket v2: its frames, requests and REST answers, and the table of all that the simulator knows of it.

Docs    https://www.bitstamp.net/websocket/v2/, https://www.bitstamp.net/api/
Quirks  one channel a request; books have the time of their last change (µs), neither numbers nor checksums: `diff_order_book` needs a
        snapshot by REST, `order_book` is complete each time; there is no ticker and no quote on the stream; `type` 0 is a taker that
        bought, a number on the stream and text by REST; the server asks its clients to reconnect before it closes
Assumed, as no documentation says it: the pace of books, most errors' texts. Not simulated: `detail_order_book`, `live_orders`
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import NS, fixed, plain
from crosstape_simulator.market.grid import Grid
from crosstape_simulator.market.history import Candle, MarketData, Traded, asked_times, integer
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.rewriting import unix_times

DECIMALS: Final = {"BTC": (2, 8), "ETH": (2, 8), "XRP": (5, 8), "ADA": (5, 8)}
PAIRS: Final = (*((base, "USD") for base in DECIMALS), ("BTC", "USDT"), ("ETH", "USDT"), ("XRP", "USDT"))
NAMES: Final = {f"{base}{quote}".lower(): f"{base}/{quote}" for base, quote in PAIRS}
ABOUT: Final = re.compile(r"/api/v2/(ticker|order_book|transactions|ohlc)/([^/]+)/?")
SECONDS: Final = {"minute": 60, "hour": 3_600, "day": 86_400}
STEPS: Final = (60, 180, 300, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 259_200)
ERRORS: Final = {400: ("400", "Invalid request."), 404: ("404", "Not found."), 429: ("400.002", "Rate limit exceeded.")}
TIMES: Final = unix_times("timestamp", "microtimestamp", "date")
INSTRUMENT_LIST: Final = spec.InstrumentList(
    path="/api/v2/trading-pairs-info/", rows=(), symbol="url_symbol", base="name", tick="counter_decimals", lot="base_decimals",
    status="trading", unlisted=lambda base: {"name": f"{base}/USDT", "url_symbol": f"{base}usdt".lower()},
)  # fmt: skip


def _refusal(status: int, reason: str) -> dict[str, str]:
    code, usual = ERRORS.get(status, (str(status), "Request refused."))
    return {"status": "error", "reason": reason or usual, "code": code}


def _event(name: str, channel: str, data: object) -> bytes:
    return kit.encoded({"event": f"bts:{name}", "channel": channel, "data": data})


UNKNOWN: Final = answer(_refusal(404, ""), 404)
BAD: Final = _event("error", "", {"code": None, "message": "Bad subscription string."})
LEAVE: Final = _event("request_reconnect", "", "")
UNAUTHORIZED: Final = _event("error", "", {"code": 4009, "message": "Connection is unauthorized."})


def _classify(payload: bytes) -> spec.FrameInfo:
    frame = msgspec.json.decode(payload, type=dict[str, Any])
    event, channel = str(frame.get("event")), frame.get("channel")
    if event in ("bts:heartbeat", "bts:request_reconnect"):
        return spec.FrameInfo(spec.Role.FREE)
    return spec.FrameInfo(spec.Role.REPLY if event.startswith("bts:") else spec.Role.DATA, (kit.split(channel),) if channel else ())


def _recorded_trade(payload: bytes) -> Iterator[tuple[str, Traded]]:
    frame = msgspec.json.decode(payload, type=dict[str, Any])
    raw, (price, size) = frame["data"], (plain(frame["data"][name]) for name in ("price_str", "amount_str"))
    yield kit.split(frame["channel"])[1], Traded(raw["id"], int(raw["microtimestamp"]) * 1_000, price, size, raw["type"] == 0)


def _asked(request: dict[str, Any]) -> spec.Request | None:
    match request:
        case {"event": "bts:subscribe" | "bts:unsubscribe" as event, "data": {"channel": str(channel)}}:
            return spec.Request(event == "bts:subscribe", (kit.split(channel),), request)
    return None


def _refuse(request: spec.Request, bad: object) -> tuple[list[bytes], spec.Request | None]:
    return [UNAUTHORIZED if request.topics[0][0].startswith("private") else BAD], None


def _acknowledge(request: spec.Request) -> list[bytes]:
    return [_event(f"{'' if request.subscribe else 'un'}subscription_succeeded", "_".join(topic), {}) for topic in request.topics]


def _other(request: dict[str, Any] | None) -> bytes:
    return _event("heartbeat", "", {"status": "success"}) if (request or {}).get("event") == "bts:heartbeat" else BAD


def _feed(source: Source, options: spec.Options) -> Feed:
    return kit.RequestFeed(source, VENUE.kinds, asked=_asked, acknowledge=_acknowledge, refuse=_refuse, other=_other, announcement=LEAVE)


def _trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    for ts, fill in trades:
        price, amount, order = symbol.price(fill.price), symbol.size(fill.size), fill.trade_id * 1_000
        buyer, seller = (order + 2, order + 1) if fill.buyer_takes else (order + 1, order + 2)  # the taker's order is the newer one
        numbers = f'"amount":{symbol.short_size(fill.size)},"amount_str":"{amount}","price":{symbol.short_price(fill.price)}'
        tail = f'"price_str":"{price}","type":{int(not fill.buyer_takes)},"microtimestamp":"{ts // 1_000}"'
        data = f'"id":{fill.trade_id},"timestamp":"{ts // NS}",{numbers},{tail},"buy_order_id":{buyer},"sell_order_id":{seller}'
        yield f'{{"data":{{{data}}},"channel":"live_trades_{symbol.name}","event":"trade"}}'


def _levels(symbol: kit.Symbol, us: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]) -> str:
    sides = f'"bids":[{symbol.rows(bids)}],"asks":[{symbol.rows(asks)}]'
    return f'{{"timestamp":"{us // 1_000_000}","microtimestamp":"{us}",{sides}}}'


def _diff(symbol: kit.Symbol, delta: kit.Delta, ts: int) -> str:
    levels = _levels(symbol, delta.last, sorted(delta.side(bid=True), reverse=True), sorted(delta.side(bid=False)))
    return f'{{"data":{levels},"channel":"diff_order_book_{symbol.name}","event":"data"}}'


def _book(symbol: kit.Symbol, ts: int) -> str:
    levels = _levels(symbol, symbol.number, symbol.pair.bids.levels(100), symbol.pair.asks.levels(100))
    return f'{{"data":{levels},"channel":"order_book_{symbol.name}","event":"data"}}'


def _ticker(symbol: kit.Symbol) -> dict[str, str]:
    pair, change = symbol.pair, symbol.pair.last.price - symbol.pair.open
    row = {**symbol.day, "open_24": symbol.day["open"], "volume": symbol.size(pair.volume), "timestamp": str(symbol.number // 10**6)}
    return {**row, "percent_change_24": fixed(change * 10_000 // pair.open, 2), "side": str(int(not pair.last.buyer_takes))}


def _row(symbol: kit.Symbol) -> dict[str, object]:
    one, name = symbol.pair.listing, f"{symbol.pair.listing.base}/{symbol.pair.listing.quote}"
    row = {"name": name, "url_symbol": one.symbol, "description": name, "minimum_order": f"20.0 {one.quote}", "trading": "Enabled"}
    return {**row, "base_decimals": one.size_decimals, "counter_decimals": one.price_decimals, "instant_and_market_orders": "Enabled"}


class BitstampMarket(kit.StreamMarket):
    """Bitstamp's channels and REST side."""

    streams = (
        ("live_trades", kit.TradeChannel, _trades),
        ("diff_order_book", kit.DeltaChannel, _diff),
        ("order_book", kit.BookChannel, _book),
    )
    feed, dated, burst_s, busy = _feed, True, 600.0, answer(_refusal(429, ""), 429)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Instruments, tickers, books, trades, candles."""
        if path == INSTRUMENT_LIST.path:
            return answer([_row(symbol) for symbol in self.listed.values()])
        if path == "/api/v2/ticker/":
            return answer([{"pair": NAMES.get(name, name), **_ticker(symbol)} for name, symbol in self.listed.items()])
        found = ABOUT.fullmatch(path)
        symbol = self.listed.get(found[2]) if found else None
        if found is None or symbol is None:
            return UNKNOWN
        if found[1] == "order_book":
            return Answer(_levels(symbol, *self.snapshots.answer(symbol.name, None)).encode())
        return answer(_ticker(symbol)) if found[1] == "ticker" else _history(self, path, query, now) or UNKNOWN


def _history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """Trades and candles up to the newest trade, which in a recording is not of today."""
    found = ABOUT.fullmatch(path)
    history = data.history(found[2]) if found and found[1] in ("transactions", "ohlc") else None
    if found is None or history is None:
        return None
    until = (now if history.last_ts is None else history.last_ts) // NS
    if found[1] == "transactions":
        after = (until - SECONDS.get(query.get("time", "hour"), 3_600)) * NS
        rows = [
            {"date": str(ts // NS), "tid": str(number), "price": price, "amount": size, "type": str(int(not bought))}
            for number, ts, price, size, bought in reversed(history.between(after + 1, 1 << 62))
        ]
        return answer(rows)
    step, limit, start, end = (integer(query.get(name), usual) for name, usual in (("step", 0), ("limit", 0), ("start", 0), ("end", until)))
    if step not in STEPS or not limit or limit > 1_000 or start is None or end is None:
        return answer(_refusal(400, ""), 400)
    end = min(end, until // step * step - 1) if query.get("exclude_current_candle") == "true" else end
    is_forward = "start" in query and "end" not in query
    bounds = start * NS if is_forward else None, end * NS
    found_candles = data.candles(found[2], Grid(step), flat=True, times=asked_times(Grid(step), limit + 1, *bounds)) or []
    inside = [(one, after) for one, after in zip(found_candles, [*found_candles[1:], None], strict=True) if one.open_ts // NS <= end]
    made = [_candle(one, after) for one, after in inside if not is_forward or start <= one.open_ts // NS]
    made = made[:limit] if is_forward else made[-limit:]
    return answer({"data": {"pair": NAMES.get(found[2], found[2]), "ohlc": made}})


def _candle(one: Candle, after: Candle | None) -> dict[str, str]:
    """A row. An interval without trades is at the close of the one after it."""
    prices = {"open": one.open, "high": one.high, "low": one.low, "close": one.close}
    if one.is_empty and after is not None:
        prices = dict.fromkeys(prices, after.close)
    return {"timestamp": str(one.open_ts // NS), **prices, "volume": one.volume}


VENUE: Final = spec.SimulatedVenue(
    id="bitstamp",
    title="Bitstamp",
    listings=tuple(Listing("bitstamp", f"{base}{quote}".lower(), base, quote, *DECIMALS[base]) for base, quote in PAIRS),
    options={"requests_per_s": 10_000 / 600, "old_snapshot_every": 3},
    dialects=(spec.Dialect(path="/", prefixes=("/",), feed=_feed, classify=_classify, asked=_asked, refuse=_refuse),),
    market=BitstampMarket,
    rest=spec.RestRules(
        history=_history,
        unknown=UNKNOWN,
        refusal=_refusal,
        lists=(INSTRUMENT_LIST,),
        halted={"halt": {"trading": "Disabled"}, "delisted": {"trading": "Disabled"}},
        book=spec.RestBook(path="/api/v2/order_book/{symbol}/", topics=lambda market: (("diff_order_book", market),)),
    ),
    recorded=spec.RecordedRules(trades={"live_trades": _recorded_trade}),
    kinds={"live_trades": frozenset({"trade"}), "diff_order_book": frozenset({"book"}), "order_book": frozenset({"book", "quote"})},
    fields={"trade": ("price_str", "amount_str")},
    shift=TIMES,
    maintenance="`bts:request_reconnect`, once",
    maintenance_once=True,
)

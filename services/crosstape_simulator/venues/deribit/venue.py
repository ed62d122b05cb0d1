"""Deribit, perpetuals and dated futures: frames, requests and REST answers, and the table of all that the simulator knows of it.

Docs    https://docs.deribit.com
Quirks  JSON-RPC; names that are wrong are missing from an acknowledgement, without an error; who is subscribed and subscribes again gets no
        second snapshot; each change of a book names the one before; trades of a tenth of a second come as one list, and a liquidation is a
        mark of a trade; amounts of a linear contract are base units, of an inverse one US dollars; the server asks for signs of life, and
        cuts who does not answer
Assumed, as no documentation says it: the pace of tickers. Not simulated: credits, `raw` and `agg2`, books of some levels, block trades,
options, combinations and spot; that signs of life are asked for only after `public/set_heartbeat`
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import NS, plain
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import MarketData, Top, Traded, asked_times, integer
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source, decode_object, strings
from crosstape_simulator.server.manners import ServerPings
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.deribit import frames
from crosstape_simulator.venues.deribit.frames import MS
from crosstape_simulator.venues.rewriting import UpdateIds, unix_times

EXPIRY: Final = 1_798_185_600 * NS
"""2026-12-25T08:00Z."""
NEVER_MS: Final = 32_503_708_800_000
"""`expiration_timestamp` of a perpetual."""
RESOLUTIONS: Final = {"1": "1m", "3": "3m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "120": "2h"}
CANDLES: Final = {f"chart.trades.{name}": timeframe for name, timeframe in RESOLUTIONS.items()}
CANDLES_MAX: Final = 5_000
TRADES_MAX: Final = 1_000
KINDS: Final = {
    "trades.100ms": frozenset({"trade", "liquidation"}),
    "quote": frozenset({"quote"}),
    "book.100ms": frozenset({"book"}),
    "ticker.100ms": frozenset({"ticker", "mark", "funding", "open_interest"}),
    **dict.fromkeys(CANDLES, frozenset({"candle"})),
}
DECIMALS: Final = {"BTC": (1, 4), "ETH": (2, 3), "SOL": (3, 1), "XRP": (5, 0)}
PLACE: Final = "/api/v2/public"
ERRORS: Final = {404: (-32601, "Method not found"), 429: (10028, "too_many_requests")}
PINGS: Final = ServerPings(
    text=lambda now: '{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}',
    is_answer=lambda text: '"public/test"' in text,
    every_s=10.0,
    within_s=10.0,
)
_TIMES: Final = unix_times("timestamp", "tick")
_TICKS: Final = re.compile(rb'"ticks":\[[^\]]*\]')
_TICK: Final = re.compile(rb"\d{13}")


def _refusal(status: int, reason: str) -> dict[str, object]:
    code, usual = ERRORS.get(status, (-32602, "Invalid params"))
    return {"jsonrpc": "2.0", "error": {"message": reason or usual, "code": code}, "testnet": False}


UNKNOWN: Final = answer(_refusal(400, ""), 400)


def _classify(payload: bytes) -> spec.FrameInfo:
    made = msgspec.json.decode(payload, type=dict[str, Any])
    if made.get("method") == "subscription":
        return spec.FrameInfo(spec.Role.DATA, (frames.topic_of(str(made["params"].get("channel"))),))
    return spec.FrameInfo(spec.Role.FREE if made.get("method") == "heartbeat" else spec.Role.REPLY)


def _asked(request: dict[str, Any]) -> spec.Request | None:
    match request:
        case {"method": "public/subscribe" | "public/unsubscribe" as method, "params": {"channels": channels}}:
            names = strings(channels)
            if names is not None:
                return spec.Request(method == "public/subscribe", tuple(map(frames.topic_of, names)), request)
    return None


def _result(request: Mapping[str, Any], result: object) -> bytes:
    return kit.encoded({"jsonrpc": "2.0", "id": request.get("id"), "result": result, "usDiff": 75, "testnet": False})


def _refuse(request: spec.Request, bad: Collection[Topic]) -> tuple[list[bytes], spec.Request | None]:
    """Refused names are missing from the acknowledgement."""
    left = tuple(topic for topic in request.topics if topic not in bad)
    if not left:
        return [_result(request.body, [])], None
    body = {**request.body, "params": {"channels": [frames.name_of(topic) for topic in left]}}
    return [], spec.Request(request.subscribe, left, body)


class DeribitFeed(Feed):
    """Acknowledges what exists, and sends the first data of what is new."""

    def __init__(self, source: Source, options: spec.Options) -> None:
        super().__init__(source)

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a request."""
        request = decode_object(text)
        asked = None if request is None else _asked(request)
        if asked is None:
            connection.send(self._other(request))
            return
        good = [one for one in asked.topics if one[0] in KINDS and self.source.lists(one[1])]
        fresh = [topic for topic in good if topic not in connection.topics]
        for topic in good:
            (self.join if asked.subscribe else self.leave)(connection, topic)
        connection.send(_result(asked.body, sorted(map(frames.name_of, good))))
        for topic in fresh if asked.subscribe else ():
            self.source.subscribed(connection, topic)

    @staticmethod
    def _other(request: dict[str, Any] | None) -> bytes:
        known = {"public/set_heartbeat": "ok", "public/test": {"version": "1.2.26"}}
        if request is not None and (method := str(request.get("method"))) in known:
            return _result(request, known[method])
        code, message = (11050, "bad_request") if request is None else (-32601, "Method not found")
        return kit.encoded({"jsonrpc": "2.0", "id": (request or {}).get("id"), "error": {"code": code, "message": message}})


class DeribitMarket(kit.StreamMarket):
    """Deribit's channels and REST side."""

    feed, step, burst_s, busy = DeribitFeed, 3, 5.0, answer(_refusal(429, ""), 429)

    def symbol(self, pair: Pair, start_ts: int) -> kit.Symbol:
        """How the venue writes a pair's numbers: no book ever had the `change_id` 0."""
        return kit.Symbol(pair, number=start_ts // MS)

    def channels(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """All that there is of one contract."""
        name = symbol.name
        yield kit.TradeChannel(feed, symbol, ("trades.100ms", name), frames.trades, gathers=True)
        yield kit.QuoteChannel(feed, symbol, ("quote", name), frames.quote, first=frames.quote)
        yield frames.Book(feed, symbol)
        yield kit.ValueChannel(feed, symbol, ("ticker.100ms", name), frames.ticker, every_ns=NS, first=frames.ticker)
        grids: dict[Topic, Grid] = {(channel, name): grid(timeframe) for channel, timeframe in CANDLES.items()}
        yield kit.CandleChannel(feed, symbol, grids, frames.candle, empty="flat")

    def number(self, symbol: str) -> int:
        """`change_id` of a book."""
        return self.listed[symbol].number

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Instruments, best prices, trades and candles."""
        if path == f"{PLACE}/get_instruments":
            return Answer(b'{"jsonrpc":"2.0","result":[%s]}' % ",".join([_row(one) for one in self.listed.values()]).encode())
        symbol = self.listed.get(query.get("instrument_name", ""))
        if path == f"{PLACE}/ticker" and symbol is not None:
            return Answer(f'{{"jsonrpc":"2.0","result":{frames.figures(symbol, now)}}}'.encode())
        return _history(self, path, query, now) or UNKNOWN


def _row(symbol: kit.Symbol) -> str:
    one = symbol.pair.listing
    expires = NEVER_MS if one.expiry is None else one.expiry // MS
    row = {
        "kind": "future", "instrument_name": one.symbol, "base_currency": one.base, "quote_currency": one.quote,
        "counter_currency": one.quote, "instrument_type": "reversed" if one.inverse else "linear", "is_active": True, "state": "open",
        "settlement_period": "perpetual" if one.expiry is None else "month", "expiration_timestamp": expires,
    }  # fmt: skip
    size = one.contract_size if one.inverse else symbol.size(1)
    numbers = f'"contract_size":{size},"tick_size":{symbol.price(1)},"min_trade_amount":{size}'
    return f"{kit.encoded(row).decode()[:-1]},{numbers}}}"


def _history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    symbol = query.get("instrument_name", "")
    history = data.history(symbol)
    if history is None:
        return None
    if path == f"{PLACE}/ticker" and (top := data.top(symbol)) is not None:
        bid, ask = (one or ("0.0", "0.0") for one in (top.bid, top.ask))
        prices = f'"best_bid_price":{bid[0]},"best_bid_amount":{bid[1]},"best_ask_price":{ask[0]},"best_ask_amount":{ask[1]}'
        return Answer(f'{{"jsonrpc":"2.0","result":{{"timestamp":{now // MS},{prices}}}}}'.encode())
    if path == f"{PLACE}/get_last_trades_by_instrument":
        count, first = integer(query.get("count"), 10), integer(query.get("start_seq"), 0)
        if not count or count > TRADES_MAX or first is None:
            return UNKNOWN
        found = history.since(first, count) if first else history.newest(count)
        rows = [_traded(symbol, one) for one in (reversed(found) if query.get("sorting") == "desc" else found)]
        return Answer(f'{{"jsonrpc":"2.0","result":{{"has_more":false,"trades":[{",".join(rows)}]}}}}'.encode())
    if path != f"{PLACE}/get_tradingview_chart_data" or query.get("resolution") not in RESOLUTIONS:
        return None
    where = grid(RESOLUTIONS[query["resolution"]])
    start, end = (integer(query.get(name), 0) or 0 for name in ("start_timestamp", "end_timestamp"))
    made = data.candles(symbol, where, flat=True, times=asked_times(where, CANDLES_MAX, start * MS, end * MS)) or []
    inside = [one for one in made if start * MS <= one.open_ts <= end * MS][-CANDLES_MAX:]
    columns = {
        "ticks": [str(one.open_ts // MS) for one in inside],
        **{name: [getattr(one, name) for one in inside] for name in ("open", "high", "low", "close")},
        "volume": [one.base_volume for one in inside],
        "cost": [one.quote_volume for one in inside],
    }
    lists = ",".join(f'"{name}":[{",".join(values)}]' for name, values in columns.items())
    return Answer(f'{{"jsonrpc":"2.0","result":{{{lists},"status":"{"ok" if inside else "no_data"}"}}}}'.encode())


def _traded(symbol: str, one: Traded) -> str:
    size = f"{int(one.size) * int(BY_SYMBOL[symbol].contract_size)}.0" if symbol in BY_SYMBOL and BY_SYMBOL[symbol].inverse else one.size
    numbers = f'"trade_seq":{one.trade_id},"timestamp":{one.ts // MS},"price":{one.price},"amount":{size}'
    return f'{{{numbers},"direction":"{"buy" if one.buyer_takes else "sell"}","instrument_name":"{symbol}"}}'


def _recorded_trades(payload: bytes) -> Iterator[tuple[str, Traded]]:
    for raw in msgspec.json.decode(payload, type=dict[str, Any])["params"]["data"]:
        price, size = (plain(str(raw[name])) for name in ("price", "amount"))
        yield raw["instrument_name"], Traded(raw["trade_seq"], raw["timestamp"] * MS, price, size, raw["direction"] == "buy")


def _recorded_top(payload: bytes) -> Top:
    raw = msgspec.json.decode(payload)["params"]["data"]
    sides = [(plain(str(raw[f"best_{side}_price"])), plain(str(raw[f"best_{side}_amount"]))) for side in ("bid", "ask")]
    bid, ask = (one if one[1].strip("0.") else None for one in sides)
    return Top(bid, ask)


def _shift_answer(body: bytes, ns: int) -> bytes:
    """An answer with all its times later by `ns`: those of candles stand in a list."""

    def later(found: re.Match[bytes]) -> bytes:
        return _TICK.sub(lambda tick: b"%d" % (int(tick[0]) + ns // MS), found[0])

    return _TICKS.sub(later, _TIMES(body, ns))


def _shift_query(query: Mapping[str, str], ns: int) -> Mapping[str, str]:
    return {name: str(int(text) - ns // MS) if name.endswith("timestamp") and text.isdecimal() else text for name, text in query.items()}


def _linear(base: str) -> Listing:
    return Listing("deribit", f"{base}_USDC-PERPETUAL", base, "USDC", *DECIMALS[base], contract_size="1")


def _inverse(base: str, size: str, name: str = "PERPETUAL", expiry: int | None = None) -> Listing:
    return Listing("deribit", f"{base}-{name}", base, "USD", DECIMALS[base][0], 0, contract_size=size, inverse=True, expiry=expiry)


LISTINGS: Final = (*map(_linear, DECIMALS), _inverse("BTC", "10"), _inverse("ETH", "1"), _inverse("BTC", "10", "25DEC26", EXPIRY))
BY_SYMBOL: Final = {one.symbol: one for one in LISTINGS}

VENUE: Final = spec.SimulatedVenue(
    id="deribit",
    title="Deribit",
    listings=LISTINGS,
    options={"requests_per_s": 20.0, "ping_s": PINGS.every_s, "pong_within_s": PINGS.within_s},
    dialects=(
        spec.Dialect(
            path="/ws/api/v2", prefixes=("/ws/api/v2",), feed=DeribitFeed, classify=_classify, asked=_asked, refuse=_refuse, pings=PINGS
        ),
    ),
    market=DeribitMarket,
    rest=spec.RestRules(
        history=_history,
        unknown=UNKNOWN,
        refusal=_refusal,
        lists=(
            spec.InstrumentList(
                path=f"{PLACE}/get_instruments",
                rows=("result",),
                symbol="instrument_name",
                base="base_currency",
                tick="tick_size",
                lot="min_trade_amount",
                status="state",
                unlisted=lambda base: {"instrument_name": f"{base}_USDT-PERPETUAL", "base_currency": base, "counter_currency": "USDT"},
            ),
        ),
        halted={"halt": {"state": "halted"}, "offline": {"state": "locked", "is_active": False}, "delisted": {"state": "inactive"}},
        shift_query=_shift_query,
    ),
    recorded=spec.RecordedRules(trades={"trades.100ms": _recorded_trades}, tops={"quote": _recorded_top}),
    kinds=KINDS,
    fields={
        "trade": ("price", "amount"),
        "liquidation": ("price", "amount"),
        "quote": ("best_(?:bid|ask)_price", "best_(?:bid|ask)_amount"),
        "ticker": ("last_price", "volume"),
        "candle": ("open|high|low|close", "volume"),
        "mark": ("mark_price", "index_price"),
        "open_interest": ("open_interest", "open_interest"),
        "funding": ("current_funding", "current_funding"),
    },
    rows={"book": rb'\["(?:new|change|delete)",(?P<price>[0-9.]+),(?P<size>[0-9.]+)\]'},
    shift=_TIMES,
    shift_answer=_shift_answer,
    ids=UpdateIds("change_id", "prev_change_id"),
    maintenance="",
)

"""KuCoin spot: the older protocol's frames, and the table of all that the simulator knows of it.

Assumed, as no documentation says it: that an interval without trades comes late on the newer protocol as on the older. Not simulated:
books of 5 and 50 levels, the newer protocol's window of 500 levels (its books are complete), changes of a book that change nothing
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from crosstape_simulator.formats import NS
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import Candle
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Move
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.kucoin import rest
from crosstape_simulator.venues.kucoin.market import TIMEFRAMES, WEIGHT_MAX, Changes, KucoinMarket, classic_frame
from crosstape_simulator.venues.kucoin.protocol import dialects
from crosstape_simulator.venues.rewriting import UpdateIds, unix_times

DECIMALS: Final = {"BTC": (1, 8), "ETH": (2, 7), "SOL": (3, 4), "XRP": (5, 4), "DOGE": (5, 4), "ADA": (4, 4)}
"""Of prices and sizes, as the real venue has (or had) for the same pairs."""
CANDLE_CHANNELS: Final = {f"/market/candles_{theirs}": ours for theirs, ours in TIMEFRAMES.items()}
PRO_KINDS: Final = {
    "obu": frozenset({"book"}),
    "trade": frozenset({"trade"}),
    "ticker": frozenset({"quote"}),
    **{f"kline_{theirs}": frozenset({"candle"}) for theirs in TIMEFRAMES},
}
KINDS: Final = {
    "/market/match": frozenset({"trade"}),
    "/spotMarket/level1": frozenset({"quote"}),
    "/market/level2": frozenset({"book"}),
    "/market/snapshot": frozenset({"ticker"}),
    **{channel: frozenset({"candle"}) for channel in CANDLE_CHANNELS},
}
TIMES: Final = unix_times("P", "M", "ts", "time", "timestamp", "datetime")
PRO, CLASSIC = dialects(PRO_KINDS, KINDS)


def _trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    for ts, fill in trades:
        side = "buy" if fill.buyer_takes else "sell"
        numbers = f'"price":"{symbol.short_price(fill.price)}","size":"{symbol.short_size(fill.size)}","side":"{side}"'
        ids = f'"sequence":"{fill.trade_id}","tradeId":"{fill.trade_id}","time":"{ts}"'
        data = (
            f'{numbers},{ids},"symbol":"{symbol.name}","makerOrderId":"m{fill.trade_id}","takerOrderId":"t{fill.trade_id}","type":"match"'
        )
        yield classic_frame(f"/market/match:{symbol.name}", "trade.l3match", data)


def _level1(symbol: kit.Symbol, ts: int) -> str:
    best = symbol.best
    asks = f'"asks":["{symbol.short_price(best.ask)}","{symbol.short_size(best.ask_size)}"]'
    bids = f'"bids":["{symbol.short_price(best.bid)}","{symbol.short_size(best.bid_size)}"]'
    return classic_frame(f"/spotMarket/level1:{symbol.name}", "level1", f'{asks},{bids},"timestamp":{ts // 1_000_000}')


def _level2(symbol: kit.Symbol, move: Move, first: int) -> Iterator[str]:
    rows: dict[bool, list[str]] = {True: [], False: []}
    for number, (bid, price, size) in enumerate(move.changes, first):
        rows[bid].append(f'["{symbol.short_price(price)}","{symbol.short_size(size)}","{number}"]')
    changes = f'"changes":{{"asks":[{",".join(rows[False])}],"bids":[{",".join(rows[True])}]}}'
    span = f'"sequenceStart":{first},"sequenceEnd":{first + len(move.changes) - 1}'
    data = f'{changes},{span},"symbol":"{symbol.name}","time":{move.ts // 1_000_000}'
    yield classic_frame(f"/market/level2:{symbol.name}", "trade.l2update", data)


def _day(symbol: kit.Symbol, ts: int) -> str:
    pair = symbol.pair
    change = symbol.short_price(pair.last.price - pair.open)
    prices = f'"lastTradedPrice":{symbol.short_price(pair.last.price)},"open":{symbol.short_price(pair.open)},"changePrice":{change}'
    reach = f'"high":{symbol.short_price(pair.high)},"low":{symbol.short_price(pair.low)}'
    turnover = symbol.short_price(pair.turnover // 10**pair.listing.size_decimals)
    volumes = f'"vol":{symbol.short_size(pair.volume)},"volValue":{turnover}'
    data = f'"datetime":{ts // 1_000_000},"symbol":"{symbol.name}",{prices},{reach},{volumes},"trading":true'
    return classic_frame(f"/market/snapshot:{symbol.name}", "trade.snapshot", f'"sequence":"{symbol.number}","data":{{{data}}}')


def _candle(symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
    start, interval = candle.open_ts // NS, topic[0].rpartition("_")[2]
    row = f'"{start}","{candle.open}","{candle.close}","{candle.high}","{candle.low}","{candle.volume}","{candle.quote_volume}"'
    data = f'"symbol":"{symbol.name}","candles":[{row}],"time":{ts}'
    return classic_frame(f"/market/candles:{symbol.name}_{interval}", "trade.candles.update", data)


def _row(symbol: kit.Symbol) -> dict[str, object]:
    one = symbol.pair.listing
    names = {"symbol": one.symbol, "name": one.symbol, "baseCurrency": one.base, "quoteCurrency": one.quote, "feeCurrency": one.quote}
    steps = {"priceIncrement": symbol.short_price(1), "baseIncrement": symbol.short_size(1), "quoteIncrement": "0.000001"}
    return {**names, **steps, "market": "USDS", "baseMinSize": symbol.short_size(1), "enableTrading": True, "st": False}


class SpotMarket(KucoinMarket):
    """KuCoin spot."""

    market = "SPOT"
    feeds_of = PRO.feed, CLASSIC.feed

    def classic(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """See `KucoinMarket.classic`."""
        name = symbol.name
        yield kit.TradeChannel(feed, symbol, ("/market/match", name), _trades)
        yield kit.QuoteChannel(feed, symbol, ("/spotMarket/level1", name), _level1)
        yield Changes(feed, symbol, ("/market/level2", name), _level2)
        yield kit.TickerChannel(feed, symbol, ("/market/snapshot", name), _day, gathers=True, trades_only=False, every_ns=2 * NS)
        grids: dict[Topic, Grid] = {(channel, name): grid(ours) for channel, ours in CANDLE_CHANNELS.items()}
        yield kit.CandleChannel(feed, symbol, grids, _candle, empty="late", every_ns=NS)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Instruments, trades, best prices, candles, the time, the venue's state."""
        if path == rest.SYMBOLS:
            return rest.good([_row(symbol) for symbol in self.listed.values()])
        return rest.spot_answer(self, path, query, now) or rest.own_answer(path, now)


VENUE: Final = spec.SimulatedVenue(
    id="kucoin",
    title="KuCoin",
    listings=tuple(Listing("kucoin", f"{base}-USDT", base, "USDT", *decimals) for base, decimals in DECIMALS.items()),
    options={"messages_per_s": 10.0, "rest_weight": WEIGHT_MAX, "silence_s": 60.0},
    dialects=(PRO, CLASSIC),
    market=SpotMarket,
    rest=spec.RestRules(
        history=rest.spot_answer,
        unknown=rest.UNKNOWN,
        refusal=rest.refusal,
        statuses=frozenset({200}),
        lists=(
            spec.InstrumentList(
                path=rest.SYMBOLS,
                rows=("data",),
                symbol="symbol",
                base="baseCurrency",
                tick="priceIncrement",
                lot="baseIncrement",
                status="enableTrading",
                unlisted=lambda base: {"symbol": f"{base}-USDT", "baseCurrency": base, "quoteCurrency": "USDT"},
            ),
        ),
        halted={"halt": {"enableTrading": False}, "delisted": {"enableTrading": False}},
    ),
    kinds={**PRO_KINDS, **KINDS},
    fields={"trade": ("price|p", "size|q"), "ticker": ("lastTradedPrice", "vol"), "candle": ("c", "v")},
    rows={"quote": rb'\[(?P<price>"[0-9.]+"),(?P<size>"[0-9.]+")\]'},
    shift=TIMES,
    ids=UpdateIds("O", "C"),
    maintenance="nothing: connections end",
)

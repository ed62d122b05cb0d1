"""KuCoin futures: figures of contracts, the older protocol's frames, and the table of all that the simulator knows of it.

Quirks  sizes are contracts; BTC is XBT; the older book sends one change a frame; a perpetual's symbol ends in `M`
Not simulated  as on spot; dated contracts, candles of the older protocol, announcements
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from crosstape_simulator.formats import NS
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Move
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.kucoin import rest, spot
from crosstape_simulator.venues.kucoin.market import WEIGHT_MAX, Changes, KucoinMarket, classic_frame
from crosstape_simulator.venues.kucoin.protocol import dialects
from crosstape_simulator.venues.rewriting import UpdateIds, unix_times

CONTRACTS: Final = {"BTC": (1, "0.001"), "ETH": (2, "0.01"), "SOL": (3, "0.1"), "XRP": (5, "10"), "DOGE": (5, "100"), "ADA": (4, "10")}
"""Decimals of prices, and base units of one contract."""
OLD_NAMES: Final = {"BTC": "XBT"}
PRO_KINDS: Final = {**spot.PRO_KINDS, "mark-price": frozenset({"mark", "open_interest"}), "funding-fee": frozenset({"funding"})}
KINDS: Final = {
    "/contractMarket/execution": frozenset({"trade"}),
    "/contractMarket/tickerV2": frozenset({"quote"}),
    "/contractMarket/level2": frozenset({"book"}),
    "/contractMarket/snapshot": frozenset({"ticker"}),
}
PRO, CLASSIC = dialects(PRO_KINDS, KINDS)


def _trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    for ts, fill in trades:
        side = "buy" if fill.buyer_takes else "sell"
        numbers = (
            f'"sequence":{fill.trade_id},"side":"{side}","size":{symbol.short_size(fill.size)},"price":"{symbol.short_price(fill.price)}"'
        )
        data = f'"symbol":"{symbol.name}",{numbers},"tradeId":"{fill.trade_id}","ts":{ts}'
        yield classic_frame(f"/contractMarket/execution:{symbol.name}", "match", data, f'"sn":{fill.trade_id},')


def _top(symbol: kit.Symbol, ts: int) -> str:
    best = symbol.best
    bid = f'"bestBidPrice":"{symbol.short_price(best.bid)}","bestBidSize":{symbol.short_size(best.bid_size)}'
    ask = f'"bestAskPrice":"{symbol.short_price(best.ask)}","bestAskSize":{symbol.short_size(best.ask_size)}'
    data = f'"symbol":"{symbol.name}","sequence":{symbol.number},{bid},{ask},"ts":{ts}'
    return classic_frame(f"/contractMarket/tickerV2:{symbol.name}", "tickerV2", data, f'"sn":{symbol.number},')


def _level2(symbol: kit.Symbol, move: Move, first: int) -> Iterator[str]:
    for number, (bid, price, size) in enumerate(move.changes, first):
        change = f"{symbol.short_price(price)},{'buy' if bid else 'sell'},{symbol.short_size(size)}"
        data = f'"sequence":{number},"change":"{change}","timestamp":{move.ts // 1_000_000}'
        yield classic_frame(f"/contractMarket/level2:{symbol.name}", "level2", data, f'"sn":{number},')


def _day(symbol: kit.Symbol, ts: int) -> str:
    pair = symbol.pair
    change = symbol.short_price(pair.last.price - pair.open)
    prices = f'"lastPrice":{symbol.short_price(pair.last.price)},"price24HoursBefore":{symbol.short_price(pair.open)},"priceChg":{change}'
    reach = f'"highPrice":{symbol.short_price(pair.high)},"lowPrice":{symbol.short_price(pair.low)}'
    volume = f"{pair.listing.base_size(pair.volume, pair.last.price):f}"
    data = f'"symbol":"{symbol.name}",{prices},{reach},"volume":{volume},"ts":{ts}'
    return classic_frame(f"/contractMarket/snapshot:{symbol.name}", "snapshot.24h", data)


def _mark(symbol: kit.Symbol, ts: int) -> str:
    figures = symbol.figures
    prices = f'"mp":"{symbol.short_price(figures.mark_price)}","ip":"{symbol.short_price(figures.index_price)}"'
    data = f'"s":"{symbol.name}",{prices},"oi":"{symbol.short_size(figures.open_interest)}","ts":{ts // 1_000_000}'
    return f'{{"T":"mark-price","P":{ts},"d":{{{data}}}}}'


def _funding(symbol: kit.Symbol, ts: int) -> str:
    figures, length_s = symbol.figures, symbol.pair.listing.funding_s
    settled = (figures.next_ts or 0) // 1_000_000
    times = f'"ft":{settled - length_s * 1_000},"nt":{settled},"gl":{length_s * 1_000}'
    data = f'"s":"{symbol.name}","fr":"{symbol.rate(figures.rate)}","lfr":"0.0001",{times},"fc":"0.003","ff":"-0.003"'
    return f'{{"T":"funding-fee","P":{ts},"d":{{{data}}}}}'


def _row(symbol: kit.Symbol) -> dict[str, object]:
    one = symbol.pair.listing
    base = OLD_NAMES.get(one.base, one.base)
    names = {"symbol": one.symbol, "rootSymbol": one.quote, "type": "FFWCSX", "baseCurrency": base, "quoteCurrency": one.quote}
    sizes = {"lotSize": 1, "multiplier": "MULTIPLIER", "tickSize": "TICK", "isInverse": one.inverse, "settleCurrency": one.quote}
    return {**names, **sizes, "expireDate": None, "isQuanto": True, "status": "Open", "fundingRateGranularity": one.funding_s * 1_000}


def _contracts(symbols: Iterable[kit.Symbol]) -> Answer:
    """The list; of numbers no digit is lost."""
    body = rest.good([]).body
    rows = [
        answer(_row(one))
        .body.replace(b'"MULTIPLIER"', one.pair.listing.contract_size.encode())
        .replace(b'"TICK"', one.short_price(1).encode())
        for one in symbols
    ]
    return Answer(body.replace(b"[]", b"[%s]" % b",".join(rows)))


class FuturesMarket(KucoinMarket):
    """KuCoin futures."""

    market = "FUTURES"
    feeds_of = PRO.feed, CLASSIC.feed

    def pro(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """See `KucoinMarket.pro`."""
        yield from super().pro(feed, symbol)
        yield kit.ValueChannel(feed, symbol, ("mark-price", symbol.name), _mark, every_ns=NS)
        yield kit.ValueChannel(feed, symbol, ("funding-fee", symbol.name), _funding, every_ns=2 * NS)

    def classic(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """See `KucoinMarket.classic`."""
        name = symbol.name
        yield kit.TradeChannel(feed, symbol, ("/contractMarket/execution", name), _trades)
        yield kit.QuoteChannel(feed, symbol, ("/contractMarket/tickerV2", name), _top)
        yield Changes(feed, symbol, ("/contractMarket/level2", name), _level2)
        yield kit.TickerChannel(feed, symbol, ("/contractMarket/snapshot", name), _day, gathers=True, trades_only=False, every_ns=5 * NS)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Contracts, trades, best prices, candles, the time, the venue's state."""
        if path == rest.CONTRACTS:
            return _contracts(self.listed.values())
        return rest.futures_answer(self, path, query, now) or rest.own_answer(path, now)


VENUE: Final = spec.SimulatedVenue(
    id="kucoin_futures",
    title="KuCoin Futures",
    listings=tuple(
        Listing("kucoin_futures", f"{OLD_NAMES.get(base, base)}USDTM", base, "USDT", decimals, 0, contract_size=size)
        for base, (decimals, size) in CONTRACTS.items()
    ),
    options={"messages_per_s": 10.0, "rest_weight": WEIGHT_MAX, "silence_s": 60.0},
    dialects=(PRO, CLASSIC),
    market=FuturesMarket,
    rest=spec.RestRules(
        history=rest.futures_answer,
        unknown=rest.UNKNOWN,
        refusal=rest.refusal,
        statuses=frozenset({200}),
        lists=(
            spec.InstrumentList(
                path=rest.CONTRACTS,
                rows=("data",),
                symbol="symbol",
                base="baseCurrency",
                tick="tickSize",
                lot="lotSize",
                unlisted=lambda base: {"symbol": f"{base}USDTM", "baseCurrency": base, "quoteCurrency": "USDT"},
            ),
        ),
        halted={"halt": {"status": "Paused"}, "cancel_only": {"status": "CancelOnly"}, "delisted": {"status": "Closed"}},
    ),
    kinds={**PRO_KINDS, **KINDS},
    fields={
        "trade": ("price|p", "size|q"),
        "quote": ("bestBidPrice|b", "bestBidSize|B"),
        "ticker": ("lastPrice", "volume"),
        "candle": ("c", "v"),
        "mark": ("mp", "ip"),
        "open_interest": ("oi", "oi"),
        "funding": ("fr", "gl"),
    },
    shift=unix_times("P", "M", "ts", "timestamp"),
    ids=UpdateIds("O", "C"),
    maintenance="nothing: connections end",
)

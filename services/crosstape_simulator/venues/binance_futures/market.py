"""Binance's futures, the data: which streams each address has, and the REST side.

Docs    https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data, …/coin-margined-futures/market-data
Quirks  a stream of the other address is acknowledged and silent; weights of USD-M and COIN-M are counted together by the venue, here apart
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final

from crosstape_simulator.formats import NS
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.archetypes.candles import CandleChannel
from crosstape_simulator.venues.archetypes.channels import Channel, DeltaChannel, QuoteChannel, TickerChannel, TradeChannel
from crosstape_simulator.venues.archetypes.contracts import LiquidationChannel, ValueChannel
from crosstape_simulator.venues.archetypes.market import ChannelMarket, KeptSnapshots, SymbolSource
from crosstape_simulator.venues.archetypes.symbols import Symbol
from crosstape_simulator.venues.binance import klines
from crosstape_simulator.venues.binance import rest as spot
from crosstape_simulator.venues.binance.protocol import BinanceFeed
from crosstape_simulator.venues.binance.weights import Weights
from crosstape_simulator.venues.binance_futures import frames, rest
from crosstape_simulator.venues.spec import Options

BATCH_NS: Final = 100_000_000
KLINES_MAX: Final = 1_500
NO_END_MS: Final = 4_133_404_800_000
"""`deliveryDate` of a perpetual."""


class FuturesFeed(BinanceFeed):
    """The protocol is that of spot, but nothing is said before a shutdown."""

    def announce(self, system: str, now: int) -> int:
        """Say nothing."""
        return 0


class FuturesMarket(ChannelMarket):
    """The streams of one market's addresses, and its REST side."""

    step = frames.STEP
    prefix: ClassVar[str]
    """Of the paths by REST: `/fapi/v1`."""
    routes: ClassVar[Mapping[str, str]]
    """Endpoint → `best` (best prices and books), `rest` (all else), `all`."""
    status: ClassVar[str] = "status"
    """What the state of a contract is called."""
    ticker_ns: ClassVar[int] = 2 * NS
    weight_max: ClassVar[int] = 2400
    """What requests of one minute may weigh together."""

    def __init__(self, pairs: Sequence[Pair], start_ts: int, options: Options) -> None:
        """`options`: `old_snapshot_every` (0: no snapshot is old), and those of the feeds."""
        super().__init__([Symbol(pair, number=start_ts // 1_000_000 * 8) for pair in pairs], start_ts)
        for name, what in self.routes.items():
            source = SymbolSource(self.listed, start_ts)
            source.any_symbol = True
            feed = self.add_feed(name, lambda source: FuturesFeed(source, options), source)
            made = [self.add_channel(channel) for symbol in self.listed.values() for channel in self._channels_of(what, feed, symbol)]
            candles = [channel for channel in made if isinstance(channel, CandleChannel)]
            others = [channel for channel in made if not isinstance(channel, CandleChannel)]
            for every_ns, group in ((BATCH_NS, others), (klines.FUTURES_NS, candles)):
                self.add_timer(every_ns, group, (start_ts // every_ns + 1) * every_ns)
        self.snapshots = KeptSnapshots(self.listed, int(options["old_snapshot_every"]))
        self.weights = Weights(self.weight_max)

    def _channels_of(self, what: str, feed: Feed, symbol: Symbol) -> Iterable[Channel]:
        low = symbol.name.lower()
        if what != "rest":
            yield QuoteChannel(feed, symbol, (f"{low}@bookTicker",), frames.quote)
            yield DeltaChannel(feed, symbol, (f"{low}@depth@100ms",), frames.delta)
            yield DeltaChannel(feed, symbol, (f"{low}@depth@500ms",), frames.delta, every_ns=NS // 2)
        if what != "best":
            yield TradeChannel(feed, symbol, (f"{low}@aggTrade",), frames.aggregates, gathers=True)
            yield TickerChannel(feed, symbol, (f"{low}@ticker",), frames.ticker, gathers=True, trades_only=False, every_ns=self.ticker_ns)
            yield ValueChannel(feed, symbol, (f"{low}@markPrice@1s",), frames.mark, every_ns=NS)
            yield ValueChannel(feed, symbol, (f"{low}@markPrice",), frames.mark, every_ns=3 * NS)
            yield LiquidationChannel(feed, symbol, (f"{low}@forceOrder",), frames.forced)
            yield klines.channel(feed, symbol, klines.GRIDS, klines.FUTURES_NS)

    def number(self, symbol: str) -> int | None:
        """The newest update id of a symbol's book: `u` of the frame that shows it."""
        return self.listed[symbol].number

    def flush(self, ts: int) -> None:
        """Flush what is due; once a second keep the books for old snapshots."""
        super().flush(ts)
        if ts % NS == 0:
            self.snapshots.keep()

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side, as often as may be asked."""
        if (refused := self.weights.count(rest.weight(self.prefix, path, query), now)) is not None:
            return refused
        made = rest.answer(self.prefix, self, path, query, now) or self._answer(path.removeprefix(self.prefix), query, now)
        return Answer(made.body, made.status, {"X-MBX-USED-WEIGHT-1M": str(self.weights.used)})

    def _answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        match path:
            case "/ping":
                return Answer(b"{}")
            case "/time":
                return Answer(b'{"serverTime":%d}' % (now // klines.MS))
            case "/exchangeInfo":
                rows = [self._row(symbol) for symbol in self.listed.values()]
                return answer({"timezone": "UTC", "serverTime": now // klines.MS, "rateLimits": [], "symbols": rows})
            case "/depth" | "/klines" | "/openInterest":
                symbol = self.listed.get(query.get("symbol", ""))
                if symbol is None:
                    return spot.refused(-1121, "Invalid symbol.")
                about = {"/depth": self._depth, "/klines": self._klines, "/openInterest": self._open_interest}[path]
                return about(symbol, query, now)
            case _:
                return Answer(b'{"code":-5000,"msg":"Path is invalid"}', 404)

    def _depth(self, symbol: Symbol, query: Mapping[str, str], now: int) -> Answer:
        limit = query.get("limit", "500")
        if limit not in rest.LIMITS:
            return spot.refused(-4021, f"{limit} is not valid depth limit.")
        number, bids, asks = self.snapshots.answer(symbol.name, int(limit))
        times = f'"E":{now // klines.MS},"T":{now // klines.MS}'
        return Answer(f'{{"lastUpdateId":{number},{times},"bids":[{symbol.rows(bids)}],"asks":[{symbol.rows(asks)}]}}'.encode())

    def _klines(self, symbol: Symbol, query: Mapping[str, str], now: int) -> Answer:
        return klines.answer(self, query, symbol, klines.GRIDS, most=KLINES_MAX) or spot.refused(-1120, "Invalid interval.")

    def _open_interest(self, symbol: Symbol, query: Mapping[str, str], now: int) -> Answer:
        figures = symbol.figures
        interest = symbol.size(figures.open_interest)
        return answer({"openInterest": interest, "symbol": symbol.name, "time": figures.ts // klines.MS})

    def _row(self, symbol: Symbol) -> dict[str, object]:
        listing = symbol.pair.listing
        tick, step = symbol.price(1), symbol.size(1)
        return {
            "symbol": listing.symbol,
            "pair": f"{listing.base}{listing.quote}",
            "contractType": "PERPETUAL" if listing.is_perpetual else "CURRENT_QUARTER",
            "deliveryDate": NO_END_MS if listing.expiry is None else listing.expiry // klines.MS,
            "onboardDate": 1_569_398_400_000,
            self.status: "TRADING",
            "baseAsset": listing.base,
            "quoteAsset": listing.quote,
            "marginAsset": listing.base if listing.inverse else listing.quote,
            **({"contractSize": int(listing.contract_size)} if listing.inverse else {}),
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
                {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "1000000", "stepSize": step},
            ],
        }


class UsdmMarket(FuturesMarket):
    """USD-M: best prices and books at one address, all else at another."""

    prefix = "/fapi/v1"
    routes = {"public": "best", "market": "rest"}  # noqa: RUF012


class CoinmMarket(FuturesMarket):
    """COIN-M: all streams at one address."""

    prefix = "/dapi/v1"
    routes = {"": "all"}  # noqa: RUF012
    status = "contractStatus"
    ticker_ns = NS // 2

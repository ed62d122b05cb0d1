"""Bybit: the tables of all that the simulator knows of spot, linear and inverse contracts.

Not simulated: the complete books, retail orders, price limits, insurance, deleveraging alerts, the address of the system's status
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Final

from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.bybit import market, protocol, rest
from crosstape_simulator.venues.rewriting import UpdateIds, unix_times

DECIMALS: Final = {"BTC": (1, 6), "ETH": (2, 5), "SOL": (2, 3), "XRP": (4, 2), "DOGE": (5, 1), "ADA": (4, 2)}
"""Of prices and sizes of spot, as the real venue has (or had) for the same pairs."""
LINEAR_DECIMALS: Final = {"BTC": (1, 3), "ETH": (2, 2), "SOL": (3, 1), "XRP": (4, 1), "DOGE": (5, 0), "ADA": (4, 0)}
INVERSE_DECIMALS: Final = {"BTC": 1, "ETH": 2, "SOL": 3, "XRP": 4}
"""Of prices; sizes are whole US dollars."""
EXPIRY: Final = 1_798_185_600 * 10**9
"""2026-12-25, 08:00 UTC."""
FAST_NS: Final = 20 * protocol.MS
SLOW_NS: Final = 100 * protocol.MS
TIMES: Final = unix_times("ts", "cts", "T", "start", "end", "timestamp", "time", "nextFundingTime")
BOOKS: Final = tuple(f"orderbook.{depth}" for depth in market.DEPTHS)
KINDS: Final = {
    "publicTrade": frozenset({"trade"}),
    "orderbook.1": frozenset({"quote"}),
    **dict.fromkeys(BOOKS, frozenset({"book"})),
    "tickers": frozenset({"ticker"}),
    **{f"kline.{theirs}": frozenset({"candle"}) for theirs in market.TIMEFRAMES},
}
CONTRACT_KINDS: Final = {
    **KINDS,
    "tickers": frozenset({"ticker", "mark", "funding", "open_interest"}),
    "allLiquidation": frozenset({"liquidation"}),
}


class BybitMarket(kit.ChannelMarket):
    """The channels of one category, and its REST side."""

    category: ClassVar[str]

    def __init__(self, pairs: Sequence[Pair], start_ts: int, options: spec.Options) -> None:
        """`options`: `requests_per_s` by REST (0: no limit)."""
        super().__init__([kit.Symbol(pair, number=start_ts // protocol.MS) for pair in pairs], start_ts)
        feed = self.add_feed("", lambda source: _feed(self.category, source), kit.SymbolSource(self.listed, start_ts))
        made = [self.add_channel(channel) for symbol in self.listed.values() for channel in market.channels(feed, symbol)]
        fast = [one for one in made if isinstance(one, market.DeepBook)]
        self._books = {one.symbol.name: one for one in fast if one.depth == min(market.DEPTHS)}
        slow = [one for one in made if not isinstance(one, market.DeepBook)]
        for every_ns, channels in ((FAST_NS, fast), (SLOW_NS, slow)):
            self.add_timer(every_ns, channels, (start_ts // every_ns + 1) * every_ns)
        self._bucket = Bucket(options["requests_per_s"], options["requests_per_s"] * 5.0)

    def number(self, symbol: str) -> int:
        """That of the book that most clients have."""
        return self._books[symbol].number

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side, as often as may be asked."""
        if not self._bucket.allows(now):
            return rest.BUSY
        found = rest.answered(self.category, self.listed, path, query, now)
        return found or rest.history(self.category, self, path, query, now) or rest.NO_PATH


class SpotMarket(BybitMarket):
    """Spot."""

    category = "spot"


class LinearMarket(BybitMarket):
    """Contracts in USDT and USDC."""

    category = "linear"


class InverseMarket(BybitMarket):
    """Contracts in US dollars."""

    category = "inverse"


def _feed(category: str, source: Source) -> Feed:
    return protocol.BybitFeed(source, KINDS if category == "spot" else CONTRACT_KINDS, is_spot=category == "spot")


def _venue(made: type[BybitMarket], title: str, listings: Iterable[Listing]) -> spec.SimulatedVenue:
    category, path, rows = made.category, f"/v5/public/{made.category}", tuple(listings)
    quote, is_spot = rows[0].quote, made.category == "spot"
    return spec.SimulatedVenue(
        id=rows[0].venue,
        title=title,
        listings=rows,
        options={"requests_per_s": 120.0, "silence_s": protocol.SILENCE_S},
        dialects=(
            spec.Dialect(
                path=path,
                prefixes=(path,),
                feed=lambda source, options: _feed(category, source),
                classify=protocol.classify,
                asked=protocol.asked,
                refuse=protocol.refuse,
                silence_s=protocol.SILENCE_S,
            ),
        ),
        market=made,
        rest=spec.RestRules(
            history=partial(rest.history, category),
            unknown=rest.UNKNOWN,
            refusal=rest.refusal,
            statuses=frozenset({200}),
            lists=(
                spec.InstrumentList(
                    path=rest.LISTED,
                    rows=("result", "list"),
                    symbol="symbol",
                    base="baseCoin",
                    tick="tickSize",
                    lot="basePrecision" if is_spot else "qtyStep",
                    unlisted=lambda base: {"symbol": f"{base}{quote}", "baseCoin": base, "quoteCoin": quote},
                ),
            ),
            halted={"halt": {"status": "Settling"}, "offline": {"status": "PreLaunch"}, "delisted": {"status": "Delivering"}},
        ),
        recorded=spec.RecordedRules(
            trades={"publicTrade": protocol.recorded_trades},
            books=dict.fromkeys(BOOKS, protocol.recorded_books),
            tops={"orderbook.1": protocol.recorded_top},
        ),
        kinds=KINDS if is_spot else CONTRACT_KINDS,
        fields={
            "trade": ("p", "v"),
            "ticker": ("lastPrice", "volume24h"),
            "candle": ("close", "volume"),
            "mark": ("markPrice", "indexPrice"),
            "funding": ("fundingRate", "fundingIntervalHour"),
            "open_interest": ("openInterest", "openInterestValue"),
            "liquidation": ("p", "v"),
        },
        rows={"quote": rb'\[(?P<price>"[0-9.]+"),(?P<size>"[0-9.]+")\]'},
        shift=TIMES,
        ids=UpdateIds("u"),
        maintenance="",
    )


SPOT: Final = _venue(SpotMarket, "Bybit", (Listing("bybit", f"{base}USDT", base, "USDT", *digits) for base, digits in DECIMALS.items()))
LINEAR: Final = _venue(
    LinearMarket,
    "Bybit linear",
    (
        *(
            Listing("bybit_linear", f"{base}USDT", base, "USDT", *digits, contract_size="1", funding_s=14_400 if base == "XRP" else 28_800)
            for base, digits in LINEAR_DECIMALS.items()
        ),
        Listing("bybit_linear", "BTCPERP", "BTC", "USDC", 1, 3, contract_size="1"),
        Listing("bybit_linear", "BTCUSDT-25DEC26", "BTC", "USDT", 1, 3, contract_size="1", expiry=EXPIRY),
    ),
)
INVERSE: Final = _venue(
    InverseMarket,
    "Bybit inverse",
    (
        *(
            Listing("bybit_inverse", f"{base}USD", base, "USD", decimals, 0, contract_size="1", inverse=True)
            for base, decimals in INVERSE_DECIMALS.items()
        ),
        Listing("bybit_inverse", "BTCUSDZ26", "BTC", "USD", 1, 0, contract_size="1", inverse=True, expiry=EXPIRY),
    ),
)

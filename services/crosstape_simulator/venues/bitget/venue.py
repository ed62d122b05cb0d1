"""Bitget spot and contracts: figures of contracts, liquidations as v3 sends them, lists, and the tables of all that the simulator knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import NS, fixed, plain
from crosstape_simulator.market.history import Traded
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.bitget import protocol
from crosstape_simulator.venues.bitget.market import KINDS, SPOT_NAMES, TIMEFRAMES, BitgetMarket, Market, history
from crosstape_simulator.venues.bitget.protocol import MS, found
from crosstape_simulator.venues.rewriting import UpdateIds, unix_times

DECIMALS: Final = {"BTC": (2, 6), "ETH": (2, 4), "SOL": (2, 3), "XRP": (4, 4), "DOGE": (5, 4), "ADA": (4, 4)}
CONTRACTS: Final = {"BTC": (1, 4), "ETH": (2, 2), "SOL": (3, 1), "XRP": (4, 0), "DOGE": (5, 0)}
EXPIRY: Final = 1_798_185_600 * NS
"""2026-12-25, 08:00 UTC."""
LISTED: Final = (
    *((f"{base}USDT", base, "USDT", None) for base in CONTRACTS),
    *((f"{base}PERP", base, "USDC", None) for base in ("BTC", "ETH")),
    *((f"{base}USD", base, "USD", None) for base in ("BTC", "ETH")),
    ("BTCUSDZ26", "BTC", "USD", EXPIRY),
)
SPOT_LIST, CONTRACT_LIST = "/api/v2/spot/public/symbols", "/api/v2/mix/market/contracts"
SPOT_KINDS: Final = {**KINDS, "ticker": frozenset({"ticker"})}
FUTURES_KINDS: Final = {
    **KINDS,
    "ticker": frozenset({"ticker", "mark", "funding", "open_interest"}),
    "liquidation": frozenset({"liquidation"}),
}
TIMES: Final = unix_times("ts", "nextFundingTime")


def of_spot(symbol: str) -> str:
    """The only product of spot."""
    return "SPOT"


def of_contracts(symbol: str) -> str:
    """A contract's product: `BTCUSDT`, `BTCPERP`, `BTCUSD` are of one each."""
    return "USDT-FUTURES" if "USDT" in symbol else "USDC-FUTURES" if "PERP" in symbol else "COIN-FUTURES"


class SpotMarket(BitgetMarket):
    """Bitget spot."""

    market, channels_of = Market("spot", of_spot, SPOT_NAMES), frozenset(SPOT_KINDS)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Instruments, and what both markets have."""
        if path == SPOT_LIST:
            return found([_spot_row(symbol) for symbol in self.listed.values()])
        return super().rest(path, query, now)


class FuturesMarket(BitgetMarket):
    """Bitget's contracts."""

    market = Market("mix", of_contracts, TIMEFRAMES)
    channels_of = frozenset(FUTURES_KINDS) - {"liquidation"}

    def others(self, start_ts: int, options: spec.Options) -> list[kit.Channel]:
        """See `BitgetMarket.others`: v3's liquidations."""
        made = self.add_feed("v3", lambda source: _liquidations(source, options), kit.SymbolSource(self.listed, start_ts))
        return [
            self.add_channel(kit.LiquidationChannel(made, symbol, ("liquidation", "", of_contracts(symbol.name)), _forced))
            for symbol in self.listed.values()
        ]

    def ticker(self, feed: Feed, symbol: kit.Symbol) -> kit.Channel:
        """The day and the figures of a contract."""
        return kit.ValueChannel(feed, symbol, ("ticker", symbol.name), self.write_ticker, every_ns=NS, first=self.write_ticker)

    def figures(self, symbol: kit.Symbol) -> Mapping[str, str]:
        """See `BitgetMarket.figures`."""
        now = symbol.figures
        return {
            "markPrice": symbol.price(now.mark_price),
            "indexPrice": symbol.price(now.index_price),
            "fundingRate": symbol.rate(now.rate) if now.next_ts is not None else "0",
            "nextFundingTime": str((now.next_ts or 0) // MS),
            "holdingAmount": symbol.size(now.open_interest),
            "symbolType": "1" if now.next_ts is not None else "2",
        }

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Contracts of a product, and what both markets have."""
        if path == CONTRACT_LIST:
            wanted = [one for one in self.listed.values() if query.get("productType", of_contracts(one.name)) == of_contracts(one.name)]
            named = [one for one in wanted if query.get("symbol", one.name) == one.name]
            return found([_contract_row(one) for one in named]) if named or "symbol" not in query else protocol.UNKNOWN
        return super().rest(path, query, now)


def _forced(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    listing = symbol.pair.listing
    rows = [
        f'{{"symbol":"{symbol.name}","side":"{"buy" if fill.buyer_takes else "sell"}","price":"{symbol.price(fill.price)}",'
        f'"amount":"{fixed(fill.price * fill.size, listing.price_decimals + listing.size_decimals)}","ts":"{ts // MS}"}}'
        for ts, fill in reversed(trades)
    ]
    arg = f'{{"instType":"{of_contracts(symbol.name).lower()}","topic":"liquidation"}}'
    yield f'{{"action":"update","arg":{arg},"data":[{",".join(rows)}],"ts":{trades[-1][0] // MS}}}'


def _spot_row(symbol: kit.Symbol) -> dict[str, object]:
    one = symbol.pair.listing
    digits = {"pricePrecision": str(one.price_decimals), "quantityPrecision": str(one.size_decimals), "quotePrecision": "8"}
    return {"symbol": one.symbol, "baseCoin": one.base, "quoteCoin": one.quote, **digits, "status": "online", "minTradeUSDT": "1"}


def _contract_row(symbol: kit.Symbol) -> dict[str, object]:
    one = symbol.pair.listing
    names = {"symbol": one.symbol, "baseCoin": one.base, "quoteCoin": one.quote, "supportMarginCoins": [one.quote]}
    steps = {"priceEndStep": "1", "pricePlace": str(one.price_decimals), "sizeMultiplier": symbol.short_size(1)}
    kind = {
        "symbolType": "perpetual" if one.is_perpetual else "delivery",
        "deliveryTime": "" if one.expiry is None else str(one.expiry // MS),
    }
    return {**names, **steps, **kind, "symbolStatus": "normal", "fundInterval": str(one.funding_s // 3_600)}


def _feed(channels: Iterable[str], product: protocol.ProductOf, source: Source, options: spec.Options) -> Feed:
    return protocol.BitgetFeed(source, frozenset(channels), options, product)


def _liquidations(source: Source, options: spec.Options) -> Feed:
    return protocol.BitgetFeed(source, frozenset({"liquidation"}), options, of_contracts)


def _dialect(name: str, product: protocol.ProductOf, channels: Iterable[str]) -> spec.Dialect:
    return spec.Dialect(
        name=name,
        path=f"/{name}/ws/public",
        prefixes=(f"/{name}/ws/public",),
        feed=partial(_feed, tuple(channels), product),
        classify=partial(protocol.classified, product),
        asked=partial(protocol.asked_of, product),
        refuse=partial(protocol.refused, product),
        acknowledges_each=True,
        silence_s=protocol.OPTIONS["silence_s"],
    )


def _recorded_trades(payload: bytes) -> Iterator[tuple[str, Traded]]:
    made = msgspec.json.decode(payload, type=dict[str, Any])
    for raw in reversed(made["data"]):
        ts, price, size = int(raw["ts"]) * MS, plain(raw["price"]), plain(raw["size"])
        yield made["arg"]["instId"], Traded(int(raw["tradeId"]), ts, price, size, raw["side"] == "buy")


def _venue(
    made: type[BitgetMarket], title: str, listings: tuple[Listing, ...], kinds: Mapping[str, frozenset[str]], **parts: Any
) -> spec.SimulatedVenue:
    """The table of one of both markets. `parts`: its dialects, and the rules of its lists."""
    return spec.SimulatedVenue(
        id=listings[0].venue,
        title=title,
        listings=listings,
        options=protocol.OPTIONS,
        dialects=parts["dialects"],
        market=made,
        rest=spec.RestRules(
            history=partial(history, made.market),
            unknown=protocol.UNKNOWN,
            refusal=protocol.refusal,
            lists=(parts["listed"],),
            halted=parts["halted"],
        ),
        recorded=spec.RecordedRules(trades={"trade": _recorded_trades}, endpoint=parts["endpoint"]),
        kinds=kinds,
        fields={
            "trade": ("price", "size"), "ticker": ("lastPr", "baseVolume"), "mark": ("markPrice", "markPrice"),
            "liquidation": ("price", "amount"),
        },
        rows={
            "quote": rb'\[(?P<price>"[0-9.]+"),(?P<size>"[0-9.]+")\]',
            "candle": rb'\["\d+","[0-9.]+","[0-9.]+","[0-9.]+",(?P<price>"[0-9.]+"),(?P<size>"[0-9.]+"),"[0-9.]+","[0-9.]+"\]',
        },
        shift=TIMES,
        ids=UpdateIds("seq", "pseq"),
        maintenance="Bitget announces none on its sockets",
    )  # fmt: skip


SPOT: Final = _venue(
    SpotMarket,
    "Bitget",
    tuple(Listing("bitget", f"{base}USDT", base, "USDT", *decimals) for base, decimals in DECIMALS.items()),
    SPOT_KINDS,
    dialects=(_dialect("v2", of_spot, SPOT_KINDS),),
    endpoint=lambda name, url: "v2",
    listed=spec.InstrumentList(
        path=SPOT_LIST, rows=("data",), symbol="symbol", base="baseCoin", tick="pricePrecision", lot="quantityPrecision",
        unlisted=lambda base: {"symbol": f"{base}USDT", "baseCoin": base, "quoteCoin": "USDT"},
    ),
    halted={"halt": {"status": "halt"}, "offline": {"status": "offline"}, "delisted": {"status": "offline"}},
)  # fmt: skip
FUTURES: Final = _venue(
    FuturesMarket,
    "Bitget's contracts",
    tuple(
        Listing("bitget_futures", symbol, base, quote, *CONTRACTS[base], contract_size="1", expiry=expiry)
        for symbol, base, quote, expiry in LISTED
    ),
    FUTURES_KINDS,
    endpoint=lambda name, url: "v3" if "/v3/" in url else "v2",
    dialects=(
        _dialect("v2", of_contracts, FuturesMarket.channels_of),
        _dialect("v3", of_contracts, ("liquidation",)),
    ),
    listed=spec.InstrumentList(
        path=CONTRACT_LIST, rows=("data",), symbol="symbol", base="baseCoin", tick="pricePlace", lot="sizeMultiplier",
        status="symbolStatus",
        unlisted=lambda base: {"symbol": f"{base}USDT", "baseCoin": base, "quoteCoin": "USDT"},
    ),
    halted={"halt": {"symbolStatus": "maintain"}, "offline": {"symbolStatus": "off"}, "delisted": {"symbolStatus": "off"}},
)  # fmt: skip

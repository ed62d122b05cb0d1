"""OKX's perpetual swaps and dated futures: their frames, and the table of all that the simulator knows of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from crosstape_simulator.formats import NS
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.okx import rest
from crosstape_simulator.venues.okx.market import BUSINESS, PUBLIC, RECORDED, ROWS, OkxMarket
from crosstape_simulator.venues.okx.protocol import MS, dialect, frame
from crosstape_simulator.venues.okx.spot import HALTED, IDS, OPTIONS, TIMES

LINEAR: Final = {"BTC": (1, 2, "0.01"), "ETH": (2, 2, "0.1"), "SOL": (2, 2, "1"), "XRP": (4, 2, "100"), "DOGE": (5, 2, "1000")}
"""Decimals of prices and of contracts, and base units of a contract."""
INVERSE: Final = {"BTC": (1, 1, "100"), "ETH": (2, 1, "10")}
"""The same with US dollars of a contract."""
EXPIRY: Final = 1_798_185_600 * NS
"""2026-12-25, 08:00 UTC."""
KINDS: Final = {
    **PUBLIC,
    "mark-price": frozenset({"mark"}),
    "index-tickers": frozenset({"mark"}),
    "funding-rate": frozenset({"funding"}),
    "open-interest": frozenset({"open_interest"}),
    "liquidation-orders": frozenset({"liquidation"}),
}


def _type(listing: Listing) -> str:
    return "SWAP" if listing.is_perpetual else "FUTURES"


def _about(symbol: kit.Symbol) -> str:
    return f'"instId":"{symbol.name}","instType":"{_type(symbol.pair.listing)}"'


def _mark(symbol: kit.Symbol, ts: int) -> str:
    row = f'{{{_about(symbol)},"markPx":"{symbol.short_price(symbol.figures.mark_price)}","ts":"{symbol.figures.ts // MS}"}}'
    return frame(("mark-price", symbol.name), row)


def _index_name(symbol: kit.Symbol) -> str:
    return f"{symbol.pair.listing.base}-{symbol.pair.listing.quote}"


def _index(symbol: kit.Symbol, ts: int) -> str:
    name = _index_name(symbol)
    day = '"high24h":"1","low24h":"1","open24h":"1","sodUtc0":"1","sodUtc8":"1"'
    row = f'{{"instId":"{name}","idxPx":"{symbol.short_price(symbol.figures.index_price)}",{day},"ts":"{symbol.figures.ts // MS}"}}'
    return frame(("index-tickers", name), row)


def _funding(symbol: kit.Symbol, ts: int) -> str:
    now, length_ms = symbol.figures, symbol.pair.listing.funding_s * 1_000
    paid = (now.next_ts or 0) // MS
    times = f'"fundingTime":"{paid}","nextFundingTime":"{paid + length_ms}","prevFundingTime":"{paid - length_ms}","ts":"{now.ts // MS}"'
    rates = f'"fundingRate":"{symbol.rate(now.rate)}","nextFundingRate":"","settFundingRate":"0.0001","method":"current_period"'
    return frame(("funding-rate", symbol.name), f"{{{_about(symbol)},{rates},{times}}}")


def _interest(symbol: kit.Symbol, ts: int) -> str:
    now, listing = symbol.figures, symbol.pair.listing
    coins = f"{listing.base_size(now.open_interest, now.mark_price):.8f}"
    row = f'{{{_about(symbol)},"oi":"{symbol.short_size(now.open_interest)}","oiCcy":"{coins}","oiUsd":"1","ts":"{now.ts // MS}"}}'
    return frame(("open-interest", symbol.name), row)


def _forced(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    listing = symbol.pair.listing
    family = f'"instFamily":"{_index_name(symbol)}","uly":"{_index_name(symbol)}"'
    for ts, fill in trades:
        side, position = ("buy", "short") if fill.buyer_takes else ("sell", "long")
        numbers = f'"bkPx":"{symbol.short_price(fill.price)}","sz":"{symbol.short_size(fill.size)}"'
        details = f'{{"bkLoss":"0","ccy":"","posSide":"{position}","side":"{side}",{numbers},"ts":"{ts // MS}"}}'
        yield frame(("liquidation-orders", _type(listing)), f'{{"details":[{details}],{_about(symbol)},{family}}}')


class SwapMarket(OkxMarket):
    """OKX's contracts."""

    public_kinds = KINDS

    def public(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """See `OkxMarket.public`."""
        yield from super().public(feed, symbol)
        name, listing = symbol.name, symbol.pair.listing
        if listing.is_perpetual:
            yield kit.ValueChannel(feed, symbol, ("index-tickers", _index_name(symbol)), _index, every_ns=NS, first=_index)
            yield kit.ValueChannel(feed, symbol, ("funding-rate", name), _funding, every_ns=2 * NS, first=_funding)
        yield kit.ValueChannel(feed, symbol, ("mark-price", name), _mark, every_ns=NS, first=_mark)
        yield kit.ValueChannel(feed, symbol, ("open-interest", name), _interest, every_ns=3 * NS, first=_interest)
        yield kit.LiquidationChannel(feed, symbol, ("liquidation-orders", _type(listing)), _forced)

    def row(self, symbol: kit.Symbol) -> Mapping[str, object]:
        """See `OkxMarket.row`."""
        one, family = symbol.pair.listing, _index_name(symbol)
        names = {"instType": _type(one), "instId": one.symbol, "baseCcy": "", "quoteCcy": "", "instFamily": family, "uly": family}
        steps = {"tickSz": symbol.short_price(1), "lotSz": symbol.short_size(1), "minSz": symbol.short_size(1)}
        value = {"ctVal": one.contract_size, "ctMult": "1", "ctValCcy": one.quote if one.inverse else one.base}
        kind = {"ctType": "inverse" if one.inverse else "linear", "settleCcy": one.base if one.inverse else one.quote}
        expiry = {"expTime": "" if one.expiry is None else str(one.expiry // MS)}
        return {**names, **steps, **value, **kind, **expiry, "ruleType": "normal", "instCategory": "1", "state": "live"}


def _linear(base: str, expiry: int | None = None) -> Listing:
    prices, sizes, size = LINEAR[base]
    symbol = f"{base}-USDT-{'SWAP' if expiry is None else '261225'}"
    return Listing("okx_swap", symbol, base, "USDT", prices, sizes, contract_size=size, expiry=expiry)


def _inverse(base: str, expiry: int | None = None) -> Listing:
    prices, sizes, size = INVERSE[base]
    symbol = f"{base}-USD-{'SWAP' if expiry is None else '261225'}"
    return Listing("okx_swap", symbol, base, "USD", prices, sizes, contract_size=size, inverse=True, expiry=expiry)


VENUE: Final = spec.SimulatedVenue(
    id="okx_swap",
    title="OKX Swaps and Futures",
    listings=(*map(_linear, LINEAR), *map(_inverse, INVERSE), _linear("BTC", EXPIRY), _inverse("BTC", EXPIRY)),
    options=OPTIONS,
    dialects=(dialect("public", [*KINDS, "status"]), dialect("business", BUSINESS)),
    market=SwapMarket,
    rest=spec.RestRules(
        history=rest.history,
        unknown=rest.UNKNOWN,
        refusal=rest.refusal,
        statuses=frozenset({200}),
        lists=(
            spec.InstrumentList(
                path=rest.LIST, rows=("data",), symbol="instId", base="instFamily", tick="tickSz", lot="lotSz", status="state",
                unlisted=lambda base: {"instId": f"{base}-USDT-SWAP", "instFamily": f"{base}-USDT", "ctValCcy": base},
            ),
        ),
        halted=HALTED,
    ),
    recorded=RECORDED,
    kinds={**KINDS, **BUSINESS},
    fields={
        "trade": ("px", "sz"),
        "ticker": ("last", "vol24h"),
        "mark": ("markPx", "idxPx"),
        "funding": ("fundingRate", "fundingTime"),
        "open_interest": ("oi", "oi"),
        "liquidation": ("bkPx", "sz"),
    },
    rows=ROWS,
    shift=TIMES,
    ids=IDS,
    maintenance="`status`: a row of the state `ongoing`, and later one that is `completed`",
)  # fmt: skip

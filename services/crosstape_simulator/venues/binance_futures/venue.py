"""Binance's futures: the tables of all that the simulator knows of USD-M and COIN-M."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from crosstape_simulator.market.listings import Listing
from crosstape_simulator.venues.binance import frames
from crosstape_simulator.venues.binance import rest as spot
from crosstape_simulator.venues.binance_futures import rest
from crosstape_simulator.venues.binance_futures.market import CoinmMarket, FuturesFeed, FuturesMarket, UsdmMarket
from crosstape_simulator.venues.rewriting import UpdateIds, unix_times
from crosstape_simulator.venues.spec import Dialect, InstrumentList, RecordedRules, RestBook, RestRules, SimulatedVenue

DECIMALS: Final = {"BTC": (1, 3), "ETH": (2, 3), "SOL": (2, 2), "XRP": (4, 1), "DOGE": (5, 0), "ADA": (4, 0)}
"""Of prices and sizes of USD-M, as the real venue has (or had) for the same contracts."""
VALUES: Final = {"BTC": "100", "ETH": "10", "SOL": "10"}
"""USD of a contract of COIN-M."""
EXPIRY: Final = 1_798_185_600 * 10**9
"""2026-12-25, 08:00 UTC."""

_TIMES: Final = unix_times("E", "T", "O", "C")
_ANSWER_TIMES: Final = unix_times("E", "T", "time", "serverTime")


def _cut(body: bytes, query: Mapping[str, str]) -> bytes:
    limit = query.get("limit", "500")
    return frames.cut(body, int(limit) if limit.isdecimal() else 500)


def _dialect(name: str, path: str) -> Dialect:
    return Dialect(
        name=name,
        path=path,
        prefixes=(path,),
        feed=FuturesFeed,
        classify=frames.classify,
        asked=frames.asked,
        refuse=frames.refuse,
    )


def _endpoint(name: str, url: str) -> str:
    """The address of a recorded connection; those from before the split are played at the first."""
    return "market" if "/market" in url else "public"


def _venue(
    market: type[FuturesMarket], title: str, listings: tuple[Listing, ...], dialects: tuple[Dialect, ...], recorded: RecordedRules
) -> SimulatedVenue:
    prefix, status = market.prefix, market.status
    quote = listings[0].quote
    perpetual = "_PERP" if listings[0].inverse else ""
    return SimulatedVenue(
        id=listings[0].venue,
        title=title,
        listings=listings,
        options={"messages_per_s": 10, "ping_s": 180.0, "old_snapshot_every": 3},
        dialects=dialects,
        market=market,
        rest=RestRules(
            history=partial(rest.answer, prefix),
            unknown=spot.refused(-1121, "Invalid symbol."),
            refusal=spot.refusal,
            statuses=frozenset({418}),
            lists=(
                InstrumentList(
                    path=f"{prefix}/exchangeInfo",
                    rows=("symbols",),
                    symbol="symbol",
                    base="baseAsset",
                    tick="tickSize",
                    lot="stepSize",
                    status=status,
                    nested="filters",
                    unlisted=lambda base: {"symbol": f"{base}{quote}{perpetual}", "baseAsset": base, "quoteAsset": quote},
                ),
            ),
            halted={
                "halt": {status: "PENDING_TRADING"},
                "offline": {status: "CLOSE"},
                "cancel_only": {status: "PRE_SETTLE"},
                "delisted": {status: "SETTLING"},  # until its row is gone
            },
            book=RestBook(
                path=f"{prefix}/depth",
                query={"limit": "1000"},
                parameter="symbol",
                topics=lambda symbol: tuple((f"{symbol.lower()}@depth@{pace}",) for pace in ("100ms", "500ms")),
                cut=_cut,
            ),
        ),
        recorded=recorded,
        named=frames.named,
        kinds={
            "aggTrade": frozenset({"trade"}),
            "bookTicker": frozenset({"quote"}),
            "depth": frozenset({"book"}),
            "ticker": frozenset({"ticker"}),
            "kline": frozenset({"candle"}),
            "markPrice": frozenset({"mark", "funding"}),
            "forceOrder": frozenset({"liquidation"}),
        },
        fields={
            "trade": ("p", "q"),
            "quote": ("b", "B"),
            "ticker": ("c", "v"),
            "candle": ("c", "v"),
            "mark": ("p", "r"),
            "liquidation": ("ap", "z"),
        },
        shift=_TIMES,
        shift_answer=_ANSWER_TIMES,
        ids=UpdateIds("U", "u", "pu", "lastUpdateId"),
        maintenance="",
    )


def _usdm(base: str, expiry: int | None = None) -> Listing:
    symbol = f"{base}USDT" if expiry is None else f"{base}USDT_261225"
    return Listing("binance_usdm", symbol, base, "USDT", *DECIMALS[base], contract_size="1", expiry=expiry)


USDM: Final = _venue(
    UsdmMarket,
    "Binance USD-M",
    (*(_usdm(base) for base in DECIMALS), _usdm("BTC", EXPIRY)),
    (_dialect("public", "/public/stream"), _dialect("market", "/market/stream")),
    RecordedRules(endpoint=_endpoint, trades={"trade": frames.trades}, tops={"bookTicker": frames.top}),
)


def _coinm(base: str, expiry: int | None = None) -> Listing:
    symbol = f"{base}USD_PERP" if expiry is None else f"{base}USD_261225"
    price_decimals = DECIMALS[base][0]
    return Listing("binance_coinm", symbol, base, "USD", price_decimals, 0, contract_size=VALUES[base], inverse=True, expiry=expiry)


COINM: Final = _venue(
    CoinmMarket,
    "Binance COIN-M",
    (*(_coinm(base) for base in VALUES), _coinm("BTC", EXPIRY)),
    (_dialect("", "/stream"),),
    RecordedRules(trades={"trade": frames.trades}, tops={"bookTicker": frames.top}),
)

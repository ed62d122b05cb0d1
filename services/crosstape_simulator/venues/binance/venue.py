"""Binance spot: the table of all that the simulator knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crosstape_simulator.market.listings import Listing
from crosstape_simulator.venues.binance import frames, protocol, rest
from crosstape_simulator.venues.binance.market import BinanceMarket
from crosstape_simulator.venues.rewriting import UpdateIds, unix_times
from crosstape_simulator.venues.spec import Dialect, InstrumentList, RecordedRules, RestBook, RestRules, SimulatedVenue

DECIMALS: Final = {"BTC": (2, 5), "ETH": (2, 4), "SOL": (2, 3), "XRP": (4, 1), "DOGE": (5, 0), "ADA": (4, 1)}
"""Of prices and sizes, as the real venue has (or had) for the same pairs."""

_TIMES: Final = unix_times("E", "T", "O", "C")
_ANSWER_TIMES: Final = unix_times("E", "T", "O", "C", "time", "serverTime")


def _cut(body: bytes, query: Mapping[str, str]) -> bytes:
    limit = query.get("limit", "100")
    return frames.cut(body, int(limit) if limit.isdecimal() else 100)


VENUE: Final = SimulatedVenue(
    id="binance",
    title="Binance",
    listings=tuple(Listing("binance", f"{base}USDT", base, "USDT", *decimals) for base, decimals in DECIMALS.items()),
    options={"messages_per_s": 5, "ping_s": 20.0, "old_snapshot_every": 3},
    dialects=(
        Dialect(
            path="/stream",
            prefixes=protocol.PATHS,
            feed=protocol.BinanceFeed,
            classify=frames.classify,
            classify_sent=frames.classify_sent,
            asked=frames.asked,
            refuse=frames.refuse,
        ),
    ),
    market=BinanceMarket,
    rest=RestRules(
        history=lambda data, path, query, now: rest.answer(data, path, query),
        unknown=rest.refused(-1121, "Invalid symbol."),
        refusal=rest.refusal,
        statuses=frozenset({418}),
        lists=(
            InstrumentList(
                path="/api/v3/exchangeInfo",
                rows=("symbols",),
                symbol="symbol",
                base="baseAsset",
                tick="tickSize",
                lot="stepSize",
                nested="filters",
                unlisted=lambda base: {"symbol": f"{base}USDT", "baseAsset": base, "quoteAsset": "USDT"},
            ),
        ),
        halted={
            "halt": {"status": "HALT"},
            "offline": {"status": "BREAK"},
            "cancel_only": {"status": "CANCEL_ONLY"},
            "delisted": {"status": "BREAK"},  # until its row is gone
        },
        book=RestBook(
            path=rest.DEPTH,
            query={"limit": "5000"},
            parameter="symbol",
            topics=lambda symbol: tuple((f"{symbol.lower()}@depth{suffix}",) for suffix in ("", "@100ms")),
            cut=_cut,
        ),
    ),
    recorded=RecordedRules(trades={"trade": frames.trades}, tops={"bookTicker": frames.top}),
    named=frames.named,
    kinds={
        "trade": frozenset({"trade"}),
        "aggTrade": frozenset({"trade"}),
        "bookTicker": frozenset({"quote"}),
        "depth": frozenset({"book"}),
        "ticker": frozenset({"ticker"}),
        "kline": frozenset({"candle"}),
    },
    fields={"trade": ("p", "q"), "quote": ("b", "B"), "ticker": ("c", "v"), "candle": ("c", "v")},
    shift=_TIMES,
    shift_answer=_ANSWER_TIMES,
    ids=UpdateIds("U", "u", "lastUpdateId"),
    maintenance="`serverShutdown`, once",
    maintenance_once=True,
)

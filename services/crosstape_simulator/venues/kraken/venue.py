"""Kraken spot v2: the table of all that the simulator knows of it."""

from __future__ import annotations

from typing import Final

from crosstape_simulator.market.listings import Listing
from crosstape_simulator.server.rest import answer
from crosstape_simulator.venues.kraken import frames, protocol, rest
from crosstape_simulator.venues.kraken.market import KrakenMarket
from crosstape_simulator.venues.rewriting import Checksum
from crosstape_simulator.venues.spec import Dialect, InstrumentList, RecordedRules, RestRules, SimulatedVenue

DECIMALS: Final = {"BTC": (1, 8), "ETH": (2, 8), "SOL": (2, 8), "XRP": (5, 8), "DOGE": (7, 8), "ADA": (6, 8)}
"""Of prices and sizes, as the real venue has (or had) for the same pairs."""

PAIRS: Final = (*((base, "USDT") for base in DECIMALS), ("BTC", "USD"), ("ETH", "USD"), ("SOL", "USD"))


def _unlisted(base: str) -> dict[str, object]:
    return {"altname": f"{base}USDT", "wsname": f"{base}/USDT", "base": base, "quote": "USDT"}


VENUE: Final = SimulatedVenue(
    id="kraken",
    title="Kraken",
    listings=tuple(Listing("kraken", f"{base}/{quote}", base, quote, *DECIMALS[base]) for base, quote in PAIRS),
    stablecoins=(Listing("kraken", "USDT/USD", "USDT", "USD", 5, 8),),
    options={"messages_per_s": 50, "requests_per_s": 1.0},
    dialects=(
        Dialect(
            path=protocol.PATH,
            prefixes=(protocol.PATH,),
            feed=protocol.KrakenFeed,
            classify=frames.classify,
            asked=frames.asked,
            refuse=frames.refuse,
            acknowledges_each=True,
            repeat=frames.repeat,
        ),
    ),
    market=KrakenMarket,
    rest=RestRules(
        history=rest.pair_answer,
        unknown=answer({"error": ["EQuery:Unknown asset pair"]}),
        refusal=rest.refusal,
        statuses=frozenset({200}),
        lists=(
            InstrumentList(
                path="/0/public/AssetPairs",
                rows=("result",),
                symbol="wsname",
                base="wsname",
                tick="tick_size",
                lot="lot_decimals",
                unlisted=_unlisted,
                names=lambda symbol: rest.names(symbol).wsname,
            ),
        ),
        halted={
            "halt": {"status": "maintenance"},
            "offline": {"status": "work_in_progress"},
            "cancel_only": {"status": "cancel_only"},
            "post_only": {"status": "post_only"},
            "delisted": {"status": "delisted"},
        },
        shift_query=rest.shift_query,
    ),
    recorded=RecordedRules(
        is_greeting=frames.is_greeting,
        trades={"trade": frames.trades},
        books={"book": frames.books},
        tops={"ticker": frames.top},
    ),
    kinds={
        "trade": frozenset({"trade"}),
        "book": frozenset({"book"}),
        "ticker": frozenset({"quote", "ticker"}),
        "ohlc": frozenset({"candle"}),
    },
    fields={
        "trade": ("price", "qty"),
        "quote": ("bid", "bid_qty"),
        "ticker": ("last", "volume"),
        "book": ("price", "qty"),
        "candle": ("close", "volume"),
    },
    shift=frames.shift,
    shift_answer=rest.shift_answer,
    checksum=Checksum("checksum", "qty"),
    maintenance="`status` says `maintenance`, then `online`",
)

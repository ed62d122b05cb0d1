"""Coinbase, its two feeds: the table of all that the simulator knows of it."""

from __future__ import annotations

from typing import Final

from crosstape_simulator.market.listings import Listing
from crosstape_simulator.server.rest import answer
from crosstape_simulator.venues.coinbase import advanced, exchange, frames, products, rest
from crosstape_simulator.venues.coinbase.market import CoinbaseMarket
from crosstape_simulator.venues.rewriting import Numbers, iso_times
from crosstape_simulator.venues.spec import Dialect, InstrumentList, RecordedRules, RestRules, SimulatedVenue

DECIMALS: Final = {"BTC": (2, 8), "ETH": (2, 8), "SOL": (2, 8), "XRP": (4, 6), "DOGE": (5, 1), "ADA": (4, 8)}
"""Of prices and sizes, as the real venue has (or had) for the same pairs."""

PAIRS: Final = (*((base, "USDT") for base in DECIMALS), ("BTC", "USD"), ("ETH", "USD"), ("SOL", "USD"))

VENUE: Final = SimulatedVenue(
    id="coinbase",
    title="Coinbase",
    listings=tuple(Listing("coinbase", f"{base}-{quote}", base, quote, *DECIMALS[base]) for base, quote in PAIRS),
    stablecoins=(Listing("coinbase", "USDT-USD", "USDT", "USD", 5, 2),),
    options={"batch_s": 0.05, "subscribe_within_s": 5.0, "requests_per_s": 10.0},
    dialects=(
        Dialect(
            name="advanced",
            path=advanced.PATH,
            prefixes=(advanced.PATH,),
            feed=advanced.AdvancedFeed,
            classify=frames.classify_advanced,
            asked=frames.asked_advanced,
            refuse=frames.refuse_advanced,
            numbers=Numbers("sequence_num"),
        ),
        Dialect(
            name="exchange",
            path=exchange.PATH,
            prefixes=(exchange.PATH,),
            feed=exchange.ExchangeFeed,
            classify=frames.classify_exchange,
            asked=frames.asked_exchange,
            refuse=frames.refuse_exchange,
        ),
    ),
    market=CoinbaseMarket,
    rest=RestRules(
        history=rest.product_answer,
        unknown=answer({"message": "NotFound"}, 404),
        refusal=rest.refusal,
        lists=(
            InstrumentList(
                path=products.EXCHANGE,
                rows=(),
                symbol="id",
                base="base_currency",
                tick="quote_increment",
                lot="base_increment",
                has_rows=True,
                unlisted=lambda base: {"id": f"{base}-USDT", "base_currency": base, "quote_currency": "USDT"},
            ),
            InstrumentList(
                path=products.ADVANCED,
                rows=("products",),
                symbol="product_id",
                base="base_currency_id",
                tick="price_increment",
                lot="base_increment",
                has_rows=True,
                unlisted=lambda base: {"product_id": f"{base}-USDT", "base_currency_id": base, "quote_currency_id": "USDT"},
            ),
        ),
        halted={
            "halt": {"trading_disabled": True},
            "offline": {"status": "offline"},
            "cancel_only": {"cancel_only": True},
            "post_only": {"post_only": True},
            "delisted": {"status": "delisted", "trading_disabled": True},
        },
        complete=products.complete,
    ),
    recorded=RecordedRules(
        names="coinbase.*",
        endpoint=frames.endpoint,
        trades={"matches": frames.exchange_trades, "market_trades": frames.advanced_trades},
        books={"level2_batch": frames.exchange_books, "level2": frames.advanced_books},
    ),
    kinds={
        "level2": frozenset({"book"}),
        "level2_batch": frozenset({"book"}),
        "matches": frozenset({"trade"}),
        "market_trades": frozenset({"trade"}),
        "ticker": frozenset({"ticker"}),
        "ticker_batch": frozenset({"ticker"}),
        "candles": frozenset({"candle"}),
    },
    fields={
        "trade": ("price", "size"),
        "ticker": ("price", "volume_24_?h"),
        "book": ("price_level", "new_quantity"),
        "candle": ("close", "volume"),
    },
    shift=iso_times,
    maintenance="`status` frames say `offline`",
    maintenance_words=(b'"status":"online"', b'"status":"offline"'),
)

"""What a listing is, and where the prices of the listed assets start.

Prices and sizes are integers everywhere in the simulator: prices in ticks of 10^-price_decimals, sizes in lots of 10^-size_decimals.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

import msgspec

from crosstape_schemas import future, perpetual, spot

SCALE: Final = 10
"""Decimals of a fair price, finer than any tick."""


class Listing(msgspec.Struct, frozen=True):
    """One pair on one venue."""

    venue: str
    symbol: str
    """The venue's name of the pair, as its WebSocket writes it."""
    base: str
    quote: str
    price_decimals: int
    size_decimals: int
    """Of a size as the venue writes it: of a contract's, contracts."""
    contract_size: str = ""
    """Base units of one contract, or quote units if `inverse`; empty: it is no contract, sizes are base units."""
    inverse: bool = False
    """Sizes are paid for in the base asset."""
    expiry: int | None = None
    """When a dated contract ends (ns); None: never."""
    funding_s: int = 28_800
    """Seconds from one settlement of a perpetual contract's funding to the next."""
    word: str = ""
    """In our name, between the pair and the kind of contract (`LINEAR`), where the venue has two contracts of a pair; else empty."""
    one_level: bool = False
    """No move of the market changes more than one level: of a venue that sends each level in a frame of its own, so that every book between
    two frames is true."""

    @property
    def is_contract(self) -> bool:
        """Whether it is a contract: it has a mark price, open interest and liquidations."""
        return bool(self.contract_size)

    @property
    def is_perpetual(self) -> bool:
        """Whether it is a contract without an end: it has funding."""
        return self.is_contract and self.expiry is None

    @property
    def instrument(self) -> str:
        """Our name."""
        if not self.is_contract:
            return spot(self.base, self.quote)
        name = perpetual(self.base, self.quote) if self.expiry is None else future(self.base, self.quote, self.expiry)
        return "-".join([*name.split("-")[:2], self.word, name.split("-")[2]]) if self.word else name

    def base_size(self, lots: int, ticks: int) -> Decimal:
        """A size in base units: exact, but of an inverse contract 28 digits of it."""
        size = Decimal(lots).scaleb(-self.size_decimals)
        if not self.is_contract:
            return size
        value = size * Decimal(self.contract_size)
        return _EXACT.divide(value, Decimal(ticks).scaleb(-self.price_decimals)) if self.inverse else value


_EXACT: Final = Context(prec=28)

PRICES: Final = {
    "BTC": 64_250 * 10**SCALE,
    "ETH": 3_120 * 10**SCALE,
    "SOL": 148 * 10**SCALE,
    "XRP": 5_230 * 10 ** (SCALE - 4),
    "DOGE": 12_345 * 10 ** (SCALE - 5),
    "ADA": 4_321 * 10 ** (SCALE - 4),
    "USDT": 10**SCALE,
    **{
        base: round(price * 100) * 10 ** (SCALE - 2)
        for base, price in (
            ("LTC", 84.2), ("BCH", 410), ("LINK", 14.3), ("AVAX", 22.6), ("AAVE", 191), ("UNI", 7.4), ("DOT", 4.4), ("ATOM", 4.7),
            ("ETC", 18.9), ("FIL", 2.4), ("NEAR", 2.9), ("INJ", 11.5), ("BNB", 612), ("XMR", 330), ("ZEC", 240), ("TAO", 290),
            ("COMP", 42), ("DASH", 45), ("EGLD", 12), ("QNT", 98),
        )
    },
}  # fmt: skip
"""Start of each asset's fair price, to which it is drawn back, in USDT."""

STEADY: Final = frozenset({"USDT"})
"""Assets whose fair price stays: with USDT-USD as the rate, pairs in USD and in USDT have the same price in dollars."""

USD_PER_USDT_PPM: Final = 999_700
"""USD pairs have books of their own, around a price that differs a little."""

WEIGHTS: Final = {"BTC": 6, "ETH": 4, "SOL": 2}
"""How busy an asset is, compared to 1 for the others."""

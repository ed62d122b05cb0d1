"""Bitfinex's names of pairs and assets, and ours. Pure.

Quirks  a pair is six letters, or two names with a colon if one of them is longer (`BTCUSD`, `DOGE:USD`); a perpetual has `F0` at the end of
        both (`BTCF0:USTF0`), and a symbol has a `t` before the pair. `UST` is Tether here, not TerraUSD
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.parsing.listing import asset_of
from crosstape_schemas import asset

ASSETS: Final = {
    "UST": "USDT", "UDC": "USDC", "EUT": "EURT", "EUS": "EURS", "TSD": "TUSD", "ALG": "ALGO", "AMP": "AMPL", "ATO": "ATOM", "DAT": "DATA",
    "DSH": "DASH", "IOT": "IOTA", "MNA": "MANA", "QTM": "QTUM", "QSH": "QASH", "RBT": "RBTC", "STJ": "STORJ", "VSY": "VSYS", "WAX": "WAXP",
    "XCH": "XCHF", "YYW": "YOYOW", "IQX": "IQ", "IDX": "ID", "PAS": "PASS", "SNG": "SNGLS", "ZBT": "ZB", "HTX": "HT", "BCHN": "BCH",
    "BCHABC": "XEC", "LUNA": "LUNC", "LUNA2": "LUNA", "TERRAUST": "USTC", "DOG": "MDOGE",
}  # fmt: skip
"""Their name of an asset → ours: `commonCurrencies` of Bitfinex in https://github.com/ccxt/ccxt. `DOG` was a million DOGE. It goes before
the venue's own table (`pub:map:currency:sym`), in which Terra Classic is LUNA."""
PERPETUAL: Final = "F0"
PAIR: Final = 6
"""Letters of a pair without a colon."""


def ours(name: str, table: Mapping[str, str] | None = None) -> str:
    """Return our name of their asset, with or without `F0`. `table`: the venue's own names, if it was asked."""
    plain = name.removesuffix(PERPETUAL)
    return ASSETS.get(plain) or asset((table or {}).get(plain, plain))


def split(pair: str) -> tuple[str, str]:
    """Return their names of base and quote. Raises `FrameError` if the pair has another form."""
    base, colon, quote = pair.partition(":")
    if not colon:
        if len(pair) != PAIR:
            raise FrameError(f"a pair of {len(pair)} letters without a colon: {pair[:40]!r}")
        base, quote = pair[:3], pair[3:]
    return asset_of(base, "the base"), asset_of(quote, "the quote")

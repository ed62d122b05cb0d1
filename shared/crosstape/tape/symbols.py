"""Matches other spellings of an instrument with our names: `BTCUSD`, `BTC/USD`, `btc_usd`, `XBTUSD`; `BTC/USDT:USDT` of ccxt. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

from crosstape_schemas.instruments import ALIASES, COMPOSITE

_DERIVATIVE: Final = re.compile(r"([^/:]+)/([^/:]+):[^/:-]+(?:-([0-9]{6}))?")
"""How ccxt writes a perpetual, or a future that expires on a day: base, quote, settlement asset, day."""


def plain(text: str) -> str:
    """Returns a spelling that all have in common: `BTCUSD`. The `*` of a composite stays."""
    return "".join(character for character in text.upper() if character.isalnum() or character == COMPOSITE)


def meant_by(symbol: str, known: Iterable[str]) -> list[str]:
    """Returns the names among `known` that a symbol may mean, sorted; a name means itself alone."""
    names = sorted(set(known))
    if symbol in names:
        return [symbol]
    wanted = {plain(respelled(symbol)), common(symbol)} - {""}
    return [name for name in names if plain(name) in wanted]


@functools.lru_cache(maxsize=4_096)
def common(symbol: str) -> str:
    """Returns what all spellings of an instrument have in common, with our names of assets: `XBT/USD` and `btc-usd` are `BTCUSD`."""
    text = plain(respelled(symbol))
    for alias, name in ALIASES.items():
        if text.startswith(alias):
            return name + text.removeprefix(alias)
    return text


def respelled(symbol: str) -> str:
    """Returns our spelling of a derivative that is written as ccxt does; any other symbol as it is."""
    if (found := _DERIVATIVE.fullmatch(symbol.strip())) is None:
        return symbol
    base, quote, day = found.groups()
    return f"{base}-{quote}-{f'20{day}' if day else 'PERP'}"

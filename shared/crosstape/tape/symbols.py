"""Matches other spellings of an instrument with our names: `BTCUSD`, `BTC/USD`, `btc_usd`, `XBTUSD`; `BTC/USDT:USDT` of ccxt. Pure."""

from __future__ import annotations

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
    wanted = _plains(symbol)
    return [name for name in names if plain(name) in wanted]


def _plains(symbol: str) -> set[str]:
    """Returns the plain spellings that a symbol may have in ours."""
    if (found := _DERIVATIVE.fullmatch(symbol.strip())) is not None:
        base, quote, day = found.groups()
        symbol = f"{base}-{quote}-{f'20{day}' if day else 'PERP'}"
    text = plain(symbol)
    aliases = {name + text.removeprefix(alias) for alias, name in ALIASES.items() if text.startswith(alias)}
    return {text, *aliases} - {""}

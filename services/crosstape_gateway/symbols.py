"""Finds the instrument that a text means, in our spelling or in others: `BTC-USD`, `BTCUSD`, `BTC/USD`, `btc_usd`. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from crosstape_gateway.errors import RequestError


def plain(text: str) -> str:
    """Returns a spelling that all have in common: `BTCUSD`."""
    return "".join(character for character in text.upper() if character.isalnum() or character == "*")


def instrument_of(symbol: str, known: Iterable[str]) -> str:
    """Returns the instrument among `known` that a symbol means. Raises `RequestError` if none is meant, or several are."""
    names = sorted(set(known))
    if symbol in names:
        return symbol
    meant = [name for name in names if plain(name) == plain(symbol)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise RequestError(400, "ambiguous_symbol", f"{symbol[:40]!r} may mean {' or '.join(meant)}: write it as one of these")
    raise RequestError(404, "unknown_instrument", f"{symbol[:40]!r}: the tape has no such instrument; see /api/instruments")

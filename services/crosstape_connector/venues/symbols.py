"""The symbols of a venue, as its parsers look them up."""

from __future__ import annotations

from collections.abc import Mapping

from crosstape_connector.errors import UnknownSymbol
from crosstape_schemas import Instrument

Symbols = Mapping[str, Instrument]
"""Their symbol → our instrument. It may grow while parsers run, so that they look a symbol up each time that they need it."""


def lookup(symbols: Symbols, symbol: str, what: str = "symbol") -> Instrument:
    """Return our instrument for a venue's symbol. Raises `UnknownSymbol`, whose text begins with `what`."""
    instrument = symbols.get(symbol)
    if instrument is None:
        raise UnknownSymbol(f"{what} {symbol!r}")
    return instrument

"""Finds the instrument that a request means, in any spelling that `crosstape.tape.symbols` knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from crosstape.settings.words import nearest
from crosstape.tape.symbols import meant_by, plain
from crosstape_gateway.errors import RequestError

SHOWN: Final = 40
"""Most characters of a symbol that an error repeats."""


def instrument_of(symbol: str, known: Iterable[str]) -> str:
    """Returns the instrument among `known` that a symbol means.

    Raises `RequestError` if none is meant (it names the nearest one), or several are.
    """
    names = sorted(set(known))
    meant = meant_by(symbol, names)
    if len(meant) == 1:
        return meant[0]
    shown = repr(symbol[:SHOWN])
    if meant:
        raise RequestError(400, "ambiguous_symbol", f"{shown} may mean {' or '.join(meant)}: write it as one of these")
    by_plain = {plain(name).lower(): name for name in names}
    guess = nearest(plain(symbol)[:SHOWN].lower(), by_plain)
    hint = f"did you mean {by_plain[guess]}?" if guess else "see /api/instruments"
    raise RequestError(404, "unknown_instrument", f"{shown}: the tape has no such instrument; {hint}")

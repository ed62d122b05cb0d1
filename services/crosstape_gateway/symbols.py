"""Finds the instrument that a request means, in any spelling that `crosstape.tape.symbols` knows. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from crosstape.settings.words import nearest
from crosstape.tape.selection import respelled as well_formed
from crosstape.tape.symbols import common, meant_by, plain, respelled
from crosstape_gateway.errors import RequestError
from crosstape_schemas.instruments import ALIASES, COMPOSITE, parsed

SHOWN: Final = 40
"""Most characters of a symbol that an error repeats."""
_PERPETUAL: Final = "PERP"
_ALIKE: Final = 0.6


class Names:
    """The instruments of the tape, by what all spellings of each have in common."""

    def __init__(self, names: Iterable[str]) -> None:
        self.all: Final = frozenset(names)
        self._by_plain: dict[str, list[str]] = {}
        for name in sorted(self.all):
            self._by_plain.setdefault(plain(name), []).append(name)

    def meant_by(self, symbol: str) -> list[str]:
        """Returns the names that a symbol may mean, as `crosstape.tape.symbols.meant_by` finds them among all."""
        if symbol in self.all:
            return [symbol]
        alike = {name for spelling in (plain(respelled(symbol)), common(symbol)) for name in self._by_plain.get(spelling, ())}
        return meant_by(symbol, alike)

    def resolve(self, symbol: str) -> str:
        """Returns the one name that a symbol means; where the tape has none, the symbol as we would spell it: its instrument may come.

        Raises `RequestError` if several names may be meant.
        """
        meant = self.meant_by(symbol)
        if len(meant) > 1:
            raise _ambiguous(symbol, meant)
        return meant[0] if meant else spelled(symbol)

    def nearest(self, symbol: str, count: int) -> list[str]:
        """Returns the names that are most alike, the nearest first: those that the symbol means, else those that were probably meant."""
        if meant := self.meant_by(symbol):
            return meant[:count]
        by_lower = {key.lower(): names for key, names in self._by_plain.items()}
        near = difflib.get_close_matches(plain(symbol)[:SHOWN].lower(), by_lower, n=count, cutoff=_ALIKE)
        return [name for key in near for name in by_lower[key]][:count]


def instrument_of(symbol: str, known: Iterable[str]) -> str:
    """Returns the instrument among `known` that a symbol means.

    Raises `RequestError` if none is meant (it names the nearest one), or several are.
    """
    names = sorted(set(known))
    meant = meant_by(symbol, names)
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise _ambiguous(symbol, meant)
    by_plain = {plain(name).lower(): name for name in names}
    guess = nearest(plain(symbol)[:SHOWN].lower(), by_plain)
    hint = f"did you mean {by_plain[guess]}?" if guess else "see /api/instruments"
    raise RequestError(404, "unknown_instrument", f"{symbol[:SHOWN]!r}: the tape has no such instrument; {hint}")


def spelled(symbol: str) -> str:
    """Returns a symbol as we would name its instrument, by its form alone: `BTC/USDT`, `BTCUSDT` and `XBT-USDT` are `BTC-USDT`.

    A symbol whose form does not say where its assets end is returned as it is.
    """
    if symbol.endswith(COMPOSITE):
        return symbol
    text = respelled(symbol)
    if _well_formed_as_it_is(text):
        return _with_our_asset(text)
    if (found := well_formed(text)) is None and text.upper().endswith(_PERPETUAL):
        spot = well_formed(text[: -len(_PERPETUAL)])
        found = f"{spot}-{_PERPETUAL}" if spot is not None else None
    return symbol if found is None else _with_our_asset(found)


def _well_formed_as_it_is(text: str) -> bool:
    return parsed(text) is not None and text == text.upper() and not set(text) & set("/_.")


def _with_our_asset(name: str) -> str:
    base, dash, rest = name.partition("-")
    return f"{ALIASES.get(base, base)}{dash}{rest}"


def _ambiguous(symbol: str, meant: list[str]) -> RequestError:
    return RequestError(400, "ambiguous_symbol", f"{symbol[:SHOWN]!r} may mean {' or '.join(meant)}: write it as one of these")

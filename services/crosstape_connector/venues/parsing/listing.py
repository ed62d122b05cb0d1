"""Reads a venue's list of instruments row by row: an unreadable or repeated row does not affect the other rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, frame_error_kind
from crosstape_connector.venues.messages import OddRow
from crosstape_connector.venues.parsing.numbers import LIMIT, decimal
from crosstape_connector.venues.parsing.rows import cause
from crosstape_schemas import Instrument

REASON: Final = 200
"""Characters of a reason at most: an error may quote what it met."""
NAME: Final = 40
"""Characters of an asset at most."""
_PARTS: Final = frozenset("-:{}*/@,\ufffd")
"""Characters that separate or stand for parts of names and keys, and the one that stands for what is no character."""

Read = Callable[[msgspec.Raw], tuple[Instrument, str] | None]
"""A row → the instrument, and what is odd about it (empty: nothing); None: not for us. Raises one of `FRAME_ERRORS`."""
Named = Callable[[Any], tuple[str, str]]
"""A row that could not be read, as plain JSON → their symbol and our name, each empty if it is not there."""


def listed(rows: Iterable[msgspec.Raw], read: Read, named: Named) -> list[Instrument | OddRow]:
    """The instruments of all rows that can be read, with no name and no symbol twice, and an `OddRow` for each row that is odd.

    Of two rows with one name or symbol the one that trades counts, else the first.
    """
    found: list[Instrument] = []
    odd: list[Instrument | OddRow] = []
    places: dict[str, int] = {}  # name or symbol → place in `found`
    for number, raw in enumerate(rows, 1):
        try:
            made = read(raw)
        except FRAME_ERRORS as exc:
            symbol, name = _named(raw, named)
            why = cause(raw, exc)
            odd.append(_odd(frame_error_kind(why), symbol or name or f"row {number}", str(why), symbol, name))
            continue
        if made is None:
            continue
        instrument, trouble = made
        if trouble:
            odd.append(_odd("status", instrument.symbol, trouble, instrument.symbol, instrument.name))
        keys = (f"name {instrument.name}", f"symbol {instrument.symbol}")
        taken = [places[key] for key in keys if key in places]
        if not taken:
            places.update(dict.fromkeys(keys, len(found)))
            found.append(instrument)
            continue
        before = found[taken[0]]
        if instrument.symbol == before.symbol or instrument.active == before.active or len(set(taken)) > 1:
            reason = f"its name {instrument.name} or its symbol is that of {before.symbol}, which is {before.name}"
            odd.append(_odd("duplicate", instrument.symbol, reason, instrument.symbol, instrument.name))
        if instrument.active and not before.active and len(set(taken)) == 1:
            found[taken[0]] = instrument
            places.update(dict.fromkeys(keys, taken[0]))
    return [*found, *odd]


def asset_of(text: str, what: str) -> str:
    """Return the name of an asset, which may become part of our names. Raises `FrameError`."""
    if not text or len(text) > NAME or not text.isprintable() or not _PARTS.isdisjoint(text) or any(map(str.isspace, text)):
        raise FrameError(f"{what} is {text[:NAME]!r}")
    return text


def step_of(raw: msgspec.Raw) -> Any:
    """Return a tick or step from its JSON, text or number; None for null. Raises `FrameError`."""
    text = bytes(raw).decode()
    if text == "null":
        return None
    step = decimal(text[1:-1] if text[:1] == '"' else text)
    if step < 0 or step >= LIMIT:
        raise FrameError(f"a tick of {text[:NAME]}")
    return step


def _named(raw: msgspec.Raw, named: Named) -> tuple[str, str]:
    try:
        return named(msgspec.json.decode(raw))
    except (AttributeError, KeyError, TypeError, ValueError, *FRAME_ERRORS):
        return "", ""


def _odd(kind: str, row: str, reason: str, symbol: str, name: str) -> OddRow:
    return OddRow(f"instrument_{kind}", f"{row[:NAME]}: {reason}"[:REASON], symbol[:NAME], name[:NAME])

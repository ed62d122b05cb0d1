"""Writes decimals in plain notation: `0.00000061`, where Python writes `6.1E-7`; `0.00000000`, where it writes `0E-8`.

msgspec writes a decimal as `str` does: with an exponent below 1E-6, for a zero with more than six decimals, and for a positive exponent.
Few events hold such a number, so `events.encode` first looks for an `E` behind the instrument's name and calls this module only then.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

DECIMALS: Final = 64
"""Most decimals that a zero keeps. (The digits of any other number are bounded by a bound on its size.)"""

_TEXT_FREE: Final = frozenset({"quote", "book", "delta", "ticker"})
"""Kinds of events that have only fixed words as text behind the instrument's name."""
_REMOVED: Final = b'"0E-8"'
"""A removed level, as most venues write it: in nearly all deltas the only exponent."""
_REMOVED_PLAIN: Final = b'"0.00000000"'
_ZERO: Final = f"0.{'0' * DECIMALS}"
_E: Final = ord("E")

_OTHER: Final = frozenset({int, str, bool, type(None)})

_encode = msgspec.json.Encoder().encode


def text(number: Decimal) -> str:
    """Returns the number without an exponent, with its own digits: `6.1E-7` is `0.00000061`, `1E+3` is `1000`."""
    return format(number, "f") if number or number.adjusted() >= -DECIMALS else _ZERO


def encode(event: Any, data: bytes) -> bytes:
    """Returns an event's JSON in plain notation. `data`: its JSON as msgspec writes it. Text that looks like a number stays as it is."""
    if event.__struct_config__.tag in _TEXT_FREE and _REMOVED in data:
        head = data.index(b',"venue_ts":')
        rest = data[head:].replace(_REMOVED, _REMOVED_PLAIN)
        if _E not in rest:
            return data[:head] + rest
    return _encode(_plain(event))


def _plain(value: Any) -> Any:
    """Returns the value with each decimal as text. Only the type of a value decides; a value without decimals is returned as it is."""
    cls = value.__class__
    if cls is Decimal:
        return text(value)
    if cls is tuple:
        first = value[0] if value else None
        if first.__class__ is tuple and len(first) == 2 and first[0].__class__ is Decimal:  # levels: there may be hundreds
            return [(format(price, "f") if price else text(price), format(size, "f") if size else text(size)) for price, size in value]
        return [_plain(part) for part in value]
    if cls is dict:
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, msgspec.Struct):
        parts = [(name, getattr(value, name)) for name in value.__struct_fields__]
        made = {name: _plain(part) for name, part in parts if part.__class__ not in _OTHER}
        return msgspec.structs.replace(value, **made)
    return value

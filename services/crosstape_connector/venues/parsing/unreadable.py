"""Finds the feeds whose newest data a frame that cannot be read may have held. Pure.

Books and trades need none of this: a number, an id or a checksum shows what is missing. Nothing shows it for a quote, a ticker, a candle or
a figure of a derivative. Liquidations are not here: their newest does not replace the one before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from crosstape_connector.errors import UndecodableFrame, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.messages import Unreadable
from crosstape_connector.venues.spec import Endpoint, Symbols
from crosstape_schemas import CANDLE

KINDS: Final = ("quote", "ticker", "mark", "funding", "open_interest")
"""Kinds of feeds, besides candles, of which only the newest data count."""
NOT_OURS: Final = frozenset({UnknownFrame.kind, UnknownSymbol.kind})
"""Kinds of bad frames that can be read, and hold nothing for the tape."""

_ENDS: Final = (b'"', b".")
"""What follows the name of a channel in a frame: the end of the text, or a symbol after a point."""


def feeds_of(endpoint: Endpoint, symbols: Symbols, data: bytes, received_ts: int, error: str = "") -> Sequence[Unreadable]:
    """The feeds of the channel and the symbols that the text of an unreadable frame still names.

    None if it names no such channel; those of all symbols if it names no symbol. `error`: the kind of the bad frame. One that could not be
    turned into text may hold any of them.
    """
    newest_only = {kind: channel for kind, channel in endpoint.channels.items() if kind in KINDS or kind.startswith(CANDLE)}
    if error == UndecodableFrame.kind:
        return [Unreadable(kind, one.name, received_ts) for one in symbols.values() for kind in newest_only]
    found = [kind for kind, channel in newest_only.items() if _is_of(endpoint, kind, channel, data)]
    if not found:
        return ()
    return [Unreadable(kind, name, received_ts) for name in named_in(data, symbols) for kind in found]


def _is_of(endpoint: Endpoint, kind: str, channel: str, data: bytes) -> bool:
    """Whether the text has this kind's mark, or names its channel and none whose name ends in it (`detail`, `trade.detail`)."""
    mark = endpoint.marks.get(kind)
    if mark is not None:
        return mark in data
    longer = [other for other in endpoint.channels.values() if other != channel and other.endswith(channel)]
    return _is_named(channel, data) and not any(_is_named(other, data) for other in longer)


def _is_named(channel: str, data: bytes) -> bool:
    return any(b"%s%s" % (channel.encode(), end) in data for end in _ENDS)


def named_in(data: bytes, symbols: Symbols) -> Sequence[str]:
    """Return our instruments whose symbols are in the text; all of them if none is."""
    named = [instrument.name for symbol, instrument in symbols.items() if _names(data, symbol)]
    return named or [instrument.name for instrument in symbols.values()]


def _names(data: bytes, symbol: str) -> bool:
    """Whether the text has this symbol in it, and not as a part of another's."""
    return re.search(rb"(?<![A-Z0-9])%s(?![A-Z0-9])" % re.escape(symbol.encode()), data, re.IGNORECASE) is not None

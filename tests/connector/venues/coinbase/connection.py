"""One connection of each dialect, fed with frames."""

from __future__ import annotations

from typing import Final

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.coinbase import recorded
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.spec import Parser, Symbols
from tests.connector.venues.golden import as_read, symbols_of

NEW_YEAR: Final = 1_767_225_600_000_000_000
"""Of the golden frames, in ns."""


def from_advanced(*frames: bytes, symbols: Symbols | None = None) -> list[Output]:
    """All that one Advanced Trade connection finds in these, received at 7."""
    return feed(recorded.AdvancedParser(symbols or symbols_of("coinbase")), *frames)


def from_exchange(*frames: bytes, symbols: Symbols | None = None) -> list[Output]:
    """All that one Exchange connection finds in these, received at 7."""
    return feed(recorded.ExchangeParser(symbols or symbols_of("coinbase")), *frames)


def feed(parser: Parser, *frames: bytes) -> list[Output]:
    """In order, as a reader of the tape gets them; a frame that cannot be used is skipped, as in a session."""
    outputs: list[Output] = []
    for frame in frames:
        try:
            outputs += map(as_read, parser(frame, 7))
        except FRAME_ERRORS:
            continue
    return outputs


def numbered(frame: bytes, number: int) -> bytes:
    """The frame with another `sequence_num`."""
    head, _, tail = frame.partition(b'"sequence_num":')
    return head + b'"sequence_num":%d,' % number + tail.partition(b",")[2]

"""Levels of Binance's books as its streams send them, and what becomes of an update with a level that cannot be read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from crosstape_connector.errors import FrameError, NotANumber
from crosstape_connector.venues.messages import Odd, Output, unread
from crosstape_connector.venues.parsing.numbers import BACKSLASH


class RawLevels(Protocol):
    """The levels of an update: price and size as text."""

    @property
    def b(self) -> list[tuple[str, str]]:
        """Bids."""

    @property
    def a(self) -> list[tuple[str, str]]:
        """Asks."""


L = TypeVar("L", bound=RawLevels)


def levels_decoder(made: type[L]) -> Callable[[bytes | msgspec.Raw], L]:
    """A decoder of updates, which also refuses digits of other scripts: with a `FrameError`."""
    decode = msgspec.json.Decoder(made).decode

    def decoded(data: bytes | msgspec.Raw) -> L:
        update, text = decode(data), bytes(data)
        if (BACKSLASH in text or not text.isascii()) and not all(price.isascii() and size.isascii() for price, size in update.b + update.a):
            raise NotANumber("digits that are not ASCII")
        return update

    return decoded


def refused_levels(instrument: str) -> Callable[[Exception, int], Sequence[Output]]:
    """See `Route.refused`: the book is out of date, unless the update is no text at all."""

    def refused(error: Exception, received_ts: int) -> Sequence[Output]:
        if not isinstance(error, msgspec.ValidationError | FrameError):
            raise error
        return unread_levels(error, instrument, received_ts)

    return refused


def unread_levels(reason: object, instrument: str, received_ts: int) -> Sequence[Output]:
    """Return the outputs for an update with a level that cannot be read."""
    return Odd("book", f"{instrument}: {reason}"), unread(instrument, received_ts)

"""Says what an error of the library means for a stream. Pure."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Final

from crosstape.errors import CrosstapeError


class Meaning(Enum):
    """What an error means for the stream that met it."""

    PERMANENT = auto()
    """The stream cannot be had: the exchange does not have it, or wants keys."""
    CLOSED = auto()
    """The connection is gone, with all streams on it."""
    BUSY = auto()
    """The same, and the exchange asks for fewer requests."""
    MAINTENANCE = auto()
    """The same, and the exchange is closed for a while."""
    AGAIN = auto()
    """This stream alone failed: ask for it again."""


PAUSES_S: Final = {Meaning.BUSY: 30.0, Meaning.MAINTENANCE: 60.0}
"""Seconds until the next connection."""

_BY_NAME: Final = {
    "OnMaintenance": Meaning.MAINTENANCE,
    "RateLimitExceeded": Meaning.BUSY,
    "DDoSProtection": Meaning.BUSY,
    "ChecksumError": Meaning.AGAIN,
    "InvalidNonce": Meaning.AGAIN,
    "NetworkError": Meaning.CLOSED,
    "ExchangeClosedByUser": Meaning.CLOSED,
    "BadSymbol": Meaning.PERMANENT,
    "NotSupported": Meaning.PERMANENT,
    "ArgumentsRequired": Meaning.PERMANENT,
    "AuthenticationError": Meaning.PERMANENT,
    "RestrictedLocation": Meaning.PERMANENT,
}
"""A class of the library's errors → its meaning; the nearest base class counts."""

LONGEST: Final = 300
"""Characters of a reason at most: an error may quote what the exchange sent."""


def meaning(error: BaseException) -> Meaning:
    """Return what an error means. The library ends all streams of a connection by cancelling what they wait for."""
    if isinstance(error, asyncio.CancelledError):
        return Meaning.CLOSED
    return next((_BY_NAME[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _BY_NAME), Meaning.AGAIN)


def reason(error: BaseException) -> str:
    """Return an error as one line."""
    if isinstance(error, asyncio.CancelledError):
        return "the library gave up the connection"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def ours(error: BaseException) -> CrosstapeError | None:
    """Return the error of ours that the library has wrapped in this one, if any: it must not be taken for the exchange's."""
    seen: list[object] = [error, error.__cause__, error.__context__, *error.args]
    return next((one for one in seen if isinstance(one, CrosstapeError)), None)

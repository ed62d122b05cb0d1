"""crosstape for those who read the tape: the bus, the events, the names of keys. Needs nothing of the `services` extra."""

import sys

import structlog

from crosstape.bus import Entry, Foreign, Missed, Publisher, Reader, Start, connect
from crosstape.errors import BusError, CrosstapeError, SettingsError, Superseded
from crosstape.settings import BusSettings, Settings
from crosstape.version import __version__
from crosstape_schemas import (
    CONSOLIDATED,
    KINDS,
    VENUE_WIDE,
    AnyEvent,
    Book,
    Cbbo,
    Delta,
    Event,
    Exclusion,
    FeedState,
    Gap,
    GapCause,
    Instrument,
    Keys,
    Leg,
    Level,
    Market,
    Quote,
    Side,
    Status,
    Ticker,
    Trade,
    Vwap,
    decode,
    encode,
)

if not structlog.is_configured():  # structlog's default is standard output, where it would mix with a strategy's own
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))

__all__ = [
    "CONSOLIDATED",
    "KINDS",
    "VENUE_WIDE",
    "AnyEvent",
    "Book",
    "BusError",
    "BusSettings",
    "Cbbo",
    "CrosstapeError",
    "Delta",
    "Entry",
    "Event",
    "Exclusion",
    "FeedState",
    "Foreign",
    "Gap",
    "GapCause",
    "Instrument",
    "Keys",
    "Leg",
    "Level",
    "Market",
    "Missed",
    "Publisher",
    "Quote",
    "Reader",
    "Settings",
    "SettingsError",
    "Side",
    "Start",
    "Status",
    "Superseded",
    "Ticker",
    "Trade",
    "Vwap",
    "__version__",
    "connect",
    "decode",
    "encode",
]

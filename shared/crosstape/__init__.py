"""The library for programs that read the tape: the bus, the events, the names of keys. It needs nothing of the `services` extra.

Each name is imported at its first use: a command that checks a service's health every few seconds does not load a Redis client.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crosstape.bus import Entry, Foreign, Missed, Publisher, Reader, Start, connect
    from crosstape.errors import BusError, CrosstapeError, FrameError, HistoryError, SettingsError, Superseded, UnknownName
    from crosstape.liveness import Life, SignsOfLife
    from crosstape.settings import BusSettings, Settings
    from crosstape.tape.candle_provider import CandleProvider
    from crosstape.tape.frames import frame_of
    from crosstape.tape.history import History
    from crosstape.tape.stream_collector import StreamCollector
    from crosstape.tape.subscription import Subscription
    from crosstape.tape.sync import SyncTape
    from crosstape.tape.sync_subscription import SyncSubscription
    from crosstape.tape.tape import Tape
    from crosstape.version import __version__
    from crosstape_schemas import (
        CONSOLIDATED,
        KINDS,
        TIMEFRAMES,
        VENUE_WIDE,
        AnyEvent,
        Bar,
        Book,
        Candle,
        Cbbo,
        Delta,
        Depth,
        DepthLeg,
        DepthLevel,
        Edge,
        EdgeChange,
        Event,
        Exclusion,
        FeedState,
        Funding,
        Gap,
        GapCause,
        InputEvent,
        Instrument,
        Keys,
        Leg,
        Level,
        Liquidation,
        Mark,
        Market,
        OpenInterest,
        Part,
        Quote,
        Rate,
        Side,
        Status,
        Sweep,
        Ticker,
        Trade,
        Vwap,
        decode,
        encode,
        feed_kind,
    )

__all__ = [
    "CONSOLIDATED",
    "KINDS",
    "TIMEFRAMES",
    "VENUE_WIDE",
    "AnyEvent",
    "Bar",
    "Book",
    "BusError",
    "BusSettings",
    "Candle",
    "CandleProvider",
    "Cbbo",
    "CrosstapeError",
    "Delta",
    "Depth",
    "DepthLeg",
    "DepthLevel",
    "Edge",
    "EdgeChange",
    "Entry",
    "Event",
    "Exclusion",
    "FeedState",
    "Foreign",
    "FrameError",
    "Funding",
    "Gap",
    "GapCause",
    "History",
    "HistoryError",
    "InputEvent",
    "Instrument",
    "Keys",
    "Leg",
    "Level",
    "Life",
    "Liquidation",
    "Mark",
    "Market",
    "Missed",
    "OpenInterest",
    "Part",
    "Publisher",
    "Quote",
    "Rate",
    "Reader",
    "Settings",
    "SettingsError",
    "Side",
    "SignsOfLife",
    "Start",
    "Status",
    "StreamCollector",
    "Subscription",
    "Superseded",
    "Sweep",
    "SyncSubscription",
    "SyncTape",
    "Tape",
    "Ticker",
    "Trade",
    "UnknownName",
    "Vwap",
    "__version__",
    "connect",
    "decode",
    "encode",
    "feed_kind",
    "frame_of",
]

_PLACES = (
    "crosstape.version",
    "crosstape.errors",
    "crosstape.settings",
    "crosstape_schemas",
    "crosstape.liveness",
    "crosstape.bus",
    "crosstape.tape.subscription",
    "crosstape.tape.history",
    "crosstape.tape.tape",
    "crosstape.tape.sync_subscription",
    "crosstape.tape.sync",
    "crosstape.tape.candle_provider",
    "crosstape.tape.stream_collector",
    "crosstape.tape.frames",
)
"""Modules that have the names; those that take longest to load are last."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        for place in _PLACES:
            if hasattr(module := import_module(place), name):
                globals()[name] = found = getattr(module, name)
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What is rehearsed: faults of venues, as what each must be told, and what is known not to hold."""

from __future__ import annotations

from typing import Final, NamedTuple

from crosstape_schemas import FeedState
from crosstape_simulator.spec import VENUES
from tests.chaos.checker import Bounds

RECOVERING: Final = frozenset({FeedState.RECOVERING})
STALE: Final = frozenset({FeedState.STALE})
DOWN: Final = frozenset({FeedState.DOWN})
SILENT: Final = STALE | DOWN
UNTOLD: Final[frozenset[FeedState]] = frozenset()
BINANCE: Final = ("binance",)
DROP: Final = "drop kind=book count=1"


class Case(NamedTuple):
    """One rehearsal, on all its venues at once, each with faults of its own."""

    name: str
    faults: tuple[str, ...]
    """Set together, once everything is live; each must act."""
    told: frozenset[FeedState] = UNTOLD
    """One of these must be told, of a feed or of the venue, before the faults are ended; empty: nothing need be."""
    venues: tuple[str, ...] = VENUES
    hold_s: float = 2.0
    """How long faults that do not end by themselves last at least."""
    known: bool = False
    """Only once the watchdog can have learned each feed's pace."""
    from_start: bool = False
    """Set before the connectors are started, in place of after."""
    then: str = ""
    """A fault that is set once the others are over: what it takes to come back."""
    bounds: Bounds = Bounds()


CASES: Final = (
    Case("cut", ("cut",), DOWN, hold_s=0.0),
    Case("cut for a while", ("cut for=2",), DOWN),
    Case("half-open", ("half-open",), DOWN),
    Case("half-open handshake", ("half-open at=handshake",), DOWN, hold_s=6.0),
    Case("close", ("close code=1012",), DOWN, hold_s=0.0),
    Case("lifetime", ("lifetime at=1 for=4",), DOWN, hold_s=4.0),
    Case("slow-loris", ("slow-loris",), DOWN),
    Case("oversized", ("oversized",)),
    Case("malformed", ("malformed how=json count=2", "malformed how=utf8 count=2", "malformed how=unknown count=2")),
    Case("malformed opcode", ("malformed how=opcode",), DOWN),
    Case("stall", ("stall",), SILENT, known=True),
    Case("stall of a book", ("stall kind=book instrument=BTC-USDT",), STALE, known=True),
    Case("drop", ("drop kind=book probability=0.1 count=0",), RECOVERING),
    Case("drop of trades and quotes", ("drop kind=trade count=2", "drop kind=quote count=2"), venues=("binance", "kraken")),
    Case("drop of trades", ("drop kind=trade count=2",), venues=("coinbase",)),
    Case("duplicate", ("duplicate kind=book probability=0.3 count=0", "duplicate kind=trade count=2")),
    Case("swap", ("swap kind=book probability=0.1 count=0",), RECOVERING),
    Case("swap of trades", ("swap kind=trade count=2",)),
    Case("delay", ("delay kind=all by=1",), hold_s=3.0),
    Case("checksum", ("checksum what=checksum count=2",), RECOVERING, ("kraken",)),
    Case("checksum of a level", ("checksum what=level probability=0.2 count=0",), RECOVERING, ("kraken",)),
    Case("reset", ("reset",), RECOVERING, ("binance", "coinbase")),
    Case("burst", ("burst factor=8",)),
    Case("skew", ("skew by=-5",), bounds=Bounds(skews_s=(-5.0,))),
    Case("refuse", ("refuse",), DOWN, from_start=True, then="cut"),
    Case("silent", ("silent kind=book instrument=BTC-USDT",), STALE, from_start=True),
    Case("silent after a cut", ("silent kind=book instrument=BTC-USDT", "cut"), STALE),
    Case("late", ("late by=1",), from_start=True, hold_s=3.0),
    Case("maintenance", ("maintenance for=2",), SILENT, ("coinbase", "kraken")),
    Case("maintenance, once", ("maintenance",), venues=BINANCE),
    Case("rest-status", ("rest-status status=429 retry_after=1",), DOWN, from_start=True),
    Case("rest-status of a snapshot", ("rest-status status=503 retry_after=1 path=/api/v3/depth", DROP), RECOVERING, BINANCE),
    Case("rest-hang", ("rest-hang",), DOWN, from_start=True),
    Case("rest-truncate", ("rest-truncate",), DOWN, from_start=True),
    Case("rest-old", ("rest-old", DROP), RECOVERING, BINANCE, hold_s=3.0),
)

KNOWN: Final[dict[tuple[str, str], str]] = {}
"""(case, venue) → what does not hold yet. One that holds after all fails the suite: it is to be removed from here."""

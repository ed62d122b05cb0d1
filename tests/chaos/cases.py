"""The rehearsals: the faults of venues, the statuses that each must cause, and the failures that are known."""

from __future__ import annotations

from typing import Final, NamedTuple

from crosstape_schemas import FeedState
from crosstape_simulator.faults.parse import from_text
from crosstape_simulator.faults.table import absent
from crosstape_simulator.spec import VENUES
from crosstape_simulator.venues.registry import VENUES as SIMULATED
from crosstape_simulator.venues.registry import find
from tests.chaos.checker import Bounds
from tests.chaos.stand import local

RECOVERING: Final = frozenset({FeedState.RECOVERING})
STALE: Final = frozenset({FeedState.STALE})
DOWN: Final = frozenset({FeedState.DOWN})
SILENT: Final = STALE | DOWN
UNTOLD: Final[frozenset[FeedState]] = frozenset()
BINANCE: Final = ("binance",)
DROP: Final = "drop kind=book count=1"
BTC: Final = "BTC-USDT"
ETH: Final = "ETH-USDT"
DEAD: Final = f"stall instrument={ETH}"
MARKET: Final = f"market instrument={ETH}"
HALT: Final = f"halt instrument={ETH}"
HALTS: Final = (("binance", "offline"), ("coinbase", "halt"), ("kraken", "cancel_only"))
SKEWS: Final = (("binance", -90), ("coinbase", -90), ("kraken", 7200))
REFUSALS: Final = (("binance", "status=451"), ("coinbase", "status=403 body=html"), ("kraken", "status=200"))
BEGINNINGS: Final = (("binance", "rest-status status=429 retry_after=1"), ("coinbase", "rest-hang"), ("kraken", "rest-truncate"))
OTHERS: Final = tuple(venue for venue in SIMULATED if venue not in VENUES)
"""Venues that are not simulated by default. They are rehearsed apart, with the faults that concern what a venue's own files do."""
REPRESENTATIVE: Final = tuple(venue for venue in ("bitstamp", "bitfinex", "kucoin", "bingx_swap", "binance_coinm") if venue in OTHERS)
"""Those of them that are rehearsed each time: between them they have every part of the seam. `make test-rare` rehearses all."""
GROUP: Final = 4
"""Venues of a rehearsal that is only one of `make test-rare`."""
MALFORMED: Final = ("malformed how=json count=2", "malformed how=utf8 count=2", "malformed how=unknown count=2")
CANDLES: Final = ("malformed how=json kind=candle count=2", "duplicate kind=candle count=5")
FIGURES: Final = ("duplicate kind=mark count=2", "malformed how=json kind=mark count=2")
ODD: Final = ("null", "empty", "status", "missing", "type", "row", "duplicate")
DETECTED: Final = Bounds(detect_s=8.0)
"""For watchdogs that are as quick as those of `stand`."""
UNREAD: Final = Bounds(unread=True)
SKEWED: Final = Bounds(detect_s=3.0, traded_s=1.5, skews_s=(-90.0, 30.0, 7200.0))


class Case(NamedTuple):
    """One rehearsal. It runs on all its venues at once, each with its own faults."""

    name: str
    faults: tuple[str, ...]
    """Set together, once everything is live; each must act."""
    told: frozenset[FeedState] = UNTOLD
    """At least one of these states must be published, of a feed or of the venue, before the faults end; empty: none is needed."""
    venues: tuple[str, ...] = VENUES
    hold_s: float = 2.0
    """How long faults that do not end by themselves last at least."""
    known: bool = False
    """Only once the watchdog can have learned each feed's pace."""
    from_start: bool = False
    """Set before the connectors are started, in place of after."""
    then: str = ""
    """A fault that is set once the others are over: what it takes to come back."""
    quoted: bool = False
    """Whether an aggregator runs as well, whose quotes, legs and windows are then checked."""
    windows: bool = False
    """Only once the shortest windows call themselves complete."""
    out: tuple[str, ...] = ()
    """Instruments of which no venue's leg may count any more, before the faults are ended."""
    heals: tuple[str, ...] = ()
    """Instruments of which quotes and books must be live with new data, before the faults are ended."""
    closes: bool = False
    """Only ended once a candle is closed that ended after the faults, where a venue has candles of a minute or less."""
    rare: bool = False
    """Whether it is only one of `make test-rare`."""
    repaired: bool = False
    """Whether all gaps of trades must be reported as repaired in the end."""
    bounds: Bounds = Bounds()
    series: str = ""
    """Cases of one series are held one after another on one stand, in the order of this table: only the first may begin `from_start`, and
    all have the same bounds. Empty: the case has a stand of its own.
    """

    @property
    def held_with(self) -> str:
        """The name of its series; its own, if it is in none."""
        return self.series or self.name

    @property
    def all_faults(self) -> tuple[str, ...]:
        """Each of its faults on each of its venues that has it, unless it is of one or of all of them."""
        return tuple(
            dict.fromkeys(
                text if " venue=" in text or text.startswith("burst") else local(f"{text} venue={venue}", venue)
                for venue in self.venues
                for text in self.faults
                if _has(venue, text)
            )
        )


def _has(venue: str, text: str) -> bool:
    """Whether a venue can have this fault: not where it has no such data, or nothing that the fault is about."""
    fault, simulated = from_text(text), find(venue)
    kind = getattr(fault, "kind", "all")
    return absent(fault, simulated) is None and (kind == "all" or any(kind in kinds for kinds in simulated.kinds.values()))


def _with(text: str) -> tuple[str, ...]:
    """The representative venues that have a fault."""
    return tuple(venue for venue in REPRESENTATIVE if _has(venue, text))


_CASES: Final = (
    # A book that breaks again before it has had a hundred updates waits twice as long for its snapshot, and a venue allows only so many
    # connections: between cases that break books or connections are some that do not.
    Case("refuse", ("refuse",), DOWN, from_start=True, then="cut", series="cut"),
    Case("duplicate", ("duplicate kind=book probability=0.3 count=0", "duplicate kind=trade count=2"), series="cut"),
    Case("oversized", ("oversized",), series="cut"),
    Case("swap of trades", ("swap kind=trade count=2",), series="cut"),
    Case("cut", ("cut",), DOWN, hold_s=0.0, series="cut"),
    Case("burst", ("burst factor=8",), series="cut"),
    Case("odd quotes", ("odd-row kind=quote how=nan count=2",), RECOVERING, venues=("binance", "kraken"), series="cut"),
    Case("close", ("close code=1012",), DOWN, hold_s=0.0, series="cut"),
    Case("delay", ("delay kind=all by=1",), hold_s=3.0, series="cut"),
    Case("cut for a while", ("cut for=2",), DOWN, series="cut"),
    Case("odd past", ("odd-past how=overlap number=7", "odd-past how=twice number=2", "cut"), DOWN, series="cut"),
    Case("late", ("late by=1",), from_start=True, hold_s=3.0, series="hung"),
    Case("stall", ("stall",), SILENT, known=True, series="hung"),
    Case("stall of a book", ("stall kind=book instrument=BTC-USDT",), STALE, known=True, series="hung"),
    Case("half-open", ("half-open",), DOWN, series="hung"),
    Case("drop of trades and quotes", ("drop kind=trade count=2", "drop kind=quote count=2"), venues=("binance", "kraken"), series="hung"),
    Case("drop of trades", ("drop kind=trade count=2",), venues=("coinbase",), series="hung"),
    Case("half-open handshake", ("half-open at=handshake",), DOWN, hold_s=6.0, series="hung"),
    Case("candles", CANDLES, closes=True, series="hung"),  # a minute
    Case("slow-loris", ("slow-loris",), DOWN, series="hung"),
    # REST fails when a connector starts: each time each fault on one venue
    Case("REST", tuple(f"{text} venue={venue}" for venue, text in BEGINNINGS), DOWN, from_start=True, series="broken"),
    Case("rest-status", ("rest-status status=429 retry_after=1",), DOWN, from_start=True, rare=True),
    Case("rest-hang", ("rest-hang",), DOWN, from_start=True, rare=True),
    Case("rest-truncate", ("rest-truncate",), DOWN, from_start=True, rare=True),
    Case("malformed opcode", ("malformed how=opcode",), DOWN, series="broken"),
    Case("malformed", MALFORMED, series="broken"),
    Case("drop", ("drop kind=book probability=0.1 count=0",), RECOVERING, series="broken"),
    Case("lifetime", ("lifetime at=1 for=4",), DOWN, hold_s=4.0, series="broken"),
    Case("refusals", tuple(f"rest-status {how} venue={venue}" for venue, how in REFUSALS), DOWN, from_start=True, series="swapped"),
    Case("swap", ("swap kind=book probability=0.1 count=0",), RECOVERING, series="swapped"),
    Case("silent after a cut", ("silent kind=book instrument=BTC-USDT", "cut"), STALE, series="swapped"),
    Case("skew", ("skew by=-5",), bounds=Bounds(skews_s=(-5.0,)), rare=True),  # `clocks` shows more of it
    # what not every venue has
    Case(
        "a snapshot without a checksum", ("checksum what=missing count=2",),
        venues=("kraken",), from_start=True, heals=(BTC, ETH), series="own",
    ),
    Case("checksum", ("checksum what=checksum count=2",), RECOVERING, ("kraken", "bitfinex"), series="own"),
    Case("checksum of a level", ("checksum what=level probability=0.2 count=0",), RECOVERING, ("kraken",), series="own"),
    Case("reset", ("reset",), RECOVERING, ("binance", "coinbase", "bitfinex"), series="own"),
    Case("maintenance", ("maintenance for=2",), SILENT, ("coinbase", "kraken", "bitfinex"), series="own"),
    Case("maintenance, once", ("maintenance",), venues=BINANCE, series="own"),
    Case("rest-status of a snapshot", ("rest-status status=503 retry_after=1 path=/api/v3/depth", DROP), RECOVERING, BINANCE, series="own"),
    Case("rest-old", ("rest-old", DROP), RECOVERING, BINANCE, hold_s=3.0, series="own"),
    # A dead stream is found out by what REST knows, however its market moves; the rest of the venue is not concerned. A feed that has been
    # silent is trusted for longer: the stated time is that of a stand on which no stream was dead.
    Case(
        "dead streams that heal", (f"stall instrument={BTC} heals=resubscribe", f"{DEAD} heals=reconnect"), SILENT,
        hold_s=0.0, known=True, quoted=True, heals=(BTC, ETH), bounds=DETECTED,
    ),
    Case(
        "dead stream, moved once", (DEAD, f"{MARKET} every=0 by=0.2 after=1"), STALE,
        hold_s=12.0, known=True, quoted=True, out=(ETH,), bounds=DETECTED, series="moved once",
    ),
    Case(
        "dead stream, rests", (DEAD, f"{MARKET} how=rest after=1"),
        hold_s=8.0, known=True, quoted=True, bounds=DETECTED, series="moved once",
    ),
    Case("silent", ("silent kind=book instrument=BTC-USDT",), STALE, from_start=True, bounds=DETECTED, series="moves on"),
    Case(
        "dead stream, moves on", (DEAD, f"{MARKET} every=3 by=0.1"), STALE,
        hold_s=12.0, known=True, quoted=True, out=(ETH,), bounds=DETECTED, series="moves on",
    ),
    # what is true and odd
    Case("odd rows in a list", tuple(f"odd-list how={how}" for how in ODD), from_start=True, heals=(BTC, ETH), series="halts"),
    Case("ids that never existed", ("skip-ids ids=3",), repaired=True, quoted=True, series="halts"),
    Case(
        "halts", tuple(f"{HALT} how={how} venue={venue}" for venue, how in HALTS), SILENT,
        known=True, quoted=True, out=(ETH,), series="halts",
    ),
    Case(
        "odd rows in frames",
        ("odd-row kind=book", "odd-row kind=trade how=null count=2", "odd-row kind=ticker what=size how=empty venue=kraken"), RECOVERING,
        series="halts",
    ),
    Case("delisted", (f"{HALT} how=gone",), SILENT, known=True, quoted=True, out=(ETH,), series="halts"),
    Case("a host's clock", ("skew by=30",), from_start=True, hold_s=16.0, quoted=True, bounds=SKEWED),
    Case(
        "clocks", tuple(f"skew by={by} venue={venue}" for venue, by in SKEWS),
        hold_s=14.0, windows=True, quoted=True, bounds=SKEWED,
    ),
    # what is the venue's own: its parsers, its books, its REST, what it wants of a connection
    Case(
        "others: books", (f"{DROP} probability=0.1", "swap kind=book count=2", "duplicate kind=book count=5"),
        venues=REPRESENTATIVE, series="others",
    ),
    Case("others: figures", FIGURES, venues=_with(FIGURES[0]), hold_s=4.0, series="others"),
    Case("tokens", ("expired", "cut"), DOWN, venues=_with("expired"), series="others"),
    Case("others: cut", ("cut for=2",), DOWN, venues=REPRESENTATIVE, series="others"),
    Case("candles of others", CANDLES, venues=REPRESENTATIVE, closes=True, series="others"),  # a minute, in which those of the cut close
    Case(
        "others: odd rows", ("odd-row kind=book", "odd-row kind=trade how=null count=2"), RECOVERING,
        venues=REPRESENTATIVE, bounds=UNREAD, series="others, unread",
    ),
    Case(
        "others: malformed", (*MALFORMED, "malformed how=gzip count=2", "malformed how=binary count=2"),
        venues=REPRESENTATIVE, bounds=UNREAD, series="others, unread",
    ),
    Case("others: silent", ("silent kind=book instrument=BTC-USDT",), STALE, venues=REPRESENTATIVE, from_start=True, rare=True),
    Case(
        "others: dead stream", (DEAD, f"{MARKET} every=3 by=0.1"), STALE,
        venues=REPRESENTATIVE, hold_s=12.0, known=True, quoted=True, out=(ETH,), bounds=DETECTED, rare=True,
    ),
    Case("others: delisted", (f"{HALT} how=gone",), SILENT, venues=REPRESENTATIVE, known=True, quoted=True, out=(ETH,), rare=True),
    Case("others: REST", ("rest-hang",), DOWN, venues=REPRESENTATIVE, from_start=True, rare=True),
)  # fmt: skip


def _rare(case: Case) -> list[Case]:
    """The same on the venues that are not rehearsed each time, some at once: what a case of the representative ones says holds for all."""
    rest = [venue for venue in OTHERS if venue not in case.venues and any(_has(venue, fault) for fault in case.faults)]
    groups = [tuple(rest[first : first + GROUP]) for first in range(0, len(rest), GROUP)]
    return [
        case._replace(name=f"{case.name} ({named})", venues=group, rare=True, series=f"{case.series} ({named})" if case.series else "")
        for group in groups
        for named in [", ".join(group)]
    ]


GENERIC: Final = frozenset({
    "cut", "half-open", "half-open handshake", "close", "lifetime", "slow-loris", "oversized", "malformed opcode", "stall",
    "stall of a book", "delay", "burst", "skew", "refuse", "silent after a cut", "late", "rest-status", "rest-truncate",
    "dead stream, moved once", "dead streams that heal",
})  # fmt: skip
"""Cases whose code is that of all venues: on others than the default ones they are rehearsed by `make test-rare`."""

CASES: Final = (
    *(case for case in _CASES if case.venues),
    *(rare for case in _CASES if case.venues and set(case.venues) <= set(OTHERS) for rare in _rare(case)),
    *(rare for case in _CASES if case.name in GENERIC for rare in _rare(case)),
)

KNOWN: Final[dict[tuple[str, str], str]] = {}
"""(case, venue) → what does not hold yet. One that holds after all fails the suite: it is to be removed from here."""

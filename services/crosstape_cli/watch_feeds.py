"""The tables that `crosstape watch` shows in place of quotes: what each follows on the tape, its rows, and its title."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from rich.console import Console

from crosstape.bus import Client, Position, Start
from crosstape_cli import view_computed, view_feeds
from crosstape_cli.follow_feeds import Feed, Feeds
from crosstape_cli.instrument_names import NONE_KNOWN, InstrumentNames
from crosstape_cli.live import show_feeds
from crosstape_cli.view import counted
from crosstape_cli.view_computed import BAR_HEADINGS, DEPTH_HEADINGS, EDGE_HEADINGS
from crosstape_cli.view_feeds import CANDLE_HEADINGS, DERIVATIVE_HEADINGS, DERIVATIVES, Row
from crosstape_schemas import BAR, CANDLE, Edge, EdgeChange, Event, Keys, is_composite

EDGES_S: Final = 600
"""How far back edges are read at the start. One that is open changes more often than this, with the prices of its venues."""

Rows = Callable[[Mapping[Feed, Event], Collection[Feed]], list[Row]]
Title = Callable[[Mapping[Feed, Event], Collection[Feed], str], str]


class View(NamedTuple):
    """One kind of table."""

    kinds: Sequence[str]
    """Kinds of streams that it follows."""
    headings: Sequence[str]
    rows: Rows
    """(newest event of each feed, feeds of a dead producer) → rows."""
    title: Title
    """(newest event of each feed, feeds of a dead producer, the server's address) → title."""
    instruments: Sequence[str] = ()
    """Those to follow; empty: all."""
    start: Position = Start.LAST_THEN_NOW


def bars(timeframe: str, instruments: Sequence[str], names: InstrumentNames = NONE_KNOWN) -> View:
    """The newest bar of each venue and of all."""
    nothing = f'bars are built if aggregator.bars names "{timeframe}"'
    return View(
        [f"{BAR}{timeframe}"], BAR_HEADINGS, _now(view_computed.bars), _feeds(f"{BAR}{timeframe}", instruments, nothing, names), instruments
    )


def candles(timeframe: str, instruments: Sequence[str], names: InstrumentNames = NONE_KNOWN) -> View:
    """The newest candle of each venue."""
    nothing = f'venues publish them where venues.VENUE.candles names "{timeframe}"'
    kind = f"{CANDLE}{timeframe}"
    return View([kind], CANDLE_HEADINGS, _now(view_feeds.candles), _feeds(kind, instruments, nothing, names), instruments)


def derivatives(instruments: Sequence[str], names: InstrumentNames = NONE_KNOWN) -> View:
    """What venues say of perpetuals and futures."""
    title = _feeds(", ".join(DERIVATIVES), instruments, "", names)
    return View(DERIVATIVES, DERIVATIVE_HEADINGS, _now(view_feeds.derivatives), title, instruments)


def depth(instrument: str, names: InstrumentNames = NONE_KNOWN) -> View:
    """The consolidated book of one instrument."""

    def title(latest: Mapping[Feed, Event], dead: Collection[Feed], where: str) -> str:
        found = view_computed.book_title(latest, now=time.time_ns())
        if found is None:
            if hint := names.hint(instrument):
                return f"no book of {instrument} on {where}; {hint}"
            return f"no book of {instrument} on {where}; consolidated books are published if {_needed(instrument)}"
        return f"{instrument} on {where}: {found}{'; its aggregator gives no sign of life' if dead else ''}"

    return View(["depth"], DEPTH_HEADINGS, _now(view_computed.depth), title, (instrument,))


def edges(instruments: Sequence[str]) -> View:
    """The edges that are open, and those that have closed lately."""

    def title(latest: Mapping[Feed, Event], dead: Collection[Feed], where: str) -> str:
        present = [event for feed, event in latest.items() if feed not in dead]
        count = sum(isinstance(event, Edge) and event.change is not EdgeChange.CLOSE for event in present)
        text = f"{counted(count, 'edge')} {'is' if count == 1 else 'are'} open on {where}"
        if latest:
            return text
        return f"{text}, none has been lately; they are computed between venues whose fees aggregator.taker_fees_bps names, two at least"

    start = str((time.time_ns() // 1_000_000) - EDGES_S * 1_000)
    return View(["edge"], EDGE_HEADINGS, _now(view_computed.edges), title, instruments, start)


async def watch(client: Client, keys: Keys, view: View, where: str, first_s: float) -> None:
    """Show a view of the server at `where` until cancelled, for the first time when the tape has been read once, or after `first_s`."""
    feeds = Feeds(client, keys, view.kinds, view.instruments, start=view.start)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feeds.run(), name="follow feeds")
        console = Console()
        await feeds.read_once(first_s)
        showing = show_feeds(
            console,
            view.headings,
            rows=lambda: view.rows(feeds.latest, feeds.dead()),
            title=lambda: view.title(feeds.latest, feeds.dead(), where),
        )
        tasks.create_task(showing, name="show feeds")


def _needed(instrument: str) -> str:
    """What a consolidated book needs, as far as the settings and the venues can lack it."""
    if is_composite(instrument):
        return f"aggregator.composites names {instrument}, aggregator.depth_levels is set, as to 10, and its parts have such books"
    return "aggregator.depth_levels is set, as to 10, and venues publish books of the instrument"


def _now(rows: Callable[..., list[Row]]) -> Rows:
    return lambda latest, dead: rows(latest, dead, now=time.time_ns())


def _feeds(kinds: str, instruments: Sequence[str], nothing: str, names: InstrumentNames) -> Title:
    """The title of a table with a row for each feed. `nothing`: what to set, if there is none; `names`: what the tape has, for hints."""

    def title(latest: Mapping[Feed, Event], dead: Collection[Feed], where: str) -> str:
        missing = [name for name in instruments if not any(feed.instrument == name for feed in latest)]
        parts = [f"{counted(len(latest), 'feed')} of {kinds} on {where}"]
        if not latest and nothing:
            parts.append(nothing)
        return "; ".join([*parts, f"not on the tape: {names.listed(missing)}"] if missing else parts)

    return title

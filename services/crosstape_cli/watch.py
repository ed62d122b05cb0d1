"""`crosstape watch`: shows a live table of a running tape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter
from rich.console import Console

from crosstape.bus import connect
from crosstape.errors import SettingsError
from crosstape.runtime.lifecycle import Exit, main
from crosstape.runtime.telemetry import configure_logging
from crosstape.settings import Settings, shown
from crosstape_cli import view_feeds
from crosstape_cli.follow import Quotes, reachable
from crosstape_cli.follow_feeds import Feeds
from crosstape_cli.live import show, show_feeds
from crosstape_cli.options import SettingsFile, chosen_timeframes, load
from crosstape_cli.server import located
from crosstape_cli.view_feeds import CANDLE_HEADINGS, DERIVATIVE_HEADINGS, DERIVATIVES, Row
from crosstape_schemas import CANDLE, Keys

FIRST_S: Final = 5.0
"""Longest wait before the first line is printed: until the tape has been read once."""


def watch(
    *instruments: Annotated[str, Parameter(help="Instruments to show: BTC-USDT ETH-USD …; default: all on the tape.")],
    candles: Annotated[str | None, Parameter(help="Show the newest candle of this timeframe of each venue instead: 1m, 1h.")] = None,
    derivatives: Annotated[
        bool, Parameter(negative="", help="Show marks, funding, open interest and the last liquidation of each venue instead.")
    ] = False,
    settings: SettingsFile = None,
) -> Exit:
    """Show each instrument's consolidated quote with its legs, and why a leg is excluded, until Ctrl-C.

    A quote whose aggregator has given no sign of life for 3 s is marked. Where there is no quote, the title says why, if the tape has the
    reason: no connector or aggregator is alive, a venue is down, an instrument is refused.
    On a terminal it shows a table that stays in place; a small window shows the legs of as many instruments as fit. Elsewhere it prints
    lines, every few seconds. The server is that of bus.url, else the embedded one of a running `crosstape up`.
    """
    if candles is not None and len(chosen_timeframes(candles, "--candles")) != 1:
        raise SettingsError(f"--candles {candles}: one timeframe, as 1m")
    if candles is not None and derivatives:
        raise SettingsError("--candles and --derivatives: one of them")
    loaded = located(load(settings))
    configure_logging(msgspec.structs.replace(loaded.telemetry, log_level="error"), service="watch")  # the table says it all
    if candles is not None:
        return main(lambda: _watch_feeds(loaded, instruments, [f"{CANDLE}{candles}"], CANDLE_HEADINGS, view_feeds.candles))
    if derivatives:
        return main(lambda: _watch_feeds(loaded, instruments, DERIVATIVES, DERIVATIVE_HEADINGS, view_feeds.derivatives))
    return main(lambda: _watch(loaded, instruments))


async def _watch(settings: Settings, instruments: tuple[str, ...]) -> None:
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    async with connect(settings.bus) as client:
        await reachable(client)
        quotes = Quotes(client, keys, instruments)
        where = shown(settings.bus.url)

        def title() -> str:
            missing = [name for name in instruments if name not in quotes.latest]
            parts = [f"{len(quotes.latest)} instruments on {where}", *(quotes.why_nothing() if missing or not quotes.latest else ())]
            return "; ".join([*parts, f"not on the tape: {', '.join(map(quotes.named, missing))}"] if missing else parts)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(quotes.run(), name="follow quotes")
            console = Console()
            if not console.is_terminal:
                await quotes.read_once(FIRST_S)  # the first line may be the only one that a script reads
            tasks.create_task(show(quotes.latest, console=console, title=title, silent=quotes.silent), name="show quotes")


async def _watch_feeds(
    settings: Settings, instruments: tuple[str, ...], kinds: Sequence[str], headings: Sequence[str], rows: Callable[..., list[Row]]
) -> None:
    """Show feeds of these kinds; `rows` makes the rows of the table."""
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    async with connect(settings.bus) as client:
        await reachable(client)
        feeds = Feeds(client, keys, kinds, instruments)
        where = shown(settings.bus.url)

        def title() -> str:
            missing = [name for name in instruments if not any(feed.instrument == name for feed in feeds.latest)]
            parts = [f"{len(feeds.latest)} feeds of {', '.join(kinds)} on {where}"]
            if not feeds.latest and (candles := kinds[0].removeprefix(CANDLE)) != kinds[0]:
                parts.append(f'venues publish them where venues.VENUE.candles names "{candles}"')
            return "; ".join([*parts, f"not on the tape: {', '.join(missing)}"] if missing else parts)

        def present() -> list[Row]:
            return rows(feeds.latest, feeds.dead(), now=time.time_ns())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(feeds.run(), name="follow feeds")
            console = Console()
            await feeds.read_once(FIRST_S)
            tasks.create_task(show_feeds(console, headings, present, title), name="show feeds")

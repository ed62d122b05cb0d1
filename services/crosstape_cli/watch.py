"""`crosstape watch`: shows a live table of a running tape."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter
from rich.console import Console

from crosstape.bus import connect
from crosstape.runtime.lifecycle import Exit, main
from crosstape.runtime.telemetry import configure_logging
from crosstape.settings import Settings, shown
from crosstape_cli.follow import Quotes, reachable
from crosstape_cli.live import show
from crosstape_cli.options import SettingsFile, load
from crosstape_cli.server import located
from crosstape_schemas import Keys

FIRST_S: Final = 5.0
"""Longest wait before the first line is printed: until the tape has been read once."""


def watch(
    *instruments: Annotated[str, Parameter(help="Instruments to show: BTC-USDT ETH-USD …; default: all on the tape.")],
    settings: SettingsFile = None,
) -> Exit:
    """Show each instrument's consolidated quote with its legs, and why a leg is excluded, until Ctrl-C.

    A quote whose aggregator has given no sign of life for 3 s is marked. Where there is no quote, the title says why, if the tape has the
    reason: no connector or aggregator is alive, a venue is down, an instrument is refused.
    On a terminal it shows a table that stays in place; a small window shows the legs of as many instruments as fit. Elsewhere it prints
    lines, every few seconds. The server is that of bus.url, else the embedded one of a running `crosstape up`.
    """
    loaded = located(load(settings))
    configure_logging(msgspec.structs.replace(loaded.telemetry, log_level="error"), service="watch")  # the table says it all
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

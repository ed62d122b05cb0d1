"""Quotes shown while they change: a table that stays in place on a terminal, lines now and then anywhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from rich.console import Console
from rich.live import Live

from crosstape_cli.view import line, table
from crosstape_schemas import Cbbo

TABLE_S: Final = 0.25
LINES_S: Final = 5.0
MARGIN_ROWS: Final = 4
"""Of the terminal, for title, heading and prompt."""


async def show(quotes: Mapping[str, Cbbo], *, console: Console, title: Callable[[], str]) -> None:
    """Show what `quotes` holds, again and again, until cancelled. Waits are the pace of the picture."""
    if console.is_terminal:
        await _show_table(quotes, console, title)
    else:
        await _show_lines(quotes, console, title)


async def _show_table(quotes: Mapping[str, Cbbo], console: Console, title: Callable[[], str]) -> None:
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            picture = table(quotes, now=time.time_ns(), rows=console.height - MARGIN_ROWS, columns=console.width, title=title())
            live.update(picture, refresh=True)
            await asyncio.sleep(TABLE_S)


async def _show_lines(quotes: Mapping[str, Cbbo], console: Console, title: Callable[[], str]) -> None:
    while True:
        console.print(title(), soft_wrap=True, markup=False, highlight=False)
        for name in sorted(quotes):
            console.print(line(quotes[name]), soft_wrap=True, markup=False, highlight=False)
        await asyncio.sleep(LINES_S)

"""Shows quotes while they change: a table that is updated in place on a terminal, a block of lines every few seconds elsewhere."""

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
"""Seconds between two updates of the table."""

LINES_S: Final = 5.0
"""Seconds between two blocks of lines."""

MARGIN_ROWS: Final = 4
"""Rows of the terminal for title, heading and prompt."""


async def show(
    quotes: Mapping[str, Cbbo], *, console: Console, title: Callable[[], str], silent: Callable[[], Mapping[str, float]] = dict
) -> None:
    """Show `quotes` (by instrument) again and again, until cancelled.

    `silent` returns the instruments whose aggregator is dead, each with the seconds since its last sign of life.
    """
    if console.is_terminal:
        await _show_table(quotes, console, title, silent)
    else:
        await _show_lines(quotes, console, title, silent)


async def _show_table(
    quotes: Mapping[str, Cbbo], console: Console, title: Callable[[], str], silent: Callable[[], Mapping[str, float]]
) -> None:
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            rows, columns = console.height - MARGIN_ROWS, console.width
            picture = table(quotes, now=time.time_ns(), rows=rows, columns=columns, title=title(), silent=silent())
            live.update(picture, refresh=True)
            await asyncio.sleep(TABLE_S)


async def _show_lines(
    quotes: Mapping[str, Cbbo], console: Console, title: Callable[[], str], silent: Callable[[], Mapping[str, float]]
) -> None:
    while True:
        dead = silent()
        console.print(title(), soft_wrap=True, markup=False, highlight=False)
        for name in sorted(quotes):
            console.print(line(quotes[name], dead.get(name)), soft_wrap=True, markup=False, highlight=False)
        await asyncio.sleep(LINES_S)

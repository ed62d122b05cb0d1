"""Shows quotes or other feeds while they change: a table that stays in place on a terminal, a block of lines now and then elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from crosstape_cli import view_feeds
from crosstape_cli.view import line, table
from crosstape_cli.view_feeds import Row
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

    def picture(rows: int, columns: int) -> Table:
        return table(quotes, now=time.time_ns(), rows=rows, columns=columns, title=title(), silent=silent())

    def lines() -> Iterator[str]:
        dead = silent()
        return (line(quotes[name], dead.get(name)) for name in sorted(quotes))

    await _show(console, picture, title, lines)


async def show_feeds(console: Console, headings: Sequence[str], rows: Callable[[], Sequence[Row]], title: Callable[[], str]) -> None:
    """Show what `rows` returns, one row a feed, again and again, until cancelled."""

    def picture(height: int, width: int) -> Table:
        return view_feeds.table(headings, rows(), fits=height, columns=width, title=title())

    await _show(console, picture, title, lambda: view_feeds.lines(headings, rows()))


async def _show(
    console: Console, picture: Callable[[int, int], Table], title: Callable[[], str], lines: Callable[[], Iterator[str]]
) -> None:
    """Show a picture of so many rows and columns in place; where there is no terminal, the title and lines instead."""
    if not console.is_terminal:
        while True:
            for text in (title(), *lines()):
                console.print(text, soft_wrap=True, markup=False, highlight=False)
            await asyncio.sleep(LINES_S)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(picture(console.height - MARGIN_ROWS, console.width), refresh=True)
            await asyncio.sleep(TABLE_S)

"""`crosstape watch`: shows a live table of a running tape."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Final, Protocol

import msgspec
from cyclopts import Parameter
from rich.console import Console

from crosstape.bus import Client, connect
from crosstape.errors import SettingsError
from crosstape.runtime.lifecycle import Exit, main
from crosstape.runtime.telemetry import configure_logging
from crosstape.settings import Settings, shown
from crosstape_cli import watch_feeds
from crosstape_cli.follow import Quotes, reachable
from crosstape_cli.instrument_names import NONE_KNOWN, InstrumentNames, instrument_names
from crosstape_cli.live import show
from crosstape_cli.options import SettingsFile, chosen_timeframes, load
from crosstape_cli.server import located
from crosstape_cli.view import counted
from crosstape_cli.watch_feeds import View
from crosstape_schemas import Keys

FIRST_S: Final = 5.0
"""Longest wait before the first line is printed: until the tape has been read once."""


def watch(
    *instruments: Annotated[str, Parameter(help="Instruments to show, in any spelling: BTC-USDT eth/usd …; default: all on the tape.")],
    bars: Annotated[str | None, Parameter(help="Show the newest bar of this timeframe instead, of each venue and of all: 1s, 1m.")] = None,
    depth: Annotated[
        str | None, Parameter(help="Show the consolidated book of this instrument instead, and what it costs to trade each size.")
    ] = None,
    edges: Annotated[
        bool, Parameter(negative="", help="Show the pairs of venues instead whose prices cross after fees, and the size that can be had.")
    ] = False,
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
    lines, every few seconds. The table is for the eye: it shows sizes to five digits and a composite's prices to eight. On the tape both
    are exact. The server is that of bus.url, else the embedded one of a running `crosstape up`.
    """
    view = partial(chosen_view, bars=bars, edges=edges, candles=candles, derivatives=derivatives)
    view(instruments, depth=depth)  # a wrong wish is refused before anything is read
    loaded = located(load(settings))
    configure_logging(msgspec.structs.replace(loaded.telemetry, log_level="error"), service="watch")  # the table says it all
    return main(lambda: _watch(loaded, instruments, depth, view))


class ViewOf(Protocol):
    """Returns what to show in place of quotes of these instruments; None: quotes."""

    def __call__(self, instruments: tuple[str, ...], *, depth: str | None, names: InstrumentNames = ...) -> View | None:
        """`depth`: the instrument whose book is shown; `names`: what the tape has."""


def chosen_view(
    instruments: tuple[str, ...],
    *,
    bars: str | None,
    depth: str | None,
    edges: bool,
    candles: str | None,
    derivatives: bool,
    names: InstrumentNames = NONE_KNOWN,
) -> View | None:
    """Returns what to show in place of quotes; None: quotes. `names`: what the tape has, for hints.

    Raises `SettingsError` for more than one wish, or a wrong one.
    """
    wishes = {"--bars": bars is not None, "--depth": depth is not None, "--edges": edges, "--candles": candles is not None}
    given = [name for name, wanted in {**wishes, "--derivatives": derivatives}.items() if wanted]
    if len(given) > 1:
        raise SettingsError(f"{' and '.join(given)}: one of them")
    for name, timeframe in (("--bars", bars), ("--candles", candles)):
        if timeframe is not None and len(chosen_timeframes(timeframe, name)) != 1:
            raise SettingsError(f"{name} {timeframe}: one timeframe, as 1m")
    if depth is not None and (instruments or not depth.strip()):
        raise SettingsError(f"--depth {depth}: the book of one instrument, as --depth BTC-USDT, and no others beside it")
    if bars is not None:
        return watch_feeds.bars(bars, instruments, names)
    if depth is not None:
        return watch_feeds.depth(depth, names)
    if edges:
        return watch_feeds.edges(instruments)
    if candles is not None:
        return watch_feeds.candles(candles, instruments, names)
    return watch_feeds.derivatives(instruments, names) if derivatives else None


async def _watch(settings: Settings, instruments: tuple[str, ...], depth: str | None, view_of: ViewOf) -> None:
    """Find the instruments that are meant, then show them."""
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    async with connect(settings.bus) as client:
        await reachable(client)
        names = await instrument_names(client, keys)
        wanted = tuple(dict.fromkeys(map(names.meant, instruments)))
        view = view_of(wanted, depth=None if depth is None else names.meant(depth), names=names)
        if view is None:
            await _watch_quotes(client, keys, wanted, names, shown(settings.bus.url))
        else:
            await watch_feeds.watch(client, keys, view, shown(settings.bus.url), FIRST_S)


async def _watch_quotes(client: Client, keys: Keys, instruments: tuple[str, ...], names: InstrumentNames, where: str) -> None:
    quotes = Quotes(client, keys, instruments)

    def named(name: str) -> str:
        found = quotes.named(name)  # with the reason, if it is known
        return names.listed([name]) if found == name else found

    def title() -> str:
        missing = [name for name in instruments if name not in quotes.latest]
        parts = [
            f"{counted(len(quotes.latest), 'instrument')} on {where}",
            *(quotes.why_nothing() if missing or not quotes.latest else ()),
        ]
        return quotes.titled("; ".join([*parts, f"not on the tape: {', '.join(map(named, missing))}"] if missing else parts))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(quotes.run(), name="follow quotes")
        console = Console()
        if not console.is_terminal:
            await quotes.read_once(FIRST_S)  # the first line may be the only one that a script reads
        tasks.create_task(show(quotes.latest, console=console, title=title, silent=quotes.silent), name="show quotes")

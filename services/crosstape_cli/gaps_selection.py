"""The part of the history that `gaps` and `repair` are about, and what the tables of venues say of it."""

from __future__ import annotations

from typing import Annotated, Final

from cyclopts import Parameter

from crosstape.errors import SettingsError
from crosstape.settings import Settings
from crosstape.settings.words import nearest
from crosstape.tape.symbols import respelled
from crosstape_cli.options import find_venue
from crosstape_connector.rest.past.reach import refusal
from crosstape_connector.venues.registry import get
from crosstape_recorder.fetching import Wanted
from crosstape_recorder.gaps.finding import VenueFacts
from crosstape_recorder.selection import Selection
from crosstape_schemas import CONSOLIDATED, KINDS, TIMEFRAMES

SECOND: Final = 1_000_000_000
COMMITS: Final = 2
"""What was received within so many times `recorder.commit_s` may not be in the store yet."""
SLACK_S: Final = 5.0

Instrument = Annotated[str | None, Parameter(help="Instrument by our name: BTC-USDT; default: all.")]
VenueName = Annotated[str | None, Parameter(name="--venue", help="Venue; default: all.")]
Kind = Annotated[
    str | None, Parameter(name="--kind", help="Kind of events: trade, candle, candle:1m, quote …; default: all that are recorded.")
]


def selection(
    settings: Settings, instrument: str | None, venue: str | None, kind: str | None, *, times: tuple[int | None, int], now_ts: int
) -> Selection:
    """Return what is meant. What may not be in the store yet is left out of the time. Raises `SettingsError`."""
    if venue not in (None, CONSOLIDATED):
        find_venue(venue, "--venue")
    kinds: tuple[str, ...] = tuple(one for one in KINDS if one in {*settings.recorder.kinds, "gap"})
    timeframe = ""
    if kind is not None:
        name, _, timeframe = kind.partition(":")
        if name not in KINDS:
            guess = nearest(name, KINDS)
            raise SettingsError(f"--kind {kind}: " + (f"did you mean {guess}?" if guess else f"there are {', '.join(KINDS)}"))
        if timeframe and (name not in ("candle", "bar") or timeframe not in TIMEFRAMES):
            raise SettingsError(f"--kind {kind}: only candle and bar have a timeframe, one of {', '.join(TIMEFRAMES)}")
        kinds = (name,)
    from_ts, to_ts = times
    settled_ts = now_ts - int((COMMITS * settings.recorder.commit_s + SLACK_S) * SECOND)
    return Selection(
        kinds=kinds, instrument=None if instrument is None else respelled(instrument).strip().upper(), venue=venue,
        timeframe=timeframe or None, from_ts=from_ts, to_ts=min(to_ts, settled_ts),
    )  # fmt: skip


def facts(venue: str) -> VenueFacts:
    """Return what the table of a venue says; nothing is known of one that has none."""
    table = get(venue)
    if table is None:
        return VenueFacts()
    return VenueFacts(
        contiguous=table.trade_ids == "contiguous", every_interval=table.candles is not None and table.candles.every_interval
    )  # fmt: skip


def reach(wanted: Wanted, now_ts: int) -> str:
    """Return why a venue cannot give what is wanted, as a sentence; empty: it can."""
    table = get(wanted.venue)
    return refusal(table, wanted.timeframe, wanted.from_ts, now_ts) if table is not None else f"there is no venue {wanted.venue}"


def tolerance_ns(settings: Settings) -> int:
    """Return by how much clocks may differ."""
    return int(settings.aggregator.clock_tolerance_s * SECOND)

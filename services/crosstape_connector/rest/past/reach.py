"""Says whether a venue can give what is wanted of its past, and if not, why. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from crosstape_connector.venues.spec import Venue
from crosstape_schemas import TIMEFRAMES
from crosstape_schemas.timeframes import DAY, LENGTHS, open_of
from crosstape_schemas.trade_time import BEHIND

GRACE_NS: Final = 600_000_000_000
"""A range may begin so much before what the venue still has: `-48h` was 48 hours ago when the command was typed."""


def refusal(venue: Venue, timeframe: str | None, from_ts: int, now_ts: int) -> str:
    """Return why the venue cannot give the trades (`timeframe` None) or candles from this time on, as a sentence; empty: it can.

    What the venue had and has not any more is refused as a whole, with the time from which on it can be had.
    """
    return _trades(venue, from_ts, now_ts) if timeframe is None else _candles(venue, timeframe, from_ts, now_ts)


def earliest_ts(venue: Venue, timeframe: str | None, now_ts: int) -> int:
    """Return the time before which the venue has nothing any more, ns; 0: it has all."""
    if timeframe is None:
        past = venue.past_trades
        return 0 if isinstance(past, str) or not past.reach_s else now_ts - int(past.reach_s * 1e9)
    candles = venue.past_candles
    if candles is None or not candles.reach_intervals:
        return 0
    return open_of(timeframe, now_ts - candles.reach_intervals * LENGTHS.get(timeframe, 28 * DAY))


def _trades(venue: Venue, from_ts: int, now_ts: int) -> str:
    past = venue.past_trades
    if isinstance(past, str):
        return f"{venue.id} cannot give past trades of a time: {past}."
    if from_ts < now_ts - BEHIND:
        return f"Trades that are older than ten years are not kept: their times would not count. From {_iso(now_ts - BEHIND)} on they are."
    since_ts = earliest_ts(venue, None, now_ts)
    if from_ts < since_ts - GRACE_NS:
        return f"{venue.id} has trades of the last {past.reach_s / 3_600:g} hours only: from {_iso(since_ts)} on."
    return ""


def _candles(venue: Venue, timeframe: str, from_ts: int, now_ts: int) -> str:
    candles = venue.past_candles
    if candles is None:
        return f"{venue.id} has no candles by REST."
    if timeframe not in candles.timeframes:
        why = venue.candles.refused.get(timeframe, "") if venue.candles is not None else ""
        if timeframe not in TIMEFRAMES:
            why = "there are no such candles"
        return f"{venue.id} cannot give candles of {timeframe}{f': {why}' if why else ''}; it has {', '.join(candles.timeframes)}."
    since_ts = earliest_ts(venue, timeframe, now_ts)
    if from_ts < since_ts - max(GRACE_NS, LENGTHS.get(timeframe, DAY)):
        note = f"; {candles.note}" if candles.note else ""
        return f"{venue.id} has the last {candles.reach_intervals} candles of {timeframe} only: from {_iso(since_ts)} on{note}."
    return ""


def _iso(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"

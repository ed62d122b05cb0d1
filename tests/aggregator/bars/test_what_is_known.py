"""Bars of which not all is known: feeds that come back, trades that the tape lost, venue times that cannot be right."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.bars import instrument_bars, ranges
from crosstape_aggregator.bars.instrument_bars import InstrumentBars
from crosstape_aggregator.bars.rules import BarRules
from crosstape_aggregator.bars.state import BarCounts
from crosstape_schemas import CONSOLIDATED, Bar, Trade
from crosstape_schemas.timeframes import close_of
from tests.aggregator.bars.test_definition import Feeds
from tests.aggregator.builders import T0, S, X, engine, trade

MINUTE = 60 * S
OPEN = T0 // MINUTE * MINUTE
Short = tuple[str, int, int, int, bool]
"""Venue, seconds of `open_ts` since `OPEN`, revision, trades, complete."""


def new(*timeframes: str, read_from_ts: int = 0) -> tuple[InstrumentBars, Feeds]:
    """Bars of one instrument, of which trades were read from a moment on."""
    feeds = Feeds()
    feeds.confirmed_ts, feeds.read_from_ts = OPEN + 10**6 * S, read_from_ts
    return InstrumentBars(X, BarRules.of(AggregatorSettings(bars=timeframes)), feeds, BarCounts(), lambda *_: None), feeds


def made(seconds: Iterable[int], received_ts: int) -> list[Trade]:
    """One trade in each of these seconds since `OPEN`."""
    return [trade("okx", "5", "1", OPEN + second * S, received_ts=received_ts, trade_id=str(second)) for second in seconds]


def closed(bars: InstrumentBars, trades: list[Trade], now: int) -> list[Bar]:
    """Apply trades, and return the closed bars that are due."""
    for one in trades:
        bars.trade(one, now)
    return [bar for bar in bars.due(now) if bar.closed]


def short(bars: list[Bar]) -> list[Short]:
    """Return what these tests compare."""
    return [(bar.venue, (bar.open_ts - OPEN) // S, bar.revision, bar.trades, bar.complete) for bar in bars]


@pytest.mark.parametrize("many_gaps", [False, True])
def test_what_is_done_at_once_grows_with_the_number_of_bars_alone(monkeypatch: pytest.MonkeyPatch, many_gaps: bool) -> None:
    """A feed comes back after 20 minutes, or 500 gaps are reported at once: each bar is looked at a few times."""
    bars, feeds = new("1s")
    feeds.known = many_gaps
    seconds = range(1_200)
    assert len(closed(bars, made(seconds, OPEN + 1_200 * S), OPEN + 1_202 * S)) == 2 * len(seconds)
    calls = 0

    def count(timeframe: str, open_ts: int) -> int:
        nonlocal calls
        calls += 1
        return close_of(timeframe, open_ts)

    monkeypatch.setattr(instrument_bars, "close_of", count)
    monkeypatch.setattr(ranges, "close_of", count)
    feeds.known = True
    for number in range(500 if many_gaps else 0):
        bars.missing("okx", OPEN + number * S, OPEN + number * S)
    revised = closed(bars, [], OPEN + 1_203 * S)
    assert {bar.complete for bar in revised} == {not many_gaps}
    assert len(revised) >= 500
    assert calls < 10 * len(seconds)


def test_bars_whose_trades_the_tape_lost_are_not_revised() -> None:
    """More late trades than were lost would look like all of them. Without a checkpoint nobody knows; with one they are known."""
    before, _ = new("1m")
    tape = closed(before, made(range(0, 50, 5), OPEN), OPEN + MINUTE + 2 * S)
    assert ("okx", 0, 0, 10, True) in short(tape)
    state = before.state()
    now, late = OPEN + 70 * S, made(range(50, 60), OPEN + 70 * S) + made(range(41, 45), OPEN + 70 * S)
    for trades in (late, []):
        after, _ = new("1m", read_from_ts=OPEN + 40 * S)
        after.held = True
        for bar in tape:
            after.published(bar)
        after.release({})
        assert [one for one in short(closed(after, [*made((40, 45), OPEN), *trades], now)) if one[1] >= 0] == []
        again, _ = new("1m", read_from_ts=OPEN + 40 * S)
        again.restore(after.state())
        for one in (after, again):
            assert [one for one in short(closed(one, made(range(10, 30), now), now)) if one[1] >= 0] == []
            assert ("okx", 60, 0, 1, True) in short(closed(one, made((60,), now), OPEN + 2 * MINUTE + 2 * S))
    known, _ = new("1m", read_from_ts=OPEN + 40 * S)
    known.restore(state)
    known.held = True
    for bar in tape:
        known.published(bar)
    known.release({})
    assert [one for one in short(closed(known, late, now)) if one[1] >= 0] == [("okx", 0, 1, 24, True), (CONSOLIDATED, 0, 1, 24, False)]


def test_without_a_checkpoint_what_is_older_than_the_history_is_not_published() -> None:
    """Its bars on the tape were not read back, but windows may need its trades. Later intervals are published as ever."""
    bars, _ = new("1s", "1m")
    bars.held = True
    history_ts = OPEN + 90 * S
    for one in made(range(0, 180, 10), OPEN + 180 * S):
        bars.trade(one, OPEN + 180 * S)
    bars.release({}, history_ts)
    found = {(bar.timeframe, (bar.open_ts - OPEN) // S) for bar in closed(bars, [], OPEN + 182 * S) if bar.trades}
    assert found == {("1m", 60), ("1m", 120), *(("1s", second) for second in range(90, 180, 10))}


@pytest.mark.parametrize("venue_ts", [0, 1, -1, -(10**20), -(2**63), -62_135_596_801 * S, T0 // 1_000, T0 * 1_000])
def test_a_venue_time_that_cannot_be_right_is_not_used(venue_ts: int) -> None:
    """The trade counts when it was received, in all timeframes and windows."""
    one = engine(bars=("1m", "1M"))
    instrument = one.instrument(X, OPEN)
    one.apply([trade("okx", "5", "1", venue_ts, received_ts=OPEN + S)], OPEN + S)
    assert instrument.windows.read(OPEN // S + 2)["1m"].trades == 1
    assert instrument.bars is not None
    sums = [(series.timeframe, open_ts) for series in instrument.bars.state().series for open_ts, _ in series.sums]
    month = 1_785_542_400 * S
    assert sums == [("1m", OPEN), ("1M", month)]


@pytest.mark.parametrize("late", [(56, 57), ()])
def test_a_bar_that_was_closed_before_its_end_waits_for_it(late: tuple[int, ...]) -> None:
    """Our clock was a few seconds ahead, and was set back. The bar is not open again, nor complete or revised before its end."""
    bars, _ = new("1m")
    now = OPEN + 55 * S
    assert closed(bars, made((5,), now), now + 7 * S) != []
    bars.missing("okx", OPEN + 9 * S, OPEN + 9 * S)
    for one in made((*late, 61), now + 2 * S):
        bars.trade(one, now + 2 * S)
    published = [bar for second in range(56, 62) for bar in bars.due(OPEN + second * S)]
    assert {(bar.open_ts, bar.closed) for bar in published} == {(OPEN + MINUTE, False)}
    assert ("okx", 0, 1, 1 + len(late), False) in short(closed(bars, [], OPEN + 62 * S))
    bars.found("okx", OPEN + 9 * S, OPEN + 9 * S)
    assert ("okx", 0, 2, 1 + len(late), True) in short(closed(bars, [], OPEN + 62 * S))

"""Bars of times that were repaired are those of all recorded trades, with the next revision where they changed."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import pytest

from crosstape.history.batch import Source
from crosstape_recorder.bars import Intervals, bar_of, without_trades
from crosstape_recorder.gaps.finding import VenueFacts
from crosstape_recorder.revising import Revision, RevisionRules, repairs_of
from crosstape_recorder.selection import Selection
from crosstape_schemas import CONSOLIDATED, Bar, FeedState, Gap, GapCause, Side, Status, Trade
from crosstape_schemas.timeframes import close_of, open_of
from tests.recorder.rows_in_memory import RowsInMemory

S: Final = 10**9
M: Final = 60 * S
T0: Final = 1_786_000_200 * S
assert T0 % (5 * M) == 0
NOW: Final = T0 + 300 * M
X: Final = "BTC-USDT"
RULES: Final = RevisionRules(3_600 * S, 2 * S)
SELECTION: Final = Selection(kinds=("trade",), from_ts=T0, to_ts=NOW)
Short = tuple[str, str, int, int, int, bool]
"""Venue, timeframe, minutes since `T0`, revision, trades, complete."""


def trade(number: int, trade_id: int, *, venue: str = "binance") -> Trade:
    """One trade in 10 s."""
    ts = T0 + number * 10 * S
    return Trade(venue, X, ts, ts + 5, Decimal(100 + number % 7), Decimal("0.10"), Side.BUY, str(trade_id), epoch=7)


ALL: Final = [trade(number, at) for at, number in enumerate(one for one in range(-60, 300 * 6) if not 20 <= one // 6 < 23)]
"""None in the minutes 20 to 22."""
OTHERS: Final = [trade(number, at, venue="kraken") for at, number in enumerate(range(-60, 300 * 6, 9))]


def minute_of(one: Trade) -> int:
    """The minute of a trade since `T0`."""
    return ((one.venue_ts or 0) - T0) // M


def bars(trades: Iterable[Trade], timeframes: Iterable[str], *, incomplete: Iterable[int] = (), until: int = 60) -> list[Bar]:
    """The bars that an aggregator published of these trades, of the minutes 0 to `until`; of some minutes they are not complete."""
    intervals = Intervals(tuple(timeframes))
    for one in trades:
        intervals.add(one)
    found = []
    for timeframe in timeframes:
        for venue in (*intervals.venues, CONSOLIDATED):
            sums_of = intervals.of(timeframe, venue)
            price, open_ts = None, open_of(timeframe, T0)
            while open_ts < T0 + until * M:
                sums, close_ts = sums_of.get(open_ts), close_of(timeframe, open_ts)
                complete = not any(open_ts <= T0 + minute * M < close_ts for minute in incomplete)
                numbers = without_trades(price) if sums is None else sums.numbers()
                found.append(bar_of(venue, X, timeframe, open_ts, numbers, received_ts=close_ts, revision=0, complete=complete))
                price, open_ts = numbers.close, close_ts
    return found


def statuses(venue: str, *, from_minute: int = -60, to_minute: int = 80) -> list[Status]:
    """The signs of life of a venue, and that its feed of trades is live."""
    first = T0 + from_minute * M
    signs = [
        Status(venue, "*", None, first + at * S, "*", FeedState.LIVE, clock_offset_ns=S, epoch=7, seq=at + 1)
        for at in range((to_minute - from_minute) * 60)
    ]
    return [Status(venue, X, None, first, "trade", FeedState.LIVE, epoch=7, seq=1), *signs]


def recorded(*missing: int, venues: Iterable[str] = ("binance",), timeframes: Iterable[str] = ("1m", "5m", "1d")) -> RowsInMemory:
    """A history that lacks the trades of some minutes, and has the bars without them."""
    store = RowsInMemory()
    store.part = 5_000
    there = [one for one in ALL if minute_of(one) not in missing]
    there += OTHERS if "kraken" in venues else []
    store.add("trade", *there)
    store.add("bar", *bars(there, timeframes, incomplete=missing))
    for venue in venues:
        store.add("status", *statuses(venue))
    gaps = [
        Gap(
            "binance",
            X,
            None,
            NOW,
            "trade",
            T0 + minute * M - 10 * S,
            T0 + (minute + 1) * M,
            None,
            GapCause.DISCONNECT,
            epoch=7,
            seq=minute + 1,
        )
        for minute in missing
    ]
    store.add("gap", *gaps)
    return store


def repair(store: RowsInMemory, *minutes: int) -> None:
    """Write what a repair of these minutes writes."""
    rows = [one for one in ALL if minute_of(one) in minutes]
    store.add("trade", *map(fetched, rows), source=Source.REST)
    for minute in minutes:
        gap = Gap(
            "binance", X, None, NOW, "trade", T0 + minute * M - 10 * S, T0 + (minute + 1) * M, 6, GapCause.DISCONNECT, repaired=True
        )  # fmt: skip
        store.add("gap", gap, source=Source.RECORDER)


def fetched(one: Trade) -> Trade:
    """The trade as a venue gives it by REST."""
    return Trade(one.venue, one.instrument, one.venue_ts, NOW, one.price, one.size, one.taker, one.trade_id)


async def revised(store: RowsInMemory, taped: Iterable[Bar] = (), now_ts: int = NOW, *, contiguous: bool = True) -> list[Bar]:
    """The bars to publish."""

    async def on_tape(instrument: str, timeframe: str) -> list[Bar]:
        return [bar for bar in taped if bar.timeframe == timeframe]

    revision = Revision(store, lambda venue: VenueFacts(contiguous=contiguous and venue == "binance"), RULES, on_tape)
    found = await repairs_of(store, SELECTION)
    return [bar for instrument, one in found.items() for bar in await revision.bars(instrument, one, now_ts)]


def short(found: Iterable[Bar]) -> list[Short]:
    """What these tests compare."""
    return [(bar.venue, bar.timeframe, (bar.open_ts - T0) // M, bar.revision, bar.trades, bar.complete) for bar in found]


async def test_the_bars_of_a_repaired_time_are_revised() -> None:
    """Of the venue and consolidated, in each timeframe that is history; numbers are those of all trades."""
    store = recorded(3, 4)
    repair(store, 3, 4)

    found = await revised(store)

    assert short(found) == [
        (venue, timeframe, minute, 1, trades, True)
        for timeframe, minute, trades in (("5m", 0, 30), ("1m", 3, 6), ("1m", 4, 6))
        for venue in ("binance", CONSOLIDATED)
    ]
    truth = {(bar.venue, bar.timeframe, bar.open_ts): bar for bar in bars(ALL, ("1m", "5m"))}
    for bar in found:
        other = truth[bar.venue, bar.timeframe, bar.open_ts]
        assert (bar.open, bar.high, bar.low, bar.close) == (other.open, other.high, other.low, other.close)
        assert (bar.volume, bar.quote_volume, bar.taker_buy_volume) == (other.volume, other.quote_volume, other.taker_buy_volume)


async def test_what_was_revised_is_not_revised_again() -> None:
    """Whether the recorder has written it, or it is on the tape only."""
    store = recorded(3, 4)
    repair(store, 3, 4)
    first = await revised(store)

    on_tape = await revised(store, first)
    store.add("bar", *first)

    assert on_tape == []
    assert await revised(store) == []


async def test_a_second_repair_gets_the_next_revision() -> None:
    """And the highest one counts, wherever it is."""
    store = recorded(3, 4)
    repair(store, 3)
    first = await revised(store)
    repair(store, 4)

    second = await revised(store, first)

    assert ("binance", "5m", 0, 1, 24, False) in short(first)
    assert ("binance", "5m", 0, 2, 30, True) in short(second)
    assert {one[2] for one in short(second)} == {0, 3, 4}


async def test_bars_of_the_history_of_the_aggregator_are_left_to_it() -> None:
    """A later call revises them."""
    store = recorded(3, 4)
    repair(store, 3, 4)

    assert await revised(store, now_ts=T0 + 64 * M) == []
    later = short(await revised(store, now_ts=T0 + 68 * M))

    assert {one[1:3] for one in later} == {("5m", 0), ("1m", 3), ("1m", 4)}


async def test_bars_without_trades_that_follow_have_the_new_price() -> None:
    """Until the next trade: nobody traded in the minutes 20 to 22."""
    store = recorded(19)
    repair(store, 19)

    found = [bar for bar in await revised(store) if bar.timeframe == "1m" and bar.venue == "binance"]

    close = [one.price for one in ALL if minute_of(one) == 19][-1]
    assert [((bar.open_ts - T0) // M, bar.trades, bar.close, bar.revision) for bar in found] == [
        (19, 6, close, 1), (20, 0, close, 1), (21, 0, close, 1), (22, 0, close, 1),
    ]  # fmt: skip


async def test_a_gap_of_another_venue_leaves_the_consolidated_bar_incomplete() -> None:
    """It contains all trades of one venue, and not all of the other."""
    store = recorded(3, venues=("binance", "kraken"))
    store.add("gap", Gap("kraken", X, None, NOW, "trade", T0 + 3 * M + S, T0 + 3 * M + 9 * S, None, GapCause.BUS, epoch=9, seq=1))
    repair(store, 3)

    complete = {(bar.venue, bar.timeframe): bar.complete for bar in await revised(store)}

    assert complete["binance", "1m"]
    assert not complete[CONSOLIDATED, "1m"]


@pytest.mark.parametrize("what", ["no statuses", "clock", "feed", "other epoch", "gap"])
async def test_a_bar_is_not_complete_if_that_is_not_known(what: str) -> None:
    """No sign of life after its end, a wrong clock, a feed that was not live, or another gap."""
    store = recorded(3)
    repair(store, 3)
    rows = statuses("binance")
    if what == "no statuses":
        rows = rows[:1]
    elif what == "clock":
        rows = [
            Status(one.venue, one.instrument, None, one.received_ts, one.kind, one.state, clock_offset_ns=9 * S, epoch=7) for one in rows
        ]
    elif what == "feed":
        rows = [
            Status(one.venue, one.instrument, None, one.received_ts, one.kind, FeedState.STALE, clock_offset_ns=0, epoch=7) for one in rows
        ]
    elif what == "other epoch":
        rows = [
            Status(one.venue, one.instrument, None, one.received_ts, one.kind, one.state, clock_offset_ns=0, epoch=7 + (one.kind == "*"))
            for one in rows
        ]
    else:
        store.add("gap", Gap("binance", X, None, NOW, "trade", T0 + 3 * M + S, T0 + 3 * M + 9 * S, None, GapCause.BUS, epoch=9, seq=1))
    store.commits["status"] = []
    store.add("status", *rows)

    found = await revised(store, contiguous=False)
    (bar,) = [one for one in found if (one.venue, one.timeframe, one.open_ts) == ("binance", "1m", T0 + 3 * M)]

    assert (bar.trades, bar.complete) == (6, False)


async def test_a_bar_with_more_trades_than_the_history_has_stays() -> None:
    """The aggregator knew trades that were not recorded."""
    store = recorded(3)
    store.add("bar", *(bar for bar in bars(ALL, ("1m",)) if bar.open_ts == T0 + 3 * M))
    store.commits["bar"][0] = store.commits["bar"][0].slice(0, 0)
    lost = [one for one in ALL if minute_of(one) == 3][:3]
    store.add("trade", *map(fetched, lost), source=Source.REST)

    assert await revised(store) == []


async def test_times_of_which_no_bars_are_recorded_get_none() -> None:
    """A backfill reaches back to before the recording."""
    store = recorded(timeframes=("1m",))
    repair(store, -60)

    assert await revised(store) == []


async def test_a_gap_of_which_nothing_existed_makes_its_bars_complete() -> None:
    """No trade came, and none was missing."""
    store = recorded(19)
    rows = [one for one in ALL if minute_of(one) == 19]
    store.add("trade", *rows)
    store.commits["bar"] = []
    store.add("bar", *bars(ALL, ("1m",), incomplete=(19, 20)))
    gap = Gap("binance", X, None, NOW, "trade", T0 + 19 * M - 10 * S, T0 + 20 * M, 0, GapCause.DISCONNECT, repaired=True)
    store.add("gap", gap, source=Source.RECORDER)

    found = short(await revised(store))

    assert ("binance", "1m", 19, 1, 6, True) in found
    assert ("binance", "1m", 20, 1, 0, True) in found

"""What the history lacks is fetched, once: found in a store, repaired, and then not found any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from crosstape_recorder.examining import examine
from crosstape_recorder.gaps.finding import Findings, VenueFacts
from crosstape_recorder.gaps.gap import HistoryGap
from crosstape_recorder.repairing import Repair, Repaired
from crosstape_recorder.selection import Selection
from crosstape_schemas import KINDS, Candle, FeedState, Gap, GapCause, Quote, Side, Status, Trade
from tests.recorder.past import Killed, Past
from tests.recorder.rows_in_memory import RowsInMemory

S: Final = 10**9
M: Final = 60 * S
T0: Final = 1_786_000_020 * S
NOW: Final = T0 + 100 * M
COUNTED: Final = VenueFacts(contiguous=True, every_interval=True)
UNCOUNTED: Final = VenueFacts()
X: Final = "BTC-USDT"


def trade(number: int, *, venue: str = "binance") -> Trade:
    """The trade with this id, made in its second."""
    ts = T0 + number * S
    return Trade(venue, X, ts, ts + 5, Decimal(100 + number % 7), Decimal("0.10"), Side.BUY, str(number), epoch=7)


def candle(minute: int) -> Candle:
    """The candle of a minute."""
    open_ts, price = T0 + minute * M, Decimal(100 + minute)
    return Candle("binance", X, None, open_ts + M, "1m", open_ts, open_ts + M, price, price, price, price, Decimal(minute + 1), closed=True)


def gap(
    from_ts: int, to_ts: int, missed: int | None, *, kind: str = "trade", cause: GapCause = GapCause.DISCONNECT, instrument: str = X
) -> Gap:  # fmt: skip
    """A gap that the connector reported."""
    return Gap("binance", instrument, None, to_ts, kind, from_ts, to_ts, missed, cause, epoch=7, seq=from_ts // S % 10**6 + len(kind))


async def findings(
    store: RowsInMemory, facts: VenueFacts = COUNTED, *, from_ts: int | None = None, kinds: Iterable[str] = KINDS
) -> Findings:
    """Find what is missing, and what is not any more."""
    return await examine(store, Selection(kinds=tuple(kinds), from_ts=from_ts, to_ts=NOW - 2 * M), lambda _: facts, tolerance_ns=2 * S)


async def gaps_of(store: RowsInMemory, facts: VenueFacts = COUNTED) -> list[HistoryGap]:
    """Find what is missing."""
    return list((await findings(store, facts)).gaps)


async def repaired(store: RowsInMemory, past: Past, facts: VenueFacts = COUNTED) -> list[Repaired]:
    """Repair all that is missing."""
    repair = Repair(store, past, lambda _: facts, tolerance_ns=2 * S, clock=lambda: NOW)
    return [one async for one in repair.run(await findings(store, facts))]


def ids(store: RowsInMemory) -> list[int]:
    """The ids of the trades that are there, in order; one that is there twice comes twice."""
    return sorted(map(int, store.rows("trade").column("trade_id").to_pylist()))


async def test_trades_that_are_missing_by_their_ids_are_fetched_once() -> None:
    """The gap is listed, filled, and listed no more. The rows say that they come from REST, those that were there stay as they were."""
    store, past = RowsInMemory(), Past(*map(trade, range(100)))
    store.add("trade", *(trade(number) for number in range(100) if number not in (40, 41, 42, 43, 44, 70)))

    found = await gaps_of(store)
    done = await repaired(store, past)
    again = await repaired(store, past)

    assert [(one.missing, one.feed.kind, one.seen, one.causes) for one in found] == [
        (5, "trade", ("trade ids",), ("sequence",)),
        (1, "trade", ("trade ids",), ("sequence",)),
    ]
    assert [(one.came, one.nonexistent, one.reason) for one in done] == [(5, 0, ""), (1, 0, "")]
    assert ids(store) == list(range(100))
    assert again == []
    assert await gaps_of(store) == []
    rows = {row["trade_id"]: row for row in store.rows("trade").to_pylist()}
    assert (rows["41"]["source"], rows["41"]["received_ts"], rows["39"]["source"]) == ("rest", 1_800_000_000 * S, "tape")
    assert {(row["source"], row["repaired"]) for row in store.rows("gap").to_pylist()} == {("recorder", True)}


async def test_ids_that_never_existed_are_not_missing_for_ever() -> None:
    """The venue has the trades on both sides and none between."""
    store = RowsInMemory()
    numbers = [number for number in range(100) if number not in (40, 41, 60)]
    store.add("trade", *(trade(number) for number in numbers if number != 42))

    done = await repaired(store, Past(*map(trade, numbers)))

    assert [(one.came, one.nonexistent, one.reason) for one in done] == [(1, 2, ""), (0, 1, "")]
    assert await gaps_of(store) == []
    assert [(row["missed"], row["nonexistent"]) for row in store.rows("gap").to_pylist() if row["nonexistent"]] == [(3, 2), (1, 1)]


async def test_what_the_venue_does_not_have_any_more_stays_listed() -> None:
    """A part came; the rest is a gap with its own times."""
    store = RowsInMemory()
    store.add("trade", *(trade(number) for number in range(100) if not 40 <= number < 50))

    done = await repaired(store, Past(*(trade(number) for number in range(45, 100))))

    assert [(one.came, one.nonexistent) for one in done] == [(5, 0)]
    assert "has not given 5 of them" in done[0].reason
    (left,) = await gaps_of(store)
    assert (left.missing, (left.from_ts - T0) // S, (left.to_ts - T0) // S) == (5, 39, 45)


async def test_a_gap_that_the_connector_reported_is_closed_where_ids_count_nothing() -> None:
    """All that the venue has of this time was fetched: that is all there is."""
    store, past = RowsInMemory(), Past(*map(trade, range(100)))
    store.add("trade", *(trade(number) for number in range(100) if not 40 <= number < 50))
    store.add("gap", gap(T0 + 39 * S + 7, T0 + 50 * S + 7, None))

    (found,) = [one for one in await gaps_of(store, UNCOUNTED) if "gap event" in one.seen]
    done = await repaired(store, past, UNCOUNTED)

    assert (found.missing, found.why_not) == (None, "")
    assert sum(one.came for one in done) == 10
    assert ids(store) == list(range(100))
    assert await gaps_of(store, UNCOUNTED) == []
    assert await repaired(store, past, UNCOUNTED) == []


async def test_a_reported_gap_is_closed_with_its_own_times_where_ids_decide() -> None:
    """Whoever reads the gaps alone must see it: by its times, which are those of our clock. What never existed is counted once."""
    store = RowsInMemory()
    numbers = [number for number in range(100) if number not in (41, 42)]
    store.add("trade", *(trade(number) for number in numbers if not 40 <= number < 50))
    store.add("gap", gap(T0 + 39 * S + 5, T0 + 50 * S + 5, 10), gap(T0 + 70 * S, T0 + 71 * S, None))

    await repaired(store, Past(*map(trade, numbers)))

    rows = [(row["from_ts"] - T0, row["missed"], row["nonexistent"]) for row in store.rows("gap").to_pylist() if row["repaired"]]
    assert rows == [(39 * S, 2, 2), (39 * S + 5, 8, 0), (70 * S, 0, 0)]
    assert (await findings(store)).settled == ()
    assert await repaired(store, Past(*map(trade, numbers))) == []
    assert len(store.commits["gap"]) == 3


async def test_a_reported_gap_stays_open_while_a_part_of_it_is_missing() -> None:
    """The venue has given the other part."""
    store = RowsInMemory()
    store.add("trade", *(trade(number) for number in range(100) if not 40 <= number < 50))
    store.add("gap", gap(T0 + 39 * S + 5, T0 + 50 * S + 5, 10))

    await repaired(store, Past(*(trade(number) for number in range(45, 100))))

    assert not any(row["repaired"] for row in store.rows("gap").to_pylist())


async def test_candles_are_fetched_and_those_that_never_existed_are_noted() -> None:
    """The venue publishes each, but had a halt."""
    store = RowsInMemory()
    store.add("candle", *(candle(minute) for minute in range(20) if minute not in (5, 6, 7, 12)))

    found = await gaps_of(store)
    done = await repaired(store, Past(*(candle(minute) for minute in range(20) if minute != 6)))

    assert [(one.missing, one.feed.timeframe, one.seen) for one in found] == [(3, "1m", ("candles",)), (1, "1m", ("candles",))]
    assert [(one.came, one.nonexistent, one.reason) for one in done] == [(2, 1, ""), (1, 0, "")]
    assert [(ts - T0) // M for ts in store.rows("candle").column("open_ts").to_pylist()] == [minute for minute in range(20) if minute != 6]
    assert await gaps_of(store) == []
    assert await gaps_of(store, UNCOUNTED) == []


async def test_a_gap_of_candles_has_the_times_of_our_clock() -> None:
    """The intervals that it touches are fetched, complete."""
    store, past = RowsInMemory(), Past(*map(candle, range(20)))
    store.add("candle", *(candle(minute) for minute in range(20) if minute not in (5, 6)))
    store.add("gap", gap(T0 + 5 * M + 30 * S, T0 + 7 * M + S, None, kind="candle:1m"))

    (one,) = await repaired(store, past, UNCOUNTED)

    assert (one.came, one.nonexistent, one.reason) == (2, 0, "")
    assert await gaps_of(store, UNCOUNTED) == []


async def test_what_nobody_keeps_says_why_it_cannot_be_repaired() -> None:
    """Quotes are states. A venue may not have such old trades. A new gap is left to the connector."""
    store, past = RowsInMemory(), Past()
    past.refuses = "kraken has trades of the last 1 hours only"
    store.add("quote", Quote("binance", X, T0, T0, None, None, None, None, epoch=7, seq=1))
    store.add(
        "gap", gap(T0, T0 + 9 * S, None, kind="quote"), gap(T0, T0 + 9 * S, 4), gap(NOW - 3 * M, NOW - 30 * S, 4),
        gap(T0 + 20 * S, T0 + 21 * S, None, kind="*", instrument="*", cause=GapCause.BUS),
    )  # fmt: skip

    reasons = {(one.gap.feed.kind, one.gap.from_ts): one.reason for one in await repaired(store, past)}

    assert reasons["quote", T0] == "venues do not keep the past of this kind"
    assert reasons["trade", T0] == past.refuses
    assert "too new" in reasons["trade", NOW - 3 * M]
    assert reasons["quote", T0 + 20 * S] == "venues do not keep the past of this kind"
    assert past.pages == 0


async def test_a_time_in_which_nobody_recorded_is_found_and_filled() -> None:
    """There is no sign of life, and no gap that says so: the connector never came back on this tape."""
    store, past = RowsInMemory(), Past(*map(trade, range(100)))
    store.add("status", *(Status("binance", "*", None, T0 + at * S, "*", FeedState.LIVE, epoch=7, seq=at + 1) for at in range(30)))
    store.add("status", *(Status("binance", "*", None, T0 + at * S, "*", FeedState.LIVE, epoch=8, seq=at) for at in range(70, 100)))
    store.add("trade", *(trade(number) for number in range(30)))

    found = await gaps_of(store, UNCOUNTED)
    done = await repaired(store, past, UNCOUNTED)

    assert [(one.feed.kind, one.causes, (one.from_ts - T0) // S) for one in found] == [
        ("trade", ("unrecorded",), 29),  # and not what comes after the last sign of life: that is not recorded yet
    ]
    assert [one.came for one in done] == [43]
    assert await gaps_of(store, UNCOUNTED) == []


async def test_a_venue_that_refuses_ends_its_gap_and_no_other() -> None:
    """What came before is there, and the next repair goes on."""
    store, past = RowsInMemory(), Past(*map(trade, range(100)))
    store.add("trade", *(trade(number) for number in range(100) if not 40 <= number < 50 and number != 70))
    past.fails_after = 2

    first = await repaired(store, past)
    past.fails_after = 10**9
    second = await repaired(store, past)

    assert [one.reason for one in first] == ["the venue asks to wait 2.0 hours"] * 2
    assert sum(one.came for one in [*first, *second]) == 11
    assert ids(store) == list(range(100))
    assert await gaps_of(store) == []


async def test_another_process_that_commits_at_the_same_time_costs_another_attempt() -> None:
    """A recorder commits trades all the time."""
    store, past = RowsInMemory(), Past(*map(trade, range(100)))
    store.add("trade", *(trade(number) for number in range(100) if not 40 <= number < 50))
    store.races = 3

    await repaired(store, past)

    assert ids(store) == list(range(100))
    assert await gaps_of(store) == []


@given(
    st.sets(st.integers(1, 58), max_size=30),
    st.sets(st.integers(2, 57), max_size=8),
    st.lists(st.integers(0, 6), max_size=4),
    st.booleans(),
)
def test_whatever_is_missing_and_whenever_it_is_killed(missing: set[int], never: set[int], kills: list[int], told: bool) -> None:
    """In the end each trade that exists is there once, nothing is listed, and another repair has nothing to do."""

    async def run() -> None:
        store = RowsInMemory()
        exist = [number for number in range(60) if number not in never]
        there = [number for number in exist if number not in missing]
        store.add("trade", *map(trade, there))
        if told and missing:
            store.add("gap", gap(T0 + (min(missing) - 1) * S, T0 + (max(missing) + 1) * S, len(missing)))
        for pages in kills:
            past = Past(*map(trade, exist))
            past.dies_after = pages
            with contextlib.suppress(Killed):
                await repaired(store, past)
        await repaired(store, Past(*map(trade, exist)))

        assert ids(store) == exist
        assert await gaps_of(store) == []
        commits = {kind: len(some) for kind, some in store.commits.items()}
        assert await repaired(store, Past(*map(trade, exist))) == []
        assert {kind: len(some) for kind, some in store.commits.items()} == commits

    asyncio.run(run())

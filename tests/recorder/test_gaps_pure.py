"""What the history lacks, found from recorded values."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_recorder.gaps.candles import intervals, missing_candles
from crosstape_recorder.gaps.finding import Recorded, Span, VenueFacts, find, merged
from crosstape_recorder.gaps.gap import Feed, HistoryGap, Part, Seen
from crosstape_recorder.gaps.numbering import missing_numbers
from crosstape_recorder.gaps.ranges import any_overlaps, union, without
from crosstape_recorder.gaps.runs import joined, run
from crosstape_recorder.gaps.silence import silences
from crosstape_recorder.gaps.told import GapRow, read
from crosstape_recorder.gaps.trade_ids import TradeIds, number_of
from crosstape_schemas import Gap, GapCause

S = 1_000_000_000
T0 = 1_786_000_020 * S
TRADES = Feed("binance", "BTC-USDT", "trade")
CANDLES = Feed("binance", "BTC-USDT", "candle", "1m")
RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=8)
MOMENT = st.integers(0, 90)


@given(RANGES, MOMENT)
def test_a_union_has_the_same_moments(ranges: list[tuple[int, int]], moment: int) -> None:
    """And its ranges are in order, and do not touch."""
    found = union(ranges)

    assert any(one <= moment <= other for one, other in found) == any(one <= moment <= other for one, other in ranges)
    assert all(one[1] < other[0] for one, other in pairwise(found))
    assert any_overlaps(found, (moment, moment)) == any(one <= moment <= other for one, other in ranges)


@given(RANGES, RANGES, MOMENT)
def test_what_is_left_of_a_range_is_in_it_and_not_in_the_others(
    ones: list[tuple[int, int]], others: list[tuple[int, int]], at: int
) -> None:
    """But for the moments at the ends, which are events on both sides."""
    for one in ones:
        left = without(one, others)
        inside = any(from_ts < at < to_ts for from_ts, to_ts in left)
        covered = any(from_ts <= at <= to_ts for from_ts, to_ts in others)
        if inside:
            assert one[0] <= at <= one[1]
            assert not covered
        if one[0] < at < one[1] and not covered:
            assert any(from_ts <= at <= to_ts for from_ts, to_ts in left)


def test_a_repaired_gap_with_the_same_times_closes_a_gap() -> None:
    """Of which nothing is missing any more."""
    told = read([row(1, 9, missed=5), row(1, 9, missed=5, repaired=True), row(20, 30, missed=2)])

    assert [(part.from_ts, part.missing) for part in told.open] == [(20, 2)]
    assert len(told.all) == 2


def test_a_repaired_gap_with_narrower_times_takes_its_count_off() -> None:
    """A part came, and no more is being fetched."""
    rows = [row(1, 9, missed=5), row(2, 8, missed=3, repaired=True)]

    assert [part.missing for part in read(rows).open] == [2]
    assert read([*rows, row(1, 9, missed=2, repaired=True, received_ts=12)]).open == ()
    assert [part.missing for part in read([row(1, 9, missed=None), row(2, 8, missed=3, repaired=True)]).open] == [None]


def test_a_repaired_gap_of_another_cause_or_feed_closes_nothing() -> None:
    """Gaps are identified by feed, times and cause."""
    rows = [
        row(1, 9, missed=5),
        row(1, 9, missed=5, repaired=True, cause=GapCause.BUS),
        row(1, 9, missed=5, repaired=True, kind="candle:1m"),
    ]

    assert len(read(rows).open) == 1


def test_trades_that_came_for_nonexistent_ids_change_nothing() -> None:
    """Their gap is closed: nothing was missing any more."""
    rows = [
        row(1, 9, missed=5),
        row(1, 9, missed=5, repaired=True, nonexistent=2),
        row(1, 9, missed=0, repaired=True, nonexistent=-1, received_ts=12),
    ]

    told = read(rows)

    assert told.open == ()
    assert [one.ids for one in told.nonexistent] == [2, -1]


def test_a_gap_that_a_server_got_twice_counts_once() -> None:
    """It has the same number."""
    assert [part.missing for part in read([row(1, 9, missed=5), row(1, 9, missed=5)]).open] == [5]
    assert [part.missing for part in read([row(1, 9, missed=5), row(1, 9, missed=5, seq=7)]).open] == [10]


@given(st.sets(st.integers(1, 60), max_size=40), st.randoms())
def test_missing_numbers_are_all_those_between(seqs: set[int], random) -> None:  # type: ignore[no-untyped-def]
    """In whatever order the rows come."""
    numbers = [run(seq, seq * S) for seq in seqs]
    random.shuffle(numbers)

    parts = missing_numbers(TRADES, {1: numbers})

    between = set(range(min(seqs, default=0), max(seqs, default=0))) - seqs
    assert sum(part.missing or 0 for part in parts) == len(between - {0})
    assert all(part.from_ts < number * S < part.to_ts for number in between for part in parts if part.from_ts < number * S < part.to_ts)


def test_numbers_of_two_starts_are_not_compared() -> None:
    """Each epoch begins with 1, and nobody knows how it ended."""
    assert missing_numbers(TRADES, {1: [run(5, 1)], 2: [run(9, 2)]}) == []


@given(st.sets(st.integers(1, 40), min_size=1, max_size=30), st.lists(st.integers(0, 3), max_size=3))
def test_missing_ids_are_all_those_between_less_those_that_never_existed(ids: set[int], never: list[int]) -> None:
    """Each nonexistent id is taken off once."""
    known = TradeIds(TRADES, [run(number, number * S) for number in ids])

    missing = sum(part.missing or 0 for part in known.missing([((0, 50 * S), count) for count in never]))

    assert missing == max(0, max(ids) - min(ids) + 1 - len(ids) - sum(never))


def test_ids_that_are_no_numbers_are_left_out() -> None:
    """Hostile ones, too."""
    assert number_of("12") == 12
    assert [number_of(text) for text in ("a1", "1" * 19, "١", "", "-1")] == [None] * 5


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=12))
def test_joined_runs_have_the_same_numbers(pairs: list[tuple[int, int]]) -> None:
    """And none follows another without a break."""
    runs = [run(first, first * S)._replace(last=first + more, to_ts=(first + more) * S) for first, more in pairs]
    found = joined(runs)

    assert {number for one in found for number in range(one.first, one.last + 1)} == {
        number for first, more in pairs for number in range(first, first + more + 1)
    }
    assert all(one.last + 1 < other.first for one, other in pairwise(found))
    assert all((one.from_ts, one.to_ts) == (one.first * S, one.last * S) for one in found)


def test_ids_between_two_that_follow_each_other_at_the_venue_never_existed() -> None:
    """Both were fetched, and nothing between. Of others nothing is known."""
    there = TradeIds(TRADES, [run(number, number * S) for number in (1, 4, 5, 9)])

    assert there.left([run(1, S), run(4, 4 * S)], (0, 6 * S)) == (2, 3)
    assert there.left([run(1, S), run(4, 4 * S)], (0, 3 * S)) == (2, 0)
    assert there.left([run(4, S), run(5, 4 * S)], (0, 3 * S)) == (0, 2)
    assert there.left([run(number, number * S) for number in (1, 4, 5, 9)], (0, 9 * S)) == (5, 0)


@given(st.sets(st.integers(0, 30), min_size=1), st.sets(st.integers(0, 30), max_size=3))
def test_missing_candles_are_all_those_between(minutes: set[int], never: set[int]) -> None:
    """Those in a row are one, and those that never existed are none."""
    m = 60 * S
    parts = missing_candles(CANDLES, {T0 + at * m for at in minutes}, [(T0 + at * m, T0 + (at + 1) * m) for at in never])

    assert sum(part.missing or 0 for part in parts) == len(set(range(min(minutes), max(minutes))) - minutes - never)
    assert all(one.to_ts < other.from_ts or (one.to_ts - T0) // m in never for one, other in pairwise(parts))
    assert all(intervals("1m", part.from_ts, part.to_ts) == part.missing for part in parts)


def test_silence_is_what_no_gap_explains() -> None:
    """A connector that was away says so itself."""
    stamps = [T0 + at * S for at in (*range(10), *range(100, 110))]

    assert silences(stamps, [], from_ts=None, to_ts=None) == [(T0 + 9 * S, T0 + 100 * S)]
    assert silences(stamps, [(T0 + 9 * S, T0 + 100 * S)], from_ts=None, to_ts=None) == []
    assert silences(stamps, [(T0 + 9 * S, T0 + 50 * S)], from_ts=None, to_ts=None) == [(T0 + 55 * S, T0 + 100 * S)]
    assert silences(stamps, [], from_ts=T0 - 60 * S, to_ts=T0 + 200 * S) == [
        (T0 - 60 * S, T0), (T0 + 9 * S, T0 + 100 * S), (T0 + 109 * S, T0 + 200 * S),
    ]  # fmt: skip
    assert silences([], [], from_ts=0, to_ts=9 * S) == []


PARTS = st.lists(
    st.builds(
        Part,
        feed=st.just(TRADES),
        from_ts=st.integers(0, 40),
        to_ts=st.integers(40, 60),
        missing=st.one_of(st.none(), st.integers(0, 9)),
        cause=st.sampled_from(["bus", "disconnect"]),
        seen=st.sampled_from([Seen.EVENT, Seen.SEQ]),
    ).map(lambda part: Part(part.feed, part.from_ts, part.from_ts + part.to_ts - 40, part.missing, part.cause, part.seen)),
    max_size=8,
)


@given(PARTS, st.randoms())
def test_one_list_in_which_nothing_overlaps_and_nothing_is_left_out(parts: list[Part], random) -> None:  # type: ignore[no-untyped-def]
    """It has the same moments, whatever the order; a count is never below that of one place."""
    shuffled = list(parts)
    random.shuffle(shuffled)
    gaps = merged(TRADES, shuffled)

    assert gaps == merged(TRADES, parts)
    assert [(gap.from_ts, gap.to_ts) for gap in gaps] == union((part.from_ts, part.to_ts) for part in parts)
    assert sorted(part.from_ts for gap in gaps for part in gap.parts) == sorted(part.from_ts for part in parts)
    for gap in gaps:
        for seen in {part.seen for part in gap.parts}:
            known = [part.missing for part in gap.parts if part.seen is seen]
            assert (gap.missing is None) if None in known else (gap.missing is None or gap.missing >= sum(one or 0 for one in known))


def test_a_gap_that_the_ids_fill_is_not_listed() -> None:
    """Where ids count by one, a trade is missing if and only if its id is not there."""
    gaps = [row(T0, T0 + 9 * S, missed=None)]
    ids = [run(number, T0 + (number - 100) * S) for number in range(80, 120)]

    assert found(Recorded(feeds=[TRADES], gaps=gaps, trade_ids={TRADES: ids})) == []
    (gap,) = found(Recorded(feeds=[TRADES], gaps=gaps, trade_ids={TRADES: [one for one in ids if one.first not in (103, 104)]}))
    assert (gap.missing, gap.seen, gap.why_not) == (2, ("trade ids",), "")
    (gap,) = found(Recorded(feeds=[TRADES], gaps=gaps, trade_ids={TRADES: ids}), facts=VenueFacts())
    assert (gap.missing, gap.seen, gap.causes) == (None, ("gap event",), ("disconnect",))


def test_ids_that_end_within_a_gap_do_not_fill_it() -> None:
    """Nobody knows what comes after the last one."""
    ids = [run(number, T0 + (number - 100) * S) for number in range(80, 104)]

    assert len(found(Recorded(feeds=[TRADES], gaps=[row(T0, T0 + 9 * S, missed=None)], trade_ids={TRADES: ids}))) == 1


def test_a_gap_of_a_venue_is_one_of_each_of_its_feeds() -> None:
    """Each feed can be repaired or not for itself. Bars are not named: they follow their trades."""
    quotes, bars = Feed("binance", "BTC-USDT", "quote"), Feed("binance", "BTC-USDT", "bar", "1m")
    other = Feed("kraken", "BTC-USDT", "trade")
    gaps = [row(T0, T0 + 9 * S, missed=None, instrument="*", kind="*", cause=GapCause.BUS)]

    listed = found(Recorded(feeds=[TRADES, CANDLES, quotes, bars, other], gaps=gaps))

    assert [gap.feed for gap in listed] == sorted([CANDLES, quotes, TRADES])
    assert [bool(gap.why_not) for gap in listed] == [False, True, False]
    (alone,) = found(Recorded(feeds=[other], gaps=gaps))
    assert alone.feed == Feed("binance", "*", "*")


def test_numbers_that_the_bus_lost_are_listed_once() -> None:
    """The gap of the bus says how many, and explains the numbers."""
    numbers = {1: [run(seq, T0 + seq * S) for seq in (1, 2, 6, 7)]}
    alone = found(Recorded(feeds=[TRADES], numbers={TRADES: numbers}))
    told = [row(T0 + 2 * S, T0 + 6 * S, missed=3, cause=GapCause.BUS)]

    assert [(gap.missing, gap.seen) for gap in alone] == [(3, ("seq",))]
    assert [(gap.missing, gap.seen) for gap in found(Recorded(feeds=[TRADES], numbers={TRADES: numbers}, gaps=told))] == [
        (3, ("gap event",))
    ]
    trimmed = [GapRow(row(T0 + 2 * S, T0 + 6 * S, missed=None, seq=0, cause=GapCause.UNKNOWN).gap, by_recorder=True)]
    (one,) = found(Recorded(feeds=[TRADES], numbers={TRADES: numbers}, gaps=trimmed))
    assert (one.missing, one.seen) == (None, (Seen.RECORDER.value,))


def test_a_gap_of_candles_that_are_there_is_not_listed() -> None:
    """They were fetched since."""
    m = 60 * S
    open_ts = T0 // m * m
    gaps = [row(open_ts + S, open_ts + 2 * m + S, missed=None, kind="candle:1m")]

    assert found(Recorded(feeds=[CANDLES], gaps=gaps, candles={CANDLES: {open_ts, open_ts + m, open_ts + 2 * m}})) == []
    assert len(found(Recorded(feeds=[CANDLES], gaps=gaps, candles={CANDLES: {open_ts, open_ts + 2 * m}}), facts=VenueFacts())) == 1


def test_an_interval_without_a_candle_is_a_gap_only_where_the_venue_publishes_each() -> None:
    """Else nobody traded, perhaps."""
    m = 60 * S
    opens = {T0 // m * m, T0 // m * m + 3 * m}

    assert [gap.missing for gap in found(Recorded(feeds=[CANDLES], candles={CANDLES: opens}))] == [2]
    assert found(Recorded(feeds=[CANDLES], candles={CANDLES: opens}), facts=VenueFacts()) == []


def test_what_a_repair_found_nonexistent_is_not_listed_again() -> None:
    """Neither an id nor a candle. Nor is a time that was fetched, of a venue without such ids."""
    m = 60 * S
    open_ts = T0 // m * m
    ids = [run(1, T0), run(4, T0 + S)]
    gaps = [
        GapRow(row(T0, T0 + S, missed=2, repaired=True, nonexistent=2, seq=0).gap, by_recorder=True),
        GapRow(row(open_ts + m, open_ts + 3 * m, missed=2, repaired=True, nonexistent=2, seq=0, kind="candle:1m").gap, by_recorder=True),
        GapRow(row(T0 + 9 * S, T0 + 100 * S, missed=0, repaired=True, seq=0).gap, by_recorder=True),
    ]
    signs = [T0 + at * S for at in (*range(10), *range(100, 110))]
    recorded = Recorded(
        feeds=[TRADES], gaps=gaps, trade_ids={TRADES: ids}, candles={CANDLES: {open_ts, open_ts + 3 * m}}, signs={"binance": signs}
    )

    assert found(recorded) == []
    assert len(found(Recorded(feeds=[TRADES], trade_ids={TRADES: ids}, signs={"binance": signs}))) == 2


@pytest.mark.parametrize(
    ("from_ts", "to_ts", "count"), [(None, None, 1), (T0 + 10 * S, None, 0), (None, T0, 0), (T0 + 5 * S, T0 + 6 * S, 1)]
)
def test_only_gaps_of_the_time_are_listed(from_ts: int | None, to_ts: int | None, count: int) -> None:
    """Those that overlap it, complete."""
    gaps = [row(T0, T0 + 9 * S, missed=1)]

    assert len(found(Recorded(feeds=[TRADES], gaps=gaps), span=Span(from_ts, to_ts))) == count


KNOWS: Final = VenueFacts(contiguous=True, every_interval=True)
EVER: Final = Span(None, None)


def found(recorded: Recorded, facts: VenueFacts = KNOWS, span: Span = EVER) -> list[HistoryGap]:
    """Find the gaps of all feeds."""
    return list(find(recorded, lambda _: facts, lambda _: True, span, tolerance_ns=2 * S).gaps)


def row(
    from_ts: int, to_ts: int, *, missed: int | None, kind: str = "trade", instrument: str = "BTC-USDT",
    cause: GapCause = GapCause.DISCONNECT, repaired: bool = False, nonexistent: int = 0, seq: int = -1, received_ts: int = 10,
) -> GapRow:  # fmt: skip
    """Make a recorded gap, with a number of its own unless one is given."""
    seq = abs(hash((from_ts, to_ts, kind, cause, repaired, nonexistent, received_ts))) % 10**9 + 1 if seq < 0 else seq
    gap = Gap("binance", instrument, None, received_ts, kind, from_ts, to_ts, missed, cause, repaired, nonexistent, epoch=1, seq=seq)
    return GapRow(gap, by_recorder=False)

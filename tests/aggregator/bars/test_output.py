"""When bars are published, and whether they are complete, in an engine as it runs."""

from __future__ import annotations

import msgspec

from crosstape_aggregator.consolidation.engine import Engine
from crosstape_schemas import CONSOLIDATED, Bar, Event, FeedState
from tests.aggregator.builders import MS, S, X, alive, engine, gap, status, trade

MINUTE = 60 * S
OPEN = 1_786_000_020 * S // MINUTE * MINUTE


class Tape:
    """An engine whose instrument has been read, and whose venues are alive; a look and `due` after each batch of events."""

    def __init__(self, *venues: str, **settings: object) -> None:
        self.engine: Engine = engine(**{"bars": ("1m",), **settings})
        self.venues = venues
        begin = OPEN - 10 * MINUTE
        self.engine.instrument(X, begin).known_from(begin // S)
        self.at(begin, *(status(venue, FeedState.LIVE, begin, kind="trade") for venue in venues))
        self.at(begin + 2 * S)  # now clocks are known, too

    def at(self, now: int, *events: Event, limit: int = 100) -> list[Bar]:
        """Apply events, and return the bars that are published."""
        signs = [msgspec.structs.replace(alive(venue, now), clock_offset_ns=0) for venue in self.venues]
        self.engine.apply([*signs, *events], now)
        self.engine.look((), now, now)
        found = self.engine.due_outputs(now, limit)
        return [bar for bar in found if isinstance(bar, Bar)]


def short(bars: list[Bar]) -> list[tuple[str, int, bool, int, bool, int]]:
    """Venue, seconds of `open_ts` since `OPEN`, closed, revision, complete, trades."""
    return [(bar.venue, (bar.open_ts - OPEN) // S, bar.closed, bar.revision, bar.complete, bar.trades) for bar in bars]


def test_a_bar_is_conflated_then_closed_then_revised() -> None:
    """Open bars come once in the interval; the closed one after the grace; a late trade makes the next revision."""
    tape = Tape("m")
    tape.at(OPEN + S - MS)
    assert tape.at(OPEN + S, trade("m", "100.50", "2", OPEN + S))[0].open is not None
    assert tape.at(OPEN + S + 100 * MS, trade("m", "101", "2", OPEN + S)) == []
    assert tape.engine.outputs[0].next_ts() == OPEN + S + 250 * MS
    assert short(tape.at(OPEN + S + 250 * MS)) == [("m", 0, False, 0, False, 2), (CONSOLIDATED, 0, False, 0, False, 2)]
    assert {bar.open_ts for bar in tape.at(OPEN + 2 * S)} == {OPEN - MINUTE}
    assert tape.at(OPEN + MINUTE + 2 * S - 1) == []
    closed = tape.at(OPEN + MINUTE + 2 * S)
    assert short(closed) == [("m", 0, True, 0, True, 2), (CONSOLIDATED, 0, True, 0, True, 2)]
    assert [str(closed[0].open), str(closed[0].volume), str(closed[0].quote_volume)] == ["100.5", "4", "403"]
    late = trade("m", "1", "1", OPEN, received_ts=OPEN + MINUTE + 3 * S)
    assert short(tape.at(OPEN + MINUTE + 3 * S, late)) == [("m", 0, True, 1, True, 3), (CONSOLIDATED, 0, True, 1, True, 3)]
    assert tape.engine.counts.bars.revised == {"1m": 2}


def test_an_empty_minute_has_the_last_price() -> None:
    """Null before the first trade; a late trade changes the prices of the empty bars behind it."""
    tape = Tape("m", "n")
    bars = tape.at(OPEN + 2 * S)
    assert {(bar.venue, bar.close, bar.trades, bar.complete) for bar in bars} >= {("m", None, 0, True), (CONSOLIDATED, None, 0, True)}
    tape.at(OPEN + 3 * S, trade("m", "5", "1", OPEN + S))
    tape.at(OPEN + MINUTE + 2 * S)
    prices = {bar.venue: (bar.open, bar.close, bar.volume) for bar in tape.at(OPEN + 2 * MINUTE + 2 * S)}
    assert {venue: [str(number) for number in found] for venue, found in prices.items()} == {
        "m": ["5", "5", "0"], "n": ["None", "None", "0"], CONSOLIDATED: ["5", "5", "0"],
    }  # fmt: skip
    late = trade("m", "7", "1", OPEN + 2 * S, received_ts=OPEN + 2 * MINUTE + 3 * S)
    revised = tape.at(OPEN + 2 * MINUTE + 3 * S, late)
    assert [(bar.venue, bar.open_ts, str(bar.close), bar.revision) for bar in revised] == [
        ("m", OPEN, "7", 1), (CONSOLIDATED, OPEN, "7", 1), ("m", OPEN + MINUTE, "7", 1), (CONSOLIDATED, OPEN + MINUTE, "7", 1),
    ]  # fmt: skip


def test_a_gap_makes_bars_incomplete_until_it_is_repaired() -> None:
    """It is reported after the bar has closed; only bars of this venue, and those of all, near it are revised."""
    tape = Tape("m", "n")
    tape.at(OPEN + S, trade("m", "5", "1", OPEN + S), trade("n", "5", "1", OPEN + S))
    tape.at(OPEN + MINUTE + 2 * S)
    missing = OPEN + 10 * S, OPEN + 20 * S
    assert short(tape.at(OPEN + MINUTE + 3 * S, gap("m", *missing))) == [("m", 0, True, 1, False, 1), (CONSOLIDATED, 0, True, 1, False, 2)]
    assert tape.at(OPEN + MINUTE + 4 * S, gap("m", OPEN + 11 * S, OPEN + 20 * S, repaired=True)) == []
    found = msgspec.structs.replace(trade("m", "6", "1", OPEN + 15 * S, received_ts=OPEN + MINUTE + 5 * S), backfilled=True)
    repaired = tape.at(OPEN + MINUTE + 5 * S, found, gap("m", *missing, repaired=True))
    assert short(repaired) == [("m", 0, True, 2, True, 2), (CONSOLIDATED, 0, True, 2, True, 3)]
    assert short(tape.at(OPEN + 2 * MINUTE + 2 * S))[0] == ("m", 60, True, 0, True, 0)


def test_a_bar_that_closes_while_a_feed_is_down_is_not_complete() -> None:
    """Nor is there one of an empty minute. When the feed is back without a gap, the bar is complete."""
    tape = Tape("m", "n")
    tape.at(OPEN + S, trade("m", "5", "1", OPEN + S), trade("n", "5", "1", OPEN + S))
    tape.at(OPEN + 2 * S)
    tape.at(OPEN + 3 * S, status("m", FeedState.DOWN, OPEN + 3 * S, kind="trade"))
    closed = tape.at(OPEN + MINUTE + 2 * S)
    assert short(closed) == [("m", 0, True, 0, False, 1), ("n", 0, True, 0, True, 1), (CONSOLIDATED, 0, True, 0, False, 2)]
    assert short(tape.at(OPEN + 2 * MINUTE + 2 * S)) == [("n", 60, True, 0, True, 0), (CONSOLIDATED, 60, True, 0, False, 0)]
    back = tape.at(OPEN + 2 * MINUTE + 3 * S, status("m", FeedState.LIVE, OPEN + 2 * MINUTE + 3 * S, kind="trade"))
    assert short(back) == [("m", 0, True, 1, True, 1), (CONSOLIDATED, 0, True, 1, True, 2), (CONSOLIDATED, 60, True, 1, True, 0)]


def test_the_first_bar_of_a_new_venue_is_not_complete() -> None:
    """Its connector began inside the interval: its first trade has the `seq` 1."""
    tape = Tape("m")
    tape.at(OPEN + 30 * S, msgspec.structs.replace(trade("new", "5", "1", OPEN + 30 * S), seq=1))
    closed = tape.at(OPEN + MINUTE + 2 * S)
    assert ("new", 0, True, 0, False, 1) in short(closed)


def test_trades_beyond_the_history_are_counted() -> None:
    """They change no bar of their interval."""
    tape = Tape("m", bar_history_s=120.0)
    tape.at(OPEN + S, trade("m", "5", "1", OPEN + S))
    for minute in range(1, 6):
        tape.at(OPEN + minute * MINUTE + 3 * S, trade("m", "6", "1", OPEN + minute * MINUTE + 2 * S))
    now = OPEN + 5 * MINUTE + 4 * S
    assert tape.at(now, trade("m", "9", "1", OPEN + 2 * S, received_ts=now)) == []
    assert tape.engine.counts.bars.late == {"1m": 1}


def test_many_instruments_close_in_parts() -> None:
    """The caller takes about `limit` events each time; none is left out, and those that are not due cost nothing."""
    one = engine(bars=("1m", "1h"))
    names = [f"COIN{number}-USDT" for number in range(50)]
    for name in names:
        one.instrument(name, OPEN).known_from(OPEN // S)
    one.apply([alive("m", OPEN), *(trade("m", "1", "1", OPEN + S, instrument=name) for name in names)], OPEN + S)
    one.look((), OPEN + S, 0)
    now, closed, calls = OPEN + MINUTE + 2 * S, [], 0
    one.look((), now, now)
    (output,) = one.outputs
    while output.next_ts() == 0 or not calls:
        found = output.due(now, 10)
        assert len(found) < 10 + 8
        closed += [bar for bar in found if isinstance(bar, Bar) and bar.closed]
        calls += 1
    assert sorted(bar.instrument for bar in closed) == sorted(names * 2)
    assert output.next_ts() == now + S, "until their feed is known, when the bars become complete"
